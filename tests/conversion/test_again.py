"""Days that are done again: they are as if nothing had happened, and the other days' files are the same objects."""

import argparse
import json
import os
import re
import shutil
import signal
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyarrow import parquet

import spark_sql
from brigade.causes import told
from brigade.cli import date_range
from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import OWN, QUERY
from brigade.conversion.table import Table
from brigade.errors import CannotGoOn
from tests.conftest import ROOT
from tests.conversion.command import Run, run
from tests.conversion.outputs import convert, days, files_below, state
from tests.conversion.sample_events import line, written
from tests.conversion.test_faults import SAYS_WHEN

MONTH = [date(2026, 11, day) for day in range(1, 29)]
GONE, GARBLED, HALVED = date(2026, 11, 5), date(2026, 11, 12), date(2026, 11, 20)
UPPER = replace(OWN, query=QUERY.replace("doc.payload,", "upper(doc.payload) AS payload,"))


def day(number: int) -> tuple[date, date]:
    return date(2026, 11, number), date(2026, 11, number)


def at(day: date, hour: int = 10) -> str:
    return f"{day}T{hour:02}:00:00Z"


def land(folder: Path, month: list[date]) -> None:
    """A file for each day: events of its own, one that comes again the day after, a copy within the day, and a line
    that is none."""
    for number, one in enumerate(month):
        before = [line(f"again-{number - 1}", {"payload": "later"}, published=at(one))] if number else []
        written(
            folder / "input" / f"dt={one}" / f"{number}.jsonl",
            *(line(f"e{number}-{event}", {"payload": "text"}, published=at(one)) for event in range(4)),
            line(f"e{number}-0", {"payload": "earlier"}, published=at(one, 9)),
            line(f"again-{number}", {"payload": "earlier"}, published=at(one)),
            *(*before, "{broken"),
        )


def of_day(folder: Path, day: date) -> list[Path]:
    return sorted((folder / "parquet" / f"dt={day}").glob("*.parquet"))


def remove_a_file(folder: Path, day: date) -> None:
    shutil.rmtree(of_day(folder, day)[0].parent)


def garble(folder: Path, day: date) -> None:
    """Damages a file without changing its size."""
    file = of_day(folder, day)[0]
    file.write_bytes(b"\0" * file.stat().st_size)
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def halve(folder: Path, day: date) -> None:
    """Leaves whole Parquet with every second row."""
    file = of_day(folder, day)[0]
    rows = parquet.ParquetFile(file).read()
    parquet.write_table(rows.take(list(range(0, rows.num_rows, 2))), file)
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def objects(folder: Path, without: list[date]) -> dict:
    """What tells the files of all days but some from others that are written in their place."""
    files = (folder / "parquet").glob("dt=*/*.parquet")
    kept = [file for file in files if file.parent.name not in {f"dt={day}" for day in without}]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in kept}


# ------------------------------------------------------------------------------------------------------ the dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01..2026-11-07", (date(2026, 11, 1), date(2026, 11, 7))),
        ("2026-11-01", (date(2026, 11, 1), date(2026, 11, 1))),
        ("2024-02-29..2024-02-29", (date(2024, 2, 29), date(2024, 2, 29))),
    ],
)
def test_a_date_range_has_both_of_its_ends(text, expected):
    assert date_range(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "..", "2026-11-01..", "..2026-11-01", "2026-11-31", "20261101", "2026-W45-1", "2026-11-1", "2026-11-01...02",
     "2026-11-01,2026-11-07", "yesterday", " 2026-11-01", "2026-11-01..2026-11-02..2026-11-03"],
)  # fmt: skip
def test_what_is_no_date_range_is_refused_with_what_was_expected_and_found(text):
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        date_range(text)
    assert str(refused.value) == f"expected YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD, found {text}"


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="earlier date first, found 2026-11-07..2026-11-01"):
        date_range("2026-11-07..2026-11-01")


