"""One prediction in bulk: the events of an input → a model → parquet partitioned by `dt`, one row an event.

    input ─► rows of features ─► those that are due ─► blocks, predicted on the workers ─► changed days ─► manifest

Each model has a table of its own, `OUTPUT/model=NAME/runId=RUN/`. What it has predicted is not predicted again, unless
what the model reads of the event has changed. Every event is counted once, or the run fails.
"""

import logging
import re
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.folder import place_of
from brigade.conversion.input_files import holds_files
from brigade.conversion.lock import Lock
from brigade.conversion.manifest import RUN
from brigade.conversion.run import FILE_BYTES
from brigade.conversion.table import Table
from brigade.conversion.tidying import tidy
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.paths import check_apart, sibling
from brigade.prediction.blocks import BLOCKS
from brigade.prediction.due import Asked
from brigade.prediction.errors import PredictionError
from brigade.prediction.input import (
    Days,
    Input,
    InputFile,
    files_of,
    has_query,
    on_days,
    open_input,
    portions,
    rows_of_files,
    rows_of_query,
)
from brigade.prediction.model import Chosen, choose
from brigade.prediction.portion import Portion, predict_portion
from brigade.spark import caching, separate_session, settings, shuffle_for

log = logging.getLogger("predict")

OUTCOMES = ("predicted", "already_there", "duplicates")  # of an event, beside the reasons for refusing it
NO_QUARANTINE = "_conversion/quarantine"  # a folder that is never there: what is refused is only counted
EVENTS_A_CORE = 500_000  # of a portion, after which a manifest is written: a minute or two of work with documents
PREDICTING = BLOCKS | {
    # A row costs far more to predict than to read, so a task reads little, and all cores end at about the same time.
    "spark.sql.files.maxPartitionBytes": str(16 << 20),
    "spark.sql.files.openCostInBytes": str(64 << 10),
    # As in a conversion: a day's rows come together in one file.
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": str(FILE_BYTES),
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.shuffle.partitions": "200",
}


def predict(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    models_uri: str,
    *,
    prefix: str = DOCUMENTS_PREFIX,
    model: str | None = None,
    parquet_path: str | None = None,
    days: Days | None = None,
    missing: bool = False,
    full: bool = False,
) -> dict:
    """Predicts the events below `input_path` that the model has not predicted yet.

    models_uri: the folder of the dated models. prefix: of their names. model: one of them, `NAME[/RUN]`; None: the
    latest promoted one. parquet_path: where landed JSON is converted into; None: beside the input. days: does all of
    these days again, and touches no other. missing: only what has no prediction, in whichever file it lies. full:
    starts the table over.
    Returns the counts {"events", "predicted", "already_there", "duplicates", "refused": {reason: events}}, of which the
    first is the sum of the others; "replaced", how many earlier predictions made way; "rows", what the table holds now;
    the model and the paths. Raises a BrigadeError, with the table as it was after the last whole portion.
    """
    paths = {"input": input_path, "output": output_path, "models": models_uri}
    places = {name: place_of(spark, path) for name, path in paths.items()}
    if not holds_files(spark, places["input"], ".parquet"):
        places["parquet"] = place_of(spark, parquet_path or sibling(input_path, "parquet"))
    check_apart(places)
    chosen = choose(spark, models_uri, prefix, model)
    name, run_id = chosen.served.name, chosen.served.manifest.run_id
    own = f"{places['output']}/model={name}/runId={run_id}"
    with separate_session(spark, PREDICTING) as session:
        source = open_input(session, places["input"], places.get("parquet"), chosen.definition)
        with Lock(session, own) as lock:
            counts = predict_all(Job(session, own, source, chosen, lock), Asked(days, missing), full)
    refused = {key.partition(":")[2]: counts[key] for key in sorted(counts) if ":" in key}
    found: dict = {key: counts[key] for key in ("events", *OUTCOMES)} | {"refused": refused}
    if counts["events"] != sum(counts[key] for key in OUTCOMES) + sum(refused.values()):
        raise PredictionError(f"the counts do not add up: {found}")
    if source.conversion:
        of_lines = ("lines", "converted", "duplicates", "quarantined")
        found["conversion"] = {key: source.conversion[key] for key in of_lines}
    about = {"replaced": counts["replaced"], "rows": counts["rows"], "model": name, "run": run_id}
    return found | about | {"input": source.path, "predictions": own}


