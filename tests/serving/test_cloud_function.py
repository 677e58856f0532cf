"""The function as HTTP: `predict`, and `classify` with the real Pub/Sub emulator behind it."""

import base64
import importlib
import io
import itertools
import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brigade.serving import messages as events
from tests.models.test_document_model import tiny_model
from tests.models.test_model_store import JSON, NEW, OLD, wait_until, write_manifest, write_model

EVENT = {
    "eventTimestamp": "2019-04-02T21:55:57Z",
    "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
    "eventSource": "doc.contract",
    "doc": {"docId": "CF2909E5", "metadata": {"superTag01": "A"}, "payload": "texto teste"},
}
numbers = itertools.count()


# ------------------------------------------------------------------------------------------------------------ predict


def test_texts_and_events_are_classified_in_their_order(serve, tmp_path):
    write_model(tmp_path, OLD, seed=1)
    answer = serve("predict").post("/", json={"instances": [{"payload": "one text"}, EVENT]})
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    model = tiny_model(seed=1)
    assert answer.json == {
        "predictions": [model.predict("one text"), model.predict("texto teste")],
        "model": {"name": OLD, "runId": "run-1", "trainedAt": "2026-01-05T02:10:00Z"},
    }


def test_get_says_which_model_serves(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict", MODEL_REFRESH_SECONDS="42")
    answer = client.get("/model")
    assert answer.status_code == 200
    model = answer.json
    for key in ("loadedAt", "checkedAt"):
        assert abs(datetime.now(UTC) - datetime.fromisoformat(model.pop(key))) < timedelta(days=1)
    assert model == {
        "name": OLD,
        "runId": "run-1",
        "trainedAt": "2026-01-05T02:10:00Z",
        "promoted": True,
        "pinned": False,
        "refreshSeconds": 42.0,
    }


def test_a_newer_champion_takes_over_without_a_restart(serve, tmp_path):
    write_model(tmp_path, OLD, seed=1)
    client = serve("predict", MODEL_REFRESH_SECONDS="0.01")
    request = {"instances": [{"payload": "some words"}]}
    assert client.post("/", json=request).json["model"]["name"] == OLD
    write_model(tmp_path, NEW, seed=2)
    wait_until(lambda: client.post("/", json=request).json["model"]["name"] == NEW)
    assert client.post("/", json=request).json["predictions"] == [tiny_model(seed=2).predict("some words")]


def test_a_pinned_model_serves_instead_of_the_newest(serve, tmp_path):
    write_model(tmp_path, OLD)
    write_model(tmp_path, NEW)
    model = serve("predict", MODEL_PIN=f"{OLD}/run-1").get("/model").json
    assert model["name"] == OLD and model["pinned"]


def test_without_a_model_predict_answers_503_and_says_where_it_looked(serve, tmp_path):
    write_model(tmp_path, OLD, promoted=False)
    client = serve("predict")
    for answer in (
        client.get("/healthz"),
        client.get("/model"),
        client.post("/", json={"instances": [{"payload": "some words"}]}),
    ):
        assert answer.status_code == 503
        assert str(tmp_path) in answer.json["error"] and f"{OLD}: not promoted" in answer.json["error"]
        assert answer.data.count(b"\n") == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", 'expected a JSON object {"instances": […]}, found no JSON'),
        (b'{"instances": [', "found no JSON"),
        (b"\xff", "found no JSON"),
        (b"[]", 'expected an object {"instances": […]}, found an array'),
        (b"{}", 'expected the key "instances", found none'),
        (b'{"instances": {}}', "instances: expected an array, found an object"),
        (b'{"instances": [{"payload": "a"}, "b"]}', "instances[1]: expected an object, found a string"),
        (b'{"instances": [{}]}', 'instances[0]: expected the key "payload", found none'),
        (b'{"instances": [{"payload": 1}]}', "instances[0].payload: expected a string, found a number"),
        (b'{"instances": [{"payload": " "}]}', "instances[0].payload: expected a text, found an empty one"),
        (b'{"instances": [{"doc": null}]}', "instances[0].doc: expected an object, found null"),
        (
            b'{"instances": [{"doc": {"docId": "1"}}]}',
            'instances[0].doc: expected the key "payload", found none',
        ),
        (b'{"instances": [' + b"1," * 1000 + b"1]}", "instances: expected at most 1000, found 1001"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_what_was_expected(serve, body, error):
    answer = serve("predict").post("/", data=body)
    assert answer.status_code == 400 and answer.data.count(b"\n") == 1
    assert error in answer.json["error"]


def test_a_body_above_the_limit_is_refused_whether_its_length_is_announced_or_not(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict")
    body = b'{"instances": [{"payload": "' + b"a" * 10_000_000 + b'"}]}'
    announced = client.post("/", data=body)
    # What a server hands over when the body comes in chunks.
    in_chunks = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    chunked = client.post("/", input_stream=io.BytesIO(body), environ_overrides=in_chunks)
    for answer in (announced, chunked):
        assert answer.status_code == 413
        assert answer.json == {"error": f"expected a body of at most 10000000 bytes, found {len(body)}"}
    assert client.post("/", data=body[:28] + body[10_000:]).status_code == 200


def test_other_methods_are_refused(serve):
    answer = serve("predict").put("/", json={})
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD, POST"


INSTANCES = st.lists(JSON | st.fixed_dictionaries({"payload": JSON | st.text()}), max_size=4)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON | st.fixed_dictionaries({"instances": JSON | INSTANCES}))
def test_no_json_at_all_is_answered_by_an_error_of_ours(any_client, value):
    answer = any_client.post("/", data=json.dumps(value))
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert len(answer.json["predictions"]) == len(value["instances"])


@pytest.fixture
def any_client(serve, tmp_path):
    write_model(tmp_path, OLD)
    return serve("predict")


def test_no_text_of_a_document_is_logged(serve, tmp_path, logged):
    write_model(tmp_path, OLD)
    client = serve("predict")
    client.post("/", json={"instances": [{"payload": "secret words"}]})
    client.post("/", data=b'{"instances": [{"payload": "secret words"')
    client.post("/", json={"instances": [{"payload": ["secret words"]}]})
    client.post("/", json={"instances": [{"payload": "secret words"}], "explain": True})
    assert "predicted" in "".join(logged()) and "secret" not in "".join(logged())


def test_a_log_record_is_one_line_of_json(serve, tmp_path):
    serve("predict")
    formatter = sys.modules["main"].JsonLines()
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


# ------------------------------------------------------------------------------------------------ environment


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MODELS_URI": ""}, "MODELS_URI: expected gs://bucket/prefix or a local path, found ''"),
        ({"MODELS_URI": "s3://bucket/output"}, "MODELS_URI: expected gs://"),
        ({"MODELS_URI": "gs://"}, "MODELS_URI: expected gs://"),
        ({"MODEL_REFRESH_SECONDS": "soon"}, "MODEL_REFRESH_SECONDS: expected a number of seconds above 0"),
        (
            {"MODEL_REFRESH_SECONDS": "0"},
            "MODEL_REFRESH_SECONDS: expected a number of seconds above 0, found '0'",
        ),
        ({"MODEL_REFRESH_SECONDS": "nan"}, "MODEL_REFRESH_SECONDS"),
        ({"MODEL_PIN": "latest"}, "MODEL_PIN: expected doc-classification-model-YYYY-MM-DD"),
        ({"MODEL_PIN": "doc-classification-model-2026-02-30"}, "MODEL_PIN"),
        ({"MODEL_PIN": f"{OLD}/../{NEW}"}, "MODEL_PIN"),
        ({"MODEL_PIN": f"{OLD}/"}, "MODEL_PIN"),
        ({"RESULT_TOPIC": "results"}, "GOOGLE_CLOUD_PROJECT: expected the project of RESULT_TOPIC=results"),
        (
            {"DEAD_LETTER_TOPIC": "projects/p/subscriptions/s"},
            "DEAD_LETTER_TOPIC: expected projects/P/topics/T",
        ),
    ],
)
def test_a_wrong_setting_ends_the_start_with_what_was_expected(serve, environment, message):
    with pytest.raises(Exception, match=message) as problem:
        serve("predict", **environment)
    assert type(problem.value).__name__ == "SettingError"


