"""What a person can mend is told in one line, and changes nothing."""

import bz2
import gzip
from pathlib import Path

import pytest

import spark_sql
import train_ml_model
from brigade.conversion import run
from brigade.conversion.schema import Reading
from tests.conversion.outputs import convert, files_below
from tests.conversion.sample_events import line, written

PACKED = gzip.compress("".join(f"{line(f'e{number}')}\n" for number in range(2000)).encode())
OWN = "SELECT number AS eventId, 'x' AS dt FROM events"


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory) -> Path:
    """A folder with an input that is converted."""
    folder = tmp_path_factory.mktemp("mistakes")
    written(folder / "input" / "a.jsonl", line("e1"), "{broken")
    assert convert(spark, folder)["rows"] == 1
    return folder


def told(capsys) -> str:
    """The one line for people; nothing is on standard output, and there is no stack trace."""
    output = capsys.readouterr()
    (one,) = [text for text in output.err.splitlines() if text.startswith("spark_sql.py: ")]
    assert (output.out, "Traceback" in output.err, "\tat " in output.err) == ("", False, False)
    return one


DAMAGED = {
    "cut.jsonl.gz": PACKED[:-200],
    "head.jsonl.gz": PACKED[:9],
    "plain.jsonl.gz": line("e2").encode(),
    "sum.jsonl.gz": PACKED[:-8] + b"12345678",
    "other.jsonl.zst": PACKED,
    "cut.jsonl.bz2": bz2.compress(PACKED)[:-200],
}

UNNAMED_BEFORE_4 = dict.fromkeys(("cut.jsonl.gz", "sum.jsonl.gz", "cut.jsonl.bz2"), "an input file: expected a whole")
UNNAMED_BEFORE_4 |= {"other.jsonl.zst": "this Spark cannot unpack such a file"}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_and_changes_nothing(spark, table, capsys, name):
    file = table / "input" / name
    file.write_bytes(DAMAGED[name])
    before = files_below(table)
    assert spark_sql.main([f"{table}/input", f"{table}/parquet"]) == 1
    said = told(capsys)
    assert files_below(table) == before
    file.unlink()
    if name in UNNAMED_BEFORE_4 and spark.version.startswith("3."):
        assert UNNAMED_BEFORE_4[name] in said
    else:
        assert f"{file}: expected a whole compressed file; copy it again" in said


def test_a_file_that_vanishes_while_it_is_read_is_named(table, capsys, monkeypatch):
    file, stage = written(table / "input" / "short lived.jsonl", line("e2")), run.stage

    def vanishing(*given):
        file.unlink()
        return stage(*given)

    monkeypatch.setattr(run, "stage", vanishing)
    assert spark_sql.main([f"{table}/input", f"{table}/parquet"]) == 1
    said = told(capsys)
    assert "short" in said and "found that it is gone" in said


@pytest.mark.parametrize(
    "fields, words",
    [
        ("number STRNG, issued", "line 1: "),
        ("number STRING,\nissued STRNG", "line 2: "),
        ("number STRING issued STRING", "line 1: "),
        ("", "found nothing"),
        (
            "number STRING, Number STRING",
            "expected each field once, and none named line, eventTime, publishTime; found",
        ),
        ("number STRING, line STRING", "found line"),
        (
            "number STRING, pubsub STRING",
            "expected pubsub STRUCT<messageId: STRING, publishTime: STRING>, found pubsub",
        ),
        ("number STRING, lines MAP<INT, STRING>", "MAP"),
    ],
)
def test_a_schema_that_is_none_is_named_with_its_line(table, capsys, fields, words):
    (table / "own.sql").write_text(OWN)
    (table / "own.ddl").write_text(fields)
    before = files_below(table)
    flags = [f"--sql={table}/own.sql", f"--schema={table}/own.ddl"]
    assert spark_sql.main([f"{table}/input", f"{table}/parquet", *flags]) == 1
    said = told(capsys)
    assert said.startswith(f"spark_sql.py: {table}/own.ddl: ") and words in said
    assert files_below(table) == before


