"""Which bucket each event of a batch is in: numbers by their size, categories by their hash, many at once."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mmh3
import numpy as np

from brigade.profiles.profile import GROWTH, SMALLEST

VALUE_BUCKETS = 4096  # of a field's categories: two of twenty share one in 1 of 20 fields
LONGEST_NAME = 64  # characters of a category's name
NEVER = 1 << 20  # in place of a power of GROWTH, for what is missing


@dataclass(frozen=True)
class Found:
    """The buckets of an aspect that some events of a batch are in.

    events: positions in the batch, int [k]; an event may come several times. codes: positions in `buckets`, int [k].
    names: bucket → the category that it stands for.
    """

    field: str
    aspect: str
    events: np.ndarray
    codes: np.ndarray
    buckets: Sequence[str]
    names: dict[str, str] = dataclasses.field(default_factory=dict)


def of_numbers(name: str, aspect: str, events: np.ndarray, values: np.ndarray) -> Found:
    """The buckets of these events' numbers, float [k]: as `bucket_of_number` has them; NaN is missing."""
    values = np.asarray(values, np.float64)
    sizes = np.abs(values)
    is_number, is_zero = np.isfinite(values), sizes < SMALLEST
    place = np.ceil(np.log(np.where(is_number & ~is_zero, sizes, 1.0)) / np.log(GROWTH)).astype(np.int64)
    # Twice the power, and one more for a number below 0.
    keys = np.where(is_number, np.where(is_zero, NEVER + 1, 2 * place + (values < 0)), NEVER)
    found, codes = np.unique(keys, return_inverse=True)
    special = {NEVER: "missing", NEVER + 1: "zero"}
    buckets = [special.get(key) or f"{key // 2}{'n' if key % 2 else ''}" for key in found.tolist()]
    return Found(name, aspect, events, codes, buckets)


def of_values(name: str, aspect: str, events: np.ndarray, codes: np.ndarray, values: Sequence[str]) -> Found:
    """The buckets of these events' categories. codes: positions in `values`, int [k]."""
    buckets = [bucket_of_value(one) for one in values]
    names: dict[str, str] = {}
    for bucket, one in zip(buckets, values, strict=True):
        names[bucket] = min(names.get(bucket, one[:LONGEST_NAME]), one[:LONGEST_NAME])
    return Found(name, aspect, events, codes, buckets, names)


def bucket_of_value(value: str) -> str:
    """The bucket of a category."""
    return str(hash_of(value) % VALUE_BUCKETS)


def bucket_of_class(value: str) -> str:
    """The bucket of one of a model's classes: these are few, and no two of them may share one."""
    return f"{hash_of(value):08x}"


def hash_of(value: str) -> int:
    return mmh3.hash(value.encode("utf-8", "surrogatepass"), 0, False)


def of_kinds(name: str, aspect: str, events: np.ndarray, kinds: Iterable[int], buckets: Sequence[str]) -> Found:
    """The buckets of events of a few kinds, each a position in `buckets`."""
    return Found(name, aspect, events, np.asarray(kinds, np.int64), buckets)
