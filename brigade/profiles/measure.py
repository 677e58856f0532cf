"""Measures a profile on Spark, in one pass over the events, and adds up what the partitions find.

    events ─► the columns that are looked at ─► buckets, counted in each partition ─► their sum

Spark reads, cuts down and adds; what needs Python's own code gets the rows in blocks of Arrow.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import UnionType
from typing import TYPE_CHECKING

from pyspark import Broadcast
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType, StringType, StructType

from brigade.conversion.schema import quoted
from brigade.models.matrices import named
from brigade.models.table_model import TableModel
from brigade.models.verification import Model
from brigade.pipelines.definition import Definition
from brigade.profiles.blocks import Look
from brigade.profiles.profile import NO_DAY, Profile
from brigade.profiles.tally import assembled
from brigade.profiles.watched import NUMBER, TEXT, Watched, watched_in
from brigade.spark import settings

if TYPE_CHECKING:
    from pyarrow import RecordBatch

LOOKED_AT = 50_000  # events, about, whose texts are read and which are predicted
COUNTS = "day STRING, field STRING, aspect STRING, bucket STRING, events LONG, name STRING"
ROWS = "eventId STRING, day STRING, field STRING, aspect STRING, bucket STRING"
BLOCKS = {"spark.sql.execution.arrow.maxRecordsPerBatch": "2000"}


def profile_of(
    spark: SparkSession,
    events: DataFrame,
    definition: Definition | None = None,
    model: Model | None = None,
    *,
    watched: Watched | None = None,
    sampled: int | None = None,
    of_data: bool = True,
) -> Profile:
    """The profile of events.

    events: the columns of the definition's query, of a table those of `model.query` if there is one; a column that is
    missing is missing in each event. model: what predicts them; None: no aspect that needs one. watched: None: what
    `watched_in` says. sampled: one event in so many is looked at closely, a power of two; None: see `sampled_of`.
    of_data: False leaves out all aspects but those that need the model.
    """
    sampled = sampled_of(events.count()) if sampled is None else sampled
    look = looking(events, definition, model, watched, of_data)
    with settings(spark, BLOCKS), shared(spark, model) as own:

        def counted(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
            yield from look.counts(batches, own.value if own else None)

        counts = selected(events, look.watched, model, sampled).mapInArrow(counted, COUNTS)
        if sampled > 1:  # the counts of a few partitions are added sooner than Spark can plan how
            counts = counts.groupBy("day", "field", "aspect", "bucket").agg(F.sum("events"), F.min("name"))
        return assembled(counts.collect(), sampled)


def rows_of(
    spark: SparkSession,
    events: DataFrame,
    definition: Definition | None = None,
    model: Model | None = None,
    *,
    watched: Watched | None = None,
    sampled: int = 1,
    of_data: bool = True,
) -> DataFrame:
    """The buckets of each event before they are counted: `eventId`, `day`, `field`, `aspect`, `bucket`. See profile_of.

    The rows are computed when they are asked for.
    """
    look = looking(events, definition, model, watched, of_data)
    own: Broadcast | None = None if model is None else spark.sparkContext.broadcast(model)

    def told(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
        yield from look.rows(batches, own.value if own else None)

    return selected(events, look.watched, model, sampled).mapInArrow(told, ROWS)


def sampled_of(events: int, most: int = LOOKED_AT) -> int:
    """One event in how many is looked at closely, so that about `most` are: a power of two."""
    sampled = 1
    while events > sampled * most:
        sampled *= 2
    return sampled


def looking(
    events: DataFrame, definition: Definition | None, model: Model | None, watched: Watched | None, of_data: bool
) -> Look:
    if watched is None:
        watched = watched_in(events.schema, definition, model)
    return Look(watched, of_data)


@contextmanager
def shared(spark: SparkSession, model: Model | None) -> Iterator[Broadcast | None]:
    """The model as workers get it, for the length of a `with` block."""
    own = None if model is None else spark.sparkContext.broadcast(model)
    try:
        yield own
    finally:
        if own is not None:
            own.destroy()


def selected(events: DataFrame, watched: Watched, model: Model | None, sampled: int) -> DataFrame:
    """What a Look needs of each event.

    Columns: `eventId`, `day`, `hour`, `close` (whether it is looked at closely), of each field c0, c1, …, of a text
    besides c0_presence and c0_length, and of a table's model the features f0, f1, …. A text that is not looked at
    closely is null.
    """
    schema = events.schema
    ids = one_of(schema, "eventId").cast("string")
    times = [one_of(schema, name).cast("timestamp") for name in ("eventTimestamp", "publishTime")]
    days = [one_of(schema, "dt").cast("string"), F.date_format(F.coalesce(*times), "yyyy-MM-dd"), F.lit(NO_DAY)]
    close = F.xxhash64(ids).bitwiseAND(sampled - 1) == 0
    found = [ids.alias("eventId"), F.coalesce(*days).alias("day"), F.hour(F.coalesce(*times)).alias("hour")]
    for column, name, kind in watched.numbered:
        given = one_of(schema, name, NumericType | BooleanType if kind == NUMBER else None)
        given = given.cast("double" if kind == NUMBER else "string")
        if kind == TEXT:
            presence = F.when(given.isNull(), 0).when(given.rlike(r"(?U)\S"), 2).otherwise(1)
            found += [presence.alias(f"{column}_presence"), F.length(given).alias(f"{column}_length")]
            given = F.when(close, given)
        found.append(given.alias(column))
    if isinstance(model, TableModel):
        for column, feature in named(model.features):
            is_number = feature.type == "number"
            given = one_of(schema, feature.name, NumericType | BooleanType if is_number else StringType | BooleanType)
            found.append(given.cast("double" if is_number else "string").alias(column))
    return events.select(close.alias("close"), *found)


def one_of(schema: StructType, name: str, fits: type | UnionType | None = None) -> Column:
    """A column; null if there is none of that name, or none whose type fits."""
    types = {field.name: field.dataType for field in schema.fields}
    is_there = name in types and (fits is None or isinstance(types[name], fits))
    return F.col(quoted(name)) if is_there else F.lit(None)
