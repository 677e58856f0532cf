"""Replay from a subscription: the dead letters that classification wrote go out again as they came in."""

import base64
import json
import uuid
from types import SimpleNamespace

import pytest
from google.pubsub_v1 import PublisherClient

from brigade.publishing import subscription
from brigade.publishing.outlets import Topic
from tests.publishing.door import EVENT, run

FORWARDED = {
    "CloudPubSubDeadLetterSourceDeliveryCount": "100",
    "CloudPubSubDeadLetterSourceSubscription": "sub-brigade-classify",
    "CloudPubSubDeadLetterSourceSubscriptionProject": "brigade-test",
    "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-21T20:00:00.000+00:00",
}


@pytest.fixture(autouse=True)
def soon_quiet(monkeypatch):
    monkeypatch.setattr(subscription, "QUIET_SECONDS", 1)


@pytest.fixture
def dead(pubsub):
    """The dead-letter topic and its subscription, the topic to replay to, and what there is on each."""
    name = uuid.uuid4().hex[:8]
    dead_letters, documents = pubsub.topic(f"dead-{name}"), pubsub.topic(f"documents-{name}")
    subscription = pubsub.subscription(dead_letters, f"sub-dead-{name}", ack_deadline_seconds=10)
    published = pubsub.subscription(documents, f"sub-documents-{name}")
    return SimpleNamespace(
        topic=dead_letters,
        documents=documents,
        subscription=subscription,
        put=lambda data, **attributes: pubsub.publisher.publish(dead_letters, data, **attributes).result(),
        left=lambda count, **more: pubsub.pull_all(subscription, count, **more),
        published=lambda count, **more: pubsub.pull_all(published, count, **more),
    )


def replay(dead, *flags):
    return run(f"--replay={dead.subscription}", f"--topic={dead.documents}", *flags)


def adds_up(summary: dict) -> bool:
    parts = ("sent", "acknowledged", "skipped_already_sent", "skipped_acknowledged", "skipped_other_reason")
    parts += ("data_left_out", "unreadable", "failed", "too_large")
    return summary["read"] == sum(summary[part] for part in parts)


@pytest.mark.long
def test_what_the_function_wrote_goes_out_with_its_original_bytes_and_attributes(dead, serve, pubsub):
    function = serve("classify", DEAD_LETTER_TOPIC=dead.topic, RESULT_TOPIC=dead.documents)
    messages = {"1": (b"\xff\xfe", {"source": "scanner"}), "2": (b"no JSON", {"replayOf": "0"}), "3": (b"[]", {})}
    for message_id, (data, attributes) in messages.items():
        body = {"messageId": message_id, "data": base64.b64encode(data).decode(), "attributes": attributes}
        answer = function.post("/", json={"message": body, "subscription": "s"})
        assert answer.json["status"] == "dead letter"
    done = replay(dead)
    assert (done.status, done.summary["sent"], adds_up(done.summary)) == (0, 3, True)
    found = {message.attributes["replayOf"]: message for message in dead.published(3)}
    assert {name: message.data for name, message in found.items()} == {key: data for key, (data, _) in messages.items()}
    for name, message in found.items():
        assert dict(message.attributes) == messages[name][1] | {"replayOf": name}
    assert dead.left(1, timeout=12) == []  # longer than the deadline after which it would come again


def test_an_ordering_key_goes_out_again(dead, pubsub):
    letter = {"data": EVENT, "attributes": {"originalMessageId": "1"}, "ordering_key": "customer-7"}
    PublisherClient.publish(pubsub.publisher, topic=dead.topic, messages=[letter])
    assert replay(dead).status == 0
    (message,) = dead.published(1)
    assert (message.data, message.ordering_key) == (EVENT, "customer-7")


def test_what_pubsub_gave_up_goes_out_without_what_pubsub_wrote_on_it(dead):
    message_id = dead.put(EVENT, source="scanner", **FORWARDED)
    assert replay(dead).summary["sent"] == 1
    (message,) = dead.published(1)
    assert message.data == EVENT
    assert dict(message.attributes) == {"source": "scanner", "replayOf": message_id}


def test_other_reasons_stay_and_the_next_replay_finds_them_at_once(dead):
    dead.put(b"1", reason="not_utf8", detail="d", originalMessageId="1")
    dead.put(b"2", reason="bad_timestamp", detail="d", originalMessageId="2")
    first = replay(dead, "--reason=bad_timestamp")
    told = (first.status, first.summary["sent"], first.summary["skipped_other_reason"])
    assert told == (0, 1, 1) and adds_up(first.summary)
    assert [message.data for message in dead.published(1)] == [b"2"]
    assert replay(dead).summary["sent"] == 1
    assert [message.data for message in dead.published(1)] == [b"1"]


def test_a_dry_run_shows_what_would_go_out_and_takes_nothing_away(dead):
    dead.put(EVENT, reason="bad_timestamp", detail="d", originalMessageId="1")
    shown = replay(dead, "--dry_run")
    assert (shown.status, shown.lines) == (0, [EVENT])
    assert [message.data for message in dead.left(1)] == [EVENT]
    assert dead.published(1, timeout=1) == []


