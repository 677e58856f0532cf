"""Rows → matrices, batch by batch, in the columns of Arrow: as `TableModel.matrix` does it, for many rows at once."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from brigade.models.table_model import LARGEST, Feature

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch

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


def matrix_of(batch: "RecordBatch", features: Sequence[Feature]) -> np.ndarray:
    """The features of a batch of such rows, float32 [n, features]; NaN is missing, see `TableModel.matrix`."""
    found = np.empty((batch.num_rows, len(features)), np.float32)
    for number, (name, feature) in enumerate(named(features)):
        values = batch.column(name)
        found[:, number] = numbers_of(values) if feature.type == "number" else codes_of(values, feature.categories)
    return found


def numbers_of(values: "Array") -> np.ndarray:
    """Doubles as float64 [n], with NaN for null and for what float32 cannot hold."""
    found = np.array(values.to_numpy(zero_copy_only=False), np.float64)
    found[~(np.abs(found) <= LARGEST)] = np.nan
    return found


def codes_of(values: "Array", categories: Sequence[str]) -> np.ndarray:
    """The numbers of strings among the categories, float64 [n]; NaN for null and for all others."""
    import pyarrow.compute

    found = pyarrow.compute.index_in(values.cast(pyarrow.string()), pyarrow.array(list(categories), pyarrow.string()))
    return np.array(found.to_numpy(zero_copy_only=False), np.float64)


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


def named(features: Sequence[Feature]) -> Iterator[tuple[str, Feature]]:
    """The features, each with the name of its column in rows that are laid out."""
    return ((f"f{number}", feature) for number, feature in enumerate(features))


def single(feature: Feature, given: Column) -> Column:
    """A laid out feature as float, with NaN for what is missing."""
    known = given if feature.type == "number" else code_in(feature.categories, given)
    return F.coalesce(F.when(F.abs(known) <= LARGEST, known), F.lit(float("nan"))).cast("float")


def code_in(names: Sequence[str], given: Column) -> Column:
    """The number of a string among the names; null for null and for all others."""
    place = F.array_position(F.array(*map(F.lit, names)).cast("array<string>"), given)
    return F.when(place > 0, place - 1)
