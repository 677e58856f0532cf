"""Spark sessions and their settings, the same for every program, on Spark 3.5 and 4.

Results depend on the settings in SESSION, so programs open their session here. The calls into Spark's internals stand
in one function, `run_to_last_shuffle`, which the tests run on both versions.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from pyspark.sql import DataFrame, SparkSession

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


def open_session(name: str) -> SparkSession:
    """The session that spark-submit set up, with the settings in SESSION. Only warnings of Spark are logged."""
    builder = SparkSession.builder.appName(name)
    for key, value in SESSION.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")  # at INFO a program's own lines drown
    logging.getLogger("py4j").setLevel(logging.WARNING)
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


@contextmanager
def caching() -> Iterator[Callable[[DataFrame], DataFrame]]:
    """Gives a function that caches a DataFrame until the `with` block ends, and returns it."""
    with ExitStack() as cached:

        def cache(frame: DataFrame) -> DataFrame:
            cached.callback(frame.unpersist)
            return frame.persist()

        yield cache


def run_to_last_shuffle(frame: DataFrame, metric: str) -> tuple[DataFrame, int]:
    """Runs a DataFrame's plan up to its last shuffle. Returns its rows, and a count that was observed on the way.

    The returned DataFrame reads the shuffle's files, so what precedes the shuffle runs once, however many queries read
    the rows. Other DataFrames derived from `frame` would each run it again: only an RDD keeps its shuffle. If a lost
    machine takes files with it, Spark computes those again.

    `metric` names an `observe` of the frame whose one column has the same name.
    """
    spark = frame.sparkSession
    execution = frame._jdf.queryExecution()
    rows = spark._jsparkSession.internalCreateDataFrame(execution.toRdd(), frame._jdf.schema(), False)
    metrics = execution.observedMetrics()  # lacks the metric if Spark 3.5 found that there was nothing to do
    return DataFrame(rows, spark), metrics.apply(metric).getLong(0) if metrics.contains(metric) else 0
