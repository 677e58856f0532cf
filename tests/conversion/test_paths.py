"""Paths are taken as they are, whatever characters they hold."""

import json
from pathlib import Path

import pytest

import spark_sql
from brigade.conversion.table import read_parquet
from tests.conversion.outputs import numbers, quarantined
from tests.conversion.sample_events import line, written

ODD = "in[1]{a,b}*?\\ ,%41#é ^!"


@pytest.fixture
def odd(tmp_path) -> Path:
    """A folder with an odd name, beside others that it would match as a pattern."""
    for name in ("in1a ,%41#é ^!", "in1", "inA"):
        written(tmp_path / name / "input" / "a.jsonl", line("another"))
    (folder := tmp_path / ODD).mkdir()
    return folder


@pytest.mark.long
def test_a_conversion_reads_and_writes_the_places_that_are_named(spark, odd, capsys):
    (odd / "own?.sql").write_text("SELECT eventId, eventType, 'x{y}[1]' AS dt FROM events")
    (odd / "own*.ddl").write_text("eventId STRING, eventType STRING")
    places = [f"{odd}/input", f"{odd}/parquet", f"--quarantine_path={odd}/bad", f"--summary={odd}/summary.json"]
    flags = [f"--sql={odd}/own?.sql", f"--schema={odd}/own*.ddl"]

    def convert() -> list[int]:
        assert spark_sql.main([*places, *flags]) == 0
        assert (summary := json.loads(capsys.readouterr().out)) == json.loads((odd / "summary.json").read_text())
        return numbers(summary)

    written(odd / "input" / f"{ODD}.jsonl", line("e1"), line("e2"), "{broken")
    assert convert() == [3, 2, 0, 1]
    written(odd / "input" / "more.jsonl", line("e3"), line("e4"), "{broken too")
    assert convert() == [3, 2, 0, 1]
    written(odd / "input" / f"{ODD}.jsonl", line("e1"))
    assert convert() == [1, 1, 0, 0]
    rows = read_parquet(spark, f"{odd}/parquet").collect()
    assert sorted(row.eventId for row in rows) == ["e1", "e3", "e4"]
    assert [one["line"] for one in quarantined(odd / "bad")] == ["{broken too"]
    assert convert() == [0, 0, 0, 0]
