"""The events to predict: the parquet of a conversion, other parquet of its form, or landed JSON, converted first.

Whatever the events are, the query of the model's own definition makes their features, over all events of the input: the
SQL that made the rows which the model has learned.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType, StringType

from brigade.conversion.again import Again
from brigade.conversion.folder import Folder, place_of
from brigade.conversion.manifest import read_record
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import OWN, quoted, reading_of
from brigade.conversion.table import read_parquet
from brigade.models.table_model import TableModel
from brigade.pipelines.definition import Definition
from brigade.prediction.errors import PredictionError
from brigade.prediction.model import Chosen
from brigade.training.tables.columns import queried, some

log = logging.getLogger("predict")

ALL_FILES = ""  # stands for the file of a row that is made of many events
Days = tuple[date, date]  # the first and the last


@dataclass(frozen=True)
class InputFile:
    """A file of the input. modified: microseconds since 1970. events: of the days that are asked for."""

    name: str
    size: int
    modified: int
    events: int


@dataclass(frozen=True)
class Input:
    """The events of an input, and where their parquet lies. is_unique: whether each has an eventId of its own.
    conversion: the counts of the conversion that wrote the parquet now."""

    events: DataFrame
    path: str
    is_unique: bool
    conversion: dict | None = None


def open_input(spark: SparkSession, path: str, parquet_path: str | None, definition: Definition | None) -> Input:
    """The events below a path: parquet where it lies, or JSON lines, which are converted into `parquet_path` first.

    parquet_path: None if the path holds parquet. Raises ConversionError if there is nothing, and PredictionError if the
    parquet is of another form.
    """
    reading = reading_of(definition.query, definition.contract) if definition else OWN
    conversion = None
    if parquet_path:
        conversion = json_into_parquet(spark, path, parquet_path, reading=reading)
        log.info("converted: %s", conversion)
        path = parquet_path
    events = read_parquet(spark, path, reading)
    if missing := [name for name in ("eventId", "dt") if name not in events.columns]:
        raise PredictionError(
            f"expected parquet with the columns eventId and dt in {path}, found no {' and '.join(missing)} among "
            f"{some(events.columns)}"
        )
    is_table = bool(read_record(Folder(spark, place_of(spark, path))).manifests)
    return Input(events, path, is_table, conversion)


def on_days(events: DataFrame, days: Days | None) -> DataFrame:
    """The events, or rows, of these days."""
    return events.where(Again(days).among(F.col("dt")))


def files_of(source: Input, days: Days | None) -> list[InputFile]:
    """The files that hold events of these days, in the order of their names; counted by what stands at their ends."""
    if not source.events.inputFiles():  # an input without a row has no columns about files either
        return []
    events = on_days(source.events, days)
    about = [F.col(f"_metadata.{name}").alias(name) for name in ("file_path", "file_size", "file_modification_time")]
    files = events.select(*about).groupBy("file_path", "file_size", "file_modification_time").count()
    rows = files.withColumn("modified", F.unix_micros("file_modification_time")).collect()
    return sorted(
        (InputFile(row.file_path, row.file_size, row.modified, row["count"]) for row in rows), key=lambda one: one.name
    )


def portions(files: Sequence[InputFile], most: int) -> Iterator[list[InputFile]]:
    """The files in groups of up to `most` events, or of one file."""
    group: list[InputFile] = []
    for file in files:
        if group and sum(one.events for one in group) + file.events > most:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def has_query(chosen: Chosen) -> bool:
    """Whether a second query makes the model's rows, which may look at many events to make one."""
    model = chosen.definition and chosen.definition.model
    return bool(model and model.kind == "table" and model.query)


def rows_of_files(source: Input, chosen: Chosen, files: Sequence[InputFile]) -> DataFrame:
    """The rows to predict, of the events in some files; see `laid_out`."""
    name = F.col("_metadata.file_path")
    return laid_out(source.events.where(name.isin([file.name for file in files])), chosen, name)


def rows_of_query(source: Input, chosen: Chosen) -> DataFrame:
    """The rows to predict, which the definition's second query makes of all events; see `laid_out`."""
    assert chosen.definition
    rows = queried(source.events, chosen.definition.model)
    if "eventId" not in rows.columns:
        raise PredictionError(f"model.query: expected a column eventId, found only {some(rows.columns)}; add it")
    if "dt" not in rows.columns:
        rows = rows.join(source.events.select("eventId", "dt"), "eventId")
    return laid_out(rows, chosen, F.lit(ALL_FILES))


def laid_out(rows: DataFrame, chosen: Chosen, file: Column) -> DataFrame:
    """Rows with the features' columns → `eventId`, `dt`, `file`, `hash` of what the model reads of a row and of its
    day, `missing` (whether it lacks an id or a day), and the features as f0, f1, …, double or string.

    A feature that the rows do not have is missing in all of them. Raises PredictionError if they have none at all.
    """
    model = chosen.served.model
    kinds = {field.name: field.dataType for field in rows.schema.fields}
    if isinstance(model, TableModel):
        wanted = {one.name: one.type for one in model.features}
    else:
        wanted = {chosen.definition.model.features[0] if chosen.definition else "payload": "text"}
    if not wanted.keys() & kinds.keys():
        raise PredictionError(
            f"expected the features of {chosen.served.name}, such as {next(iter(wanted))}, in the input, found none of "
            f"them among {some(list(kinds))}; is it a model of this pipeline?"
        )
    features = []
    for number, (name, kind) in enumerate(wanted.items()):
        fits = NumericType | BooleanType if kind == "number" else StringType | BooleanType
        found = F.col(quoted(name)) if isinstance(kinds.get(name), fits) else F.lit(None)
        features.append(found.cast("double" if kind == "number" else "string").alias(f"f{number}"))
    names = [F.expr(f"nullif(CAST({name} AS STRING), '') AS {name}") for name in ("eventId", "dt")]
    laid = rows.select(*names, file.alias("file"), *features)
    read = [F.col(f"f{number}") for number in range(len(features))]
    return laid.select(
        *("eventId", "dt", "file"),
        F.xxhash64("dt", *read).alias("hash"),
        F.expr("eventId IS NULL OR dt IS NULL").alias("missing"),
        *read,
    )
