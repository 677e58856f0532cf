"""Rows → matrices, batch by batch, in the columns of Arrow: as `TableModel.matrix` does it, for many rows at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.models.table_model import LARGEST, Feature

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch

META = ("id", "place", "moment", "part")  # of a row, beside label and features


def laid_out(parts: DataFrame, features: Sequence[Feature], baseline: str | None = None) -> DataFrame:
    """The rows as matrices need them: META, `label`, `baseline`, and the features as f0, f1, …, double or string.

    A feature that the rows do not have is missing in all of them.
    """
    own = {field.name: field.dataType for field in parts.schema["row"].dataType.fields}  # type: ignore[attr-defined]
    found = []
    for number, feature in enumerate(features):
        kind = "string" if feature.type == "category" else "double"
        given = F.col("row").getField(feature.name) if feature.name in own else F.lit(None)
        found.append(given.cast(kind).alias(f"f{number}"))
    known = F.col("row").getField(baseline) if baseline and baseline in own else F.lit(None)
    return parts.select(*META, "label", known.cast("double").alias("baseline"), *found)


def matrix_of(batch: "RecordBatch", features: Sequence[Feature]) -> np.ndarray:
    """The features of a batch of such rows, float32 [n, features]; NaN is missing, see `TableModel.matrix`."""
    found = np.empty((batch.num_rows, len(features)), np.float32)
    for number, feature in enumerate(features):
        values = batch.column(batch.schema.get_field_index(f"f{number}"))
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
    """`laid_out` rows → `id`, `place`, `validation`, `label` (of a classification the class's number), `values`."""
    schema = "id string, place long, validation boolean, label double, values array<float>"

    def encode(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
        import pyarrow.compute

        for batch in batches:
            matrix, label = matrix_of(batch, features), batch.column("label")
            starts = np.arange(0, matrix.size + 1, len(features), dtype=np.int32)
            yield pyarrow.RecordBatch.from_arrays(
                [
                    batch.column("id"),
                    batch.column("place"),
                    pyarrow.compute.equal(batch.column("part"), "validation"),
                    pyarrow.array(codes_of(label, classes)) if classes else label,
                    pyarrow.ListArray.from_arrays(pyarrow.array(starts), pyarrow.array(matrix.ravel())),
                ],
                names=["id", "place", "validation", "label", "values"],
            )

    return rows.mapInArrow(encode, schema)
