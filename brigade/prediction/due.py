"""Which rows are predicted now: those that the model has not predicted yet, or that are asked for again."""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from brigade.conversion.duplicates import Comparison
from brigade.conversion.table import Table
from brigade.prediction.input import Days
from brigade.spark import ROWS_A_TASK


@dataclass(frozen=True)
class Asked:
    """What a run is asked for.

    days: these alone. missing: only events without a prediction; else, of days that are given, all events again, and
    without days those that are new or have changed. since: the first run of those that do the days again.
    """

    days: Days | None = None
    missing: bool = False
    since: str = ""

    @property
    def again(self) -> bool:
        """Whether what has been predicted is predicted again."""
        return self.days is not None and not self.missing

    @property
    def by_file(self) -> bool:
        """Whether files that were read before need not be looked at."""
        return self.days is None and not self.missing

    def is_done(self) -> str:
        """The condition under which the prediction `there` of a row stays as it is."""
        if self.missing:
            return "true"
        if self.days is None:
            return "there.hash = hash"
        # What lies on another day is not touched: the next run without days moves it.
        return f"there.run >= '{self.since}' OR there.dt NOT BETWEEN '{self.days[0]}' AND '{self.days[1]}'"


@dataclass(frozen=True)
class Due:
    """The rows of a portion to predict, and what becomes of the others.

    duplicates: rows of an eventId that another row has. done: rows whose prediction stays. compared: what goes from the
    table, as a conversion has it.
    """

    rows: DataFrame
    duplicates: int
    done: int
    compared: Comparison


def rows_due(
    table: Table, rows: DataFrame, is_unique: bool, asked: Asked, cache: Callable[[DataFrame], DataFrame]
) -> Due:
    """The rows of a portion that are due. rows: see input.laid_out."""
    rows, duplicates = (rows, 0) if is_unique else without_duplicates(rows)
    if not table.base.runs:
        return Due(rows, duplicates, 0, Comparison(no_changes(table), 0, 0))
    known = rows.select("eventId", "hash").join(predictions_of(table), "eventId")
    judged = cache(known.selectExpr("eventId", "there.dt AS dt", f"coalesce({asked.is_done()}, false) AS done"))
    done, replaced = judged.agg(F.count_if("done"), F.count_if(~F.col("done"))).collect()[0]
    if done:
        ids = judged.where("done").select("eventId")
        rows = rows.join(F.broadcast(ids) if done <= ROWS_A_TASK else ids, "eventId", "left_anti")
    removed = judged.where("NOT done").selectExpr(
        "eventId", "CAST(NULL AS LONG) AS id", "dt", "false AS lost", "true AS removed"
    )
    return Due(rows, duplicates, done, Comparison(removed, 0, replaced))


def without_duplicates(rows: DataFrame) -> tuple[DataFrame, int]:
    """One row of each eventId, whichever order they are read in, and how many are left out."""
    more = rows.agg(F.count("eventId") - F.count_distinct("eventId")).collect()[0][0]
    if not more:
        return rows, 0
    first = F.row_number().over(Window.partitionBy("eventId").orderBy("hash"))
    return rows.withColumn("_n", first).where("_n = 1 OR eventId IS NULL").drop("_n"), more


def predictions_of(table: Table) -> DataFrame:
    """Each event that has a prediction: `eventId`, and of its newest one `there`: `run`, `hash`, `dt`."""
    index = table.index().select("eventId", F.struct("run", "hash", "dt").alias("there"))
    return index.groupBy("eventId").agg(F.max("there").alias("there"))


def no_changes(table: Table) -> DataFrame:
    return table.spark.createDataFrame([], "eventId STRING, id LONG, dt STRING, lost BOOLEAN, removed BOOLEAN")