def test_a_bare_topic_lies_in_the_project(serve):
    serve("predict", RESULT_TOPIC="results", GOOGLE_CLOUD_PROJECT="brigade-test")
    assert sys.modules["main"].ENVIRONMENT.result_topic == "projects/brigade-test/topics/results"
    serve("predict", RESULT_TOPIC="projects/other/topics/results")
    assert sys.modules["main"].ENVIRONMENT.result_topic == "projects/other/topics/results"


# ----------------------------------------------------------------------------------------------------------- classify


class Pushed:
    """`classify` with its two topics on the emulator, and what it published there."""

    def __init__(self, serve, pubsub, **environment: str):
        number = next(numbers)
        self.pubsub = pubsub
        results, dead = (pubsub.topic(f"{name}-{number}") for name in ("classified", "dead-letter"))
        self.results = pubsub.subscription(results, f"sub-classified-{number}")
        self.dead = pubsub.subscription(dead, f"sub-dead-letter-{number}")
        topics = {"RESULT_TOPIC": results, "DEAD_LETTER_TOPIC": dead.split("/")[-1]}
        self.client = serve("classify", **({"GOOGLE_CLOUD_PROJECT": pubsub.project} | topics | environment))

    def push(self, data: bytes, attributes: dict[str, str] | None = None):
        return self.client.post("/", json=envelope(data, attributes or {}))

    def result(self):
        """The one message on the result topic."""
        (message,) = self.pubsub.pull_all(self.results, 1)
        return message

    def dead_letter(self):
        (message,) = self.pubsub.pull_all(self.dead, 1)
        return message


