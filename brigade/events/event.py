"""What an event is. Every stage that reads a message or a line asks here.

An event is one JSON object in UTF-8 with the strings eventId, eventTimestamp (RFC 3339), doc.docId and doc.payload.
Everything else is optional and is kept as it came. What is not an event has one reason, a short fixed code.
"""

import re
from datetime import UTC, datetime
from typing import Any, NoReturn

import orjson

from brigade.errors import BrigadeError

MAX_EVENT_BYTES = 4 << 20  # far enough below Pub/Sub's 10 MB for what is added to an event
# An offset is at most 18 hours, as in Java and Spark.
RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-](?:(?:0\d|1[0-7]):[0-5]\d|18:00)))", re.ASCII
)
REQUIRED = (("eventId",), ("eventTimestamp",), ("doc", "docId"), ("doc", "payload"))
JSON_TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


class NotAnEvent(BrigadeError):
    """A message that is not an event. `reason` is a fixed code; `detail` says more and holds no document text."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def read_event(data: bytes, max_bytes: int = MAX_EVENT_BYTES) -> dict:
    """Parses a message. Raises NotAnEvent if it is too large, not JSON, or lacks a required field.

    {"eventTimestamp": "2019-04-02T21:55:57Z", "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
     "eventSource": "doc.contract", "eventVersion": "1.0", "eventType": "DocSchedule",
     "doc": {"schemaVersion": "1.0", "docId": "CF2909E5-12C8-4D42-A996-12672B727B3B",
             "metadata": {"accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D", "superTag01": "A", "superTag02": "C",
                          "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]},
             "payload": "texto teste"}}
    """
    if len(data) > max_bytes:
        raise NotAnEvent("too_large", f"expected at most {max_bytes} bytes, found {len(data)}")
    event = parse(data)
    if not isinstance(event, dict):
        raise NotAnEvent("not_an_object", f"expected an object, found {json_type(event)}")
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
    if not is_timestamp(event["eventTimestamp"]):
        raise NotAnEvent("bad_timestamp", "eventTimestamp: expected RFC 3339, such as 2019-04-02T21:55:57Z")
    if not doc["payload"] or doc["payload"].isspace():
        raise NotAnEvent("empty_payload", "doc.payload holds no text")
    return event


def parse(data: bytes) -> object:
    """The value of a JSON text. Raises NotAnEvent if the bytes are not UTF-8 or not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise NotAnEvent("not_utf8", f"byte {problem.start} is not valid UTF-8") from error
        raise NotAnEvent("malformed_json", json_problem(error)) from error


def raise_missing_field(event: dict) -> NoReturn:
    """Raises NotAnEvent for the first required field that is missing, empty or not a string."""
    for path in REQUIRED:
        value: object = event
        for depth, name in enumerate(path, 1):
            if not isinstance(value, dict):
                where = ".".join(path[: depth - 1])
                raise NotAnEvent("wrong_type", f"{where}: expected an object, found {json_type(value)}")
            if name not in value:
                raise NotAnEvent("missing_field", ".".join(path[:depth]))
            value = value[name]
        if not isinstance(value, str):
            raise NotAnEvent("wrong_type", f"{'.'.join(path)}: expected a string, found {json_type(value)}")
    empty = "eventId" if not event["eventId"] else "doc.docId"
    raise NotAnEvent("missing_field", f"{empty} is empty")


def is_timestamp(text: str) -> bool:
    """Whether the text is an RFC 3339 date and time with an offset."""
    match = RFC3339.fullmatch(text)
    if not match:
        return False
    date, clock, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{offset or ''}")
        if offset:
            moment.astimezone(UTC)  # the years 1 and 9999 have no room for every offset
    except (ValueError, OverflowError):
        return False
    return True


def json_type(value: object) -> str:
    """What JSON calls the type of a parsed value."""
    return JSON_TYPES.get(type(value), "a number")


def json_problem(error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that is not JSON, and where, without any of the text."""
    return f"{error.msg.split(':')[0]} at character {error.pos}"
