"""SERVE: classifies each document, as it comes, with the latest promoted model.

`classify` takes Pub/Sub messages, from Eventarc or pushed: the event as it came, plus `classification`, goes to
RESULT_TOPIC; what is no event goes to DEAD_LETTER_TOPIC, so that Pub/Sub does not bring it again. Whatever may pass (no
model yet, no topic to be reached) answers 5xx, and Pub/Sub does bring it again: only what is published is acknowledged.
`predict` answers HTTP: POST {"instances": [{"payload": "…"}, …], "explain": true}, whole events as well.
Both answer GET /healthz (is there a model?) and GET /model (which, and how fresh). Google's front end keeps paths that
end in z for itself: /healthz is for probes inside Cloud Run, /model for callers from outside.

Both are HTTP functions to functions-framework, whose decorator wins over FUNCTION_SIGNATURE_TYPE. Its own reader of
CloudEvents takes bodies of any size, answers 500 to some that are none, and sends headers and data back in its errors.

On this machine:
    MODELS_URI=models functions-framework --source=cloud_function/main.py --target=predict --port=8080
    curl -d '{"instances": [{"payload": "texto teste"}], "explain": true}' localhost:8080
On GCP:
    gcloud functions deploy predict --gen2 --runtime=python312 --source=cloud_function --entry-point=predict \\
        --trigger-http --no-allow-unauthenticated --set-env-vars=MODELS_URI=gs://ml_output/output/
    gcloud functions deploy classify --gen2 --runtime=python312 --source=cloud_function --entry-point=classify \\
        --trigger-topic=topic-brigade --retry --set-env-vars=MODELS_URI=gs://ml_output/output/,RESULT_TOPIC=…,…
"""

import functools
import json
import logging
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO

import flask
import functions_framework
import orjson

from brigade.models.files import one_line
from brigade.models.store import ModelStore, NoModel, ServedModel
from brigade.serving.messages import (
    MAX_DEAD_LETTER_BYTES,
    MAX_ID,
    NotAMessage,
    NotAnEvent,
    attributes_to_publish,
    kind,
    read_event,
    read_message,
    true_label,
    where_json_ends,
    with_member,
)
from brigade.serving.settings import get_env

log = logging.getLogger("cloud_function")

MAX_INSTANCES = 1000
MAX_BODY_BYTES = 10_000_000
MAX_PUSH_BYTES = 20 << 20  # Pub/Sub's largest message, 10 MB, as base64 with its attributes
MAX_LABELS = 20  # in a log line
PUBLISH_SECONDS = 30.0
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")  # W3C Trace Context
CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;.*)?")  # its span is a decimal number


# ------------------------------------------------------------------------------------------------------- logs


class JsonLines(logging.Formatter):
    """One JSON object a line, as Cloud Logging reads it: severity, message, logger, the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        entry = {"severity": record.levelname, "message": message, "logger": record.name}
        return json.dumps(entry | getattr(record, "fields", {}))


handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(JsonLines())
logging.basicConfig(level=logging.INFO, handlers=[handler])

# A wrong setting ends the server's start, and so the deployment, while the revision before keeps serving.
ENVIRONMENT = get_env()
STORE = ModelStore(ENVIRONMENT.models_uri, ENVIRONMENT.refresh_seconds, ENVIRONMENT.pin)


# ------------------------------------------------------------------------------------------ requests and answers


class Refused(Exception):
    """A request that is not answered as asked; `status` is its HTTP status, the message says expected and found."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class LogEntry:
    """What the one log line of a request says: never a document's text."""

    def __init__(self, headers: Mapping[str, str]):
        self.message, self.severity = "", logging.INFO
        self.fields: dict[str, object] = trace_fields(headers)
        self.milliseconds: dict[str, float] = {}
        self.started = self.step_started = time.perf_counter()

    def step(self, name: str) -> None:
        """A step of the work ends here."""
        now = time.perf_counter()
        self.milliseconds[name] = round((now - self.step_started) * 1000, 3)
        self.step_started = now

    def failed(self, problem: Exception, status: int) -> dict[str, str]:
        """The answer's body; the line says the same."""
        self.message = one_line(problem)
        self.severity = logging.WARNING if status < 500 else logging.ERROR
        return {"error": self.message}

    def write(self, status: int) -> None:
        total = round((time.perf_counter() - self.started) * 1000, 3)
        fields = {"status": status} | self.fields | {"milliseconds": self.milliseconds | {"total": total}}
        log.log(self.severity, self.message, extra={"fields": fields})


def trace_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """Cloud Logging's fields for the trace that a request belongs to; none without a trace or a project."""
    parent = TRACE_PARENT.fullmatch(headers.get("traceparent", ""))
    cloud = CLOUD_TRACE.fullmatch(headers.get("X-Cloud-Trace-Context", ""))
    trace, span = parent.groups() if parent else cloud.groups() if cloud else (None, None)
    if not trace or not ENVIRONMENT.project:
        return {}
    if span and not parent:
        span = f"{int(span) % 2**64:016x}"
    fields = {"logging.googleapis.com/trace": f"projects/{ENVIRONMENT.project}/traces/{trace.lower()}"}
    return fields | ({"logging.googleapis.com/spanId": span} if span else {})