@pytest.mark.parametrize(
    "fields",
    [
        "number STRING -- the id",
        "number STRING, doc STRUCT<pubsub STRING>",
        "number STRING, eventTimestamp TIMESTAMP",
        "number STRING COMMENT 'a, pubsub STRING', `a.b``c` INT",
        "number STRING NOT NULL, pubsub STRUCT<messageId: STRING, publishTime: STRING, more: INT>",
    ],
)
def test_every_schema_that_spark_reads_fits(spark, fields):
    run.check_query(spark, Reading(OWN, fields, None))


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELECT eventId,\n       'x' AS dt,\n       nothing\nFROM events", "line 3: [UNRESOLVED_COLUMN"),
        ("SELECT eventId,\n'x' AS dt FROM events WHERE =", "line 2: "),
        ("SELECT eventId, 'x' AS dt FROM nowhere", "nowhere"),
        ("SELECT eventId, 'x' AS dt FROM (SELECT eventId FROM events)", "FROM (SELECT *, … FROM events)"),
        ("SELECT eventId, 'x' AS dt, eventId AS DT FROM events", "names of their own"),
        ("SELECT eventId, 'x' AS dt, NULL AS nothing FROM events", "cast it"),
        ("SELECT eventId, 'x' AS dt; SELECT 1", "line 1: "),
        ("-- nothing else", "cannot be run"),
    ],
)
def test_a_query_that_cannot_be_run_is_named_with_its_line(table, capsys, query, words):
    (table / "own.sql").write_text(query)
    before = files_below(table)
    assert spark_sql.main([f"{table}/input", f"{table}/parquet", f"--sql={table}/own.sql"]) == 1
    said = told(capsys)
    assert said.startswith(f"spark_sql.py: {table}/own.sql: ") and words in said
    assert files_below(table) == before


def test_a_value_that_fails_outside_the_columns_is_told_without_the_value(table, capsys):
    (table / "own.sql").write_text("SELECT eventId, 'x' AS dt FROM events WHERE cast(eventId AS INT) > 0")
    assert spark_sql.main([f"{table}/input", f"{table}/parquet", f"--sql={table}/own.sql", "--full"]) == 1
    said = told(capsys)
    assert "CAST_INVALID_INPUT" in said and "try_cast" in said and "e1" not in said


@pytest.mark.parametrize(
    "places, words",
    [
        (["{}/input", "{}/input/a.jsonl/parquet"], "input/a.jsonl"),
        (["{}/own.sql/input", "{}/parquet"], "found no file there"),
        (["{}/input", "{}/file"], "{}/file"),
        (["{}/input", "{}/other", "--quarantine_path={}/file"], "{}/file"),
        (["s3://bucket/input", "{}/parquet"], "expected a path that Spark can read"),
        (["hdfs://nowhere.invalid/input", "{}/parquet"], "cannot be reached"),
        (["{}/input", "{}/" + "n" * 300], "n" * 200),
    ],
)
def test_a_place_that_cannot_be_used_is_named(table, capsys, places, words):
    written(table / "file", "text")
    before = files_below(table / "input")
    assert spark_sql.main([place.format(table) for place in places]) == 1
    assert words.format(table) in told(capsys)
    assert files_below(table / "input") == before


@pytest.mark.parametrize("arguments", [["", "out"], ["in", " "], ["in", "out", "--sql="], ["in", "out", "--summary="]])
def test_an_empty_path_is_refused(arguments, capsys):
    for program in (spark_sql, train_ml_model):
        with pytest.raises(SystemExit) as ended:
            program.main(arguments)
        assert ended.value.code == 2
    assert "expected gs://bucket/prefix or a local path, found" in capsys.readouterr().err


def test_a_text_file_in_another_encoding_is_named(tmp_path, capsys):
    (tmp_path / "latin.sql").write_bytes("SELECT 'ação'".encode("latin-1"))
    assert spark_sql.main(["in", "out", f"--sql={tmp_path}/latin.sql"]) == 2
    assert f"spark_sql.py: {tmp_path}/latin.sql: expected text in UTF-8, found" in capsys.readouterr().err
    assert spark_sql.main(["in", "out", f"--schema={tmp_path}"]) == 2
    assert f"spark_sql.py: {tmp_path}: expected a file, found a folder" in capsys.readouterr().err