@dataclass(frozen=True)
class Job:
    """What a run predicts, by which model, and into which table."""

    spark: SparkSession
    table: str
    source: Input
    chosen: Chosen
    lock: Lock


def predict_all(job: Job, asked: Asked, full: bool) -> Counter:
    """Predicts what is due, portion by portion. Returns the counts, see `predict`."""
    files = files_of(job.source, asked.days)
    table = open_table(job, full)
    if asked.again:
        asked = replace(asked, since=began(table, asked.days))
    known = {} if full or not asked.by_file else known_files(table)
    fresh = [file for file in files if known.get(file.name) != (file.size, file.modified)]
    counts = Counter(events=sum(file.events for file in files))
    whole = has_query(job.chosen)
    if not (whole and fresh):
        counts["already_there"] = counts["events"] - sum(file.events for file in fresh)
    most = EVENTS_A_CORE * job.spark.sparkContext.defaultParallelism
    groups = list(portions(files if whole and fresh else fresh, counts["events"] if whole else most))
    log.info(
        "%d events, %d of them in files to read, in %d portions",
        counts["events"],
        sum(file.events for file in fresh),
        len(groups),
    )
    for number, group in enumerate(groups):
        table = open_table(job, False) if number else table
        try:
            with caching() as cache:
                counts.update(one_portion(job, table, group, asked, cache))
        finally:
            table.drop_staged()
            table.give_up_unless_published()
        log.info("portion %d of %d: %s", number + 1, len(groups), dict(counts))
    if asked.again:
        table.folder.delete(marker(asked.days))
    counts["rows"] = table.manifest.rows
    return counts


def open_table(job: Job, full: bool) -> Table:
    """The model's table, opened for a run of its own."""
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    table = Table(job.spark, job.table, f"{job.table}/{NO_QUARANTINE}", run, full)
    tidy(table)
    return table


def one_portion(
    job: Job, table: Table, files: list[InputFile], asked: Asked, cache: Callable[[DataFrame], DataFrame]
) -> Counter:
    """Predicts what is due of the events in some files; of all events at once, if a second query makes the rows."""
    events = number = sum(file.events for file in files)
    if has_query(job.chosen):
        with settings(job.spark, shuffle_for(job.spark, events)):
            rows = cache(on_days(rows_of_query(job.source, job.chosen), asked.days))
            number = rows.count()
        if number > events:
            raise PredictionError(f"model.query: expected at most one row for each of {events} events, found {number}")
    else:
        rows = on_days(rows_of_files(job.source, job.chosen, files), asked.days)
    # A file need not be read again if all of its events have been looked at, and each has made a row.
    portion = Portion(rows, number, job.source.is_unique, files if asked.by_file and number == events else [])
    counts = predict_portion(portion, table, job.chosen, asked, job.lock, cache)
    return counts + Counter({"refused:no_row": events - number})


def known_files(table: Table) -> dict[str, tuple[int, int]]:
    """The size and time of each file whose events all have a prediction."""
    rows = table.input_files().select("file", "size", F.unix_micros("modified").alias("modified")).collect()
    return {row.file: (row.size, row.modified) for row in rows}


def marker(days: Days | None) -> str:
    assert days
    return f"_conversion/again-{days[0]}-{days[1]}"


def began(table: Table, days: Days | None) -> str:
    """The first run of those that do these days again: an earlier one, if it did not come to its end."""
    name = marker(days)
    try:
        if re.fullmatch(RUN, earlier := table.folder.read(name)):
            log.info("goes on with what the run %s began", earlier)
            return earlier
    except FileNotFoundError:
        pass
    table.folder.replace(name, table.run)
    return table.run