def answering(limit: int) -> Callable:
    """Makes an entry point of a function (body, headers, log entry) → answer: reads at most `limit` bytes, answers GET,
    turns what it raises into one line of JSON, and logs one line."""

    def decorate(handle: Callable[[bytes, Mapping[str, str], LogEntry], dict]) -> Callable:
        @functools.wraps(handle)
        def entry_point(request: flask.Request) -> flask.Response:
            entry, status, headers = LogEntry(request.headers), 200, {}
            try:
                body = read_body(request, limit)
                if request.method in ("GET", "HEAD"):
                    answer = about_service(request.path, entry)
                elif request.method == "POST":
                    answer = handle(body, request.headers, entry)
                else:
                    headers["Allow"] = "GET, HEAD, POST"
                    raise Refused(f"expected GET or POST, found {one_line(request.method)[:20]}", 405)
            except (Refused, NotAMessage, NoModel) as problem:
                status = problem.status
                answer = entry.failed(problem, status)
            except Exception as error:  # a bug ends this request, and not the process; its message may hold a text
                status, answer = 500, {"error": "an error of this service; its log says more"}
                entry.severity = logging.ERROR
                stack = "".join(traceback.format_tb(error.__traceback__))
                entry.message = f"Traceback (most recent call last):\n{stack}{type(error).__name__}"
            entry.write(status)
            return flask.Response(orjson.dumps(answer) + b"\n", status, headers, mimetype="application/json")

        return entry_point

    return decorate


def read_body(request: flask.Request, limit: int) -> bytes:
    """The body. Raises Refused: 413 when it is too large, 400 when it breaks off.

    It is read to its end all the same: the framework would otherwise read the rest, and keep it in memory.
    """
    chunks, size = [], 0
    try:
        while chunk := request.stream.read(1 << 16):
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
    except Exception as error:  # of the server's own, for whatever is wrong with the rest of the body
        request.stream = BytesIO()  # the framework, too, reads to the end
        raise Refused("expected a whole body, found one that breaks off") from error
    if size > limit:
        raise Refused(f"expected a body of at most {limit} bytes, found {size}", 413)
    return b"".join(chunks)


def about_service(path: str, entry: LogEntry) -> dict:
    """The answer to GET. Raises Refused (404), and NoModel."""
    if path not in ("/healthz", "/model"):
        raise Refused("expected GET /healthz or GET /model, found another path", 404)
    entry.message = path
    served = serving(entry)
    if path == "/healthz":
        return {"status": "ok"}
    return served.about() | {
        "promoted": served.manifest.promoted,
        "pinned": STORE.pin is not None,
        "loadedAt": served.loaded_at,
        "checkedAt": STORE.checked_at,
        "refreshSeconds": STORE.refresh_seconds,
    }


def serving(entry: LogEntry) -> ServedModel:
    """The model that answers this request, to its end. Raises NoModel."""
    served = STORE.current()
    entry.fields |= {"model": served.name, "runId": served.manifest.run_id}
    if (days := served.age_days(datetime.now(UTC))) is not None:
        entry.fields["modelAgeDays"] = days  # what the alarm for five weeks without a new model reads
    entry.step("model")
    return served


# ------------------------------------------------------------------------------------------------------- HTTP


@functions_framework.http
@answering(MAX_BODY_BYTES)
def predict(body: bytes, headers: Mapping[str, str], entry: LogEntry) -> dict:
    """POST {"instances": [event or {"payload": text}, …], "explain": true?} → {"predictions": […], "model": {…}}.

    Statuses: 400 for what is no such request, 405, 413 above MAX_BODY_BYTES, 503 while there is no model.
    """
    instances, explain = read_instances(body)
    texts = [instance_text(f"instances[{index}]", instance) for index, instance in enumerate(instances)]
    entry.step("read")
    served = serving(entry)
    predictions = [served.model.predict(text) for text in texts]
    if explain:
        for text, prediction in zip(texts, predictions, strict=True):
            prediction["explanation"] = served.model.explain(text, prediction["label"])
    entry.step("predict")
    entry.message = "predicted"
    entry.fields |= summary(predictions, [true_label(one, served.manifest.label) for one in instances])
    return {"predictions": predictions, "model": served.about()}


def summary(predictions: list[dict], labels: list[str | None]) -> dict[str, object]:
    """What a log line says of predictions, next to the labels of those documents that carry one."""
    agreed = [one["label"] == label for one, label in zip(predictions, labels, strict=True) if label is not None]
    if len(predictions) == 1:
        found = {"label": predictions[0]["label"], "confidence": predictions[0]["confidence"]}
        return found | ({"agrees": agreed[0]} if agreed else {})
    found = {"documents": len(predictions), "labelled": len(agreed), "agreed": sum(agreed)}
    if predictions:
        found["labels"] = dict(Counter(one["label"] for one in predictions).most_common(MAX_LABELS))
        found["confidence"] = round(sum(one["confidence"] for one in predictions) / len(predictions), 6)
    return found


