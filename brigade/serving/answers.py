"""What the entry points answer: predictions, a message with its prediction, and which model serves.

A document's text and a row's values are in no answer but their own, and in no log line. A message counts as classified
only when its result is published; a message that is not an event becomes a dead letter, so that Pub/Sub does not bring
it again.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from brigade.events.contract import DOCUMENTS
from brigade.events.event import BEYOND_DOUBLE, NotAnEvent, read_event, value_at
from brigade.events.labels import label_text
from brigade.events.members import with_member
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.models.store import ModelStore, NoModel, ServedModel
from brigade.serving import rows, texts
from brigade.serving.instances import label_in, read_inputs, read_message_event
from brigade.serving.logs import LogEntry
from brigade.serving.messages import MAX_DEAD_LETTER_BYTES, MAX_ID, Message, read_message
from brigade.serving.requests import Refused, check_charset, read_instances, unpacked
from brigade.serving.results import publish
from brigade.serving.settings import Environment

MAX_BODY_BYTES = 10_000_000  # of a prediction request
MAX_PUSH_BYTES = 20 << 20  # Pub/Sub's largest message, 10 MB, as base64 with its attributes
MODEL = "a model"
MAX_LABELS = 20  # in a log line


def about_service(store: ModelStore, health_route: str, path: str, entry: LogEntry) -> dict:
    """The answer to GET /healthz, the health route of Vertex AI if there is one, or /model. Raises Refused: 404 for
    another path, 503 without a model."""
    path = "/healthz" if path == health_route else path.rstrip("/")
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
    of_documents = store.prefix == DOCUMENTS_PREFIX
    instances, explain = read_instances(body, 0 if of_documents else BEYOND_DOUBLE)
    known = None if of_documents else serving(store, entry)
    inputs = read_inputs(known, instances)
    entry.step("read")
    served = known or serving(store, entry)
    found = (rows if served.model.kind == "table" else texts).predicted(served.model, inputs.values, explain)
    entry.step("predict")
    entry.message = "predicted"
    entry.fields |= inputs.counts | summary(found, [label_in(served, one, of_documents) for one in instances])
    return {"predictions": found, "model": served.about()}


def classified(
    store: ModelStore, environment: Environment, body: bytes, headers: Mapping[str, str], entry: LogEntry
) -> dict:
    """Publishes a message's event with what the model says of it. The answer says so, or that it is a dead letter.

    Raises Refused: 4xx if the request is no message; 503, so that Pub/Sub brings it again, without a model and if
    publishing fails.
    """
    of_documents = store.prefix == DOCUMENTS_PREFIX
    known = None if of_documents else serving(store, entry)
    contract = known.contract if known else DOCUMENTS
    message = read_message(body, headers, MAX_PUSH_BYTES, contract)
    entry.fields["messageId"] = message.id
    try:
        event = read_event(message.data, contract=contract)
        inputs = read_message_event(known, event)
    except NotAnEvent as problem:
        return dead_letter(environment, message, problem, entry)
    entry.step("read")
    served = known or serving(store, entry)
    (prediction,) = (rows if served.model.kind == "table" else texts).predicted(served.model, inputs.values, False)
    told = CLASSIFIED if "label" in prediction else PREDICTED
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    run = {"model": served.name, "runId": served.manifest.run_id, told.time: now}
    result = with_member(message.data, event, told.member, prediction | run)
    entry.step("predict")
    event_id = value_at(event, tuple(contract.id.split(".")))
    own = {"eventId": event_id, told.attribute: as_text(prediction[told.attribute]), "model": served.name}
    publish("RESULT_TOPIC", environment.result_topic, result, own, {}, message.ordering_key)
    entry.found("RESULT_TOPIC")
    entry.step("publish")
    entry.message = told.status
    entry.fields["eventId"] = event_id[:MAX_ID]
    entry.fields |= inputs.counts | summary([prediction], [label_in(served, event, of_documents)])
    return {"status": told.status}


class Told(NamedTuple):
    """How a prediction is published: the event's member, its time, the attribute, and what has been done."""

    member: str
    time: str
    attribute: str
    status: str


CLASSIFIED = Told("classification", "classifiedAt", "label", "classified")
PREDICTED = Told("prediction", "predictedAt", "value", "predicted")


def as_text(value: str | float) -> str:
    return value if isinstance(value, str) else repr(value)


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


def summary(predictions: list[dict], carried: list) -> dict[str, object]:
    """A log line's fields about predictions, compared with the labels of those instances that carry one."""
    if predictions and "value" in predictions[0]:
        return summary_of_values(predictions, carried)
    labels = [label_text(one) for one in carried]
    agreed = [one["label"] == label for one, label in zip(predictions, labels, strict=True) if label is not None]
    if len(predictions) == 1:
        one = {"label": predictions[0]["label"], "confidence": predictions[0]["confidence"]}
        return one | ({"agrees": agreed[0]} if agreed else {})
    found: dict[str, object] = {"documents": len(predictions), "labelled": len(agreed), "agreed": sum(agreed)}
    if predictions:
        found["labels"] = dict(Counter(one["label"] for one in predictions).most_common(MAX_LABELS))
        found["confidence"] = round(sum(one["confidence"] for one in predictions) / len(predictions), 6)
    return found


def summary_of_values(predictions: list[dict], carried: list) -> dict[str, object]:
    """The same of a regression: how far the values are from those that the instances carry."""
    errors = [
        abs(one["value"] - actual)
        for one, actual in zip(predictions, carried, strict=True)
        if isinstance(actual, int | float) and not isinstance(actual, bool)
    ]
    if len(predictions) == 1:
        one = {name: predictions[0][name] for name in ("value", "low", "high") if name in predictions[0]}
        return one | ({"absoluteError": errors[0]} if errors else {})
    found: dict[str, object] = {"rows": len(predictions), "labelled": len(errors)}
    found["value"] = sum(one["value"] for one in predictions) / len(predictions)
    return found | ({"absoluteError": sum(errors) / len(errors)} if errors else {})
