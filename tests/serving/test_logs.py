"""What is logged of each request: one line, without any document's text."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from brigade.serving.logs import JsonLines
from tests.models.written_models import OLD, tiny_model, write_model
from tests.serving.pushed_messages import EVENT, Pushed, having

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_log_record_is_one_line_of_json(serve, tmp_path):
    serve("predict")
    formatter = JsonLines()
    record = logging.LogRecord("store", logging.WARNING, "", 0, "two\n%s", ("lines",), None)
    record.fields = {"documents": 3}
    line = formatter.format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "severity": "WARNING",
        "message": "two\nlines",
        "logger": "store",
        "documents": 3,
    }


def test_no_text_of_a_document_is_logged(serve, tmp_path, logged):
    write_model(tmp_path, OLD)
    client = serve("predict")
    client.post("/", json={"instances": [{"payload": "secret words"}]})
    client.post("/", data=b'{"instances": [{"payload": "secret words"')
    client.post("/", json={"instances": [{"payload": ["secret words"]}]})
    client.post("/", json={"instances": [{"payload": "secret words"}], "explain": True})
    assert "predicted" in "".join(logged()) and "secret" not in "".join(logged())


def test_no_text_of_a_message_is_logged(pushed, logged):
    for data in (having(doc={"docId": "1", "payload": "secret words"}), b'{"eventId": secret}', b'"secret"'):
        assert pushed.push(data).status_code == 200
    assert "dead letter" in "".join(logged()) and "secret" not in "".join(logged())


def test_a_prediction_is_one_line_with_trace_model_label_and_steps(client, entries):
    event = EVENT | {"doc": EVENT["doc"] | {"metadata": {"superTag01": "class-1 "}}}
    header = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    (answered,) = client.post("/", json={"instances": [event]}, headers=header).json["predictions"]
    (entry,) = entries()
    milliseconds = entry.pop("milliseconds")
    assert set(milliseconds) == {"read", "model", "predict", "total"}
    assert milliseconds["total"] >= max(milliseconds.values()) > 0
    now, trained = datetime.now(UTC), datetime(2026, 1, 5, 2, 10, tzinfo=UTC)
    assert entry.pop("modelAgeDays") in ((now - trained).days, (now - timedelta(minutes=5) - trained).days)
    assert entry == {
        "severity": "INFO",
        "message": "predicted",
        "logger": "cloud_function",
        "status": 200,
        "logging.googleapis.com/trace": f"projects/brigade-test/traces/{TRACE}",
        "logging.googleapis.com/spanId": SPAN,
        "model": OLD,
        "runId": "run-1",
        "label": answered["label"],
        "confidence": answered["confidence"],
        "agrees": answered["label"] == "class-1",
    }


def test_several_predictions_are_one_line_of_sums(client, entries):
    texts = ["some words", "Oil prices rose on Monday", "texto teste"]
    labels = [tiny_model(seed=1).predict(text)["label"] for text in texts]
    wrong = next(f"class-{index}" for index in range(3) if f"class-{index}" != labels[1])
    instances = [
        {"doc": {"payload": texts[0], "metadata": {"superTag01": labels[0]}}},
        {"doc": {"payload": texts[1], "metadata": {"superTag01": wrong}}},
        {"payload": texts[2]},
    ]
    answered = client.post("/", json={"instances": instances}).json["predictions"]
    (entry,) = entries()
    assert (entry["documents"], entry["labelled"], entry["agreed"]) == (3, 2, 1)
    assert entry["labels"] == {label: labels.count(label) for label in labels}
    assert entry["confidence"] == pytest.approx(sum(one["confidence"] for one in answered) / 3, abs=1e-6)
    assert "label" not in entry and "agrees" not in entry


def test_a_label_is_read_from_where_the_model_learned_it(serve, tmp_path, entries):
    write_model(tmp_path, OLD, seed=1, label="superTag02")
    client = serve("predict")
    label = tiny_model(seed=1).predict("texto teste")["label"]
    for metadata in ({"superTag02": label}, {"superTag01": label}, {"superTag02": [label]}, None):
        client.post("/", json={"instances": [{"doc": {"payload": "texto teste", "metadata": metadata}}]})
    assert [entry.get("agrees") for entry in entries()] == [True, None, None, None]


@pytest.mark.parametrize(
    "value, agrees",
    [
        *[("{}.5", True), ('"{}.5"', True), ('" {}.5\u00a0"', True), ('"\u200b{}.5"', True), ("{}.50", True)],
        *[('"{}.50"', False), ("{}", False), ("true", False), ('""', None), ("[{}.5]", None), ("null", None)],
    ],
)
def test_a_label_agrees_with_the_class_that_training_made_of_it(serve, tmp_path, entries, value, agrees):
    write_model(tmp_path, OLD, seed=1, class_name="{}.5")
    client = serve("predict")
    number = tiny_model(seed=1, name="{}").predict("texto teste")["label"]
    instance = b'{"doc": {"payload": "texto teste", "metadata": {"superTag01": %s}}}' % value.format(number).encode()
    assert client.post("/", data=b'{"instances": [%s]}' % instance).status_code == 200
    client.post("/", data=b'{"instances": [%s, %s]}' % (instance, instance))
    assert entries()[0].get("agrees") is agrees
    assert (entries()[1]["labelled"], entries()[1]["agreed"]) == (2 * (agrees is not None), 2 * (agrees or False))


@pytest.mark.parametrize("value", ["{}", "{}.0"])
def test_a_message_with_a_number_for_a_label_agrees_too(serve, pubsub, tmp_path, entries, value):
    write_model(tmp_path, OLD, seed=1, class_name=value)
    pushed = Pushed(serve, pubsub)
    predicted = tiny_model(seed=1, name=value).predict(EVENT["doc"]["payload"])["label"]
    metadata = json.dumps(EVENT | {"doc": EVENT["doc"] | {"metadata": {"superTag01": "LABEL"}}})
    assert pushed.push(metadata.replace('"LABEL"', predicted).encode()).status_code == 200
    assert entries()[-1]["agrees"] is True


def test_a_classified_message_is_one_line(pushed, entries):
    assert pushed.push(having()).status_code == 200
    (entry,) = entries()
    assert set(entry["milliseconds"]) == {"read", "model", "predict", "publish", "total"}
    assert (entry["severity"], entry["message"], entry["messageId"]) == ("INFO", "classified", "4711")
    assert (entry["eventId"], entry["model"], entry["agrees"]) == (EVENT["eventId"], OLD, False)
    pushed.push(b"no event")
    entry = entries()[-1]
    assert (entry["severity"], entry["message"], entry["reason"]) == ("WARNING", "dead letter", "malformed_json")


def test_every_request_is_one_line_and_its_severity_follows_its_status(serve, tmp_path, entries):
    client = serve("predict")
    client.post("/", json={"instances": [{"payload": "a text"}]})
    client.post("/", data=b"{")
    client.put("/")
    client.get("/other")
    write_model(tmp_path, OLD)
    client.store.next_look = 0.0
    client.get("/healthz")
    assert [(entry["status"], entry["severity"]) for entry in entries()] == [
        (503, "ERROR"),
        (400, "WARNING"),
        (405, "WARNING"),
        (404, "WARNING"),
        (200, "INFO"),
    ]
    assert entries()[1]["message"].startswith("expected a JSON object")


@pytest.mark.parametrize(
    ("headers", "trace", "span"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, TRACE, SPAN),
        ({"X-Cloud-Trace-Context": f"{TRACE}/67667974448284343;o=1"}, TRACE, SPAN),
        ({"X-Cloud-Trace-Context": TRACE.upper()}, TRACE, None),
        ({"X-Cloud-Trace-Context": f"{TRACE}/{'9' * 20}"}, TRACE, "6bc75e2d630fffff"),
        ({"traceparent": "00-secret", "X-Cloud-Trace-Context": "secret/1"}, None, None),
        ({}, None, None),
    ],
)
def test_a_request_is_joined_to_its_trace(client, entries, headers, trace, span):
    client.get("/healthz", headers=headers)
    (entry,) = entries()
    assert entry.get("logging.googleapis.com/trace") == (trace and f"projects/brigade-test/traces/{trace}")
    assert entry.get("logging.googleapis.com/spanId") == span


def test_without_a_project_there_is_no_trace(serve, tmp_path, entries):
    write_model(tmp_path, OLD)
    serve("predict").get("/healthz", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert not [key for key in entries()[0] if key.startswith("logging.googleapis.com")]
