"""The forms of a pushed message, and what is published for one."""

import base64
import gzip
import json
from types import SimpleNamespace

import pytest
from google.pubsub_v1 import types

from brigade.serving import messages
from local.pubsub import push
from tests.models.written_models import tiny_model
from tests.serving.pushed_messages import (
    EVENT,
    EVENTARC,
    Pushed,
    envelope,
    having,
)


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


@pytest.mark.parametrize("name", ["orderingKey", "ordering_key"])
def test_the_ordering_key_of_a_message_goes_on_with_its_result_and_with_its_dead_letter(pushed, name):
    for data, published in ((having(), pushed.result), (b"no event", pushed.dead_letter)):
        body = envelope(data, {})
        body["message"][name] = "customer-7"
        assert pushed.client.post("/", json=body).status_code == 200
        assert published().ordering_key == "customer-7"


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


def test_attributes_are_read_as_they_were_sent():
    body = envelope(b"data", {"é": "ü", "": "empty"})
    message = messages.read_message(json.dumps(body).encode(), {}, 10_000)
    assert message == messages.Message("4711", b"data", {"é": "ü", "": "empty"})
    assert messages.attributes_to_publish({"own": "1"}, message.attributes) == {"é": "ü", "own": "1"}
    assert base64.b64decode(body["message"]["data"]) == message.data


def test_a_message_without_envelope_is_classified_whether_its_metadata_come_as_headers_or_not(pushed):
    google = {"User-Agent": "CloudPubSub-Google", "Content-Type": "application/octet-stream"}
    metadata = {"x-goog-pubsub-message-id": "4711", "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s"}
    for headers in ({}, google, google | metadata):
        answer = pushed.client.post("/", data=having(message="kept"), headers=headers)
        assert answer.status_code == 200 and answer.json == {"status": "classified"}
    for message in pushed.pubsub.pull_all(pushed.results, 3):
        assert json.loads(message.data)["message"] == "kept"


@pytest.mark.parametrize("data", [b"no json", b"[1]", b"\xff", b'{"eventId": "1"}', b""])
@pytest.mark.parametrize("metadata", [{"x-goog-pubsub-message-id": "4711", "origin": "here"}, {}])
def test_a_message_without_envelope_that_is_no_event_is_a_dead_letter(pushed, data, metadata):
    headers = {"User-Agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}
    headers |= {"Authorization": "Bearer secret", "X-Forwarded-For": "192.0.2.1"} | metadata
    assert pushed.client.post("/", data=data, headers=headers).json["status"] == "dead letter"
    message = pushed.dead_letter()
    assert message.data == data and "secret" not in str(message)
    attributes = dict(message.attributes)
    assert attributes.pop("reason") and attributes.pop("detail")
    own = {"originalMessageId": metadata.get("x-goog-pubsub-message-id", "")}
    assert attributes == own | ({"origin": "here"} if metadata else {})


def test_the_emulated_pushes_without_envelope_are_taken(pushed):
    """What the Pub/Sub server sends for a push subscription with --push-no-wrapper-write-metadata."""
    message = types.PubsubMessage(data=having(), attributes={"origin": "here"}, message_id="7")
    config = types.Subscription(name="projects/p/subscriptions/s")
    config.push_config.no_wrapper.write_metadata = True
    body, headers = push._unwrapped(config, SimpleNamespace(message=message._pb, delivery_attempt=2))
    assert pushed.client.post("/", data=body, headers=headers).json == {"status": "classified"}


def test_a_batch_of_cloud_events_is_refused_by_its_header(pushed):
    answer = pushed.client.post("/", json=[], headers={"Content-Type": "application/cloudevents-batch+json"})
    assert answer.status_code == 415
    assert answer.json["error"].startswith("Content-Type: expected one CloudEvent a request")


def test_a_body_in_gzip_is_unpacked(pushed):
    packed = gzip.compress(json.dumps(envelope(having(), {})).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert pushed.client.post("/", data=packed, headers=headers).json["status"] == "classified"
