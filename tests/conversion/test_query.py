"""Queries and schemas of one's own, and queries that do not fit."""

import json
import re
from pathlib import Path

import pytest

import spark_sql
from brigade.conversion.errors import ConversionError
from brigade.conversion.lines import parse_lines
from brigade.conversion.query import rows_of_query
from brigade.conversion.schema import QUERY, Reading
from brigade.conversion.table import read_parquet
from tests.conftest import ROOT
from tests.conversion.outputs import convert, numbers, quarantined
from tests.conversion.sample_events import line, written

DOCS = "".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
(INVOICE,) = re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL)
(FIELDS,) = re.findall(r"in `invoices.ddl`, `(.*?)`", DOCS)


@pytest.mark.long
def test_another_query_and_schema_convert_another_document_type(spark, tmp_path, capsys):
    (tmp_path / "invoice.sql").write_text(INVOICE)
    (tmp_path / "invoice.ddl").write_text(FIELDS)
    one = {"number": "r1", "customer": {"name": "Ana"}, "total": 12.5, "kind": "RENT", "issued": "2026-11-02"}
    lines = [one, one | {"number": "r2", "note": "paid"}, one | {"number": None}, one | {"total": "much"}]
    written(tmp_path / "input" / "a.jsonl", *map(json.dumps, lines))
    flags = [f"--sql={tmp_path}/invoice.sql", f"--schema={tmp_path}/invoice.ddl"]
    assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet", *flags]) == 0
    assert numbers(json.loads(capsys.readouterr().out)) == [4, 2, 0, 2]
    rows = read_parquet(spark, f"{tmp_path}/parquet").orderBy("eventId").collect()
    assert rows[1].asDict() == {
        **{"eventId": "r2", "customer": "Ana", "total": 12.5, "label": "rent", "dt": "2026-11", "note": "paid"}
    }
    assert sorted(one["reason"] for one in quarantined(tmp_path / "quarantine")) == ["missing_field", "wrong_type"]


@pytest.mark.long
def test_a_column_that_is_added_later_reads_together_with_older_days(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    written(tmp_path / "input" / "b.jsonl", line("e2", published="2026-11-02T00:00:00Z"))
    convert(spark, tmp_path)
    written(tmp_path / "input" / "c.jsonl", line("e3", published="2026-11-02T00:00:00Z", eventKind="new"))
    query = QUERY.replace("FROM events", ", get_json_object(line, '$.eventKind') AS kind FROM events")
    convert(spark, tmp_path, reading=Reading(query))
    rows = read_parquet(spark, f"{tmp_path}/parquet").collect()
    assert {row.eventId: row.kind for row in rows} == {"e1": None, "e2": None, "e3": "new"}


LITERALS = [  # SQL, and what it yields
    ("concat('a/*', eventSource, '*/b')", "a/*doc.contract*/b"),
    ("'-- no comment'", "-- no comment"),
    ('"/* none \\" either */"', '/* none " either */'),
    (r"'it\'s -- one'", "it's -- one"),
    (r"'\'/*'", "'/*"),
    (r"r'\' /* a comment ' */", "\\"),
    ("'a;b'", "a;b"),
    ("/* one /* in */ another */ 'x' -- 'y'\n", "x"),
    ("'select' -- the end \\\n 'still the comment'\n", "select"),
]


@pytest.mark.parametrize("sql, value", LITERALS)
def test_a_literal_is_never_taken_for_a_comment_nor_a_comment_for_sql(spark, sql, value):
    events = parse_lines(spark.createDataFrame([(line(), "file")], "value STRING, file STRING"))
    row = rows_of_query(events, f"SELECT {sql} AS text, eventId, 'x' AS dt FROM events").first()
    assert (row.text, row.eventId, row._line) == (value, "e1", line())


@pytest.mark.parametrize(
    "query",
    [
        "-- SELECT DISTINCT\n/* nested /* SELECT */ -- */ select eventId, 'x' AS dt FROM events; -- the end",
        "/* a ' quote */ SELECT /*+ COALESCE(1) */ /*+ REPARTITION(2) */ eventId, 'x' AS dt FROM events ;;\n",
        "\ufeffSELECT `eventId`, 'x' AS dt, eventType AS `-- odd /* name` FROM events",
        "SELECT\teventId,'x'dt FROM events",
    ],
)
def test_comments_hints_and_odd_names_may_stand_anywhere(spark, tmp_path, query):
    (tmp_path / "own.sql").write_text(query, "utf-8")
    events = parse_lines(spark.createDataFrame([(line(), "file")], "value STRING, file STRING"))
    row = rows_of_query(events, spark_sql.read_text(f"{tmp_path}/own.sql")).first()
    assert (row._line, row.eventId, row.dt) == (line(), "e1", "x")


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory) -> Path:
    """A folder with an input of two lines, converted."""
    folder = tmp_path_factory.mktemp("table")
    written(folder / "input" / "a.jsonl", line("e1"), line("e2"))
    assert convert(spark, folder)["rows"] == 2
    return folder


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELECT doc.docId FROM events", "lacks eventId and dt: docId"),
        ("SELECT eventId FROM events", "lacks dt"),
        ("SELECT eventId, eventId, 'x' AS dt FROM events", "names of their own"),
        ("SELECT eventId, nothing AS dt FROM events", "cannot be run"),
        ("SELECT eventId, dt FROM", "cannot be run"),
        ("DROP TABLE events", "expected one SELECT"),
        ("SELECT DISTINCT eventId, 'x' AS dt FROM events", "expected one SELECT"),
        ("SELECT eventId, 'x' AS dt FROM events WHERE eventId > 'e1'", "must neither drop nor multiply"),
        ("SELECT eventId, explode(array('x', 'y')) AS dt FROM events", "must neither drop nor multiply"),
        ("SELECT eventId, 'x' AS dt FROM events LIMIT 1", "for each of 2 lines, found 1"),
        ("SELECT eventId, 'x' AS dt FROM events WHERE false", "for each of 2 lines, found 0"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_and_leaves_the_output_as_it_was(spark, table, query, words):
    def rows() -> set:
        return {(path, path.stat().st_mtime_ns) for path in table.glob("parquet/dt=*/*.parquet")}

    before = rows()
    with pytest.raises(ConversionError, match=words):
        convert(spark, table, reading=Reading(query), full=True)
    assert rows() == before and before and not list(table.glob("parquet/_staging*"))
