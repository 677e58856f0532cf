"""Writes lines that are not events to the quarantine: JSON lines with `file`, `reason`, `detail` if there is more to
say, and `line`.

A line is in the quarantine as long as its file holds it. Lines of a file that has changed are taken out. Several tables
may have one quarantine folder; each has files of its own there.
"""

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from brigade import spark as sessions
from brigade.conversion.errors import ConversionError
from brigade.conversion.table import Moves, Table


def write_quarantine(
    table: Table, staged: DataFrame, quarantined: int, voided: list[list[str]]
) -> tuple[list[str], Moves]:
    """Stages the quarantine's new files. Returns the whole paths of all its files, and the moves that are due.

    `quarantined` is how many of the staged rows are not events, `voided` which [file, run] counts no longer. Raises
    ConversionError if a line would be missing.
    """
    folder, staging, kept = table.quarantine, table.quarantine_staging, table.base.quarantine
    lines = staged.where("_row.reason IS NOT NULL").select("_row.file", "_row.reason", "_row.detail", "_row.line")
    expected = quarantined
    if kept and voided:
        void = table.spark.createDataFrame([[file] for file, _ in voided], "file STRING")
        old = table.spark.read.schema(lines.schema).json([sessions.literally(path) for path in kept])
        old = old.join(void, "file", "left_anti")
        lines, kept, expected = lines.unionAll(old), [], quarantined + old.count()
    elif not quarantined:
        return kept, []
    written = Observation("quarantine")
    lines = lines.repartition(1 + expected // sessions.ROWS_A_TASK).observe(written, F.count(F.lit(1)).alias("lines"))
    lines.write.json(f"{folder.path}/{staging}")
    if written.get["lines"] != expected:
        raise ConversionError(f"expected {expected} lines in the quarantine, wrote {written.get['lines']}")
    staged_names = sorted(
        name for name, size in folder.names(staging).items() if size and not name.startswith(("_", "."))
    )
    moves = [(f"{staging}/{name}", f"quarantine-{table.run}-{number}.json") for number, name in enumerate(staged_names)]
    return [*kept, *(f"{folder.path}/{final}" for _, final in moves)], moves
