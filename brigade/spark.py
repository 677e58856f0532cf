"""Spark sessions and their settings, the same for every program, on Spark 3.5 and 4.

Results depend on the settings in SESSION, so programs open their session here. The calls into Spark's internals stand
in four functions at the end, which the tests run on both versions.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession

# What a failed task says is in the error that ends the program. Here it would come over and over, with document text.
LOGGERS = {
    "org.apache.spark.executor.Executor": "OFF",
    "org.apache.spark.scheduler.TaskSetManager": "ERROR",
    "org.apache.spark.storage.DiskBlockObjectWriter": "ERROR",
    # It looks for a path as it is, which `literally` has written as a pattern.
    "org.apache.spark.sql.execution.streaming.FileStreamSink": "ERROR",
    "org.apache.spark.sql.execution.streaming.sinks.FileStreamSink": "ERROR",
}
ROWS_A_TASK = 500_000  # of a few columns, that one task compares or that are broadcast to all tasks
SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # An event may carry any year from 1 to 9999. Without these two, a year before 1900 fails the job on Spark 3.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A conversion generates about 75 classes. Spark's default of 100 leaves hardly any for the next one in a session.
    "spark.sql.codegen.cache.maxEntries": "500",
}
# All workers of XGBoost start at once, which Spark refuses while executors may come and go; Dataproc lets them.
FIXED_EXECUTORS = {"spark.dynamicAllocation.enabled": "false"}


def open_session(name: str, more: Mapping[str, str] = {}) -> SparkSession:
    """The session that spark-submit set up, with the settings in SESSION and more. Of Spark, warnings are logged."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # without spark-submit the workers would be PATH's python3
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    for key, value in {**SESSION, **more}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")  # at INFO a program's own lines drown
    java: Any = session._jvm
    log4j = java.org.apache.logging.log4j
    for name, level in LOGGERS.items():
        log4j.core.config.Configurator.setLevel(name, log4j.Level.valueOf(level))
    logging.getLogger("py4j").setLevel(logging.WARNING)
    logging.getLogger("SQLQueryContextLogger").disabled = True  # of PySpark, for the same reason
    return session


@contextmanager
def separate_session(spark: SparkSession, values: dict[str, str]) -> Iterator[SparkSession]:
    """A new session on the same cluster, with SESSION and the given settings.

    Its views and settings are its own: what runs in it neither sees nor changes those of `spark`.
    """
    session = spark.newSession()  # it has the settings of the Spark context, and none that were set later
    for name, value in (SESSION | values).items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    try:
        yield session
    finally:
        spark.createDataFrame([], "nothing INT")  # makes `spark` the active session of this thread again


@contextmanager
def settings(spark: SparkSession, values: dict[str, str]) -> Iterator[None]:
    """Sets a session's settings for the length of a `with` block."""
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, earlier)


def shuffle_for(spark: SparkSession, rows: int) -> dict[str, str]:
    """The setting that spreads a comparison of so many rows over enough tasks."""
    return {"spark.sql.shuffle.partitions": str(max(spark.sparkContext.defaultParallelism, rows // ROWS_A_TASK))}


def plans_for(spark: SparkSession, rows: int) -> dict[str, str]:
    """The same for queries that training makes of so many rows. A few Spark does not plan anew after each shuffle: that
    takes longer than what it saves."""
    return shuffle_for(spark, rows) | ({"spark.sql.adaptive.enabled": "false"} if rows <= ROWS_A_TASK else {})


def literally(path: str) -> str:
    """The path as Spark's readers must be given it to be read as it is. To them `[`, `{`, `*` and others are patterns.

    Only for readers: what writes, and Hadoop's own file systems, take every path as it is.
    """
    return re.sub(r"[\\*?\[\]{}]", r"\\\g<0>", path)


@contextmanager
def caching() -> Iterator[Callable[[DataFrame], DataFrame]]:
    """Gives a function that caches a DataFrame until the `with` block ends, and returns it."""
    with ExitStack() as cached:

        def cache(frame: DataFrame) -> DataFrame:
            cached.callback(frame.unpersist)
            return frame.persist()

        yield cache


# ------------------------------------------------------------------------------------------------ Spark's internals


def run_to_last_shuffle(frame: DataFrame, metric: str) -> tuple[DataFrame, int]:
    """Runs a DataFrame's plan up to its last shuffle. Returns its rows, and a count that was observed on the way.

    The returned DataFrame reads the shuffle's files, so what precedes the shuffle runs once, however many queries read
    the rows. Other DataFrames derived from `frame` would each run it again: only an RDD keeps its shuffle. If a lost
    machine takes files with it, Spark computes those again.

    `metric` names an `observe` of the frame whose one column has the same name.
    """
    rows = planned(frame)
    metrics = frame._jdf.queryExecution().observedMetrics()
    # Spark 3.5 lacks the metric if it found that there was nothing to do.
    return rows, metrics.apply(metric).getLong(0) if metrics.contains(metric) else 0


def planned(frame: DataFrame) -> DataFrame:
    """The frame with its plan made. What is built on it is planned apart, so that Spark merges nothing across it."""
    rows = frame._jdf.queryExecution().toRdd()
    spark = frame.sparkSession
    return DataFrame(spark._jsparkSession.internalCreateDataFrame(rows, frame._jdf.schema(), False), spark)


def tried(spark: SparkSession, column: Column) -> Column:
    """The column, with null in each row for which Spark fails to compute it.

    SQL has this for single functions only, such as try_cast and try_divide. Spark makes those of the same expression.
    """
    java: Any = spark._jvm
    untyped: Any = column  # PySpark's types do not know the Java object
    sql = java.org.apache.spark.sql
    attempt = sql.catalyst.expressions.TryEval
    if spark.version.startswith("3."):
        return Column(sql.Column(attempt(untyped._jc.expr())))
    columns = sql.classic.ExpressionUtils
    return Column(columns.column(attempt(columns.expression(untyped._jc))))


def after_select(spark: SparkSession, query: str) -> int | None:
    """Where the list of columns begins in a query that is one SELECT; None for SELECT DISTINCT and all else.

    Spark's own lexer reads the query: it knows what is a comment, a literal or a hint.
    """
    java: Any = spark._jvm
    parser = java.org.apache.spark.sql.catalyst.parser
    text = java.org.antlr.v4.runtime.CharStreams.fromString(query)
    lexer = parser.SqlBaseLexer(parser.UpperCaseCharStream(text))
    lexer.removeErrorListeners()  # they print; the parser says the same better

    def next_word() -> tuple[str, int]:
        token = lexer.nextToken()
        while token.getChannel() != 0:  # blanks and comments
            token = lexer.nextToken()
        return token.getText().upper(), token.getStopIndex() + 1

    word, end = next_word()
    if word != "SELECT":
        return None
    word, _ = next_word()
    while word == "/*+":
        while word not in ("*/", "<EOF>"):
            word, end = next_word()
        word, _ = next_word()
    return None if word == "DISTINCT" else end
