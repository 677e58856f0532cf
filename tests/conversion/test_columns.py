"""A table takes in only what it can be read with."""

import pytest

from brigade.conversion.columns import merged_columns
from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import Reading, parsed
from brigade.conversion.table import read_parquet
from tests.conversion.outputs import files_below
from tests.conversion.sample_events import written

FIELDS = "id STRING, day STRING, total DOUBLE, customer STRUCT<name: STRING, since: STRING>"


def select(columns: str) -> str:
    return f"SELECT id AS eventId, day AS dt, {columns} FROM events"


def run(spark, folder, columns: str, **settings) -> dict:
    paths = (f"{folder}/input", f"{folder}/parquet")
    return json_into_parquet(spark, *paths, reading=Reading(select(columns), FIELDS, None), **settings)


def land(folder, number: int) -> None:
    written(folder / "input" / f"{number}.jsonl", f'{{"id": "e{number}", "day": "d{number}", "total": {number}.5}}')


@pytest.mark.long
def test_a_run_whose_columns_do_not_fit_is_refused_and_leaves_the_table_as_it_was(spark, tmp_path):
    land(tmp_path, 1)
    run(spark, tmp_path, "total AS v, customer AS c")
    land(tmp_path, 2)
    before = files_below(tmp_path)
    for columns, words in {
        "cast(total AS STRING) AS v": "v: double there, string now",
        "cast(total AS STRING) AS V": "V: double there, string now",
        "cast(total AS FLOAT) AS v": "v: double there, float now",
        "cast(total AS DECIMAL(9, 2)) AS v": "v: double there, decimal.9,2. now",
        "array(total) AS v": "v: double there, array<double> now",
        "customer.name AS c": "c: struct<name:string,since:string> there, string now",
        "struct(1 AS name, 'x' AS more) AS c": "c.name: string there, int now",
    }.items():
        with pytest.raises(ConversionError, match=f"{words}.*--full"):
            run(spark, tmp_path, columns)
        assert files_below(tmp_path) == before
    assert read_parquet(spark, f"{tmp_path}/parquet").count() == 1

    run(spark, tmp_path, "struct('x' AS name, 'y' AS more) AS c, 'new' AS w")  # v is missing, more and w are new
    land(tmp_path, 3)
    with pytest.raises(ConversionError, match="w: string there, int now"):
        run(spark, tmp_path, "1 AS w")
    with pytest.raises(ConversionError, match="v: double there, int now"):  # also after a run without it
        run(spark, tmp_path, "1 AS v")
    rows = {row.eventId: row for row in read_parquet(spark, f"{tmp_path}/parquet").collect()}
    assert (rows["e1"].v, rows["e2"].v, rows["e2"].c.more, rows["e1"].w) == (1.5, None, "y", None)
    assert run(spark, tmp_path, "1 AS v", full=True)["rows"] == 3
    assert dict(read_parquet(spark, f"{tmp_path}/parquet").dtypes)["v"] == "int"


@pytest.mark.long
def test_columns_that_may_lie_in_one_table_are_those_that_spark_can_read_together(spark, tmp_path):
    kinds = ["INT", "BIGINT", "STRING", "DECIMAL(9, 2)", "DECIMAL(12, 2)", "TIMESTAMP", "DATE", "ARRAY<INT>",
             "STRUCT<a: INT>", "STRUCT<b: INT>", "STRUCT<a: STRING>", "MAP<STRING, INT>"]  # fmt: skip
    frames = {kind: spark.sql(f"SELECT CAST(NULL AS {kind}) AS v") for kind in kinds}
    for number, frame in enumerate(frames.values()):
        frame.write.parquet(f"{tmp_path}/{number}")
    for one, kind in enumerate(kinds):
        for two, other in enumerate(kinds):
            try:
                merged_columns(frames[kind].schema, frames[other].schema)
            except ConversionError:
                continue
            paths = [f"{tmp_path}/{one}", f"{tmp_path}/{two}"]
            assert spark.read.option("mergeSchema", "true").parquet(*paths).count() == 2, (kind, other)


def test_merged_columns_are_those_of_both(spark):
    there, new = (parsed(spark, text) for text in ("a INT, s STRUCT<x: INT>", "S STRUCT<y: INT>, b STRING"))
    assert merged_columns(there, new).simpleString() == "struct<a:int,s:struct<x:int,y:int>,b:string>"
