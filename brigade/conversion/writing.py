"""Writes rows as the parquet files of their days.

A day that only gets rows keeps its large files. Its small ones are merged with the new rows as long as that pays. A
day from which rows have to go is written again, and is not even read if all of them have to go.
"""

import logging
from functools import reduce
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade import spark as sessions
from brigade.conversion.duplicates import Comparison, DayChange
from brigade.conversion.table import Moves, Table

log = logging.getLogger(__name__)

SMALL_FILE_BYTES = 64 << 20
UNIQUE = ("eventId", "docId", "messageId", "payload")  # columns without repeated values

Partitions = dict[str, dict[str, dict[str, int]]]  # as in Manifest


class Rewritten(NamedTuple):
    """The names of the table's files that are written again, by day, and of those that hold rows which stay."""

    files: dict[str, list[str]]
    read: dict[str, list[str]]


def files_to_rewrite(table: Table, days: dict[str, DayChange]) -> Rewritten:
    """The table's files that are written again."""
    partitions = table.base.partitions
    found = {day: row for day, row in days.items() if day in partitions}
    added = {day: row.staged - row.lost for day, row in found.items()}
    to_merge = {day: small_files(partitions[day], rows) for day, rows in added.items() if rows}
    rewritten = to_merge | {day: list(partitions[day]) for day, row in found.items() if row.removed}
    staying = {day: sum(one["rows"] for one in partitions[day].values()) - found[day].removed for day in rewritten}
    if table.again.dates:
        for day, rows in staying.items():
            if rows:
                log.warning("dt=%s: %d rows stay, of files that are not read again", day, rows)
    return Rewritten(rewritten, {day: names for day, names in rewritten.items() if names and staying[day]})


def small_files(files: dict[str, dict[str, int]], rows: int) -> list[str]:
    """The names of a day's small files, if they are worth being merged with so many new rows.

    That is if they have at most four times as many rows. So a row is rewritten a few times at most, however often rows
    arrive, and a day has few small files.
    """
    small = {name: file for name, file in files.items() if file["bytes"] < SMALL_FILE_BYTES}
    return list(small) if sum(file["rows"] for file in small.values()) <= 4 * rows else []


def write_days(table: Table, staged: DataFrame, compared: Comparison, rewritten: Rewritten) -> tuple[Partitions, Moves]:
    """Stages new files for the days that change. Returns all partitions as they will be, and the moves that are due."""
    few = compared.lost <= sessions.ROWS_A_TASK  # so few that each task can hold them, and the rows stay where they are
    losers = F.broadcast(compared.losers) if few else compared.losers
    rows = staged.where("_row.reason IS NULL").join(losers, F.col("_row.id") == losers.id, "left_anti").drop("_row")
    old = [table.rows_of(names) for names in rewritten.read.values()]
    if old:
        kept = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), old)
        kept = kept.join(compared.removed, ["eventId", "dt"], "left_anti")
        rows = rows.unionByName(kept, allowMissingColumns=True)
    stage_rows(table, rows if few and not old else by_day(rows))
    partitions: Partitions = {
        day: {name: file for name, file in files.items() if name not in rewritten.files.get(day, ())}
        for day, files in table.base.partitions.items()
    }
    moves: Moves = []
    for name, size, count in staged_files(table):
        folder = name.split("/")[0]
        final = f"{folder}/{table.run}-{len(moves):05}.parquet"
        moves.append((f"_staging/{table.run}/days/{name}", final))
        partitions.setdefault(day_of(folder), {})[final] = {"rows": count, "bytes": size}
    return {day: files for day, files in sorted(partitions.items()) if files}, moves


def by_day(rows: DataFrame) -> DataFrame:
    """The rows with those of a day together. Each of Spark's tasks gets about one file's worth of them."""
    # In SQL, since the hint takes no column names in PySpark 3.5.
    return rows.sparkSession.sql("SELECT /*+ REBALANCE(dt) */ * FROM {rows}", rows=rows)


def stage_rows(table: Table, rows: DataFrame) -> None:
    """Writes rows below the staging folder, in a folder for each day."""
    rows = rows.sortWithinPartitions("dt", "eventId")
    writing = rows.write.mode("append").partitionBy("dt").option("compression", "snappy")
    for name in UNIQUE:  # Parquet would try a dictionary in vain
        writing = writing.option(f"parquet.enable.dictionary#{name}", "false")
    writing.parquet(f"{table.staging}/days")


def staged_files(table: Table) -> list[tuple[str, int, int]]:
    """The files that stage_rows has written: name below the folder of days, size in bytes, rows."""
    if not table.folder.names(f"_staging/{table.run}/days"):
        return []
    about = F.col("_metadata.file_path").alias("path"), F.col("_metadata.file_size").alias("size")
    staged = table.spark.read.schema("eventId STRING").parquet(sessions.literally(f"{table.staging}/days"))
    files = staged.groupBy(*about).count()
    names = ((unquote(row.path).split(f"/{table.run}/days/")[1], row) for row in files.collect())
    return sorted((name, row.size, row["count"]) for name, row in names)


def day_of(folder: str) -> str:
    """The day that a folder's name holds. Spark writes some characters as %XX there."""
    return unquote(folder.partition("=")[2])