def test_limit_leaves_the_rest(dead):
    for number in range(5):
        dead.put(b"%d" % number, reason="bad_timestamp", detail="d", originalMessageId=str(number))
    done = replay(dead, "--limit=2")
    assert (done.summary["sent"], adds_up(done.summary)) == (2, True)
    gone, left = {message.data for message in dead.published(2)}, {message.data for message in dead.left(3)}
    assert len(gone) == 2 and len(left) == 3 and not gone & left


def test_a_letter_whose_bytes_were_left_out_stays_and_is_told(dead, caplog):
    dead.put(b"", reason="too_large", detail="expected at most", originalMessageId="1")
    done = replay(dead)
    told = [done.summary[name] for name in ("data_left_out", "unreadable", "sent")]
    assert (done.status, told) == (1, [1, 0, 0]) and adds_up(done.summary)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("1 dead letters hold no data") and "--reason=too_large --acknowledge" in line
    assert len(dead.left(1)) == 1


def acknowledge(dead, *flags):
    return run(f"--replay={dead.subscription}", "--reason=too_large", "--acknowledge", *flags)


def test_letters_of_a_reason_are_acknowledged_and_nothing_is_published(dead):
    dead.put(b"", reason="too_large", detail="d", originalMessageId="1")
    dead.put(b"x" * 5_000, reason="too_large", detail="d", originalMessageId="2")
    dead.put(b"x" * 5_000, reason="too_large", detail="d", originalMessageId="3", replayOf="2")
    dead.put(b"full", reason="too_large", **{f"attribute{number}": "v" for number in range(99)})
    dead.put(EVENT, reason="bad_timestamp", detail="d", originalMessageId="4")
    dead.put(EVENT, **FORWARDED)  # given up by Pub/Sub, for no reason
    shown, done = acknowledge(dead, "--dry_run"), acknowledge(dead)
    for one in (shown, done):
        told = [one.summary[name] for name in ("read", "acknowledged", "skipped_other_reason", "sent")]
        assert (one.status, told) == (0, [6, 4, 2, 0]) and adds_up(one.summary)
    assert shown.lines == []
    assert [message.data for message in dead.left(3, timeout=3)] == [EVENT, EVENT]  # nothing waits that never goes
    assert dead.published(1, timeout=0.5) == []


def test_a_limit_bounds_what_is_acknowledged(dead):
    for number in range(3):
        dead.put(b"", reason="too_large", detail="d", originalMessageId=str(number))
    done = acknowledge(dead, "--limit=1", f"--topic={dead.documents}")
    assert done.summary["acknowledged"] == 1 and adds_up(done.summary)
    assert len(dead.left(3, timeout=3)) == 2


def test_a_message_that_is_no_event_this_time_either_goes_out_once(dead, pubsub):
    dead.put(b"no JSON", reason="malformed_json", detail="d", originalMessageId="1")
    done = run(f"--replay={dead.subscription}", f"--topic={dead.topic}")  # whatever goes out comes back
    assert (done.status, done.summary["sent"], done.summary["skipped_already_sent"]) == (0, 1, 1)
    assert adds_up(done.summary)
    (back,) = dead.left(1)
    assert dict(back.attributes) == {"replayOf": "1"}


def test_what_pubsub_would_not_take_with_replay_of_stays_and_is_told(dead):
    dead.put(EVENT, reason="bad_timestamp", detail="d", originalMessageId="1")
    dead.put(b"full", **{f"attribute{number}": "v" for number in range(100)})  # as many as Pub/Sub allows
    done = replay(dead)
    assert (done.status, done.summary["sent"], done.summary["too_large"]) == (1, 1, 1) and adds_up(done.summary)
    assert [message.data for message in dead.left(1)] == [b"full"]


def test_a_topic_that_vanishes_keeps_the_letters(dead, pubsub, monkeypatch):
    for number in range(3):
        dead.put(b"%d" % number, reason="bad_timestamp", detail="d", originalMessageId=str(number))
    send = Topic.put

    def vanish(outlet, *message):
        if outlet.topic == dead.documents:
            pubsub.publisher.delete_topic(topic=dead.documents)
            monkeypatch.setattr(Topic, "put", send)
        send(outlet, *message)

    monkeypatch.setattr(Topic, "put", vanish)
    done = replay(dead)
    assert done.status == 1 and done.summary["sent"] == 0 and done.summary["failed"] >= 1
    assert {message.data for message in dead.left(3)} == {b"0", b"1", b"2"}


def test_a_subscription_that_is_not_there_is_told_in_one_line(dead):
    done = run("--replay=projects/brigade-test/subscriptions/none", f"--topic={dead.documents}")
    assert done.status == 1 and "subscriptions/none does not exist" in done.error
    assert json.loads(done.lines[-1])["read"] == 0
