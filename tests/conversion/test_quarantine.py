"""Lines that are not events."""

from pathlib import Path

import pytest

from brigade.conversion import run
from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from tests.conversion.outputs import convert, numbers, quarantined
from tests.conversion.sample_events import line, written


def test_what_is_no_event_is_quarantined_with_its_file_and_reason(converted):
    assert converted["quarantine"] == f"{converted['folder']}/quarantine"
    lines = quarantined(Path(converted["quarantine"]))
    assert {(Path(one["file"]).name, one["reason"], one["line"]) for one in lines} == {
        ("landed.jsonl", "malformed_json", "{broken"),
        ("raw.json", "not_an_object", f"[{line('in an array')}]"),
        ("raw.json", "bad_timestamp", line("no day", eventTimestamp="today")),
    }


@pytest.mark.parametrize("lines, bad", [(["", " ", "\t"], 0), (["{broken", line()[:-1]], 2)])
def test_an_input_without_any_event_makes_no_rows_and_loses_no_line(spark, tmp_path, lines, bad):
    written(tmp_path / "input" / "a.jsonl", *lines)
    counts = json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/parquet")
    assert numbers(counts) == [bad, 0, 0, bad]
    assert len(quarantined(tmp_path / "quarantine")) == bad


@pytest.mark.long
def test_a_line_that_is_missing_in_the_quarantine_fails_the_run(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{broken", "{broken too")
    write = run.write_quarantine

    def one_less(table, staged, *rest):
        return write(table, staged.where("_row.line != '{broken'"), *rest)

    monkeypatch.setattr(run, "write_quarantine", one_less)
    with pytest.raises(ConversionError, match="expected 2 lines in the quarantine, wrote 1"):
        convert(spark, tmp_path)
    assert not list(tmp_path.glob("parquet/dt=*")) and not list(tmp_path.glob("quarantine/*.json"))
