"""The value of an event's field in a row's column: from the text of a table, or from what JSON lines and Parquet hold.

What is not of the field's type goes as it is, so that landing refuses the event and keeps it. None is no value.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import orjson

from brigade.events.event import is_timestamp
from brigade.publishing.columns import as_text

# What stands for a missing number, boolean or time in tables, in any case; in a column of texts each may be a text.
MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "missing"}
BOOLEANS = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True}
BOOLEANS |= {"false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INTEGER = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
MAX_DIGITS = 100  # of a text that is read as an integer
INTEGERS = range(-(2**63), 2**63)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# RFC 3339 without an offset, with or without seconds, which is taken for UTC.
LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?", re.ASCII)


def is_missing(value: object) -> bool:
    """Whether a value says that there is none."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or isinstance(value, (float, Decimal)) and math.isnan(value)


def as_number(value: object) -> object:
    """A finite number as a float; a number beyond a double's range as its text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)) or isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        try:
            number = float(value)
        except OverflowError:
            return str(value)
        return number if math.isfinite(number) else str(value)
    return value


def as_integer(value: object) -> object:
    """A whole number of 64 bits as an int, also if it is written 5.0; another number as it is."""
    if isinstance(value, str) and INTEGER.fullmatch(value.strip()) and len(value) < MAX_DIGITS:
        number = int(value.partition(".")[0])
    elif isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        return as_number(value) if not isinstance(value, str) else value
    return number if number in INTEGERS else str(value)


def as_boolean(value: object) -> object:
    """true and false, yes and no, 1 and 0."""
    if isinstance(value, bool):
        return value
    return BOOLEANS.get(str(value).strip().lower(), value) if isinstance(value, (str, int, float)) else value


def as_timestamp(value: object) -> object:
    """RFC 3339 as it is; a date as its first moment, and a time without an offset as that of UTC."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if not isinstance(value, str):
        return value
    text = value.strip()
    if DATE.fullmatch(text):
        return f"{text}T00:00:00Z"
    if found := LOCAL.fullmatch(text):
        return f"{found[1]}T{found[2]}{found[3] or ':00'}Z"
    return text


def as_list(value: object) -> object:
    """An array, also if it comes as its JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "a boolean",
    "timestamp": "a date, or a time as RFC 3339 has it",
    "list": "an array",
}
# For each type: how a value becomes one of it, and whether it is one.
KINDS: dict[str, tuple[Callable[[object], object], Callable[[object], bool]]] = {
    "number": (as_number, lambda value: isinstance(value, float)),
    "integer": (as_integer, lambda value: type(value) is int),
    "boolean": (as_boolean, lambda value: isinstance(value, bool)),
    "timestamp": (as_timestamp, lambda value: isinstance(value, str) and is_timestamp(value)),
    "list": (as_list, lambda value: isinstance(value, list)),
}


def value_as(kind: str, value: object) -> tuple[object, bool]:
    """The value of a field of this type, None if there is none, and whether it is of the type."""
    if isinstance(value, float) and math.isnan(value):
        return None, True
    if kind in ("string", "text"):
        text = as_text(value)
        return (text if text or kind == "text" and value is not None else None), True
    if kind == "json":
        return (None if value == "" else value), True
    if kind == "number" and isinstance(value, str) and NUMBER.fullmatch(value):  # what nearly all cells are
        number = float(value)
        return (number, True) if math.isfinite(number) else (value, False)
    if is_missing(value):
        return None, True
    convert, is_one = KINDS[kind]
    converted = convert(value)
    return converted, is_one(converted)
