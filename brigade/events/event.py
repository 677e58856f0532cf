"""What an event is. Every stage that reads a message or a line asks here.

An event is one JSON object in UTF-8 with the strings eventId, eventTimestamp (RFC 3339), doc.docId and doc.payload.
Everything else is optional and is kept as it came. What is not an event has one reason, a short fixed code. Of a name
that occurs twice in an object the last value counts.
"""

import re
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from brigade.events.json_text import NotAnEvent, check_object, json_type, parse
from brigade.events.rules import HELD, MAX_EVENT_BYTES, NOT_HELD, NOT_RFC3339, RFC3339

REQUIRED = (("eventId",), ("eventTimestamp",), ("doc", "docId"), ("doc", "payload"))
TIME_HELD, TIME = re.compile(HELD, re.ASCII), re.compile(RFC3339, re.ASCII)


def read_event(data: bytes, max_bytes: int = MAX_EVENT_BYTES) -> dict:
    """Parses a message. Raises NotAnEvent if it is too large, not JSON, or not an event.

    {"eventTimestamp": "2019-04-02T21:55:57Z", "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
     "eventSource": "doc.contract", "eventVersion": "1.0", "eventType": "DocSchedule",
     "doc": {"schemaVersion": "1.0", "docId": "CF2909E5-12C8-4D42-A996-12672B727B3B",
             "metadata": {"accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D", "superTag01": "A", "superTag02": "C",
                          "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]},
             "payload": "texto teste"}}
    """
    if len(data) > max_bytes:
        raise NotAnEvent("too_large", f"expected at most {max_bytes} bytes, found {len(data)}")
    return check_event(parse(data))


def check_event(event: object) -> dict:
    """The parsed value, if it is an event. Raises NotAnEvent if it is no object, or if a field is not as it must be."""
    event = check_object(event)
    doc: Any = event.get("doc")
    whole = (
        type(doc) is dict
        and type(event.get("eventId")) is type(event.get("eventTimestamp")) is str
        and type(doc.get("docId")) is type(doc.get("payload")) is str
        and event["eventId"]
        and doc["docId"]
    )
    if not whole:
        raise_missing_field(event)
    check_optional_fields(event, doc)
    if not is_timestamp(event["eventTimestamp"]):
        raise NotAnEvent("bad_timestamp", timestamp_problem(event["eventTimestamp"]))
    if not doc["payload"] or doc["payload"].isspace():
        raise NotAnEvent("empty_payload", "doc.payload holds no text")
    return event


def check_optional_fields(event: dict, doc: dict) -> None:
    """Raises NotAnEvent if a field that Spark reads as a structure is one of another type. Null is no value."""
    metadata, pubsub = doc.get("metadata"), event.get("pubsub")
    if type(metadata) is dict:
        tags = metadata.get("otherTags")
        if type(tags) is list:
            for tag in tags:
                if type(tag) is not dict and tag is not None:
                    raise wrong_type("doc.metadata.otherTags", "an array of objects", tag)
        elif tags is not None:
            raise wrong_type("doc.metadata.otherTags", "an array of objects", tags)
    elif metadata is not None:
        raise wrong_type("doc.metadata", "an object", metadata)
    if pubsub is not None and type(pubsub) is not dict:
        raise wrong_type("pubsub", "an object", pubsub)


def wrong_type(where: str, expected: str, value: object) -> NotAnEvent:
    return NotAnEvent("wrong_type", f"{where}: expected {expected}, found {json_type(value)}")


def raise_missing_field(event: dict) -> NoReturn:
    """Raises NotAnEvent for the first required field that is missing, empty or not a string."""
    for path in REQUIRED:
        value: object = event
        for depth, name in enumerate(path, 1):
            if not isinstance(value, dict):
                where = ".".join(path[: depth - 1])
                raise wrong_type(where, "an object", value)
            if name not in value:
                raise NotAnEvent("missing_field", ".".join(path[:depth]))
            value = value[name]
        if not isinstance(value, str):
            raise wrong_type(".".join(path), "a string", value)
    empty = "eventId" if not event["eventId"] else "doc.docId"
    raise NotAnEvent("missing_field", f"{empty} is empty")


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
