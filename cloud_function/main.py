"""SERVE: classifies each document, as it comes, with the latest promoted model.

`classify` answers HTTP: POST {"instances": [{"payload": "…"}, …]}, or whole events; GET: the state.
`classify_message` takes Pub/Sub pushes: the event as it came, plus `classification`, goes to RESULT_TOPIC;
what is no event goes to DEAD_LETTER_TOPIC, so that Pub/Sub does not bring it again. Whatever else fails
answers 5xx, and Pub/Sub does bring it again: only what is published is acknowledged.

On this machine:
    MODELS_URI=models functions-framework --source=cloud_function/main.py --target=classify --port=8080
    curl -d '{"instances": [{"payload": "texto teste"}]}' localhost:8080
On GCP:
    gcloud functions deploy classify --gen2 --runtime=python312 --source=cloud_function --trigger-http \\
        --entry-point=classify --set-env-vars=MODELS_URI=gs://ml_output/output/
"""

import base64
import functools
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import flask
import functions_framework
import orjson
from cloudevents.http import CloudEvent
from google.api_core.retry import Retry
from model_store import PLAIN_NAME, ModelStore, NoModel, ServedModel, model_date, one_line

log = logging.getLogger("cloud_function")

MAX_INSTANCES = 1000
MAX_BODY_BYTES = 10_000_000
MAX_EVENT_BYTES = 4 << 20  # as in landing, and far enough below Pub/Sub's 10 MB for what is added to an event
MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_VALUE_BYTES = 100, 256, 1024  # https://cloud.google.com/pubsub/quotas
PUBLISH_SECONDS = 30.0
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
TOPIC = re.compile(r"projects/[^/\s]+/topics/[A-Za-z][\w.~+%-]{2,254}")
REQUIRED = (("eventId",), ("eventTimestamp",), ("doc", "docId"), ("doc", "payload"))
JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


# --------------------------------------------------------------------------------------- environment and logs


class SettingError(Exception):
    """An environment variable is missing or wrong; the message says which, what was expected and found."""


@dataclass(frozen=True)
class Environment:
    """What the functions are told. Topics are full names, `projects/P/topics/T`, or None."""

    models_uri: str
    refresh_seconds: float
    pin: str | None
    result_topic: str | None
    dead_letter_topic: str | None


