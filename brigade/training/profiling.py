"""The profile of what a run learns, which lies beside the model: what later events are compared with.

What the model makes of events, and which of their words it does not know, is measured on test documents alone: of those
that it has learned it knows more than of any that will come.
"""

from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.pipelines.definition import Definition
from brigade.profiles.measure import profile_of, sampled_of
from brigade.profiles.profile import NO_DAY, Profile
from brigade.profiles.watched import DOCUMENTS_TEXT, Watched, watched_in
from brigade.training.options import Options
from brigade.training.tables.columns import Columns
from brigade.training.tables.parts import OLDEST

LOOKED_AT = 10_000  # events, about, that are looked at closely: enough for a reference, and training goes on soon


# ------------------------------------------------------------------------------------------------- documents


def profile_of_documents(
    spark: SparkSession, events: DataFrame, total: int, options: Options, definition: Definition | None
) -> Profile:
    """The profile of `total` events, whose texts are in the column payload, as far as it needs no model."""
    rows = events.withColumnsRenamed({DOCUMENTS_TEXT: text_column(definition)})
    watched = watched_of(rows, options, definition)
    return profile_of(spark, rows, definition, watched=watched, sampled=sampled_of(total, LOOKED_AT))


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


def named(laid: DataFrame, columns: Columns) -> DataFrame:
    """Laid out rows with the names of their columns again."""
    moment = F.when(F.col("moment") > OLDEST, F.timestamp_micros("moment"))
    features = [F.col(f"f{number}").alias(name) for number, name in enumerate(columns.features)]
    return laid.select(
        F.col("id").alias("eventId"), moment.alias("eventTimestamp"), F.col("label").alias(columns.label), *features
    )


# ------------------------------------------------------------------------------------------------------- both


def watched_of(rows: DataFrame, options: Options, definition: Definition | None) -> Watched:
    """What is looked at of the rows of a run."""
    return watched_in(rows.schema, definition, label=options.label_column)


def with_tested(profile: Profile, tested: Profile) -> Profile:
    """The profile with what the model makes of the test part, all of which is looked at. tested: without days; it is
    counted under the newest one."""
    dated = tested.moved(dict.fromkeys(tested.days, max(profile.days, default=NO_DAY)))
    return profile + replace(dated, sampled=profile.sampled)
