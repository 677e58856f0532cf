"""The two entry points' manners: forms of messages, explanations, what is logged of each request, and bugs."""

import base64
import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.serving import messages as events
from tests.models.test_document_model import tiny_model
from tests.models.test_model_store import NEW, OLD, write_model
from tests.serving.test_cloud_function import EVENT, Pushed, envelope, having

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVENTARC = {
    "ce-id": "4711",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/brigade-test/topics/topic-brigade",
    "content-type": "application/json",
}


@pytest.fixture
def pushed(serve, pubsub, tmp_path) -> Pushed:
    write_model(tmp_path, OLD, seed=1)
    return Pushed(serve, pubsub)


@pytest.fixture
def client(serve, tmp_path):
    """`predict` with a model, in a project."""
    write_model(tmp_path, OLD, seed=1)
    return serve("predict", GOOGLE_CLOUD_PROJECT="brigade-test")


@pytest.fixture
def entries(logged):
    """entries(): what the function logged of requests so far."""
    return lambda: [one for one in map(json.loads, logged()) if one["logger"] == "cloud_function"]


# -------------------------------------------------------------------------------------------------------- GET


@pytest.mark.parametrize("target", ["predict", "classify"])
def test_both_entry_points_say_whether_and_what_they_serve(serve, tmp_path, target):
    client = serve(target)
    assert client.get("/healthz").status_code == client.head("/healthz").status_code == 503
    write_model(tmp_path, OLD)
    sys.modules["main"].STORE.next_look = 0.0
    assert client.get("/model").json["name"] == OLD
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.head("/healthz").status_code == 200 and client.head("/healthz").data == b""


def test_any_other_path_names_the_two(client):
    for path in ("/", "/metrics", "/model/secret"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json == {"error": "expected GET /healthz or GET /model, found another path"}


# ------------------------------------------------------------------------------------------------ explanations


def test_an_explanation_names_the_documents_own_words_and_their_part_of_the_score(client):
    text = "oil prices rose, oil prices fell"
    answer = client.post("/", json={"instances": [{"payload": text}], "explain": True})
    (prediction,) = answer.json["predictions"]
    model = tiny_model(seed=1)
    assert prediction == model.predict(text) | {"explanation": model.explain(text, prediction["label"])}
    weights = [one["weight"] for one in prediction["explanation"]]
    assert weights == sorted(weights, reverse=True) and all(weight > 0 for weight in weights)
    terms = [one["term"] for one in prediction["explanation"]]
    assert len(set(terms)) == len(terms)
    assert set(terms) <= {"oil", "prices", "rose", "fell"} | {"oil prices", "prices rose", "rose oil", "prices fell"}


def test_the_parts_of_all_words_add_up_to_the_score():
    model = tiny_model(hash_bits=20)
    text = " ".join(f"word{number}" for number in range(30)) + " word1 word1"
    for index, label in enumerate(model.classes):
        said_for = sum(one["weight"] for one in model.explain(text, label, top=1000))
        model.weights[:, index] *= -1
        said_against = sum(one["weight"] for one in model.explain(text, label, top=1000))
        model.weights[:, index] *= -1
        assert said_for - said_against + model.intercept[index] == pytest.approx(model.scores(text)[index], abs=1e-4)


def test_at_most_ten_words_explain_a_prediction_and_none_explain_an_unknown_text():
    model = tiny_model(hash_bits=20)
    assert len(model.explain(" ".join(f"word{number}" for number in range(200)), "class-0")) == 10
    model.places = model.places[:0]
    assert model.explain("words that nobody knows", "class-0") == []


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_has_an_explanation(text):
    model = tiny_model(hash_bits=6)
    for one in model.explain(text, "class-1"):
        assert one["weight"] >= 0 and one["term"]


def test_explain_is_a_boolean(client):
    for value in ("yes", 1, None, []):
        answer = client.post("/", json={"instances": [{"payload": "a text"}], "explain": value})
        assert answer.status_code == 400 and answer.json["error"].startswith("explain: expected a boolean, found ")
    answer = client.post("/", json={"instances": [{"payload": "a text"}], "explain": False})
    assert "explanation" not in answer.json["predictions"][0]


# --------------------------------------------------------------------------------------------- forms of messages


def test_a_push_an_eventarc_delivery_and_a_structured_event_say_the_same(pushed):
    body = envelope(having(), {})
    structured = {key.removeprefix("ce-"): value for key, value in EVENTARC.items() if key.startswith("ce-")}
    cloud_event = {"content-type": "application/cloudevents+json"}
    for answer in (
        pushed.client.post("/", json=body),
        pushed.client.post("/projects/brigade-test/topics/topic-brigade", json=body),
        pushed.client.post("/", data=json.dumps(body), headers=EVENTARC),
        pushed.client.post("/", data=json.dumps(structured | {"data": body}), headers=cloud_event),
    ):
        assert answer.status_code == 200 and answer.json == {"status": "classified"}
    labels = {json.loads(one.data)["classification"]["label"] for one in pushed.pubsub.pull_all(pushed.results, 4)}
    assert labels == {tiny_model(seed=1).predict("texto teste")["label"]}


def test_a_message_that_is_delivered_twice_gives_the_same_answer_twice(pushed):
    for _ in range(2):
        assert pushed.push(having()).status_code == 200
    first, second = (json.loads(one.data) for one in pushed.pubsub.pull_all(pushed.results, 2))
    assert first["eventId"] == second["eventId"] == EVENT["eventId"]
    for one in (first, second):
        one["classification"].pop("classifiedAt")
    assert first == second


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"data": "%%%"}, "message.data: expected base64, found something else"),
        ({"data": "YQ"}, "message.data: expected base64, found something else"),
        ({"data": "é"}, "message.data: expected base64, found something else"),
        ({"data": 7}, "message.data: expected base64, found a number"),
        ({"attributes": {"key": 7}}, "message.attributes: expected strings, found a number"),
        ({"attributes": {"key": None}}, "message.attributes: expected strings, found null"),
        ({"attributes": "secret"}, "message.attributes: expected an object, found a string"),
        ("secret", 'expected {"message": {"data", …}}, found a message that is a string'),
    ],
)
def test_what_pubsub_never_sends_is_refused(serve, message, error):
    answer = serve("classify").post("/", json={"message": message, "subscription": "s"})
    assert answer.status_code == 400 and answer.json == {"error": error}


