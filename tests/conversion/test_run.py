"""A whole conversion: every line is counted once, or nothing changes."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brigade import spark as sessions
from brigade.conversion import run, writing
from brigade.conversion.errors import ConversionError
from brigade.conversion.run import check_apart, json_into_parquet
from tests.conversion.outputs import convert, numbers, state
from tests.conversion.sample_events import line, written


def test_every_line_is_converted_or_a_duplicate_or_quarantined(converted):
    assert numbers(converted) == [12, 7, 2, 3]


@pytest.mark.parametrize(
    "rows_a_task", [sessions.ROWS_A_TASK, pytest.param(20, marks=pytest.mark.long)]
)  # with fewer than there are duplicates
def test_the_numbers_are_those_of_a_recount_in_plain_python(spark, tmp_path, monkeypatch, rows_a_task):
    monkeypatch.setattr(sessions, "ROWS_A_TASK", rows_a_task)
    choose = random.Random(4)
    kinds = [
        *(line, line, line, lambda one: line(one)[:-9], lambda one: f"[{line(one)}]", lambda one: ""),
        *(lambda one: line(one, {"payload": " "}), lambda one: line("", {"docId": one})),
        lambda one: line(one, eventTimestamp="2019-04-02"),
    ]
    lines = [choose.choice(kinds)(f"e{choose.randrange(60)}") for _ in range(300)]
    for number in range(3):
        written(tmp_path / "input" / f"{number}.jsonl", *lines[number::3])

    ids, bad = [], 0
    for text in filter(None, lines):
        try:
            one = json.loads(text)
            when = datetime.fromisoformat(one["eventTimestamp"])
            good = bool(one["eventId"] and one["doc"]["docId"] and one["doc"]["payload"].strip() and when.tzinfo == UTC)
        except (ValueError, TypeError):
            good = False
        bad += not good
        ids += [one["eventId"]] if good else []
    counts = json_into_parquet(spark, str(tmp_path / "input"), str(tmp_path / "parquet"))
    found = numbers(counts)
    assert found[0] == sum(map(bool, lines))
    assert found[1:] == [len(set(ids)), len(ids) - len(set(ids)), bad]
    assert min(found) > 20
    assert len(list(tmp_path.glob("parquet/dt=*/*.parquet"))) == 1  # all are of one day


@pytest.mark.long
def test_counts_that_do_not_add_up_fail_the_run_and_change_nothing(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    convert(spark, tmp_path)
    before = state(spark, tmp_path)
    written(tmp_path / "input" / "b.jsonl", line("e2", published="2026-11-01T00:00:00Z"))
    monkeypatch.setattr(writing, "stage_rows", lambda table, rows: None)  # rows that get lost on the way
    with pytest.raises(ConversionError, match="do not add up"):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert state(spark, tmp_path) == before
    assert convert(spark, tmp_path)["rows"] == 2


@pytest.mark.long
def test_a_line_that_parsing_loses_fails_the_run(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1"), line("e2"), line("e3"))
    parse = run.parse_lines
    monkeypatch.setattr(run, "parse_lines", lambda *given: parse(*given).where("eventId != 'e2'"))
    with pytest.raises(ConversionError, match="for each of 3 lines, found 2"):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob("parquet/dt=*")) and convert(spark, tmp_path)["rows"] == 3


@pytest.mark.long
def test_lines_that_spark_counted_twice_are_counted_from_the_files(spark, tmp_path, monkeypatch):
    stage = run.stage

    def with_a_task_that_ran_twice(*given):
        staged, count = stage(*given)
        return staged, 2 * count

    monkeypatch.setattr(run, "stage", with_a_task_that_ran_twice)
    written(tmp_path / "input" / "a.jsonl", line("e1"), line("e2"), "{broken")
    assert numbers(json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/parquet")) == [3, 2, 0, 1]


@pytest.mark.parametrize(
    "paths", ["a a", "a/ a", "a a/b", "a/input a", "a b a/bad", "a/input b a", "a b b/bad/", "quarantine/a b"]
)
def test_paths_that_lie_in_one_another_are_refused(spark, tmp_path, paths):
    paths = [f"{tmp_path}/{path}" for path in paths.split()]
    file = written(Path(paths[0], "a.jsonl"), line())
    with pytest.raises(ConversionError, match="lies in the .* choose another"):
        json_into_parquet(spark, *paths)
    assert file.read_text("utf-8") == line() + "\n"
    check_apart({"input": "gs://b/input", "output": "gs://b/input_parquet", "quarantine": "gs://b/inputs"})
