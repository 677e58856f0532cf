"""One portion of a prediction: its rows → what is due of them → predictions → changed days → manifest.

The table is a conversion's: a manifest names its files, a lock keeps others out, and what a killed run leaves is
removed. After each portion a manifest is written, so a run that fails goes on behind the last whole portion.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.conversion.duplicates import changes_by_day
from brigade.conversion.lock import Lock
from brigade.conversion.manifest import Manifest
from brigade.conversion.table import Table
from brigade.conversion.tidying import tidy
from brigade.conversion.writing import by_day, files_to_rewrite, write_days
from brigade.prediction.blocks import predicted
from brigade.prediction.due import Asked, rows_due
from brigade.prediction.errors import PredictionError
from brigade.prediction.input import ALL_FILES, InputFile
from brigade.prediction.model import Chosen
from brigade.spark import planned, settings, shuffle_for

# What a conversion keeps of each line, as far as a prediction has it.
ABOUT = """struct(CAST(NULL AS LONG) AS id, file, hash, reason, CAST(NULL AS TIMESTAMP) AS publishTime,
    CAST(NULL AS STRING) AS messageId) AS _row"""


@dataclass(frozen=True)
class Portion:
    """Rows to predict, see input.laid_out, and how many they are. is_unique: whether each has an eventId of its own.
    files: those that need not be read again, unless one of their events is refused."""

    rows: DataFrame
    events: int
    is_unique: bool
    files: Sequence[InputFile]


def predict_portion(
    portion: Portion,
    table: Table,
    chosen: Chosen,
    asked: Asked,
    lock: Lock,
    cache: Callable[[DataFrame], DataFrame],
) -> Counter:
    """Predicts what is due of the portion, and commits it.

    Returns the counts "predicted", "already_there", "duplicates", "replaced" and, by its reason,
    "refused:REASON". Raises PredictionError if they do not add up.
    """
    spark, events = table.spark, portion.events
    with settings(spark, shuffle_for(spark, table.base.rows + events)):
        due = rows_due(table, portion.rows, portion.is_unique, asked, cache)
    table.begin()
    staged = stage(predicted(due.rows, chosen))
    keys, found, refused = table.add_to_index(staged)
    if events != due.duplicates + due.done + found:
        found = staged.count()  # Spark counts the rows of a lost task twice
        refused = staged.where("_row.reason IS NOT NULL").count()
    if events != due.duplicates + due.done + found:
        raise PredictionError(
            f"the counts do not add up: {events} events, {due.duplicates} duplicates, {due.done} predicted before, "
            f"{found} now; has the input changed meanwhile? Run it once more"
        )
    counts = Counter(predicted=found - refused, already_there=due.done, duplicates=due.duplicates)
    counts["replaced"] = due.compared.replaced
    held_back = set()  # files, which are read again
    if refused:
        why = staged.where("_row.reason IS NOT NULL").groupBy("_row.reason", "_row.file").count().collect()
        for row in why:
            counts[f"refused:{row.reason}"] += row["count"]
        held_back = {row.file for row in why}
    days = changes_by_day(keys, due.compared.changed) if table.base.partitions else {}
    partitions, moves = write_days(table, staged, due.compared, files_to_rewrite(table, days))
    written = sum(file["rows"] for day in partitions.values() for file in day.values())
    if written != table.base.rows + counts["predicted"] - counts["replaced"]:
        raise PredictionError(f"the counts do not add up: {table.base.rows} rows before, {written} now, {counts}")
    lock.check()
    table.published = True
    files = [] if ALL_FILES in held_back else [file for file in portion.files if file.name not in held_back]
    table.add_input_files(as_rows(table, files))
    for name, final in moves:
        table.folder.rename(name, final)
    table.commit(
        Manifest(
            run=table.run,
            runs=[*table.base.runs, table.run],
            query=f"{chosen.served.name}/{chosen.served.manifest.run_id}",
            rows=written,
            partitions=partitions,
            columns=staged.drop("_row").schema.jsonValue(),
        )
    )
    tidy(table)
    return counts


def stage(rows: DataFrame) -> DataFrame:
    """Predicts the rows, once: they wait in the files of Spark's shuffle, those of a day together."""
    told = [name for name in rows.columns if name not in ("eventId", "dt", "file", "hash", "reason")]
    now = F.timestamp_micros(F.lit(time.time_ns() // 1000)).alias("predictedAt")
    return planned(by_day(rows.select("eventId", *told, now, "dt", F.expr(ABOUT))))


def as_rows(table: Table, files: Sequence[InputFile]) -> DataFrame:
    """The files as a table remembers them: `file`, `size`, `modified`."""
    rows = table.spark.createDataFrame(
        [(one.name, one.size, one.modified) for one in files], "file STRING, size LONG, modified LONG"
    )
    return rows.withColumn("modified", F.timestamp_micros("modified"))
