"""Requests and messages that are almost right: valid ones with bytes flipped, cut, moved, with other types, deep nests,
huge numbers, odd Unicode, other headers, methods and paths. The same ones for the same seed."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

NEST = "@nest@"  # json.dumps would not write one as deep
MAX_BODY_BYTES = 10_000_000
ODD_VALUES: tuple = (
    None, True, 0, -1, -0.0, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", " ", "\0", "\ud800", "\udfff\ud800",
    "\u202e\u0301" * 200, "\ufeff", "ﷺ" * 1000, "\U0001f469\u200d" * 50, "a" * 100_000, "a " * 50_000, [], {}, [[]],
    "2019-02-30T25:61:61Z", {"": {}}, NEST,
)  # fmt: skip
ODD_HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Type", "text/plain"), ("Content-Type", ""), ("Content-Type", "application/json; charset=utf-16"),
    ("Content-Type", "application/json; charset=nonsense"), ("Content-Type", "multipart/form-data"),
    ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Type", "application/cloudevents+json"),
    ("Content-Type", "application/cloudevents-batch+json"), ("Content-Encoding", "gzip"), ("Accept", "nothing/*;q=x"),
    ("Transfer-Encoding", "chunked"), ("Expect", "100-continue"), ("Host", ""), ("Host", "x" * 300), ("Cookie", "=;=;"),
    ("X-Cloud-Trace-Context", "no/trace;o=x"), ("Traceparent", "00-zz-zz-zz"), ("Authorization", "Bearer"),
    ("Range", "bytes=9-1"), ("If-None-Match", "*"), ("X-Long", "x" * 4000), ("Function-Execution-Id", "\xff\xfe"),
    ("ce-id", ""), ("ce-specversion", "9.9"), ("ce-type", "\xe7"), ("ce-source", " "), ("ce-time", "yesterday"),
    ("ce-dataschema", "::"), ("ce-datacontenttype", "application/xml"),
)  # fmt: skip
METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO")
PATHS = (
    "/healthz",
    "/model",
    "/nowhere",
    "/robots.txt",
    "/%00%ff",
    "/../../etc/passwd",
    "//",
    "/?a=%",
    f"/{'x' * 3000}",
)
EVENTARC = {
    "ce-id": "4711",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/brigade-local/topics/topic-brigade",
}


@dataclass
class Request:
    """An HTTP request as it is to be sent; `chunked` is said by its headers."""

    body: bytes
    headers: dict[str, str]
    method: str = "POST"
    path: str = "/"


# ------------------------------------------------------------------------------------------------ of JSON values


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values within a JSON value, its own first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def changed(rng: random.Random, document: object) -> object:
    """A copy in which one value is another one, gone, twice there, or has another name."""
    document = json.loads(json.dumps(document))
    path = rng.choice(list(places(document)))
    if not path:
        return rng.choice(ODD_VALUES)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    way, key = rng.randrange(4), path[-1]
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[rng.choice(("", "payload", "doc", "message", "classification", "\ud800", key.upper()))] = holder.pop(key)
    elif way == 1:
        holder.append(holder[key])
    else:
        holder[key] = rng.choice(ODD_VALUES)
    return document


def written(rng: random.Random, document: object) -> bytes:
    depth = rng.choice((2, 30, 900, 1100, 5000))
    nest = rng.choice((("[", "]"), ('{"a":', "}")))
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    return text.replace(f'"{NEST}"', nest[0] * depth + "1" + nest[1] * depth).encode("utf-8", "surrogatepass")


# ----------------------------------------------------------------------------------------------------- of bytes


def flipped(rng: random.Random, body: bytes) -> bytes:
    found = bytearray(body)
    for _ in range(rng.randint(1, 5)):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body))]


def moved(rng: random.Random, body: bytes) -> bytes:
    """Some of it stands somewhere else, too."""
    start, place = rng.randrange(len(body)), rng.randrange(len(body))
    return body[:place] + body[start : start + rng.randint(1, 200)] + body[place:]


def strewn(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body))
    return body[:place] + rng.randbytes(rng.randint(1, 20)) + body[place:]


def mutated(rng: random.Random, document: object) -> bytes:
    """The document in bytes, changed as JSON, as bytes, as both, or not at all."""
    way = rng.random()
    if way < 0.5:
        for _ in range(rng.randint(1, 3)):
            document = changed(rng, document)
    body = written(rng, document)
    if 0.45 < way < 0.95 and body:
        body = rng.choice((flipped, cut, moved, strewn))(rng, body)
    return body


# -------------------------------------------------------------------------------------------------- of requests


def around(rng: random.Random, body: bytes, headers: dict[str, str]) -> Request:
    """The request of a body; one in five has another header, and some another method or path."""
    request = Request(body, {"Content-Type": "application/json"} | headers)
    if rng.random() < 0.2:
        for name, value in rng.sample(ODD_HEADERS, rng.randint(1, 2)):
            request.headers[name] = value
    if rng.random() < 0.05 and len(request.headers) > 1:
        del request.headers[rng.choice(list(request.headers))]
    if rng.random() < 0.03:
        request.method = rng.choice(METHODS)
    if rng.random() < 0.03:
        request.path = rng.choice(PATHS)
    return request


def prediction_request(rng: random.Random, events: list[dict]) -> Request:
    """One for `predict`; one in 500 is larger than it takes."""
    if rng.random() < 0.002:
        return around(rng, written(rng, {"instances": [{"payload": "a" * MAX_BODY_BYTES}]}), {})
    chosen = rng.choices(events, k=rng.randint(1, 3))
    document: dict = {"instances": [rng.choice((one, {"payload": one["doc"]["payload"]})) for one in chosen]}
    if rng.random() < 0.3:
        document["explain"] = True
    return around(rng, mutated(rng, document), {})


def message_request(rng: random.Random, events: list[dict]) -> Request:
    """One for `classify`: a push, or what Eventarc delivers; mostly the event is mutated, or what is around it. One in
    500 is larger than landing takes, or than Pub/Sub itself."""
    event = rng.choice(events)
    if rng.random() < 0.002:
        event = event | {"filler": "a" * rng.choice((5_000_000, MAX_BODY_BYTES))}
    data = mutated(rng, event) if rng.random() < 0.7 else json.dumps(event).encode()
    attributes = {"origin": "here"} | {rng.choice(string.ascii_letters): "é" * rng.choice((1, 600))}
    message = {"data": base64.b64encode(data).decode(), "messageId": "4711", "attributes": attributes}
    message["publishTime"] = "2026-11-01T12:00:00.123Z"
    envelope = {"message": message, "subscription": "projects/brigade-local/subscriptions/sub-brigade-classify"}
    way, body = rng.random(), json.dumps(envelope).encode()
    if way < 0.3:
        body = mutated(rng, envelope)
    if way > 0.9:  # a CloudEvent in structured form
        body = json.dumps({name.removeprefix("ce-"): value for name, value in EVENTARC.items()} | {"data": envelope})
        return around(rng, body.encode(), {"Content-Type": "application/cloudevents+json"})
    return around(rng, body, rng.choice(({}, EVENTARC)))


KINDS: dict[str, Callable[[random.Random, list[dict]], Request]] = {
    "predict": prediction_request,
    "classify": message_request,
}