# ------------------------------------------------------------------------------------------------ a damaged month


@pytest.fixture(scope="module")
def month(spark, tmp_path_factory) -> tuple[Path, tuple, dict]:
    """A converted month, what it holds, and its summary."""
    folder = tmp_path_factory.mktemp("month")
    land(folder, MONTH)
    counts = convert(spark, folder)
    return folder, state(spark, folder), counts


@pytest.mark.long
def test_three_damaged_days_of_a_month_are_done_again_and_no_other(spark, month):
    folder, before, counts = month
    others = objects(folder, [GONE, GARBLED, HALVED])
    assert len(others) == 25 and counts["rows"] == 28 * 5
    remove_a_file(folder, GONE)
    garble(folder, GARBLED)
    halve(folder, HALVED)
    with pytest.raises(ConversionError, match=r"missing, such as dt=2026-11-05/.*--missing; .*--full"):
        convert(spark, folder)
    for one in (GARBLED, GONE, HALVED):  # the first while other days are damaged still
        done = convert(spark, folder, dates=(one, one))
        assert done == dict(files=1, lines=8, converted=5, duplicates=2, replaced=5, rows=counts["rows"])
    assert state(spark, folder) == before
    assert objects(folder, [GONE, GARBLED, HALVED]) == others
    assert convert(spark, folder)["files"] == 0


@pytest.mark.long
def test_a_range_of_days_is_done_again_in_one_step(spark, month):
    folder, before, counts = month
    week = MONTH[6:13]
    others = objects(folder, week)
    garble(folder, week[0])
    done = convert(spark, folder, dates=(week[0], week[-1]))
    assert (done["files"], done["lines"], done["replaced"], done["rows"]) == (7, 56, 35, counts["rows"])
    assert state(spark, folder) == before and objects(folder, week) == others


@pytest.mark.long
def test_after_a_changed_query_the_days_alone_have_its_rows(spark, tmp_path):
    land(tmp_path, MONTH[:4])
    convert(spark, tmp_path)
    others = objects(tmp_path, MONTH[1:3])
    convert(spark, tmp_path, dates=(MONTH[1], MONTH[2]), reading=UPPER)
    assert objects(tmp_path, MONTH[1:3]) == others
    rows = spark.read.parquet(f"{tmp_path}/parquet").collect()
    upper = {str(row.dt) for row in rows if row.payload.isupper()}
    assert upper == {"2026-11-02", "2026-11-03"} and len(rows) == 4 * 5
    convert(spark, tmp_path, full=True, reading=UPPER)
    assert all(row.payload.isupper() for row in spark.read.parquet(f"{tmp_path}/parquet").collect())


@pytest.mark.long
def test_an_event_whose_row_would_leave_another_day_or_come_back_there_stops_the_run(spark, tmp_path):
    first, second = MONTH[:2]
    written(
        tmp_path / "input" / f"dt={first}" / "a.jsonl", line("e1", published=at(first)), line("a", published=at(first))
    )
    later = written(tmp_path / "input" / f"dt={second}" / "b.jsonl", line("b", published=at(second)))
    convert(spark, tmp_path)
    before = files_below(tmp_path)
    written(later, line("b", published=at(second)), line("e1", {"payload": "later"}, published=at(second)))
    with pytest.raises(ConversionError, match="have a copy in the days 2026-11-01 too.* Nothing was changed"):
        convert(spark, tmp_path, dates=(second, second))
    before[later] = files_below(tmp_path)[later]
    assert files_below(tmp_path) == before
    assert convert(spark, tmp_path, dates=(first, second))["rows"] == 3
    written(later, line("b", published=at(second)))  # now the earlier copy has to come back
    with pytest.raises(ConversionError, match="have a copy in the days 2026-11-01 too"):
        convert(spark, tmp_path, dates=(second, second))
    assert convert(spark, tmp_path, dates=(first, second))["rows"] == 3
    assert {row.eventId: str(row.dt) for row in state(spark, tmp_path)[0]} == {
        "e1": str(first), "a": str(first), "b": str(second),
    }  # fmt: skip


