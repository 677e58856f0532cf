"""Rows as matrices need them, in columns of Spark's; `brigade.models.matrices` reads them batch by batch."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from brigade.models.matrices import named
from brigade.models.table_model import LARGEST, Feature

META = ("id", "place", "moment")  # of a row, beside label and features


def laid_out(rows: DataFrame, features: Sequence[Feature], baseline: str | None = None) -> DataFrame:
    """`labelled` rows as matrices need them: META, `label`, `baseline`, features as f0, f1, …, double or string.

    A feature that the rows do not have is missing in all of them.
    """
    own = {field.name: field.dataType for field in rows.schema["row"].dataType.fields}  # type: ignore[attr-defined]
    found = []
    for name, feature in named(features):
        kind = "string" if feature.type == "category" else "double"
        given = F.col("row").getField(feature.name) if feature.name in own else F.lit(None)
        found.append(given.cast(kind).alias(name))
    known = F.col("row").getField(baseline) if baseline and baseline in own else F.lit(None)
    return rows.select(*META, "label", known.cast("double").alias("baseline"), *found)


def encoded(rows: DataFrame, features: Sequence[Feature], classes: Sequence[str]) -> DataFrame:
    """`laid_out` rows in parts, as XGBoost's estimators read them: all that `matrix_of` says, in columns of Spark's.

    Columns: `id`, `place`, `validation`, `label` (double; of a classification the class's number), f0, f1, … (float).
    """
    label = code_in(classes, F.col("label")) if classes else F.col("label")
    return rows.select(
        "id",
        "place",
        (F.col("part") == "validation").alias("validation"),
        label.cast("double").alias("label"),
        *(single(feature, F.col(name)).alias(name) for name, feature in named(features)),
    )


def single(feature: Feature, given: Column) -> Column:
    """A laid out feature as float, with NaN for what is missing."""
    known = given if feature.type == "number" else code_in(feature.categories, given)
    return F.coalesce(F.when(F.abs(known) <= LARGEST, known), F.lit(float("nan"))).cast("float")


def code_in(names: Sequence[str], given: Column) -> Column:
    """The number of a string among the names; null for null and for all others."""
    # By its name: of PySpark 3.5 the function itself takes no column as what is looked for.
    place = F.call_function("array_position", F.array(*map(F.lit, names)).cast("array<string>"), given)
    return F.when(place > 0, place - 1)
