"""Adds a member to an event's JSON text without touching its other bytes.

The event stays as its publisher wrote it: number formats, the order of members and escapes are kept.
"""

import json
import re
from itertools import pairwise
from typing import Any

import orjson

# In a JSON text, everything up to the next bracket or comma outside a string; and up to the next bracket alone.
UP_TO_A_MARK, UP_TO_A_BRACKET = (
    re.compile(rf'[^"{marks}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{marks}]*)*[{marks}]') for marks in (r"{}\[\],", r"{}\[\]")
)


def landed_line(data: bytes, event: dict, pubsub: dict) -> bytes:
    """The event on one line that ends with a newline, with `"pubsub": {…}` as its last member."""
    # Outside strings JSON takes a line break for a space; inside strings a raw line break is not allowed.
    own = data.replace(b"\n", b" ").replace(b"\r", b" ")
    return with_member(own, event, "pubsub", pubsub) + b"\n"


def with_member(data: bytes, event: dict, name: str, value: dict) -> bytes:
    """The object in `data`, parsed as `event`, with the member added at its end. An earlier one of that name goes."""
    own = data.strip()
    if name in event:
        own = without_member(own.decode("utf-8"), name).encode("utf-8")
    # Joined in one step: landing does this for every event.
    return b"".join((own[:-1].rstrip(), b", ", orjson.dumps(name), b": ", orjson.dumps(value), b"}"))


def without_member(text: str, name: str) -> str:
    """The JSON object in the text without its members of that name; the text of the others stays as it is.

    It only looks for where members end, so no nesting is too deep for it and no number too long.
    """
    at, depth, ends = 1, 1, [0]
    while depth:
        found: Any = (UP_TO_A_MARK if depth == 1 else UP_TO_A_BRACKET).match(text, at)
        at = found.end()
        depth += (text[at - 1] in "{[") - (text[at - 1] in "}]")
        if depth == 0 or text[at - 1] == ",":
            ends.append(at - 1)
    key = json.JSONDecoder().raw_decode
    members = [text[start + 1 : end].strip() for start, end in pairwise(ends)]
    return "{" + ", ".join(member for member in members if key(member)[0] != name) + "}"