@pytest.mark.long
def test_rows_of_files_in_no_day_stay_and_days_without_files_are_an_error(spark, tmp_path, caplog):
    written(tmp_path / "input" / "plain.jsonl", line("plain", published=at(MONTH[0])))
    written(tmp_path / "input" / f"dt={MONTH[0]}" / "a.jsonl", line("a", published=at(MONTH[0])))
    convert(spark, tmp_path)
    before = state(spark, tmp_path)
    assert convert(spark, tmp_path, dates=day(1))["rows"] == 2
    assert state(spark, tmp_path) == before and "dt=2026-11-01: 1 rows stay" in caplog.text
    with pytest.raises(
        ConversionError, match="folders dt=YYYY-MM-DD of 2026-11-02 below .* no such folder is in no day"
    ):
        convert(spark, tmp_path, dates=day(2))
    garble(tmp_path, MONTH[0])
    with pytest.raises(CannotGoOn, match="cannot be read"), told():  # the plain file's row is in it alone
        convert(spark, tmp_path, dates=day(1))


def test_a_table_by_month_keeps_the_rows_of_other_days(spark, tmp_path):
    land(tmp_path, MONTH[:3])
    monthly = replace(OWN, query=QUERY.replace("AS dt", "AS day, 'all' AS dt"))
    convert(spark, tmp_path, reading=monthly)
    rows = sorted(spark.read.parquet(f"{tmp_path}/parquet").collect(), key=str)
    assert convert(spark, tmp_path, dates=day(2), reading=monthly)["replaced"] == 5
    assert sorted(spark.read.parquet(f"{tmp_path}/parquet").collect(), key=str) == rows
    assert days(tmp_path / "parquet") == ["dt=all"]


# ------------------------------------------------------------------------------------------------- what is missing


@pytest.mark.long
def test_missing_does_what_is_not_there_and_nothing_else(spark, tmp_path):
    land(tmp_path, MONTH[:6])
    written(tmp_path / "input" / "plain.jsonl", line("plain", published=at(MONTH[5])))
    late = tmp_path / "input" / f"dt={MONTH[1]}" / "late.jsonl"
    convert(spark, tmp_path)
    before, others = state(spark, tmp_path), objects(tmp_path, [MONTH[3], MONTH[5]])
    assert convert(spark, tmp_path, missing=True)["files"] == 0
    remove_a_file(tmp_path, MONTH[3])
    cut = of_day(tmp_path, MONTH[5])[0]
    cut.write_bytes(cut.read_bytes()[:-10])
    cut.with_name(f".{cut.name}.crc").unlink(missing_ok=True)
    assert convert(spark, tmp_path, missing=True, dates=(MONTH[0], MONTH[4]))["files"] == 1
    assert convert(spark, tmp_path, missing=True)["files"] == 2  # the day's file, and the plain one with a row there
    assert state(spark, tmp_path) == before and objects(tmp_path, [MONTH[3], MONTH[5]]) == others
    written(late, line("late", published=at(MONTH[1])))
    assert convert(spark, tmp_path, missing=True, dates=(MONTH[2], MONTH[5]))["files"] == 0
    assert convert(spark, tmp_path, missing=True)["converted"] == 1


def test_what_is_missing_and_has_no_input_any_more_is_an_error(spark, tmp_path):
    land(tmp_path, MONTH[:2])
    convert(spark, tmp_path)
    remove_a_file(tmp_path, MONTH[0])
    (tmp_path / "input" / f"dt={MONTH[0]}" / "0.jsonl").unlink()
    for settings in ({"missing": True}, {"missing": True, "dates": day(1)}):
        with pytest.raises(ConversionError, match="missing or cut off, and no input file to make it again from"):
            convert(spark, tmp_path, **settings)


