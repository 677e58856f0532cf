"""One conversion: landed JSON lines → parquet with one row an eventId, partitioned by `dt`.

    input ─► parse ─► SELECT … FROM events ─► staged rows ─► which row of an eventId wins ─► changed days ─► manifest

Only files that are new or have changed since the last run are read, or those of the days that are done again. Every
line that was read is counted once, or the run fails and changes nothing: lines = converted + duplicates + quarantined.
"""

import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.again import Again
from brigade.conversion.columns import merged_columns
from brigade.conversion.duplicates import compare
from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import place_of
from brigade.conversion.input_files import find_new_files, holds_files, read_lines
from brigade.conversion.lines import parse_lines
from brigade.conversion.lock import Lock
from brigade.conversion.manifest import Manifest
from brigade.conversion.quarantine import write_quarantine
from brigade.conversion.query import check_query, run_query
from brigade.conversion.schema import OWN, Reading
from brigade.conversion.table import Moves, Table
from brigade.conversion.tidying import tidy
from brigade.conversion.unknown import count_unknown
from brigade.conversion.writing import by_day, files_to_rewrite, write_days
from brigade.errors import WrongInput
from brigade.paths import check_apart, sibling
from brigade.spark import caching, plans_for, run_to_last_shuffle, separate_session, settings

log = logging.getLogger(__name__)

FILE_BYTES = 128 << 20  # as rows are packed between two tasks, which is about what they need as parquet
# Small input files are read many to a task. A day's rows come together in tasks of FILE_BYTES, each of which writes one
# file, whatever the number of cores.
CONVERTING = {
    # What cannot be computed fails, on every version of Spark, and is not a null; so query.py finds it.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.files.openCostInBytes": str(64 << 10),
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": str(FILE_BYTES),
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    # Many partitions, so that two days hardly share one. Spark merges small ones, but it splits a large one wherever it
    # is full, which leaves a few rows of a day to another task.
    "spark.sql.shuffle.partitions": "200",
}


def json_into_parquet(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    quarantine_path: str | None = None,
    *,
    reading: Reading = OWN,
    full: bool = False,
    dates: tuple[date, date] | None = None,
    missing: bool = False,
) -> dict:
    """Converts the JSON lines of the files below `input_path` that are new or have changed; all of them if `full`;
    those of certain days, or what is missing in the table: see Again.

    Returns the counts of this run {"files", "lines", "converted", "duplicates", "quarantined", "replaced"}, where
    `replaced` is how many earlier rows made way for a later publication or a changed file; "unknown_fields" {name:
    events} if the reading asks for them and there are any; "rows", what the output holds now; and the paths.
    Raises ConversionError, with the output as it was, if there is nothing to read, the paths overlap, the query does
    not fit or yields columns of other types than the table has, the table is damaged, another run is under way, or the
    counts do not add up.
    """
    try:
        paths = {"input": input_path, "output": output_path}
        paths["quarantine"] = quarantine_path or sibling(output_path, "quarantine")
        paths = {name: path.rstrip("/") or path for name, path in paths.items()}
        places = {name: place_of(spark, path) for name, path in paths.items()}
        check_apart(places)
    except WrongInput as problem:
        raise ConversionError(str(problem)) from None
    input_path, output_path, quarantine_path = places.values()
    if not holds_files(spark, input_path):
        raise ConversionError(f"expected JSON lines below {paths['input']}, found no file there; has anything landed?")
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    with separate_session(spark, CONVERTING) as session:
        if not reading.is_default:
            check_query(session, reading)
        with Lock(session, output_path) as lock:
            table = Table(session, output_path, quarantine_path, run, full, Again(dates, missing))
            tidy(table)
            try:
                with caching() as cache:
                    counts = convert(table, input_path, reading, lock, cache)
            finally:
                table.drop_staged()
                table.give_up_unless_published()
    return counts | {"parquet": paths["output"], "quarantine": paths["quarantine"]}


