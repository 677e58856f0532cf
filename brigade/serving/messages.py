"""A Pub/Sub message as it is pushed, the event in it, and what is published for it."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import orjson

MAX_EVENT_BYTES = 4 << 20  # as in landing, and far enough below Pub/Sub's 10 MB for what is added to an event
MAX_DEAD_LETTER_BYTES = 9_900_000  # Pub/Sub takes 10 MB a request, and reasons are added
MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_VALUE_BYTES = 100, 256, 1024  # https://cloud.google.com/pubsub/quotas
MAX_ID = 200
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
# In JSON text, all up to the next character that opens, closes or divides; and the same but for those that divide.
UP_TO_A_MARK, UP_TO_A_BRACKET = (
    re.compile(rf'[^"{marks}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{marks}]*)*[{marks}]') for marks in (r"{}\[\],", r"{}\[\]")
)
REQUIRED = (("eventId",), ("eventTimestamp",), ("doc", "docId"), ("doc", "payload"))
JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


class NotAMessage(Exception):
    """A body that is no Pub/Sub message; the message says what was expected and found."""

    status = 400  # HTTP's: what never passes


class NotAnEvent(Exception):
    """A message that cannot be classified: `reason` is a fixed code, `detail` holds no document text."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Message:
    """A Pub/Sub message."""

    id: str
    data: bytes
    attributes: dict[str, str]


def read_message(body: bytes, event_id: str = "") -> Message:
    """The message in a pushed body, or in a CloudEvent's: its data alone, or the whole event as JSON.

    event_id: the id of a CloudEvent whose other members are headers. Raises NotAMessage, also for data that is not
    base64 and attributes that are no strings: none of it comes from Pub/Sub.
    """
    try:
        pushed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAMessage(f"expected a Pub/Sub message, found no JSON: {where_json_ends(error)}") from error
    if isinstance(pushed, dict) and "specversion" in pushed:
        event_id, pushed = pushed.get("id"), pushed.get("data")
    message = pushed.get("message") if isinstance(pushed, dict) else None
    if not isinstance(message, dict):
        raise NotAMessage(f'expected {{"message": {{"data", …}}}}, found a message that is {kind(message)}')
    data, attributes = message.get("data") or "", message.get("attributes") or {}
    if not isinstance(data, str):
        raise NotAMessage(f"message.data: expected base64, found {kind(data)}")
    if not isinstance(attributes, dict):
        raise NotAMessage(f"message.attributes: expected an object, found {kind(attributes)}")
    for value in attributes.values():
        if not isinstance(value, str):
            raise NotAMessage(f"message.attributes: expected strings, found {kind(value)}")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise NotAMessage("message.data: expected base64, found something else") from error
    ids = (message.get("messageId"), message.get("message_id"), event_id)
    message_id = next((one for one in ids if isinstance(one, str) and one), "")
    return Message(message_id[:MAX_ID], content, attributes)


def kind(value: object) -> str:
    """What JSON calls a value."""
    return JSON_NAMES.get(type(value), "a number")


def where_json_ends(error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that is no JSON, without any of the text."""
    return f"{error.msg.split(':')[0]} at character {error.pos}"


# ------------------------------------------------------------------------------------------------------- events


def read_event(data: bytes) -> dict:
    """The event in a message's bytes, as landing reads it. Raises NotAnEvent."""
    if len(data) > MAX_EVENT_BYTES:
        raise NotAnEvent("too_large", f"expected at most {MAX_EVENT_BYTES} bytes, found {len(data)}")
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise NotAnEvent("not_utf8", f"byte {problem.start} is no UTF-8") from error
        raise NotAnEvent("malformed_json", where_json_ends(error)) from error
    if not isinstance(event, dict):
        raise NotAnEvent("not_an_object", f"expected an object, found {kind(event)}")
    for path in REQUIRED:
        value: object = event
        for depth, name in enumerate(path, 1):
            if not isinstance(value, dict):
                where = ".".join(path[: depth - 1])
                raise NotAnEvent("wrong_type", f"{where}: expected an object, found {kind(value)}")
            if name not in value:
                raise NotAnEvent("missing_field", ".".join(path[:depth]))
            value = value[name]
        if not isinstance(value, str):
            raise NotAnEvent("wrong_type", f"{'.'.join(path)}: expected a string, found {kind(value)}")
    if not is_timestamp(event["eventTimestamp"]):
        raise NotAnEvent("bad_timestamp", "eventTimestamp: expected RFC 3339, such as 2019-04-02T21:55:57Z")
    for where, value in (("eventId", event["eventId"]), ("doc.docId", event["doc"]["docId"])):
        if not value.strip():
            raise NotAnEvent("missing_field", f"{where} is empty")
    if not event["doc"]["payload"].strip():
        raise NotAnEvent("empty_payload", "doc.payload holds no text")
    return event


def is_timestamp(text: str) -> bool:
    """Whether the text is an RFC 3339 date and time with an offset."""
    match = RFC3339.fullmatch(text)
    if not match:
        return False
    day, clock, _, offset = match.groups()
    try:
        datetime.fromisoformat(f"{day}T{clock}{offset.replace('z', 'Z')}").astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def true_label(document: dict, column: str) -> str | None:
    """The label that an event carries for training to learn, as training reads it; None if it has none."""
    inner = document.get("doc")
    metadata = inner.get("metadata") if isinstance(inner, dict) else None
    label = metadata.get(column) if isinstance(metadata, dict) else None
    return label.strip(" ") or None if isinstance(label, str) else None


# --------------------------------------------------------------------------------------------- what is published


def with_member(data: bytes, event: dict, name: str, value: dict) -> bytes:
    """The object in `data`, whose parsed form is `event`, with the member added last; else its own bytes."""
    own = data.strip(b" \t\r\n")
    if name in event:
        own = without_member(own.decode("utf-8"), name).encode("utf-8")
    return own[:-1].rstrip(b" \t\r\n") + b", " + orjson.dumps(name) + b": " + orjson.dumps(value) + b"}"


def without_member(text: str, name: str) -> str:
    """The JSON object in the text without its members of that name; the others' text stays as it is.

    It looks for the ends of members alone: no nesting is too deep for it, and no number too long.
    """
    at, depth, ends = 1, 1, [0]
    while depth:
        at = (UP_TO_A_MARK if depth == 1 else UP_TO_A_BRACKET).match(text, at).end()
        depth += (text[at - 1] in "{[") - (text[at - 1] in "}]")
        if depth == 0 or text[at - 1] == ",":
            ends.append(at - 1)
    key = json.JSONDecoder().raw_decode
    members = [text[start + 1 : end].strip() for start, end in pairwise(ends)]
    return "{" + ", ".join(member for member in members if key(member)[0] != name) + "}"


def attributes_to_publish(own: dict[str, str], original: dict[str, str]) -> dict[str, str]:
    """Our own attributes above the original ones; what Pub/Sub would refuse is shortened or left out."""
    kept = {
        key: value
        for key, value in original.items()
        if key and not key.startswith("goog") and len(key.encode()) <= MAX_KEY_BYTES
    }
    kept = dict(list(kept.items())[: MAX_ATTRIBUTES - len(own)])
    return {key: clipped(value) for key, value in (kept | own).items()}


def clipped(value: str) -> str:
    return value.encode("utf-8")[:MAX_VALUE_BYTES].decode("utf-8", "ignore")