def get_env() -> Environment:
    """The environment, read and checked. Raises SettingError."""
    read = {name: value.strip() for name, value in os.environ.items()}
    uri = read.get("MODELS_URI", "")
    if not uri or ("://" in uri and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", uri)):
        raise SettingError(f"MODELS_URI: expected gs://bucket/prefix or a local path, found {uri!r}")
    try:
        seconds = float(read.get("MODEL_REFRESH_SECONDS") or 300)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        found = read["MODEL_REFRESH_SECONDS"]
        raise SettingError(f"MODEL_REFRESH_SECONDS: expected a number of seconds above 0, found {found!r}")
    pin = read.get("MODEL_PIN") or None
    if pin:
        name, slash, run_id = pin.partition("/")
        if model_date(name) is None or (slash and not PLAIN_NAME.fullmatch(run_id)):
            wanted = "doc-classification-model-YYYY-MM-DD, with or without /runId"
            raise SettingError(f"MODEL_PIN: expected {wanted}, found {pin!r}")
    topics = {}
    for name in ("RESULT_TOPIC", "DEAD_LETTER_TOPIC"):
        topic = read.get(name) or None
        if topic and "/" not in topic:
            if not read.get("GOOGLE_CLOUD_PROJECT"):
                raise SettingError(f"GOOGLE_CLOUD_PROJECT: expected the project of {name}={topic}, found ''")
            topic = f"projects/{read['GOOGLE_CLOUD_PROJECT']}/topics/{topic}"
        if topic and not TOPIC.fullmatch(topic):
            raise SettingError(f"{name}: expected projects/P/topics/T or a topic's name, found {topic!r}")
        topics[name] = topic
    return Environment(uri, seconds, pin, topics["RESULT_TOPIC"], topics["DEAD_LETTER_TOPIC"])


class JsonLines(logging.Formatter):
    """One JSON object a line, as Cloud Logging reads it: severity, message, logger, the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        entry = {"severity": record.levelname, "message": message, "logger": record.name}
        return json.dumps(entry | getattr(record, "fields", {}), ensure_ascii=False)


handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(JsonLines())
logging.basicConfig(level=logging.INFO, handlers=[handler])

# A wrong setting ends the server's start, and so the deployment, while the revision before keeps serving.
ENVIRONMENT = get_env()
STORE = ModelStore(ENVIRONMENT.models_uri, ENVIRONMENT.refresh_seconds, ENVIRONMENT.pin)


# ------------------------------------------------------------------------------------------------------- HTTP


class BadRequest(Exception):
    """A request that cannot be answered; `status` is its HTTP status, the message says expected and found."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


@functions_framework.http
def classify(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """POST {"instances": [event or {"payload": text}, …]} → {"predictions": […], "model": {…}}; GET → state.

    Statuses: 400 for what is no such request, 405, 413 above MAX_BODY_BYTES, 503 while there is no model.
    """
    started = time.perf_counter()
    try:
        if request.method in ("GET", "HEAD"):
            return state()
        if request.method != "POST":
            return answer({"error": f"expected GET or POST, found {request.method}"}, 405, {"Allow": "GET, POST"})
        texts = read_instances(read_body(request))
        served = STORE.current()
    except BadRequest as problem:
        return answer({"error": str(problem)}, problem.status)
    except NoModel as problem:
        return answer({"error": str(problem)}, 503)
    predictions = [served.model.predict(text) for text in texts]
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    log.info("classified", extra={"fields": {"documents": len(texts), "milliseconds": milliseconds}})
    return answer({"predictions": predictions, "model": served.about()})


def state() -> flask.typing.ResponseReturnValue:
    """What serves at the moment. Raises NoModel."""
    served = STORE.current()
    about = {"promoted": served.promoted, "loadedAt": served.loaded_at, "pinned": ENVIRONMENT.pin is not None}
    return answer({"status": "serving", "model": served.about() | about})


def answer(body: dict, status: int = 200, headers: dict[str, str] | None = None) -> flask.Response:
    return flask.Response(orjson.dumps(body) + b"\n", status, headers, mimetype="application/json")


def read_body(request: flask.Request) -> bytes:
    """The body. Raises BadRequest (413) when it is too large.

    It is read to its end all the same: the framework would otherwise read the rest, and keep it in memory.
    """
    chunks, size = [], 0
    while chunk := request.stream.read(1 << 16):
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
    if size > MAX_BODY_BYTES:
        raise BadRequest(f"expected a body of at most {MAX_BODY_BYTES} bytes, found {size}", 413)
    return b"".join(chunks)


def read_instances(body: bytes) -> list[str]:
    """The texts to classify, in order. Raises BadRequest."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        found = f"{error.msg.split(':')[0]} at character {error.pos}"
        raise BadRequest(f'expected a JSON object {{"instances": […]}}, found no JSON: {found}') from error
    if not isinstance(document, dict):
        raise BadRequest(f'expected an object {{"instances": […]}}, found {kind(document)}')
    if "instances" not in document:
        raise BadRequest('expected the key "instances", found none')
    instances = document["instances"]
    if not isinstance(instances, list):
        raise BadRequest(f"instances: expected an array, found {kind(instances)}")
    if len(instances) > MAX_INSTANCES:
        raise BadRequest(f"instances: expected at most {MAX_INSTANCES}, found {len(instances)}")
    return [instance_text(f"instances[{index}]", instance) for index, instance in enumerate(instances)]


def instance_text(where: str, instance: object) -> str:
    """The text of an event or of {"payload": text}. Raises BadRequest, which says where."""
    if not isinstance(instance, dict):
        raise BadRequest(f"{where}: expected an object, found {kind(instance)}")
    if "doc" in instance:
        where, instance = f"{where}.doc", instance["doc"]
        if not isinstance(instance, dict):
            raise BadRequest(f"{where}: expected an object, found {kind(instance)}")
    if "payload" not in instance:
        raise BadRequest(f'{where}: expected the key "payload", found none')
    if not isinstance(instance["payload"], str):
        raise BadRequest(f"{where}.payload: expected a string, found {kind(instance['payload'])}")
    if not instance["payload"].strip():
        raise BadRequest(f"{where}.payload: expected a text, found an empty one")
    return instance["payload"]


def kind(value: object) -> str:
    """What JSON calls a value."""
    return JSON_NAMES.get(type(value), "a number")


# ---------------------------------------------------------------------------------------------------- Pub/Sub


class NotAnEvent(Exception):
    """A message that cannot be classified: `reason` is a fixed code, `detail` holds no document text."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@functions_framework.cloud_event
def classify_message(cloud_event: CloudEvent) -> None:
    """One Pub/Sub message → RESULT_TOPIC, or DEAD_LETTER_TOPIC when it is no event; returns when it is there.

    Answers 503, so that Pub/Sub brings the message again, while there is no model, and when publishing fails.
    """
    started = time.perf_counter()
    try:
        message = cloud_event.data["message"]
        message_id = str(message.get("messageId") or message.get("message_id") or cloud_event["id"])
        attributes = {str(key): str(value) for key, value in (message.get("attributes") or {}).items()}
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of which base64's is one
        refuse(400, f"expected a Pub/Sub message, found something else ({type(error).__name__})")
    try:
        event, served = read_event(data), STORE.current()
        classification = classified(served, event)
        result = with_member(data, event, "classification", classification)
    except NotAnEvent as problem:
        own = {"reason": problem.reason, "detail": problem.detail, "originalMessageId": message_id}
        publish("DEAD_LETTER_TOPIC", ENVIRONMENT.dead_letter_topic, data, own, attributes)
        log.warning("dead letter", extra={"fields": own})
        return
    except NoModel as problem:
        refuse(503, str(problem))
    own = {"eventId": event["eventId"], "label": classification["label"], "model": served.name}
    publish("RESULT_TOPIC", ENVIRONMENT.result_topic, result, own, {})
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    log.info("classified", extra={"fields": own | {"messageId": message_id, "milliseconds": milliseconds}})


def refuse(status: int, line: str) -> NoReturn:
    """Ends the request with that status and one line of JSON."""
    log.error(line)
    flask.abort(answer({"error": line}, status))


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
        raise NotAnEvent("malformed_json", f"{error.msg.split(':')[0]} at character {error.pos}") from error
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


def classified(served: ServedModel, event: dict) -> dict:
    """The event's `classification`: label, confidence, scores, and which run said so, and when."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    run = {"model": served.name, "runId": served.run_id, "classifiedAt": now}
    return served.model.predict(event["doc"]["payload"]) | run


def with_member(data: bytes, event: dict, name: str, value: dict) -> bytes:
    """The object in `data`, whose parsed form is `event`, with the member added last; else its own bytes.

    Raises NotAnEvent when an old member of that name has to go and lies among too deeply nested ones.
    """
    own = data.strip(b" \t\r\n")
    if name in event:
        own = without_member(own.decode("utf-8"), name).encode("utf-8")
    return own[:-1].rstrip(b" \t\r\n") + b", " + orjson.dumps(name) + b": " + orjson.dumps(value) + b"}"


def without_member(text: str, name: str) -> str:
    """The JSON object in the text without its members of that name; the others' text stays as it is."""
    decode = json.JSONDecoder().raw_decode
    space = re.compile(r"[ \t\r\n]*").match
    members = []
    at = space(text, 1).end()
    try:
        while text[at] != "}":
            start = at
            key, at = decode(text, at)
            at = space(text, space(text, at).end() + 1).end()  # behind the colon
            _, at = decode(text, at)
            if key != name:
                members.append(text[start:at])
            at = space(text, at).end()
            if text[at] == ",":
                at = space(text, at + 1).end()
    except RecursionError as error:
        raise NotAnEvent("malformed_json", "nested too deeply") from error
    return "{" + ", ".join(members) + "}"


def publish(setting: str, topic: str | None, data: bytes, own: dict[str, str], original: dict[str, str]) -> None:
    """Publishes and waits for the acknowledgement. Our own attributes stand above the original ones.

    Attributes that Pub/Sub would refuse, again and again, are shortened or left out.
    """
    if topic is None:
        refuse(500, f"{setting}: expected projects/P/topics/T or a topic's name, found ''")
    kept = {
        key: value
        for key, value in original.items()
        if not key.startswith("goog") and len(key.encode()) <= MAX_KEY_BYTES
    }
    kept = dict(list(kept.items())[: MAX_ATTRIBUTES - len(own)])
    attributes = {key: clipped(value) for key, value in (kept | own).items()}
    try:
        publisher()(topic=topic, messages=[{"data": data, "attributes": attributes}])
    except Exception as error:  # whatever the reason, Pub/Sub has to bring the message again
        refuse(503, f"cannot publish to {topic}: {type(error).__name__}: {one_line(error)}")


def clipped(value: str) -> str:
    return value.encode("utf-8")[:MAX_VALUE_BYTES].decode("utf-8", "ignore")


@functools.cache
def publisher() -> Callable:
    """Publishes in one call, without a batch. Its client finds PUBSUB_EMULATOR_HOST.

    Made late: gRPC does not survive the server's fork, and `classify` need not wait 0.8 s for the import. The
    client's own `publish` takes attributes as keyword arguments, and one named "timeout" for its timeout.
    """
    from google.cloud import pubsub
    from google.pubsub_v1 import PublisherClient

    retry = Retry(initial=0.1, timeout=PUBLISH_SECONDS)
    return functools.partial(PublisherClient.publish, pubsub.PublisherClient(), retry=retry, timeout=PUBLISH_SECONDS)
