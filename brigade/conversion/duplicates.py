"""Decides which row of an eventId is kept: the one that was published last.

Compares the events of this run with each other and with the index of all earlier runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade import spark as sessions
from brigade.conversion.again import Again
from brigade.conversion.errors import ConversionError
from brigade.conversion.table import Table

# Pub/Sub numbers its messages, so that of two ids the longer one is the later. No type of number holds every id.
NUMBER = "trim(LEADING '0' FROM messageId)"
# Ties are broken by what does not depend on the order in which lines are read. As text: a Column needs a session.
NEWEST_FIRST = f"""publishTime DESC NULLS LAST, length({NUMBER}) DESC NULLS LAST, {NUMBER} DESC NULLS LAST,
    messageId DESC NULLS LAST, file DESC, hash DESC, id DESC NULLS LAST"""
SO_FAR = f"OVER (PARTITION BY eventId ORDER BY {NEWEST_FIRST} ROWS UNBOUNDED PRECEDING)"
COMPARED = ["eventId", "publishTime", "messageId", "file", "hash", "id", "dt"]


class DayChange(NamedTuple):
    """How many rows a run has staged of a day, how many of these lose, and how many in the table have to go."""

    staged: int
    lost: int
    removed: int


@dataclass(frozen=True)
class Comparison:
    """What a run's events do to each other and to the table.

    changed: see `judged`; the rows alone that are lost or removed. lost, replaced: how many these are.
    """

    changed: DataFrame
    lost: int
    replaced: int

    @property
    def losers(self) -> DataFrame:
        """`id` of the staged rows that lose against another row of their eventId."""
        return self.changed.where("lost").select("id")

    @property
    def removed(self) -> DataFrame:
        """`eventId`, `dt` of the table's rows that have to go."""
        return self.changed.where("removed").select("eventId", "dt")


def compare(
    table: Table, keys: DataFrame, found: int, voided: list[list[str]], cache: Callable[[DataFrame], DataFrame]
) -> tuple[Comparison, dict[str, DayChange]]:
    """Compares staged events with each other and with the table's. Returns also what changes on each day.

    keys, found: see Table.add_to_index. voided: [file, run]: what that run read of the file counts no longer. Raises
    ConversionError, see check_other_days.
    """
    contenders = keys.select(*COMPARED, F.lit(True).alias("new"), F.lit(False).alias("gone"))
    if table.base.runs:
        index, touched = table.index(), keys.select("eventId")
        if not voided:
            index = index.withColumn("void", F.lit(None).cast("boolean"))
        else:
            void = table.spark.createDataFrame(voided, "file STRING, run STRING").withColumn("void", F.lit(True))
            index = index.join(F.broadcast(void), ["file", "run"], "left")
            touched = touched.unionAll(index.where("void").select("eventId"))
        touched = touched.distinct()
        # The index is of all runs, and stays where it is when a few events are compared with it.
        few = not voided and found <= sessions.ROWS_A_TASK
        old = index.join(F.broadcast(touched) if few else touched, "eventId", "left_semi")
        gone = F.col("void").isNotNull().alias("gone")
        contenders = contenders.unionAll(old.select(*COMPARED, F.lit(False).alias("new"), gone))
    changed = cache(judged(contenders).where("lost OR removed OR needed"))
    if table.again.repairs:
        check_other_days(table.again, changed)
    days = changes_by_day(keys, changed)
    lost, replaced = sum(day.lost for day in days.values()), sum(day.removed for day in days.values())
    return Comparison(changed, lost, replaced), days


def changes_by_day(keys: DataFrame, changed: DataFrame) -> dict[str, DayChange]:
    """What changes on each day. keys, changed: `dt` of what is staged, and see `judged`."""
    counted = keys.selectExpr("dt", "1 AS staged", "0 AS lost", "0 AS removed")
    counted = counted.unionAll(changed.selectExpr("dt", "0", "CAST(lost AS INT)", "CAST(removed AS INT)"))
    days = counted.groupBy("dt").agg(*(F.sum(name).alias(name) for name in DayChange._fields))
    return {dt: DayChange(*counts) for dt, *counts in days.collect()}


def check_other_days(again: Again, changed: DataFrame) -> None:
    """Raises ConversionError if a row of a file that is not read again has to come back, or, in a run for certain days,
    if one of another day has to go. changed: see `judged`."""
    beaten = F.col("beaten") & ~again.among(F.col("dt")) if again.dates else F.lit(False)
    days = [row.dt for row in changed.where(F.col("needed") | beaten).select("dt").distinct().orderBy("dt").collect()]
    if days:
        more = f" and {len(days) - 5} more" if len(days) > 5 else ""
        raise ConversionError(
            f"expected the rows of other days to stay as they are, found events that have a copy in the days "
            f"{', '.join(days[:5])}{more} too, whose row has to go or to come back. Nothing was changed; do these days "
            "again together, in one --dates, or all with --full"
        )


def judged(contenders: DataFrame) -> DataFrame:
    """Contenders (COMPARED, `new`, `gone`) → `eventId`, `id`, `dt`, `lost`, `removed`, `beaten`, `needed`.

    new: a staged event, else one of the table's index. gone: one of the index that counts no longer.
    lost: the staged row loses. removed: the event's row in the table has to go, since it counts no longer or a staged
    one wins against it. Of an eventId the table holds the first row of the index.
    beaten: the same, only because a staged one wins. needed: the table has no row of it, and would have to.
    """
    ranked = contenders.selectExpr(
        "*",
        f"count_if(NOT gone) {SO_FAR} AS living",
        f"count_if(new) {SO_FAR} AS staged",
        f"count_if(NOT new) {SO_FAR} AS indexed",
    )
    return ranked.selectExpr(
        "eventId",
        "id",
        "dt",
        "new AND living > 1 AS lost",
        "NOT new AND indexed = 1 AND (gone OR staged > 0) AS removed",
        "NOT new AND indexed = 1 AND NOT gone AND staged > 0 AS beaten",
        "NOT new AND indexed > 1 AND NOT gone AND living = 1 AS needed",
    )