def envelope(data: bytes, attributes: dict[str, str]) -> dict:
    """What Pub/Sub posts to a push endpoint."""
    message = {"data": base64.b64encode(data).decode(), "messageId": "4711", "attributes": attributes}
    return {"message": message, "subscription": "projects/brigade-test/subscriptions/sub-brigade-push"}


@pytest.fixture
def pushed(serve, pubsub, tmp_path) -> Pushed:
    write_model(tmp_path, OLD, seed=1)
    return Pushed(serve, pubsub)


def test_an_event_is_published_with_its_classification(pushed):
    assert pushed.push(json.dumps(EVENT).encode(), {"origin": "here"}).status_code == 200
    message = pushed.result()
    published = json.loads(message.data)
    classification = published.pop("classification")
    assert published == EVENT
    assert time.strptime(classification.pop("classifiedAt")[:19], "%Y-%m-%dT%H:%M:%S")
    predicted = tiny_model(seed=1).predict("texto teste")
    assert classification == predicted | {"model": OLD, "runId": "run-1"}
    assert dict(message.attributes) == {
        "eventId": EVENT["eventId"],
        "label": predicted["label"],
        "model": OLD,
    }


OWN_BYTES = (
    b' {"eventId":"1",\n"eventTimestamp" : "2019-04-02t21:55:57.123456789+02:00",'
    b' "big": 123456789012345678901234567890, "float": 1.0e5, "escape": "\\u00e7\\/",'
    b' "twice": 1, "twice": 2,\t'
    b'"doc": {"docId": "1", "payload": "\\u0061 text"} \n'
)


def test_an_events_own_bytes_are_kept(pushed):
    pushed.push(OWN_BYTES + b"}\n")
    published = pushed.result().data
    assert published.startswith(OWN_BYTES.strip() + b', "classification": {"label":"')
    assert json.loads(published)["classification"]["label"] == tiny_model(seed=1).predict("a text")["label"]


@pytest.mark.parametrize(
    "old",
    [b'"classification": {"label": "old, }"}', b'"classif\\u0069cation" : null', b'"classification":[1e5]'],
)
def test_an_event_that_was_classified_before_has_its_classification_replaced_and_nothing_else(pushed, old):
    pushed.push(OWN_BYTES.rstrip() + b", " + old + b', "last": 2.50}')
    published = pushed.result().data
    assert published.count(b'"classification"') == 1 and b"old" not in published and b"u0069" not in published
    for kept in (b"123456789012345678901234567890", b"1.0e5", b"\\u00e7\\/", b"\\u0061 text", b"2.50"):
        assert kept in published
    assert json.loads(published)["classification"]["model"] == OLD


def without(*path: str) -> bytes:
    event = json.loads(json.dumps(EVENT))
    *parents, last = path
    inner = event
    for name in parents:
        inner = inner[name]
    del inner[last]
    return json.dumps(event).encode()


def having(**changes) -> bytes:
    return json.dumps(EVENT | changes).encode()


