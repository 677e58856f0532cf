"""The profile of what a run learns, which lies beside the model: what later events are compared with.

What the model makes of events, and which of their words it does not know, is measured on test documents alone: of those
that it has learned it knows more than of any that will come.
"""

from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.models.verification import Model
from brigade.pipelines.definition import Definition
from brigade.profiles.measure import profile_of, sampled_of
from brigade.profiles.profile import Profile
from brigade.profiles.watched import DOCUMENTS_TEXT, Watched, watched_in
from brigade.training.options import Options
from brigade.training.tables.columns import Columns
from brigade.training.tables.parts import OLDEST

LOOKED_AT = 10_000  # events, about, that are looked at closely: enough for a reference, and training goes on soon


def watched_of(rows: DataFrame, options: Options, definition: Definition | None, model: Model | None = None) -> Watched:
    """What is looked at of the rows of a run."""
    return watched_in(rows.schema, definition, model, label=options.label_column)


# ------------------------------------------------------------------------------------------------- documents


def profile_of_documents(
    spark: SparkSession, events: DataFrame, total: int, options: Options, definition: Definition | None
) -> Profile:
    """The profile of `total` events, whose texts are in the column payload, as far as it needs no model."""
    rows = events.withColumnsRenamed({DOCUMENTS_TEXT: text_column(definition)})
    watched = watched_of(rows, options, definition)
    return profile_of(spark, rows, definition, watched=watched, sampled=sampled_of(total, LOOKED_AT))


def with_documents_tested(
    spark: SparkSession,
    profile: Profile,
    test: DataFrame,
    tested: int,
    options: Options,
    definition: Definition | None,
    model: Model,
) -> Profile:
    """The same with what a model makes of the test documents. tested: how many they are."""
    rows = test.select(
        "eventId",
        F.col("time").alias("eventTimestamp"),
        F.col("payload").alias(text_column(definition)),
        F.col("label").alias(options.label_column),
    )
    watched = watched_of(rows, options, definition, model)
    return profile + of_tested(spark, rows, tested, watched, model, profile.sampled)


def text_column(definition: Definition | None) -> str:
    """The column of the texts in the rows of the pipeline's query."""
    return definition.model.features[0] if definition else DOCUMENTS_TEXT


# ---------------------------------------------------------------------------------------------------- tables


def profile_of_rows(
    spark: SparkSession, laid: DataFrame, total: int, columns: Columns, options: Options, definition: Definition
) -> Profile:
    """The profile of `total` rows, see `matrices.laid_out`, as far as it needs no model."""
    rows = named(laid, columns)
    watched = watched_of(rows, options, definition)
    return profile_of(spark, rows, definition, watched=watched, sampled=sampled_of(total, LOOKED_AT))


def with_rows_tested(
    spark: SparkSession,
    profile: Profile,
    test: DataFrame,
    tested: int,
    columns: Columns,
    options: Options,
    definition: Definition,
    model: Model,
) -> Profile:
    """The same with what a model makes of the test rows. tested: how many they are."""
    rows = named(test, columns)
    watched = watched_of(rows, options, definition, model)
    return profile + of_tested(spark, rows, tested, watched, model, profile.sampled)


def named(laid: DataFrame, columns: Columns) -> DataFrame:
    """Laid out rows with the names of their columns again."""
    moment = F.when(F.col("moment") > OLDEST, F.timestamp_micros("moment"))
    features = [F.col(f"f{number}").alias(name) for number, name in enumerate(columns.features)]
    return laid.select(
        F.col("id").alias("eventId"), moment.alias("eventTimestamp"), F.col("label").alias(columns.label), *features
    )


# ------------------------------------------------------------------------------------------------------- both


def of_tested(
    spark: SparkSession, rows: DataFrame, tested: int, watched: Watched, model: Model, sampled: int
) -> Profile:
    """What a model makes of the test's rows, of which more are looked at than of all. sampled: of those."""
    own = sampled_of(tested, LOOKED_AT)
    return replace(profile_of(spark, rows, None, model, watched=watched, sampled=own, of_data=False), sampled=sampled)
