"""Rows in Arrow's columns → matrices: as `TableModel.matrix` does it, for many rows at once."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from brigade.models.table_model import LARGEST, Feature

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch


def named(features: Sequence[Feature]) -> Iterator[tuple[str, Feature]]:
    """The features, each with the name of its column in rows that are laid out: f0, f1, …."""
    return ((f"f{number}", feature) for number, feature in enumerate(features))


def matrix_of(batch: "RecordBatch", features: Sequence[Feature]) -> np.ndarray:
    """The features of a batch of laid out rows, float32 [n, features]; NaN is missing, see `TableModel.matrix`."""
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