POISON = [
    (b'{"eventId": "\xff"}', "not_utf8", "byte 13 is no UTF-8"),
    (b'{"eventId": "secret', "malformed_json", ""),
    (b"", "malformed_json", ""),
    (b"{} {}", "malformed_json", ""),
    (b'{"a": NaN}', "malformed_json", ""),
    (b"[" * 2000 + b"]" * 2000, "malformed_json", "depth limit exceeded"),
    (b'["secret"]', "not_an_object", "expected an object, found an array"),
    (b"12", "not_an_object", "found a number"),
    (without("eventId"), "missing_field", "eventId"),
    (without("eventTimestamp"), "missing_field", "eventTimestamp"),
    (without("doc"), "missing_field", "doc"),
    (without("doc", "docId"), "missing_field", "doc.docId"),
    (without("doc", "payload"), "missing_field", "doc.payload"),
    (having(doc="secret"), "wrong_type", "doc: expected an object, found a string"),
    (having(eventId=7), "wrong_type", "eventId: expected a string, found a number"),
    (having(doc={"docId": "1", "payload": None}), "wrong_type", "doc.payload: expected a string, found null"),
    (having(eventTimestamp="yesterday"), "bad_timestamp", "expected RFC 3339"),
    (having(eventTimestamp="2019-04-02T21:55:57"), "bad_timestamp", "expected RFC 3339"),
    (having(eventTimestamp="2019-02-30T21:55:57Z"), "bad_timestamp", "expected RFC 3339"),
    (having(doc={"docId": "1", "payload": " \n"}), "empty_payload", "doc.payload"),
]
EMPTY = [
    (having(eventId=""), "missing_field", "eventId is empty"),
    (having(doc={"docId": " ", "payload": "secret"}), "missing_field", "doc.docId is empty"),
]
TOO_LARGE = (having(filler="secret" * (1 << 20)), "too_large", "expected at most 4194304 bytes")


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    POISON + EMPTY,
    ids=[f"{reason}-{index}" for index, (_, reason, _) in enumerate(POISON + EMPTY)],
)
def test_a_message_that_is_no_event_is_a_dead_letter_and_does_not_come_again(pushed, data, reason, detail):
    assert pushed.push(data, {"origin": "here"}).status_code == 200
    message = pushed.dead_letter()
    assert message.data == data
    attributes = dict(message.attributes)
    found = attributes.pop("detail")
    assert attributes == {"origin": "here", "reason": reason, "originalMessageId": "4711"}
    assert detail in found and "secret" not in found


def test_an_event_that_is_too_large_is_a_dead_letter(pushed, monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 10_000)
    assert pushed.push(having(filler="a" * 9_000)).status_code == 200
    assert pushed.push(having(filler="a" * 10_000)).status_code == 200
    assert pushed.dead_letter().attributes["reason"] == "too_large"
    assert json.loads(pushed.result().data)["filler"] == "a" * 9_000


def test_serving_and_landing_agree_on_what_is_no_event():
    """The rooms share no code, and what only one of them takes would be missing somewhere, silently."""
    from brigade.landing import pipeline as pubsub_gcs

    for data, reason, _ in [*POISON, TOO_LARGE]:
        for room in (events, pubsub_gcs):
            with pytest.raises(room.NotAnEvent) as raised:
                room.read_event(data)
            assert raised.value.reason == reason, (room.__name__, data[:80])


