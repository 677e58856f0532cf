"""Values that a query of one's own cannot compute: their rows are quarantined, all others are converted."""

import json
from pathlib import Path

import pytest

import spark_sql
from brigade.conversion.table import read_parquet
from tests.conversion.outputs import numbers, quarantined
from tests.conversion.sample_events import written
from tests.conversion.test_query import FIELDS, INVOICE


def converted(folder: Path, capsys, query: str, fields: str, *documents: dict) -> dict:
    """The summary of the command line, run on the documents with the query and the fields."""
    (folder / "own.sql").write_text(query)
    (folder / "own.ddl").write_text(fields)
    written(folder / "input" / "a.jsonl", *map(json.dumps, documents))
    flags = [f"--sql={folder}/own.sql", f"--schema={folder}/own.ddl"]
    assert spark_sql.main([f"{folder}/input", f"{folder}/parquet", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def reasons(folder: Path) -> list[tuple]:
    """(id, reason, detail) of each quarantined line."""
    found = quarantined(folder / "quarantine")
    return sorted((json.loads(one["line"])["number"], one["reason"], one.get("detail")) for one in found)


@pytest.mark.long
def test_an_invoice_without_a_readable_day_is_quarantined_alone(spark, tmp_path, capsys):
    one = {"number": "r1", "customer": {"name": "Ana"}, "total": 12.5, "kind": "RENT", "issued": "2026-11-02"}
    bad = [one | {"number": "r2", "issued": "soon"}, one | {"number": "r3", "issued": ""}]
    without = one | {"number": "r4", "issued": None}
    assert numbers(converted(tmp_path, capsys, INVOICE, FIELDS, one, *bad, without)) == [4, 1, 0, 3]
    assert reasons(tmp_path) == [("r2", "bad_value", "dt"), ("r3", "bad_value", "dt"), ("r4", "missing_field", None)]


TYPED = """number STRING, text STRING, flag STRING, day STRING, divisor INT, count INT, place INT, month INT,
    list ARRAY<STRING>, names MAP<STRING, INT>, code STRING"""
COMPUTED = """
SELECT number AS eventId,
       date_format(day, 'yyyy-MM') AS dt,
       cast(text AS INT) AS `whole.number`,
       cast(text AS DECIMAL(3, 1)) AS tenths,
       `whole.number` + 1 AS next,
       `whole.number` + `whole.number` AS twice,
       boolean(flag) AS flag,
       to_date(day, 'yyyy-MM-dd') AS date,
       100 / divisor AS share,
       100 % divisor AS rest,
       count * 2000000000 AS product,
       cast(count * 1e30 AS BIGINT) AS large,
       list[place] AS taken,
       element_at(list, place + 1) AS found,
       list[0] AS first,
       names['none'] AS name,
       make_date(2026, month, 1) AS month,
       make_timestamp(2026, month, 1, 0, 0, 0) AS moment,
       url_decode(code) AS decoded,
       to_number(text, '9999') AS number
FROM events
"""
FITS = {"text": "7", "flag": "true", "day": "2026-11-02", "divisor": 8, "count": 0, "place": 0, "month": 11}
FITS |= {"list": ["a"], "names": {}, "code": "%20"}
BAD = {
    "cast": ({"text": "seven"}, "whole.number, tenths, next, twice, number"),
    "decimal": ({"text": "1000"}, "tenths"),
    "boolean": ({"flag": "perhaps"}, "flag"),
    "day": ({"day": "2026-02-30"}, "dt, date"),
    "division": ({"divisor": 0}, "share, rest"),
    "overflow": ({"count": 2}, "product, large"),
    "index": ({"place": 3}, "taken, found"),
    "month": ({"month": 13}, "month, moment"),
    "url": ({"code": "%"}, "decoded"),
}


@pytest.mark.long
def test_whatever_cannot_be_computed_quarantines_its_row_and_names_the_columns(spark, tmp_path, capsys):
    documents = [{"number": "fits"} | FITS, {"number": "nulls"} | dict.fromkeys(FITS) | {"day": "2026-11-02"}]
    documents += [{"number": kind} | FITS | change for kind, (change, _) in BAD.items()]
    summary = converted(tmp_path, capsys, COMPUTED, TYPED, *documents)
    assert reasons(tmp_path) == sorted((kind, "bad_value", columns) for kind, (_, columns) in BAD.items())
    assert numbers(summary) == [len(documents), 2, 0, len(BAD)]
    rows = {row.eventId: row for row in read_parquet(spark, f"{tmp_path}/parquet").collect()}
    fits = rows["fits"]
    assert (fits["whole.number"], fits.next, fits.twice, fits.share, fits.found) == (7, 8, 14, 12.5, "a")
    assert [value for name, value in rows["nulls"].asDict().items() if name not in ("eventId", "dt", "date")] == [
        None
    ] * (len(fits) - 3)


@pytest.mark.long
@pytest.mark.parametrize(
    "query",
    [
        "SELECT number AS eventId, day AS at, string(day) || day AS both, dt "
        "FROM (SELECT *, date(text) AS day, date_format(text, 'yyyy') AS dt FROM events)",
        "SELECT number AS eventId, one AS at, date_format(text, 'yyyy') AS dt "
        "FROM events LATERAL VIEW OUTER explode(array(1)) AS one",
        "SELECT number AS eventId, text AS at, date_format(text, 'yyyy') AS dt FROM events JOIN (SELECT 1)",
    ],
)
def test_a_query_of_several_levels_is_tried_as_a_whole(spark, tmp_path, capsys, query):
    documents = [{"number": "good", "text": "2026-11-02"}, {"number": "bad", "text": "soon"}]
    assert numbers(converted(tmp_path, capsys, query, "number STRING, text STRING", *documents)) == [2, 1, 0, 1]
    ((number, reason, columns),) = reasons(tmp_path)
    assert (number, reason) == ("bad", "bad_value") and "dt" in columns


@pytest.mark.long
def test_a_day_that_no_folder_can_be_named_after_is_quarantined(spark, tmp_path, capsys):
    days = {"good": "2026", "odd": "a/b: [c]{d}%*?", "long": "ç" * 90, "nul": "a\0b"}
    documents = [{"number": number, "text": text} for number, text in days.items()]
    query = "SELECT number AS eventId, text AS dt FROM events"
    assert numbers(converted(tmp_path, capsys, query, "number STRING, text STRING", *documents)) == [4, 2, 0, 2]
    assert reasons(tmp_path) == [("long", "bad_value", "dt"), ("nul", "bad_value", "dt")]
    assert {row.dt for row in read_parquet(spark, f"{tmp_path}/parquet").collect()} == {days["good"], days["odd"]}
