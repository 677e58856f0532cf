"""Which files are read, and how their lines are."""

import os
import time
from datetime import UTC, datetime

import pytest

import spark_sql
from brigade.conversion import input_files
from brigade.conversion.input_files import holds_files
from tests.conversion.outputs import convert, state
from tests.conversion.sample_events import line, written


def test_only_a_file_of_some_size_with_the_ending_counts(spark, tmp_path):
    written(tmp_path / "dt=2019-04-02" / "a.jsonl", line())
    assert holds_files(spark, str(tmp_path))
    assert holds_files(spark, str(tmp_path / "dt=2019-04-02" / "a.jsonl"))
    assert not holds_files(spark, str(tmp_path), ".parquet")
    assert not holds_files(spark, f"{tmp_path}/nowhere")


@pytest.mark.parametrize("files", [(), ("empty.jsonl",), ("_hidden.jsonl", ".hidden.jsonl")])
def test_a_folder_without_files_is_refused_before_anything_is_written(spark, tmp_path, capsys, files):
    (tmp_path / "parquet").mkdir()
    for name in files:
        written(tmp_path / "input" / name, *([] if name.startswith("empty") else [line()]))
    assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet"]) == 1
    said = f"spark_sql.py: expected JSON lines below {tmp_path}/input, found no file"
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "parquet").iterdir())


@pytest.mark.long
def test_windows_lines_a_byte_order_mark_long_lines_and_odd_names_are_read(spark, tmp_path):
    long = "word " * (4_190_000 // 5)  # an event has at most 4 MiB
    text = "\ufeff" + "\r\n".join([line("e1"), line("e2", {"payload": "ação"}), ""])
    (tmp_path / "input" / "a day with spaces %41").mkdir(parents=True)
    (tmp_path / "input" / "a day with spaces %41" / "é+.jsonl").write_bytes(text.encode())
    written(tmp_path / "input" / "long.jsonl.gz", line("e3", {"payload": long}))
    written(tmp_path / "input" / "empty.jsonl")
    (tmp_path / "input" / "bytes.jsonl").write_bytes(line("e4").encode().replace(b"texto", b"\xff\xfe") + b"\n")
    (tmp_path / "input" / "tail.jsonl").write_bytes(b"{broken\n" + line("e5").encode() + b" \t \r\n\r\n")
    assert convert(spark, tmp_path)["rows"] == 4
    rows, bad = state(spark, tmp_path)
    assert {row.eventId: len(row.payload) for row in rows} == {"e1": 11, "e2": 4, "e3": len(long), "e5": 11}
    assert [reason for reason, _ in bad] == ["malformed_json", "not_utf8"]
    written(tmp_path / "input" / "a day with spaces %41" / "more é.jsonl", line("e6"))
    assert convert(spark, tmp_path) == dict(files=1, lines=1, converted=1, duplicates=0, replaced=0, rows=5)


@pytest.fixture
def new_york(monkeypatch):
    """The driver's local time is New York's, where 2026-11-01 has the hour from 1 to 2 twice."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("listed", [2000, 0], ids=["few files", "many files"])
def test_files_of_the_hour_that_autumn_has_twice_are_read(spark, tmp_path, monkeypatch, new_york, listed):
    monkeypatch.setattr(input_files, "LISTED_FILES", listed)
    for hour in (5, 6):
        written(file := tmp_path / "input" / f"{hour}.jsonl", line(f"e{hour}"))
        moment = datetime(2026, 11, 1, hour, 30, tzinfo=UTC).timestamp()
        os.utime(file, (moment, moment))
        assert convert(spark, tmp_path) == dict(
            files=1, lines=1, converted=1, duplicates=0, replaced=0, rows=hour - 4
        )  # fmt: skip
    written(file, line("e6", {"payload": "changed"}), line("e7"))
    assert convert(spark, tmp_path) == dict(files=1, lines=2, converted=2, duplicates=0, replaced=1, rows=3)