OLD_MEMBERS = [
    (b'{"a": 1, "old": 2, "b": 3}', b'{"a": 1, "b": 3}'),
    (b'{ "old" : {"old": [1, 2]}\n,\r\n "a"\t: [ 1 , {"old": 2} ] }', b'{"a"\t: [ 1 , {"old": 2} ]}'),
    (b'{"old": 1, "old": 2}', b"{}"),
    (b'{"\\u006fld": 1, "old ": 2, "Old": 3}', b'{"old ": 2, "Old": 3}'),
    (b'{"a": "}, \\"old\\": 1, {", "old": "\\\\", "b": "]\\\\"}', b'{"a": "}, \\"old\\": 1, {", "b": "]\\\\"}'),
    ('{"é": "ü", "old": "\u2028", "ß": ""}'.encode(), '{"é": "ü", "ß": ""}'.encode()),
    (b'{"old": 1, "number": ' + b"1" * 5000 + b"}", b'{"number": ' + b"1" * 5000 + b"}"),
    (
        b'{"old": 1, "deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ),
]


@pytest.mark.parametrize("text, kept", OLD_MEMBERS, ids=lambda text: text[:30])
@pytest.mark.parametrize("room", ["events", "pubsub_gcs"])
def test_an_old_member_is_taken_out_and_the_others_stay_as_they_are(room, text, kept):
    assert importlib.import_module(room).without_member(text.decode(), "old").encode() == kept


def test_a_message_is_classified_anew_however_deeply_it_is_nested(pushed):
    deep = b'"deep": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert pushed.push(having(classification=1)[:-1] + b", " + deep).status_code == 200
    data = pushed.result().data
    assert orjson.loads(data)["classification"]["label"] and data.count(b'"classification"') == 1
    assert deep[:-1] in data


def test_attributes_that_pubsub_refuses_do_not_stop_a_dead_letter(pushed):
    odd = {"long": "é" * 1000, "k" * 300: "too long", "googclient_trace": "1", "timeout": "5", "data": "x"}
    odd |= {"reason": "theirs"}
    assert pushed.push(b"no event", odd).status_code == 200
    attributes = dict(pushed.dead_letter().attributes)
    assert set(attributes) == {"long", "timeout", "data", "reason", "detail", "originalMessageId"}
    assert attributes["reason"] == "malformed_json"
    assert attributes["long"] == "é" * 512 and attributes["timeout"] == "5" and attributes["data"] == "x"

    many = {f"key-{number}": "value" for number in range(100)}
    assert pushed.push(b"no event", many).status_code == 200
    attributes = dict(pushed.dead_letter().attributes)
    assert len(attributes) == 100 and attributes["reason"] == "malformed_json"


def test_an_event_with_a_very_long_id_is_published_all_the_same(pushed):
    assert pushed.push(having(eventId="é" * 1000)).status_code == 200
    message = pushed.result()
    assert json.loads(message.data)["eventId"] == "é" * 1000
    assert message.attributes["eventId"] == "é" * 512


def test_without_a_model_a_message_is_refused_with_503_and_published_when_it_comes_again(serve, pubsub, tmp_path):
    pushed = Pushed(serve, pubsub)
    answer = pushed.push(having())
    assert answer.status_code == 503
    assert f"looked in {tmp_path}" in answer.json["error"]
    write_model(tmp_path, OLD)
    sys.modules["main"].STORE.next_look = 0.0
    assert pushed.push(having()).status_code == 200
    assert json.loads(pushed.result().data)["classification"]["model"] == OLD


def test_a_message_that_cannot_be_published_is_refused_so_that_it_comes_again(serve, pubsub, tmp_path):
    write_model(tmp_path, OLD)
    nowhere = f"projects/{pubsub.project}/topics/there-is-no-such-topic"
    pushed = Pushed(serve, pubsub, RESULT_TOPIC=nowhere, DEAD_LETTER_TOPIC=nowhere)
    for data in (having(), b"no event"):
        answer = pushed.push(data)
        assert answer.status_code == 503
        assert answer.json["error"].startswith(f"cannot publish to {nowhere}: NotFound")


def test_without_its_topics_the_function_refuses_messages_and_names_the_setting(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("classify")
    for data, setting in ((having(), "RESULT_TOPIC"), (b"no event", "DEAD_LETTER_TOPIC")):
        answer = client.post("/", json=envelope(data, {}))
        assert answer.status_code == 500
        assert answer.json == {"error": f"{setting}: expected projects/P/topics/T or a topic's name, found ''"}


def test_an_eventarc_delivery_is_taken_as_a_push_is(pushed):
    headers = {
        "ce-id": "4711",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-source": "//pubsub.googleapis.com/projects/brigade-test/topics/topic-brigade",
        "content-type": "application/json",
    }
    answer = pushed.client.post("/", data=json.dumps(envelope(having(), {})), headers=headers)
    assert answer.status_code == 200
    assert json.loads(pushed.result().data)["classification"]["model"] == OLD


def test_what_is_no_pubsub_message_is_refused(serve):
    client = serve("classify")
    headers = {"ce-id": "1", "ce-specversion": "1.0", "ce-type": "other", "ce-source": "//other"}
    for body in (b'{"message": {"data": "%%%"}}', b'{"message": "text"}', b'{"other": 1}', b"[]", b""):
        headers["content-type"] = "application/json"
        assert client.post("/", data=body, headers=headers).status_code == 400


def test_a_new_champion_classifies_messages_too(serve, pubsub, tmp_path):
    manifest = write_model(tmp_path, NEW, promoted=False, seed=2)
    write_model(tmp_path, OLD, seed=1)
    pushed = Pushed(serve, pubsub, MODEL_REFRESH_SECONDS="0.01")
    pushed.push(having())
    assert pushed.result().attributes["model"] == OLD
    write_manifest(tmp_path, NEW, manifest | {"promoted": True})
    wait_until(lambda: sys.modules["main"].STORE.current().name == NEW)
    pushed.push(having())
    assert pushed.result().attributes["model"] == NEW


def test_no_text_of_a_message_is_logged(pushed, logged):
    for data in (having(doc={"docId": "1", "payload": "secret words"}), b'{"eventId": secret}', b'"secret"'):
        assert pushed.push(data).status_code == 200
    assert "dead letter" in "".join(logged()) and "secret" not in "".join(logged())