def convert(
    table: Table, input_path: str, reading: Reading, lock: Lock, cache: Callable[[DataFrame], DataFrame]
) -> dict:
    """The steps of a conversion, from the files to the manifest. Returns the counts and "rows", see
    `json_into_parquet`."""
    began, spark = time.monotonic(), table.spark
    counts: dict = dict.fromkeys(("files", "lines", "converted", "duplicates", "quarantined", "replaced"), 0)
    with settings(spark, plans_for(spark, table.manifest.rows)):
        new = find_new_files(table, input_path, cache)
    if new is None:
        table.check_repaired(table.base.partitions)
        log.info("nothing new below %s", input_path)
        return counts | {"rows": table.manifest.rows}
    log.info("%d files to convert", new.about.number)
    counts["files"] = new.about.number
    lines = read_lines(table, input_path, new)
    queried = rows_of(lines, reading)
    columns = merged_columns(table.columns(), queried.drop("_row").schema)
    table.begin()
    staged, counted = stage(queried)
    keys, found, counts["quarantined"] = table.add_to_index(staged)
    if reading.names_unknown_fields and (unknown := count_unknown(staged)):
        counts["unknown_fields"] = unknown
        log.warning("fields that the definition does not name, which stay in the landed files alone: %s", unknown)
    counts["lines"] = check_lines(lines, counted, found, reading.is_default)
    log.info("%d lines read, %.1f s", counts["lines"], time.monotonic() - began)
    with ThreadPoolExecutor(1) as beside:  # small jobs, for which Spark plans more than it works
        quarantine = beside.submit(write_quarantine, table, staged, counts["quarantined"], new.voided)
        recorded = beside.submit(table.add_input_files, new.files)
        with settings(spark, plans_for(spark, table.manifest.rows + found)):
            compared, days = compare(table, keys, found, new.voided, cache)
        counts["duplicates"], counts["replaced"] = compared.lost, compared.replaced
        counts["converted"] = found - counts["quarantined"] - compared.lost
        rewritten = files_to_rewrite(table, days)
        partitions, day_moves = write_days(table, staged, compared, rewritten)
        quarantined, quarantine_moves = quarantine.result()
        recorded.result()
    table.check_repaired(partitions)
    rows = sum(one["rows"] for day in partitions.values() for one in day.values())
    if rows != table.base.rows + counts["converted"] - counts["replaced"]:
        raise ConversionError(f"the counts do not add up: {table.base.rows} rows before, {rows} now, {counts}")
    lock.check()
    publish(table, day_moves, quarantine_moves)
    table.commit(
        Manifest(
            run=table.run,
            runs=[*table.base.runs, table.run],
            query=reading.fingerprint,
            voided=[*table.base.voided, *new.voided],
            rows=rows,
            partitions=partitions,
            quarantine=quarantined,
            columns=columns.jsonValue(),
        )
    )
    tidy(table)
    log.info("%s, %.1f s", counts, time.monotonic() - began)
    return counts | {"rows": rows}


def rows_of(lines: DataFrame, reading: Reading) -> DataFrame:
    """The query's rows of the lines, which are counted when it runs."""
    lines = lines.observe("lines", F.count(F.lit(1)).alias("lines"))
    return run_query(parse_lines(lines, reading), reading)


def stage(rows: DataFrame) -> tuple[DataFrame, int]:
    """Runs the query. Returns its rows, those of a day together, and how many lines were read.

    The rows wait in the files of Spark's shuffle. So a line is parsed once, however often the rows are read. If Spark
    has to make some again, their `_row.id` is the same, since it follows from the files.
    """
    return run_to_last_shuffle(by_day(rows), "lines")


def check_lines(lines: DataFrame, counted: int, found: int, by_default: bool) -> int:
    """The number of lines, of which `counted` were seen while `found` rows were made. Raises ConversionError unless
    each line has one row."""
    # The files are read once more if the numbers differ or may mislead: Spark counts the lines of a lost task twice,
    # and stops reading at the LIMIT of a query.
    number = counted if by_default and found == counted else lines.count()
    if found != number:
        raise ConversionError(
            f"expected one row of the query for each of {number} lines, found {found}: it must neither "
            "drop nor multiply rows. To quarantine a line let its eventId or dt be null"
        )
    return number


def publish(table: Table, day_moves: Moves, quarantine_moves: Moves) -> None:
    """Moves what is staged to its place. Readers do not look at it before the manifest."""
    table.published = True
    for name, final in day_moves:
        table.folder.rename(name, final)
    for name, final in quarantine_moves:
        table.quarantine.rename(name, final)
