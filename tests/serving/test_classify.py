"""`classify` as HTTP, with the real Pub/Sub server behind it."""

import json
import time

import orjson
import pytest

from brigade.events.event import MAX_EVENT_BYTES, NotAnEvent, read_event
from brigade.serving import answers
from tests.models.written_models import NEW, OLD, tiny_model, write_manifest, write_model
from tests.serving.pushed_messages import EVENT, OWN_BYTES, POISON, TOO_LARGE, Pushed, envelope, having
from tests.waiting import wait_until


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


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    POISON,
    ids=[f"{reason}-{index}" for index, (_, reason, _) in enumerate(POISON)],
)
def test_a_message_that_is_no_event_is_a_dead_letter_and_does_not_come_again(pushed, data, reason, detail):
    assert pushed.push(data, {"origin": "here"}).status_code == 200
    message = pushed.dead_letter()
    assert message.data == data
    attributes = dict(message.attributes)
    found = attributes.pop("detail")
    assert attributes == {"origin": "here", "reason": reason, "originalMessageId": "4711"}
    assert detail in found and "secret" not in found


def test_an_event_that_is_too_large_is_a_dead_letter(pushed):
    fits = MAX_EVENT_BYTES - len(having(filler=""))
    assert pushed.push(having(filler="a" * fits)).status_code == 200
    assert pushed.push(having(filler="a" * (fits + 1))).status_code == 200
    assert pushed.dead_letter().attributes["reason"] == "too_large"
    assert json.loads(pushed.result().data)["filler"] == "a" * fits


def test_serving_takes_what_the_one_reader_of_events_takes():
    assert answers.read_event is read_event
    for data, reason, _ in [*POISON, TOO_LARGE]:
        with pytest.raises(NotAnEvent) as raised:
            read_event(data)
        assert raised.value.reason == reason, data[:80]


def test_ids_of_spaces_are_ids_as_in_landing(pushed):
    assert pushed.push(having(eventId=" ", doc={"docId": " ", "payload": "some words"})).status_code == 200
    assert json.loads(pushed.result().data)["eventId"] == " "


def test_a_message_is_classified_anew_however_deeply_it_is_nested(pushed):
    deep = b'"deep": ' + b"[" * 999 + b"]" * 999 + b"}"
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
    pushed.client.store.next_look = 0.0
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
    wait_until(lambda: pushed.client.store.current().name == NEW)
    pushed.push(having())
    assert pushed.result().attributes["model"] == NEW
