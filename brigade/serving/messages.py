"""A Pub/Sub message as it is pushed, and the attributes of what is published for it.

It comes from a push subscription or from Eventarc, as a CloudEvent in headers or in the body. Whatever the message
holds, the attributes made here are ones that Pub/Sub takes.
"""

import base64
from dataclasses import dataclass

import orjson

from brigade.events.json_text import json_problem, json_type
from brigade.serving.requests import Refused

MAX_DEAD_LETTER_BYTES = 9_900_000  # Pub/Sub takes 10 MB a request, and attributes are added
MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_VALUE_BYTES = 100, 256, 1024  # https://cloud.google.com/pubsub/quotas
MAX_ID = 200


@dataclass(frozen=True)
class Message:
    """A Pub/Sub message."""

    id: str
    data: bytes
    attributes: dict[str, str]
    ordering_key: str = ""


def read_message(body: bytes, event_id: str = "") -> Message:
    """The message in the body of a push or of a CloudEvent, which is the data alone or the whole event as JSON.

    event_id: the id of a CloudEvent whose other members are headers. Raises Refused, also if the data is not base64 or
    an attribute is not a string: Pub/Sub sends neither.
    """
    try:
        pushed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"expected a Pub/Sub message, found no JSON: {json_problem(error)}") from error
    own_id: object = event_id
    if isinstance(pushed, dict) and "specversion" in pushed:
        own_id, pushed = pushed.get("id"), pushed.get("data")
    message = pushed.get("message") if isinstance(pushed, dict) else None
    if not isinstance(message, dict):
        raise Refused(f'expected {{"message": {{"data", …}}}}, found a message that is {json_type(message)}')
    data, attributes = message.get("data") or "", message.get("attributes") or {}
    if not isinstance(data, str):
        raise Refused(f"message.data: expected base64, found {json_type(data)}")
    if not isinstance(attributes, dict):
        raise Refused(f"message.attributes: expected an object, found {json_type(attributes)}")
    for value in attributes.values():
        if not isinstance(value, str):
            raise Refused(f"message.attributes: expected strings, found {json_type(value)}")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise Refused("message.data: expected base64, found something else") from error
    ids = (message.get("messageId"), message.get("message_id"), own_id)
    message_id = next((one for one in ids if isinstance(one, str) and one), "")
    keys = (message.get("orderingKey"), message.get("ordering_key"))
    ordering_key = next((one for one in keys if isinstance(one, str)), "")
    return Message(message_id[:MAX_ID], content, attributes, ordering_key)


def attributes_to_publish(own: dict[str, str], original: dict[str, str]) -> dict[str, str]:
    """Our own attributes and then the original ones; what Pub/Sub would refuse is shortened or left out."""
    kept = {
        key: value
        for key, value in original.items()
        if key and not key.startswith("goog") and len(key.encode()) <= MAX_KEY_BYTES
    }
    kept = dict(list(kept.items())[: MAX_ATTRIBUTES - len(own)])
    return {key: clipped(value) for key, value in (kept | own).items()}


def clipped(value: str) -> str:
    return value.encode("utf-8")[:MAX_VALUE_BYTES].decode("utf-8", "ignore")
