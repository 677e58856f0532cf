"""A Pub/Sub message as it is pushed, and the attributes of what is published for it.

It comes from a push subscription or from Eventarc, as a CloudEvent in headers or in the body. Whatever the message
holds, the attributes made here are ones that Pub/Sub takes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from werkzeug.http import parse_options_header

from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import value_at
from brigade.events.json_text import json_problem, json_type
from brigade.serving.requests import Refused, unpacked

MAX_DEAD_LETTER_BYTES = 9_900_000  # Pub/Sub takes 10 MB a request, and attributes are added
MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_VALUE_BYTES = 100, 256, 1024  # https://cloud.google.com/pubsub/quotas
MAX_ID = 200
BATCH = "application/cloudevents-batch+json"
METADATA = "x-goog-pubsub-"  # https://cloud.google.com/pubsub/docs/payload-unwrapping
PUBSUB_AGENTS = ("CloudPubSub-Google", "APIs-Google")  # how Pub/Sub's pushes name themselves
# What HTTP, Cloud Run's front end and proxies add to a request. A token among it must never be published.
HTTP_HEADERS = {
    "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type",
    "cookie", "date", "forwarded", "from", "function-execution-id", "host", "te", "traceparent", "tracestate",
    "transfer-encoding", "user-agent", "via",
}  # fmt: skip
HTTP_PREFIXES = ("x-goog-", "x-forwarded-", "x-cloud-", "x-serverless-", "x-appengine-", "x-envoy-", "proxy-", "sec-")


@dataclass(frozen=True)
class Message:
    """A Pub/Sub message."""

    id: str
    data: bytes
    attributes: dict[str, str]
    ordering_key: str = ""


def read_message(body: bytes, headers: Mapping[str, str], limit: int, contract: Contract = DOCUMENTS) -> Message:
    """The message of a push, in Pub/Sub's envelope or without, or of a CloudEvent, in headers or in the body.

    limit: the largest body when unpacked, in bytes. contract: that of the events. Raises Refused.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    if parse_options_header(headers.get("content-type", ""))[0] == BATCH:
        raise Refused(f"Content-Type: expected one CloudEvent a request, found {BATCH}", 415)
    if any(name.startswith(METADATA) for name in headers):
        message_id, key = (headers.get(f"{METADATA}{name}", "") for name in ("message-id", "ordering-key"))
        return Message(message_id[:MAX_ID], body, attributes_of(headers), key)
    body = unpacked(body, headers.get("content-encoding", ""), limit)
    pushed, problem = None, ""
    try:
        pushed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = json_problem(error)
    if "ce-id" not in headers and comes_without_envelope(pushed, headers, contract):
        return Message("", body, {})
    if problem:
        raise Refused(f"expected a Pub/Sub message, found no JSON: {problem}")
    return enveloped(pushed, headers.get("ce-id", ""))


def comes_without_envelope(pushed: object, headers: Mapping[str, str], contract: Contract) -> bool:
    """Whether a body is a message's data alone, as a push subscription without envelope and metadata sends it.

    A bare event is told by its members; anything else only by its sender, since callers make mistakes too.
    """
    members = pushed if isinstance(pushed, dict) else {}
    if contract == DOCUMENTS:
        is_bare = "eventId" in members and "doc" in members
    else:
        is_bare = all(value_at(members, tuple(name.split("."))) is not None for name in (contract.id, contract.time))
    if is_bare:
        return True
    from_pubsub = any(name in headers.get("user-agent", "") for name in PUBSUB_AGENTS)
    return from_pubsub and "message" not in members and "specversion" not in members


def attributes_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a message that comes without envelope: the headers that neither HTTP nor Google adds."""
    return {
        name: value
        for name, value in headers.items()
        if name not in HTTP_HEADERS and not name.startswith(HTTP_PREFIXES)
    }


def enveloped(pushed: object, event_id: str) -> Message:
    """The message in Pub/Sub's envelope, which may be the data of a CloudEvent. Raises Refused, also if the data is
    not base64 or an attribute is not a string: Pub/Sub sends neither.

    event_id: the id of a CloudEvent whose other members are headers.
    """
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