# ------------------------------------------------------------------------------------------------------- the page


@pytest.mark.long
def test_each_command_of_the_page_does_what_it_says(spark, tmp_path, monkeypatch, capsys):
    """The month here has three days: a week more changes nothing but the time that it takes."""
    month = [MONTH[0], GONE, MONTH[27]]
    land(tmp_path / "landing", month)
    (tmp_path / "query.sql").write_text(UPPER.query)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(spark_sql, "open_session", lambda name: spark)
    page = (ROOT / "docs" / "doing_it_again.md").read_text("utf-8")
    commands = re.findall(r"^spark-submit spark_sql\.py (.*landing/input parquet)$", page, re.M)
    read = []
    assert spark_sql.main(["landing/input", "parquet"]) == 0
    for command in commands:
        if "--missing" in command:
            shutil.rmtree(tmp_path / "parquet" / f"dt={GONE}")
        capsys.readouterr()
        assert spark_sql.main(command.split()) == 0, command
        counts = json.loads(capsys.readouterr().out)
        assert counts["rows"] == 4 + 5 + 6
        read.append((*command.split()[:-2], counts["files"]))
    november = "--dates=2026-11-01..2026-11-28"
    assert read == [
        ("--dates=2026-11-05", 1),
        (november, 3),
        ("--missing", 1),
        ("--missing", november, 1),
        ("--full", 3),
        ("--sql=query.sql", "--dates=2026-11-05", 1),
        ("--sql=query.sql", november, 3),
        ("--sql=query.sql", "--full", 3),
        ("--dates=2026-11-01..2026-11-20", 2),
    ]
    upper = {row.dt for row in spark.read.parquet(f"{tmp_path}/parquet").collect() if row.payload.isupper()}
    assert {*map(str, upper)} == {"2026-11-28"}


@pytest.mark.parametrize("more", ["--dates=2026-11-05", "--missing"])
def test_full_and_some_days_exclude_each_other(more, capsys):
    with pytest.raises(SystemExit) as ended:
        spark_sql.main(["--full", more, "input", "parquet"])
    assert ended.value.code == 2 and "expected --full, which does everything again" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- killed


@pytest.mark.long
def test_a_run_that_fails_at_its_last_step_leaves_the_former_days_and_the_next_one_the_new(
    spark, tmp_path, monkeypatch
):
    land(tmp_path, MONTH[:3])
    convert(spark, tmp_path)
    before, others = state(spark, tmp_path), objects(tmp_path, [MONTH[1]])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Table, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/parquet", dates=day(2), reading=UPPER)
    assert convert(spark, tmp_path)["files"] == 0  # it removes what the failed run left
    assert state(spark, tmp_path) == before
    convert(spark, tmp_path, dates=day(2), reading=UPPER)
    assert objects(tmp_path, [MONTH[1]]) == others


@pytest.mark.faults
def test_a_killed_run_of_some_days_has_done_nothing_and_the_same_command_does_it(spark, month):
    folder, before, _ = month
    others = objects(folder, [GARBLED])
    garble(folder, GARBLED)
    arguments = [f"{folder}/input", f"{folder}/parquet", f"--dates={GARBLED}"]
    for seen in ("_conversion/run-*.json", "_staging/*/days/*/*.parquet"):
        with Run(folder, "-c", SAYS_WHEN, arguments=arguments) as one:
            group = int(one.wait_for("begins"))
            while one.process.poll() is None and not list((folder / "parquet").glob(seen)):
                time.sleep(0.005)
            os.killpg(group, signal.SIGKILL)
            one.finish()
        assert (folder / "parquet" / "_conversion" / "lock").exists()
        assert objects(folder, [GARBLED]) == others
    run(folder, arguments=arguments)
    assert state(spark, folder) == before and objects(folder, [GARBLED]) == others
