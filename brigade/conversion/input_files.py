"""Finds the input files that a run has to read, and reads their lines.

They are those that are new or have changed since the last run, or those of the days that are done again. What has
landed or changed after the files were listed waits for the next run.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder
from brigade.conversion.lines import starts_with_printable
from brigade.conversion.table import Table
from brigade.spark import literally

LISTED_FILES = 2000  # so many files are named to Spark one by one; more are found by their time and a join
FILE = "file", "size", "modified"


class Summary(NamedTuple):
    """How many files there are, when they were modified, and their names if they are at most LISTED_FILES.

    oldest, newest: microseconds since 1970. As Python's datetime they would be in local time, which has one hour of the
    autumn twice. were_read: whether an earlier run has read one of them.
    """

    number: int
    oldest: int
    newest: int
    names: list[str]
    were_read: bool


@dataclass(frozen=True)
class NewFiles:
    """The files that a run reads, and what they make void."""

    files: DataFrame  # `file`, `size`, `modified`
    voided: list[list[str]]  # [file, run]: what that run read of the file counts no longer
    about: Summary


def holds_files(spark: SparkSession, path: str, ending: str = "") -> bool:
    """Whether there is a file at or below the path (gs:// or local) that is not empty and not hidden from Spark."""
    folder = Folder(spark, path)
    if not folder.files.exists(folder.at("")):
        return False
    root = folder.files.makeQualified(folder.at("")).toString()
    files = folder.files.listFiles(folder.at(""), True)
    while files.hasNext():
        status = files.next()
        name = status.getPath().toString()
        hidden = re.search(r"(^|/)[._]", name.removeprefix(root) or name.rpartition("/")[2])
        if status.getLen() > 0 and not hidden and name.endswith(ending):
            return True
    return False


def find_new_files(table: Table, input_path: str, cache: Callable[[DataFrame], DataFrame]) -> NewFiles | None:
    """The files that the run has to read, all of them in a full run; None if there are none.

    Raises ConversionError if whole days are to be done again and none of them has a file.
    """
    listed = list_files(table.spark, input_path).where(table.again.reads(F.col("file")))
    files = cache(wanted_files(table, listed))
    voided: list[list[str]] = []
    about = summary(files)
    if about.were_read:
        files, voided = with_what_they_void(table, listed, files, cache)
        about = summary(files)
    if not about.number and table.again.dates and not table.again.missing:
        raise ConversionError(
            f"expected files in folders dt=YYYY-MM-DD of {table.again} below {input_path}, found none; a plain file in "
            "no such folder is in no day, and is converted without --dates"
        )
    return NewFiles(files.select(*FILE), voided, about) if about.number else None


def summary(files: DataFrame) -> Summary:
    """What there is to know of files with `run`, of which at most LISTED_FILES come to the driver one by one."""
    modified = F.unix_micros("modified").alias("modified")
    few = files.select("file", modified, "run").limit(LISTED_FILES + 1).collect()
    if len(few) > LISTED_FILES:
        found = F.count("file"), F.min(modified), F.max(modified), F.count("run") > 0
        number, oldest, newest, were_read = files.agg(*found).collect()[0]
        return Summary(number, oldest, newest, [], were_read)
    times = [row.modified for row in few] or [0]
    return Summary(len(few), min(times), max(times), [row.file for row in few], any(row.run for row in few))


def list_files(spark: SparkSession, path: str) -> DataFrame:
    """All files below a path: `file`, `size` in bytes, `modified`."""
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", "*[!~]")
    return files.load(literally(path)).select(
        F.col("_metadata.file_path").alias("file"),
        F.col("length").alias("size"),
        F.col("modificationTime").alias("modified"),
    )


def wanted_files(table: Table, listed: DataFrame) -> DataFrame:
    """The files that the run is for, of those listed: FILE, `run` that has read it, null for a new one, and `changed`,
    which is true of new ones too."""
    if not table.base.runs:
        return listed.where("size > 0").select(
            "*", F.lit(None).cast("string").alias("run"), F.lit(True).alias("changed")
        )
    known = table.input_files().withColumnsRenamed({"size": "old_size", "modified": "old_modified"})
    compared = listed.join(known, "file", "left").where("size > 0 OR run IS NOT NULL")
    unchanged = "run IS NOT NULL AND size = old_size AND modified = old_modified"
    compared = compared.select(*FILE, "run", F.expr(f"NOT coalesce({unchanged}, false) AS changed"))
    if not table.again.missing:
        return compared if table.again.dates else compared.where("changed")
    damaged = [day for day in table.damaged_files() if table.again.covers(day)]
    gave = table.index().where(F.col("dt").isin(damaged)).select("file").distinct().withColumn("gave", F.lit(True))
    return compared.join(gave, "file", "left").where("changed OR gave").drop("gave")


def with_what_they_void(
    table: Table, listed: DataFrame, wanted: DataFrame, cache: Callable[[DataFrame], DataFrame]
) -> tuple[DataFrame, list[list[str]]]:
    """The files to read (FILE, `run`) if some of those wanted were read before, and [file, run] of what they make void.

    If a row of a changed file disappears, the next best duplicate of its event takes its place. So files that hold such
    a duplicate are read again too, unless the run is for certain days: see `duplicates.check_other_days`.
    """
    known, files = table.input_files().select("file", "run"), wanted.select(*FILE, "run")
    if not table.again.dates:
        index, changed = table.index(), wanted.where("run IS NOT NULL AND changed").select("file", "run")
        lost = index.join(F.broadcast(changed), ["file", "run"]).select("eventId").distinct()
        again = index.join(lost, "eventId", "left_semi").select("file").distinct().join(known, "file", "left_semi")
        named = wanted.select("file").unionAll(again).distinct()
        files = cache(listed.join(named, "file").join(known, "file", "left"))
    void = files.where("run IS NOT NULL").select("file", "run")
    return files, [list(row) for row in void.collect()]


def read_lines(table: Table, input_path: str, new: NewFiles) -> DataFrame:
    """The lines of the new files that are not blank: `value`, `file`."""
    # As text, not as JSON: a line that is a JSON array would become several rows, a blank line none. Landing's dt=…
    # folders are ignored: the day follows from the event.
    reader = table.spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "*[!~]")
    lines = reader.text(literally(input_path))
    lines = lines.where(F.unix_micros("_metadata.file_modification_time").between(new.about.oldest, new.about.newest))
    if new.about.names and table.base.runs:
        lines = lines.where(F.col("_metadata.file_path").isin(new.about.names))
    about = {"file": "file_path", "size": "file_size", "modified": "file_modification_time"}
    columns = [F.col(f"_metadata.{column}").alias(name) for name, column in about.items()]
    lines = lines.select("value", *columns).join(F.broadcast(new.files), list(about), "left_semi")
    return lines.where(rf"{starts_with_printable('value')} OR value RLIKE r'[^\s\ufeff]'").select("value", "file")
