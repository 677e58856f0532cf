"""What an event is. Every stage that reads a message or a line asks here.

An event is one JSON object in UTF-8 with what its contract requires (brigade/events/contract.py): a document has the
strings eventId, eventTimestamp (RFC 3339), doc.docId and doc.payload. Everything else is optional and is kept as it
came. What is not an event has one reason, a short fixed code. Of a name that occurs twice in an object the last value
counts.
"""

import re
import uuid
from datetime import UTC, date, datetime
from typing import Any

from brigade.events.contract import DOCUMENTS, PYTHON_TYPES, Contract, Path
from brigade.events.json_text import NotAnEvent, check_object, json_type, parse
from brigade.events.rules import HELD, MAX_EVENT_BYTES, NOT_HELD, NOT_RFC3339, RFC3339

TIME_HELD, TIME = re.compile(HELD, re.ASCII), re.compile(RFC3339, re.ASCII)
BEYOND_DOUBLE = [str(uuid.uuid4())]  # stands for a number beyond a double's range: a value that no field may have
LONGS = range(-(2**63), 2**63)
KINDS = {  # what a field of a type holds, in words
    "string": "a string",
    "text": "a string",
    "timestamp": "a string",
    "number": "a number",
    "integer": "a whole number of 64 bits",
    "boolean": "a boolean",
    "object": "an object",
    "list": "an array of objects",
}


def read_event(data: bytes, max_bytes: int = MAX_EVENT_BYTES, contract: Contract = DOCUMENTS) -> dict:
    """Parses a message. Raises NotAnEvent if it is too large, not JSON, or not an event of the contract.

    {"eventTimestamp": "2019-04-02T21:55:57Z", "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
     "eventSource": "doc.contract", "eventVersion": "1.0", "eventType": "DocSchedule",
     "doc": {"schemaVersion": "1.0", "docId": "CF2909E5-12C8-4D42-A996-12672B727B3B",
             "metadata": {"accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D", "superTag01": "A", "superTag02": "C",
                          "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]},
             "payload": "texto teste"}}
    """
    if len(data) > max_bytes:
        raise NotAnEvent("too_large", f"expected at most {max_bytes} bytes, found {len(data)}")
    return check_event(parse(data, beyond_double=BEYOND_DOUBLE if contract.has_numbers else 0), contract)


def check_event(event: object, contract: Contract = DOCUMENTS) -> dict:
    """The parsed value, if it is an event. Raises NotAnEvent if it is no object, or if a field is not as it must be.

    The reason is the first one of: a required field is missing or of another type; it is empty; an optional field is of
    another type; a time is none; a text is blank.
    """
    event = check_object(event)
    if not is_clear(event, contract):
        check_fields(event, contract)
    for path in contract.times:
        value = value_at(event, path)
        if value is not None and not is_timestamp(value):
            raise NotAnEvent("bad_timestamp", f"{'.'.join(path)}: {timestamp_problem(value)}")
    for path in contract.texts:
        value = value_at(event, path)
        if value is not None and (not value or value.isspace()):
            raise NotAnEvent("empty_payload", f"{'.'.join(path)} holds no text")
    return event


def is_clear(event: dict, contract: Contract) -> bool:
    """Whether all fields are of their types and none is empty, as in nearly every event. `check_fields` tells more."""
    if contract.is_of_documents:
        return is_clear_document(event)
    for outer, members in contract.objects:
        held: Any = event
        for name in outer:
            held = held.get(name)
            if held is None:
                break
        else:
            for name, types in members:
                value = held.get(name)
                if type(value) not in types or value == "":
                    return False
    for path in contract.lists:
        for one in value_at(event, path) or ():
            if type(one) is not dict:
                return False
    return all((value_at(event, path) or 0) in LONGS for path in contract.integers)


def is_clear_document(event: dict) -> bool:
    """The same for documents, which landing sees most of, in a quarter of the time."""
    doc: Any = event.get("doc")
    if not (
        type(doc) is dict
        and type(event.get("eventId")) is type(event.get("eventTimestamp")) is str
        and type(doc.get("docId")) is type(doc.get("payload")) is str
        and event["eventId"]
        and doc["docId"]
    ):
        return False
    metadata, pubsub = doc.get("metadata"), event.get("pubsub")
    if type(metadata) is dict:
        tags = metadata.get("otherTags")
        if tags is not None and type(tags) is not list:
            return False
        for tag in tags or ():
            if type(tag) is not dict:
                return False
    elif metadata is not None:
        return False
    return pubsub is None or type(pubsub) is dict


def check_fields(event: dict, contract: Contract) -> None:
    """Raises NotAnEvent for the first required field that is missing or of another type, then for the first one that
    is empty, then for the first optional one that is of another type."""
    empty = None
    for path, kind in contract.required:
        value: Any = event
        for depth, name in enumerate(path):
            if type(value) is not dict:
                raise wrong_type(".".join(path[:depth]), "an object", value)
            if name not in value:
                raise NotAnEvent("missing_field", ".".join(path[: depth + 1]))
            value = value[name]
        check_kind(path, kind, value)
        if value == "" and kind == "string" and empty is None:
            empty = path
    if empty:
        raise NotAnEvent("missing_field", f"{'.'.join(empty)} is empty")
    for path, kind in contract.optional:
        value = value_at(event, path)
        if value is not None:
            check_kind(path, kind, value)


def check_kind(path: Path, kind: str, value: Any) -> None:
    """Raises NotAnEvent if a value is not of this kind. Of an array the first wrong item is told."""
    found = value
    if type(value) in PYTHON_TYPES[kind]:
        if kind == "list":
            found = next((one for one in value if type(one) is not dict and one is not None), None)
        else:
            found = value if kind == "integer" and value not in LONGS else None
        if found is None:
            return
    raise wrong_type(".".join(path), KINDS[kind], found)


def wrong_type(where: str, expected: str, value: object) -> NotAnEvent:
    found = "a number beyond a double's range" if value == BEYOND_DOUBLE else json_type(value)
    return NotAnEvent("wrong_type", f"{where}: expected {expected}, found {found}")


def value_at(event: dict, path: Path) -> Any:
    """The value at the path; None if there is none."""
    value: Any = event
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def is_timestamp(text: str) -> bool:
    """Whether the text is an RFC 3339 date and time with an offset, and one that Spark and Python hold."""
    match = TIME_HELD.fullmatch(text)
    if not match:
        return False
    day, clock, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset or ''}")
        if offset:
            moment.astimezone(UTC)  # the years 1 and 9999 have no room for every offset
    except (ValueError, OverflowError):
        return False
    return True


def timestamp_problem(text: str) -> str:
    """What is wrong with a text that is no timestamp: it is not RFC 3339, or RFC 3339 that Spark cannot hold."""
    if not TIME.fullmatch(text):
        return NOT_RFC3339
    try:
        date(int(text[:4]) or 4, int(text[5:7]), int(text[8:10]))  # the year 0 is a leap year, and Python has none
    except ValueError:
        return NOT_RFC3339
    return next(told for pattern, told in NOT_HELD.items() if re.search(pattern, text))
