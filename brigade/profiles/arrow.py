"""Columns of Arrow as arrays of numpy, and back, without pandas.

pyarrow's own conversions import pandas, which takes each worker of a session a third of a second, once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyarrow import Array


def is_there(column: "Array") -> np.ndarray:
    """Whether each value is there, bool [n]; False is null."""
    bits = column.buffers()[0]
    return np.ones(len(column), bool) if bits is None else unpacked(bits, column)


def numbers_in(column: "Array", null: float) -> np.ndarray:
    """Integers, doubles or booleans as an array of their own type, [n], with this number in place of null."""
    import pyarrow

    data = column.buffers()[1] or b""  # without rows there may be no buffer
    if pyarrow.types.is_boolean(column.type):
        values = unpacked(data, column)
    else:
        kind = str(column.type).replace("double", "float64")
        values = np.frombuffer(data, kind, len(column) + column.offset)[column.offset :]
    return values if not column.null_count else np.where(is_there(column), values, np.asarray(null, values.dtype))


def unpacked(bits: object, column: "Array") -> np.ndarray:
    """The bits of a column's buffer as bool [n]."""
    packed = np.frombuffer(bits, np.uint8)  # type: ignore[call-overload]
    return np.unpackbits(packed, bitorder="little")[column.offset : column.offset + len(column)].astype(bool)


def coded(column: "Array") -> tuple[np.ndarray, list[str]]:
    """Strings as codes, int [n], and the different strings that these stand for; null is -1."""
    found = column.dictionary_encode()
    return numbers_in(found.indices, -1).astype(np.int64), found.dictionary.to_pylist()


def taken(column: "Array", places: np.ndarray) -> "Array":
    """The values at these places, int [k]."""
    return column.take(integers(places))


def integers(values: Sequence[int] | np.ndarray) -> "Array":
    """A column of these numbers."""
    import pyarrow

    data = np.ascontiguousarray(values, np.int64)
    return pyarrow.Array.from_buffers(pyarrow.int64(), len(data), [None, pyarrow.py_buffer(data)])


def strings(values: Sequence[str | None]) -> "Array":
    """A column of these strings; None is null."""
    import pyarrow

    raw = [b"" if one is None else one.encode() for one in values]
    ends = np.cumsum([0, *map(len, raw)], dtype=np.int32)
    bits = np.packbits(np.array([one is not None for one in values], bool), bitorder="little")
    buffers = [pyarrow.py_buffer(one) for one in (bits, ends, b"".join(raw))]
    return pyarrow.Array.from_buffers(pyarrow.string(), len(raw), buffers)
