"""Runs the query that turns events into rows, and checks that it fits: one SELECT that yields at least eventId and dt.

A row without an eventId or a dt is marked for the quarantine, and one with a value that the query cannot compute.
"""

import re

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.errors import QueryError, SchemaError, spark_says
from brigade.conversion.lines import parse_lines
from brigade.conversion.schema import OWN, Reading, quoted
from brigade.spark import after_select, planned, settings, tried

# So that all of a query is computed within `tried`: Spark puts what the query names once into each place that uses it,
# and computes nothing beforehand because several columns have it in common.
TRYING = {
    "spark.sql.optimizer.collapseProjectAlwaysInline": "true",
    "spark.sql.subexpressionElimination.enabled": "false",
}
MAX_DAY_BYTES = 80  # of a dt: it is part of a folder's name, in which Spark writes some characters as three


def check_query(spark: SparkSession, reading: Reading) -> None:
    """Raises SchemaError or QueryError unless query and schema fit together. Reads no data."""
    lines = spark.createDataFrame([], "value STRING, file STRING")
    try:
        events = parse_lines(lines, reading)
    except AnalysisException as error:
        raise SchemaError(spark_says(error)) from None
    rows_of_query(events, reading.query)


def run_query(events: DataFrame, reading: Reading = OWN) -> DataFrame:
    """The query's rows, with `_row`. Raises QueryError if it is not one SELECT that yields eventId and dt.

    Creates the view `events` in the DataFrame's session.
    """
    if reading.is_default:  # parse_lines has checked that an event has all it needs
        return rows_of_query(events, reading.query).drop("_line")
    rows = rows_of_query(planned(events), reading.query)
    spark, names = events.sparkSession, rows.columns[2:]
    # A struct is null only if its value cannot be computed; the value itself may be null.
    whole = [tried(spark, F.struct(F.col(quoted(name)).alias("value"))).alias(name) for name in names]
    with settings(spark, TRYING):
        rows = planned(rows.select("_row", "_line", *whole))
    failed = F.concat_ws(", ", *(F.when(F.col(quoted(name)).isNull(), F.lit(name)) for name in names))
    values = [F.col(f"{quoted(name)}.value").alias(name) for name in names]
    return quarantined(rows.select("_row", "_line", failed.alias("_failed"), *values)).drop("_line", "_failed")


def quarantined(rows: DataFrame) -> DataFrame:
    """The rows with a reason in `_row` if they lack what a row must have. `_failed`: the columns without a value."""
    for name in ("eventId", "dt"):
        rows = rows.withColumn(name, F.col(name).cast("string"))
    no_folder = (F.expr("octet_length(dt)") > MAX_DAY_BYTES) | F.col("dt").contains("\0")
    failed = F.when(F.col("_failed") != "", F.col("_failed")).when(no_folder, "dt")
    without_key = (F.coalesce("eventId", F.lit("")) == "") | (F.coalesce("dt", F.lit("")) == "")
    own_reason = F.when(failed.isNotNull(), "bad_value").when(without_key, "missing_field")
    reason = F.coalesce(F.col("_row.reason"), own_reason)
    row = F.col("_row").withField("reason", reason)
    row = row.withField("detail", F.when(F.col("_row.reason").isNull(), failed).otherwise(F.col("_row.detail")))
    return rows.withColumn("_row", row.withField("line", F.when(reason.isNotNull(), F.col("_line"))))


def rows_of_query(events: DataFrame, query: str) -> DataFrame:
    """What the query makes of the events, each row with `_row` and the `line` it is of as `_line`."""
    spark = events.sparkSession
    events.createOrReplaceTempView("events")
    try:
        spark._jsparkSession.sessionState().sqlParser().parsePlan(query)  # tells the places in the text as it is
        begin = after_select(spark, query)
        if begin is None:
            found = " ".join(query.split())[:60]
            raise QueryError(f"expected one SELECT … FROM events (not DISTINCT), found: {found}…")
        rows = spark.sql(f"{query[:begin]} _row AS _own, line AS _line, {query[begin:]}")
    except AnalysisException as error:  # of which ParseException is one
        if "`_row`" in str(error).partition("Did you mean")[0]:
            raise QueryError(
                "the query cannot be run: expected FROM events, or FROM (SELECT *, … FROM events)"
            ) from None
        raise QueryError(f"the query cannot be run: {spark_says(error)}") from None
    rows = rows.drop("_row").withColumnRenamed("_own", "_row")  # which SELECT * yields too
    check_columns(rows.dtypes[2:])
    return rows


def check_columns(columns: list[tuple[str, str]]) -> None:
    """Raises QueryError unless eventId and dt are among the query's columns (name, type), each has a name of its own,
    and a type that parquet has."""
    names = [name for name, _ in columns]
    if missing := [name for name in ("eventId", "dt") if name not in names]:
        lacks = " and ".join(missing)
        raise QueryError(f"expected the query to yield eventId and dt; it lacks {lacks}: {', '.join(names)}")
    folded = [name.lower() for name in ("_row", "_line", "_failed", *names)]
    if repeated := sorted({name for name in names if folded.count(name.lower()) > 1}):
        raise QueryError(f"expected the query's columns to have names of their own, found {repeated} twice")
    for name, kind in columns:
        if re.search(r"\b(void|interval|variant)\b", kind):
            raise QueryError(f"expected types that parquet has, found {kind} in {name}; cast it")
