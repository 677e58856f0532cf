"""What the entry points answer: predictions, a classified message, and which model serves.

A document's text is in no answer but its own, and in no log line. A message counts as classified only when its result
is published; a message that is not an event becomes a dead letter, so that Pub/Sub does not bring it again.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from brigade.events.event import NotAnEvent, read_event
from brigade.events.labels import label_of
from brigade.events.members import with_member
from brigade.models.store import ModelStore, NoModel, ServedModel
from brigade.serving.logs import LogEntry
from brigade.serving.messages import MAX_DEAD_LETTER_BYTES, MAX_ID, Message, read_message
from brigade.serving.requests import Refused, check_charset, instance_text, read_instances, unpacked
from brigade.serving.results import publish
from brigade.serving.settings import Environment

MAX_BODY_BYTES = 10_000_000  # of a prediction request
MAX_PUSH_BYTES = 20 << 20  # Pub/Sub's largest message, 10 MB, as base64 with its attributes
MODEL = "a model"
MAX_LABELS = 20  # in a log line


def about_service(store: ModelStore, path: str, entry: LogEntry) -> dict:
    """The answer to GET /healthz or /model. Raises Refused: 404 for another path, 503 without a model."""
    path = path.rstrip("/")
    if path not in ("/healthz", "/model"):
        raise Refused("expected GET /healthz or GET /model, found another path", 404)
    entry.message = path
    served = serving(store, entry)
    if path == "/healthz":
        return {"status": "ok"}
    return served.about() | {
        "promoted": served.manifest.promoted,
        "pinned": store.pin is not None,
        "loadedAt": served.loaded_at,
        "checkedAt": store.checked_at,
        "refreshSeconds": store.refresh_seconds,
    }


def predictions(store: ModelStore, body: bytes, headers: Mapping[str, str], entry: LogEntry) -> dict:
    """The answer to a prediction request. Raises Refused: 4xx for a wrong request, 503 without a model."""
    check_charset(headers.get("Content-Type", ""))
    body = unpacked(body, headers.get("Content-Encoding", ""), MAX_BODY_BYTES)
    instances, explain = read_instances(body)
    texts = [instance_text(f"instances[{index}]", instance) for index, instance in enumerate(instances)]
    entry.step("read")
    served = serving(store, entry)
    found = [served.model.predict(text) for text in texts]
    if explain:
        for text, prediction in zip(texts, found, strict=True):
            prediction["explanation"] = served.model.explain(text, prediction["label"])
    entry.step("predict")
    entry.message = "predicted"
    entry.fields |= summary(found, [label_of(one, served.manifest.label) for one in instances])
    return {"predictions": found, "model": served.about()}


def classified(
    store: ModelStore, environment: Environment, body: bytes, headers: Mapping[str, str], entry: LogEntry
) -> dict:
    """Publishes a message's event with its classification. The answer says so, or that it is a dead letter.

    Raises Refused: 4xx if the request is no message; 503, so that Pub/Sub brings it again, without a model and if
    publishing fails.
    """
    message = read_message(body, headers, MAX_PUSH_BYTES)
    entry.fields["messageId"] = message.id
    try:
        event = read_event(message.data)
    except NotAnEvent as problem:
        return dead_letter(environment, message, problem, entry)
    entry.step("read")
    served = serving(store, entry)
    prediction = served.model.predict(event["doc"]["payload"])
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    run = {"model": served.name, "runId": served.manifest.run_id, "classifiedAt": now}
    result = with_member(message.data, event, "classification", prediction | run)
    entry.step("predict")
    own = {"eventId": event["eventId"], "label": prediction["label"], "model": served.name}
    publish("RESULT_TOPIC", environment.result_topic, result, own, {}, message.ordering_key)
    entry.found("RESULT_TOPIC")
    entry.step("publish")
    entry.message = "classified"
    entry.fields["eventId"] = event["eventId"][:MAX_ID]
    entry.fields |= summary([prediction], [label_of(event, served.manifest.label)])
    return {"status": "classified"}


def dead_letter(environment: Environment, message: Message, problem: NotAnEvent, entry: LogEntry) -> dict:
    """Publishes a message that is not an event, with the reason. Raises Refused if that fails."""
    reason = {"reason": problem.reason, "detail": problem.detail}
    entry.message, entry.severity = "dead letter", logging.WARNING
    entry.fields |= reason
    # With our attributes the largest messages are too large for Pub/Sub. They go without data, which landing keeps.
    data = message.data if len(message.data) <= MAX_DEAD_LETTER_BYTES else b""
    own = reason | {"originalMessageId": message.id}
    publish("DEAD_LETTER_TOPIC", environment.dead_letter_topic, data, own, message.attributes, message.ordering_key)
    entry.found("DEAD_LETTER_TOPIC")
    entry.step("publish")
    return {"status": "dead letter", "reason": problem.reason}


def serving(store: ModelStore, entry: LogEntry) -> ServedModel:
    """The model that answers this request from here to its end. Raises Refused (503) without a model."""
    try:
        served = store.current()
    except NoModel as problem:
        raise Refused(str(problem), 503, MODEL) from problem
    entry.found(MODEL)
    entry.fields |= {"model": served.name, "runId": served.manifest.run_id}
    if (days := served.age_days(datetime.now(UTC))) is not None:
        entry.fields["modelAgeDays"] = days  # an alarm reads it: five weeks without a new model
    entry.step("model")
    return served


def summary(predictions: list[dict], labels: list[str | None]) -> dict[str, object]:
    """A log line's fields about predictions, compared with the labels of those documents that carry one."""
    agreed = [one["label"] == label for one, label in zip(predictions, labels, strict=True) if label is not None]
    if len(predictions) == 1:
        one = {"label": predictions[0]["label"], "confidence": predictions[0]["confidence"]}
        return one | ({"agrees": agreed[0]} if agreed else {})
    found: dict[str, object] = {"documents": len(predictions), "labelled": len(agreed), "agreed": sum(agreed)}
    if predictions:
        found["labels"] = dict(Counter(one["label"] for one in predictions).most_common(MAX_LABELS))
        found["confidence"] = round(sum(one["confidence"] for one in predictions) / len(predictions), 6)
    return found