def test_a_message_with_attributes_alone_is_a_dead_letter(pushed):
    answer = pushed.client.post("/", json={"message": {"attributes": {"a": "b"}, "messageId": "7", "data": None}})
    assert answer.status_code == 200 and answer.json == {"status": "dead letter", "reason": "malformed_json"}
    assert dict(pushed.dead_letter().attributes).items() >= {"a": "b", "originalMessageId": "7"}.items()


def test_poison_is_a_dead_letter_even_while_there_is_no_model(serve, pubsub):
    pushed = Pushed(serve, pubsub)
    assert pushed.push(b"no event").status_code == 200
    assert pushed.dead_letter().data == b"no event"


def test_the_largest_message_that_pubsub_has_is_a_dead_letter_that_pubsub_takes(pushed):
    assert pushed.push(b"a" * 10_000_000).status_code == 200
    message = pushed.dead_letter()
    assert message.attributes["reason"] == "too_large" and message.data == b""
    assert message.attributes["originalMessageId"] == "4711"


def test_a_message_above_all_limits_is_refused(serve):
    answer = serve("classify").post("/", data=b" " * (21 << 20))
    assert answer.status_code == 413 and "at most 20971520 bytes" in answer.json["error"]


def test_a_body_that_breaks_off_is_refused(client):
    announced = {"CONTENT_LENGTH": "1000"}
    answer = client.post("/", input_stream=io.BytesIO(b'{"instances": []}'), environ_overrides=announced)
    assert answer.status_code == 400
    assert answer.json == {"error": "expected a whole body, found one that breaks off"}


# ------------------------------------------------------------------------------------------------- log entries


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
    for metadata in ({"superTag02": label}, {"superTag01": label}, {"superTag02": 7}, None):
        client.post("/", json={"instances": [{"doc": {"payload": "texto teste", "metadata": metadata}}]})
    assert [entry.get("agrees") for entry in entries()] == [True, None, None, None]


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
    sys.modules["main"].STORE.next_look = 0.0
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


# ---------------------------------------------------------------------------------------------------------- bugs


def test_a_bug_is_500_without_a_word_of_it_and_its_stack_without_the_text_is_logged(client, entries, monkeypatch):
    def bug(self, text):
        raise ValueError(f"no vector for {text}")

    client.get("/healthz")
    monkeypatch.setattr(type(sys.modules["main"].STORE.current().model), "predict", bug)
    answer = client.post("/", json={"instances": [{"payload": "secret words"}]})
    assert answer.status_code == 500
    assert answer.json == {"error": "an error of this service; its log says more"}
    entry = entries()[-1]
    assert (entry["severity"], entry["status"], entry["model"]) == ("ERROR", 500, OLD)
    assert "in bug" in entry["message"] and entry["message"].endswith("ValueError")
    assert "secret" not in json.dumps(entry)


def test_a_message_that_meets_a_bug_is_neither_lost_nor_a_dead_letter(pushed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["main"], "with_member", lambda *_: 1 / 0)
        assert pushed.push(having()).status_code == 500
    assert pushed.push(having()).status_code == 200
    assert pushed.result().attributes["eventId"] == EVENT["eventId"]


def test_attributes_are_read_as_they_were_sent():
    body = envelope(b"data", {"é": "ü", "": "empty"})
    message = events.read_message(json.dumps(body).encode())
    assert message == events.Message("4711", b"data", {"é": "ü", "": "empty"})
    assert events.attributes_to_publish({"own": "1"}, message.attributes) == {"é": "ü", "own": "1"}
    assert base64.b64decode(body["message"]["data"]) == message.data


def test_a_newer_model_says_since_when_it_serves(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict")
    before = client.get("/model").json
    write_model(tmp_path, NEW)
    sys.modules["main"].STORE.look()
    after = client.get("/model").json
    assert after["name"] == NEW and after["loadedAt"] >= before["loadedAt"]
    assert after["checkedAt"] >= before["checkedAt"]