def read_instances(body: bytes) -> tuple[list, bool]:
    """The instances, and whether they are to be explained. Raises Refused."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        found = where_json_ends(error)
        raise Refused(f'expected a JSON object {{"instances": […]}}, found no JSON: {found}') from error
    if not isinstance(document, dict):
        raise Refused(f'expected an object {{"instances": […]}}, found {kind(document)}')
    if "instances" not in document:
        raise Refused('expected the key "instances", found none')
    instances, explain = document["instances"], document.get("explain", False)
    if not isinstance(instances, list):
        raise Refused(f"instances: expected an array, found {kind(instances)}")
    if len(instances) > MAX_INSTANCES:
        raise Refused(f"instances: expected at most {MAX_INSTANCES}, found {len(instances)}")
    if not isinstance(explain, bool):
        raise Refused(f"explain: expected a boolean, found {kind(explain)}")
    return instances, explain


def instance_text(where: str, instance: object) -> str:
    """The text of an event or of {"payload": text}. Raises Refused, which says where."""
    if not isinstance(instance, dict):
        raise Refused(f"{where}: expected an object, found {kind(instance)}")
    if "doc" in instance:
        where, instance = f"{where}.doc", instance["doc"]
        if not isinstance(instance, dict):
            raise Refused(f"{where}: expected an object, found {kind(instance)}")
    if "payload" not in instance:
        raise Refused(f'{where}: expected the key "payload", found none')
    if not isinstance(instance["payload"], str):
        raise Refused(f"{where}.payload: expected a string, found {kind(instance['payload'])}")
    if not instance["payload"].strip():
        raise Refused(f"{where}.payload: expected a text, found an empty one")
    return instance["payload"]


# ---------------------------------------------------------------------------------------------------- Pub/Sub


@functions_framework.http
@answering(MAX_PUSH_BYTES)
def classify(body: bytes, headers: Mapping[str, str], entry: LogEntry) -> dict:
    """One Pub/Sub message → RESULT_TOPIC, or DEAD_LETTER_TOPIC when it is no event; answers when it is there.

    Statuses: 400 for what is no message at all; 503, so that Pub/Sub brings it again, while there is no model, and
    when publishing fails.
    """
    message = read_message(body, headers.get("ce-id", ""))
    entry.fields["messageId"] = message.id
    try:
        event = read_event(message.data)
        entry.step("read")
        served = serving(entry)
        prediction = served.model.predict(event["doc"]["payload"])
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        run = {"model": served.name, "runId": served.manifest.run_id, "classifiedAt": now}
        result = with_member(message.data, event, "classification", prediction | run)
        entry.step("predict")
    except NotAnEvent as problem:
        reason = {"reason": problem.reason, "detail": problem.detail}
        entry.message, entry.severity = "dead letter", logging.WARNING
        entry.fields |= reason
        # A message that Pub/Sub takes only without our attributes goes without its data: landing keeps that.
        data = message.data if len(message.data) <= MAX_DEAD_LETTER_BYTES else b""
        own = reason | {"originalMessageId": message.id}
        publish("DEAD_LETTER_TOPIC", ENVIRONMENT.dead_letter_topic, data, own, message.attributes)
        entry.step("publish")
        return {"status": "dead letter", "reason": problem.reason}
    own = {"eventId": event["eventId"], "label": prediction["label"], "model": served.name}
    publish("RESULT_TOPIC", ENVIRONMENT.result_topic, result, own, {})
    entry.step("publish")
    entry.message = "classified"
    entry.fields["eventId"] = event["eventId"][:MAX_ID]
    entry.fields |= summary([prediction], [true_label(event, served.manifest.label)])
    return {"status": "classified"}


def publish(setting: str, topic: str | None, data: bytes, own: dict[str, str], original: dict[str, str]) -> None:
    """Publishes and waits for the acknowledgement. Raises Refused."""
    if topic is None:
        raise Refused(f"{setting}: expected projects/P/topics/T or a topic's name, found ''", 500)
    try:
        publisher()(topic=topic, messages=[{"data": data, "attributes": attributes_to_publish(own, original)}])
    except Exception as error:  # whatever the reason, Pub/Sub has to bring the message again
        raise Refused(f"cannot publish to {topic}: {type(error).__name__}: {one_line(error)}", 503) from error


@functools.cache
def publisher() -> Callable:
    """Publishes in one call, without a batch. Its client finds PUBSUB_EMULATOR_HOST.

    Made late: gRPC does not survive the server's fork, and `predict` need not wait 0.8 s for the import. The
    client's own `publish` takes attributes as keyword arguments, and one named "timeout" for its timeout.
    """
    from google.api_core.retry import Retry
    from google.cloud import pubsub
    from google.pubsub_v1 import PublisherClient

    retry = Retry(initial=0.1, timeout=PUBLISH_SECONDS)
    return functools.partial(PublisherClient.publish, pubsub.PublisherClient(), retry=retry, timeout=PUBLISH_SECONDS)
