"""Decides which row of an eventId is kept: the one that was published last.

Compares the events of this run with each other and with the index of all earlier runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade import spark as sessions
from brigade.conversion.table import Table

# Pub/Sub numbers its messages, so that of two ids the longer one is the later. No type of number holds every id.
NUMBER = "trim(LEADING '0' FROM messageId)"
# Ties are broken by what does not depend on the order in which lines are read. As text: a Column needs a session.
NEWEST_FIRST = f"""publishTime DESC NULLS LAST, length({NUMBER}) DESC NULLS LAST, {NUMBER} DESC NULLS LAST,
    messageId DESC NULLS LAST, file DESC, hash DESC, id DESC NULLS LAST"""
COMPARED = ["eventId", "publishTime", "messageId", "file", "hash", "id", "dt"]


@dataclass(frozen=True)
class Comparison:
    """What a run's events do to each other and to the table."""

    losers: DataFrame  # `id` of the staged rows that lose against another row of their eventId
    lost: int
    removed: DataFrame | None  # `eventId`, `dt` of the table's rows that have to go; None if the table is empty
    replaced: int  # how many these are


def compare(
    table: Table, keys: DataFrame, voided: list[list[str]], cache: Callable[[DataFrame], DataFrame]
) -> Comparison:
    """Compares staged events (see Table.add_to_index) with each other and with the table's.

    A row of the table has to go if a staged one wins against it, or if its file has changed and is among `voided`.
    """
    if not table.base.runs:
        losers = cache(number_copies(contested(keys)).where("copy > 1").select("id"))
        return Comparison(losers, losers.count(), None, 0)
    void = table.spark.createDataFrame(voided, "file STRING, run STRING").withColumn("gone", F.lit(True))
    index = table.index().join(F.broadcast(void), ["file", "run"], "left")
    touched = cache(keys.select("eventId").unionAll(index.where("gone").select("eventId")).distinct())
    # The index is of all runs, and stays where it is when a few events are compared with it.
    known = F.broadcast(touched) if touched.count() <= sessions.ROWS_A_TASK else touched
    old = cache(index.join(known, "eventId", "left_semi"))
    contenders = keys.select(*COMPARED, F.lit(True).alias("new"))
    contenders = contenders.unionAll(old.where("gone IS NULL").select(*COMPARED, F.lit(False).alias("new")))
    numbered = cache(number_copies(contested(contenders)).select("eventId", "id", "new", "copy"))
    winners = numbered.where("copy = 1").select("eventId", "new")
    were = number_copies(old).where("copy = 1").select("eventId", "dt", "gone")
    # An event that is no longer contested is the winner itself.
    removed = were.join(winners, "eventId", "left").where("gone OR coalesce(new, false)").select("eventId", "dt")
    losers, removed = cache(numbered.where("new AND copy > 1").select("id")), cache(removed)
    return Comparison(losers, losers.count(), removed, removed.count())


def number_copies(keys: DataFrame) -> DataFrame:
    """Adds `copy`: 1 for the last published row of each eventId, 2, 3, … for the others."""
    return keys.withColumn("copy", F.expr(f"row_number() OVER (PARTITION BY eventId ORDER BY {NEWEST_FIRST})"))


def contested(keys: DataFrame) -> DataFrame:
    """The events whose eventId may occur more than once.

    Hashes find them, so that whole ids and all that decides between copies are compared for a few only.
    """
    often = keys.groupBy(F.xxhash64("eventId").alias("often")).count().where("count > 1").select("often")
    return keys.join(often, F.xxhash64("eventId") == F.col("often"), "left_semi")
