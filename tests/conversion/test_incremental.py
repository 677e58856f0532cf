"""Conversions one after another: new files, late ones, changed ones, deleted ones."""

import pytest

from tests.conversion.outputs import as_if_at_once, convert, days, files_below, state
from tests.conversion.sample_events import line, written


@pytest.mark.long
def test_runs_one_after_another_give_what_one_run_would(spark, tmp_path):
    landed = tmp_path / "input"
    first, second = "2026-11-01T10:00:00Z", "2026-11-02T10:00:00Z"
    written(landed / "a.jsonl", line("e1", published=first), line("e2", published=first), "{broken")
    written(landed / "b.jsonl", line("e3", published=second), line("e4", {"payload": "b"}, published=second))
    assert convert(spark, tmp_path) == dict(files=2, lines=5, converted=4, duplicates=0, replaced=0, rows=4)

    before = files_below(tmp_path)
    assert convert(spark, tmp_path) == dict(files=0, lines=0, converted=0, duplicates=0, replaced=0, rows=4)
    assert files_below(tmp_path) == before  # nothing new, nothing written

    # A late file: a new event, one that beats an earlier publication on another day, one that is beaten.
    late = [line("e5", published=first), line("e1", {"payload": "later"}, published="2026-11-03T00:00:00Z")]
    written(landed / "late.jsonl", *late, line("e4", {"payload": "earlier"}, published=first), "null")
    untouched = files_below(tmp_path / "parquet" / "dt=2026-11-02")
    assert convert(spark, tmp_path) == dict(files=1, lines=4, converted=2, duplicates=1, replaced=1, rows=5)
    assert files_below(tmp_path / "parquet" / "dt=2026-11-02") == untouched
    assert state(spark, tmp_path) == as_if_at_once(spark, tmp_path)

    # A file that changes: a row goes, one is other text, and what e4's row had beaten comes to light again.
    written(landed / "b.jsonl", line("e3", {"payload": "other text"}, published=second))
    counts = convert(spark, tmp_path)
    assert (counts["files"], counts["replaced"], counts["rows"]) == (2, 4, 5)  # late.jsonl is read again for e4
    payloads = {row.eventId: row.payload for row in state(spark, tmp_path)[0]}
    assert payloads["e3"] == "other text" and payloads["e4"] == "earlier" and payloads["e1"] == "later"

    written(landed / "a.jsonl", line("e2", published=first))  # its quarantined line is gone too
    assert convert(spark, tmp_path)["rows"] == 5
    rows, bad = state(spark, tmp_path)
    assert [row.eventId for row in rows] == ["e1", "e2", "e3", "e4", "e5"] and bad == [("not_an_object", "null")]
    assert len({path.parent for path in (tmp_path / "parquet").glob("_conversion/manifest-*")}) == 1


@pytest.mark.long
def test_a_day_whose_rows_all_go_is_gone(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    convert(spark, tmp_path)
    written(tmp_path / "input" / "b.jsonl", line("e1", published="2026-11-02T00:00:00Z"))
    assert convert(spark, tmp_path) == dict(files=1, lines=1, converted=1, duplicates=0, replaced=1, rows=1)
    assert days(tmp_path / "parquet") == ["dt=2026-11-02"]


def test_a_deleted_input_file_keeps_its_rows(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"))
    written(tmp_path / "input" / "b.jsonl", line("e2"))
    convert(spark, tmp_path)
    (tmp_path / "input" / "a.jsonl").unlink()  # a life-cycle rule
    assert convert(spark, tmp_path)["rows"] == 2
