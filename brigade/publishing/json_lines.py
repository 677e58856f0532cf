"""Reads documents from JSON lines: rows, which become events, and events, which go out byte for byte.

A line that is no JSON object goes out as it is too, to become a dead letter with its reason. A file in which no line
is an object, or an object goes on in the next line, is not JSON lines and is refused.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from brigade.errors import WrongInput
from brigade.publishing.columns import Columns, names_of
from brigade.publishing.documents import Message
from brigade.publishing.sources import named

MANY_NAMES = 50  # from which on to parse a line once more is cheaper than to look for each name
Record = Message | tuple[dict, str]  # what goes out as it is, or a row and its place


def json_rows(lines: Iterable[str], source: str, columns: Columns) -> Iterator[Record]:
    """The file's records. Raises WrongInput."""
    expected = f"{named(source)}: expected a JSON object in each line"
    begun = b""  # a line that breaks off, until the next one tells whether its object goes on there
    objects = filled = 0
    rows_are_checked = False
    for number, line in enumerate(lines, 1):
        data = line.removesuffix("\n").removesuffix("\r").encode("utf-8")
        if not data.strip():  # Pub/Sub takes no empty message
            continue
        row, breaks_off = parsed(data)
        if not filled and data.lstrip().startswith(b"["):
            raise WrongInput(f"{expected}, found an array in line {number}; jq -c '.[]' makes lines of it")
        if row is None and b"\r" in data.strip():
            raise WrongInput(f"{expected}, found a carriage return (CR) inside line {number}; end lines with LF")
        if begun:
            if row is None and (parsed(begun + b"\n" + data) != (None, False)):
                raise WrongInput(f"{expected}, found one that goes on in line {number}; jq -c . makes a line of it")
            yield Message(begun)
            begun = b""
        filled += 1
        objects += row is not None
        if row is None:
            if breaks_off and data.lstrip().startswith(b"{"):
                begun = data
            else:
                yield Message(data)
        elif message := columns.as_it_is(data, row):
            yield message
        else:
            if not rows_are_checked:
                columns.check(named(source), names_of(row))
                rows_are_checked = True
            check_names(data, f"{named(source)}: line {number}", columns)
            yield row, f"{os.path.basename(source)} {number}"
    if begun:
        yield Message(begun)
    if not objects:
        raise WrongInput(f"{expected}, found none")


def parsed(data: bytes) -> tuple[dict | None, bool]:
    """The object in the line, or None and whether the line is the beginning of a JSON value."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return None, error.pos >= len(error.doc)
    return (value if isinstance(value, dict) else None), False


def check_names(data: bytes, place: str, columns: Columns) -> None:
    """Raises WrongInput if a row has a column twice, such as its text, of which a parser keeps the last."""
    names = columns.names
    if len(names) > MANY_NAMES or any(data.count(orjson.dumps(name)) > 1 for name in names):
        found = Counter(name for name, _ in json.loads(data, object_pairs_hook=list))
        if doubled := [name for name in names if found[name] > 1]:
            raise WrongInput(f"{place}: expected one member {doubled[0]}, found {found[doubled[0]]}")
