"""Runs the query that turns events into rows, and checks that it fits: one SELECT that yields at least eventId and dt.

A row without an eventId or a dt is marked for the quarantine.
"""

import re

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.errors import ConversionError
from brigade.conversion.schema import EVENT, QUERY, is_default, view_schema


def check_query(spark: SparkSession, query: str, schema: str) -> None:
    """Raises ConversionError unless the query fits the schema. Reads no data."""
    run_query(spark.createDataFrame([], view_schema(schema)), query, schema)


def run_query(events: DataFrame, query: str = QUERY, schema: str = EVENT) -> DataFrame:
    """The query's rows, with `_row`. Raises ConversionError if it is not one SELECT that yields eventId and dt.

    Creates the view `events` in the DataFrame's session.
    """
    text = re.sub(r"/\*.*?\*/|--[^\n]*", " ", query, flags=re.DOTALL).strip().rstrip(";")
    if not re.match(r"(?i)SELECT\s+(?!DISTINCT\b)", text):
        raise ConversionError(f"expected one SELECT … FROM events (not DISTINCT), found: {text[:60]}…")
    events.createOrReplaceTempView("events")
    with_row = re.sub(r"(?i)^SELECT\s", "SELECT _row, line AS _line, ", text, count=1)
    try:
        rows = events.sparkSession.sql(with_row)
    except (AnalysisException, ParseException) as error:
        raise ConversionError(f"the query cannot be run: {str(error).strip().splitlines()[0]}") from None
    check_columns(rows.columns[2:])
    if is_default(query, schema):
        return rows.drop("_line")  # parse_lines has checked that an event has both
    for name in ("eventId", "dt"):
        rows = rows.withColumn(name, F.col(name).cast("string"))
    without_key = (F.coalesce("eventId", F.lit("")) == "") | (F.coalesce("dt", F.lit("")) == "")
    reason = F.coalesce(F.col("_row.reason"), F.when(without_key, "missing_field"))
    line = F.when(reason.isNotNull(), F.col("_line"))
    return rows.withColumn("_row", F.col("_row").withField("reason", reason).withField("line", line)).drop("_line")


def check_columns(names: list[str]) -> None:
    """Raises ConversionError unless eventId and dt are among the query's columns, and each has a name of its own."""
    if missing := [name for name in ("eventId", "dt") if name not in names]:
        lacks = " and ".join(missing)
        raise ConversionError(f"expected the query to yield eventId and dt; it lacks {lacks}: {', '.join(names)}")
    names = ["_row", "_line", *names]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConversionError(f"expected the query's columns to have names of their own, found {repeated} twice")
