"""In which order, to whom and from when on messages are delivered: ordering, dead letters, filters, seek."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2

from tests.local.pubsub_api import PROJECT, data, emulator_departs, ordered, texts

# ---------------------------------------------------------------------------------------------------------- ordering


def test_messages_of_a_key_come_in_order(api, topic):
    subscription = api.subscription(topic, enable_message_ordering=True)
    for start in range(0, 60, 10):
        api.publish(topic, *ordered(*[(key, number) for number in range(start, start + 10) for key in "ab"]))
    seen: dict[str, list[bytes]] = {"a": [], "b": []}
    end = time.monotonic() + 60
    while sum(map(len, seen.values())) < 120 and time.monotonic() < end:
        received = api.pull(subscription, 7)
        for one in received:
            seen[one.message.ordering_key].append(one.message.data)
        if received:
            api.acknowledge(subscription, received)
    assert seen == {"a": texts(60), "b": texts(60)}


def test_a_keys_later_messages_wait_until_the_earlier_ones_are_settled(api, topic):
    subscription = api.subscription(topic, enable_message_ordering=True)
    api.publish(topic, *ordered(("a", 0), ("a", 1), ("b", 2)))
    first = api.receive(subscription, 1)
    assert data(first) == [b"0"]
    assert data(api.receive(subscription, 5, seconds=1)) == [b"2"]
    api.acknowledge(subscription, first)
    assert data(api.receive(subscription, 1)) == [b"1"]


def test_with_a_message_that_is_given_back_all_later_ones_of_its_key_come_again(request, api, topic):
    emulator_departs(request, True, "brings later messages first")
    subscription = api.subscription(topic, enable_message_ordering=True)
    api.publish(topic, *ordered(("a", 0), ("a", 1), ("a", 2)))
    received = api.receive(subscription, 3)
    assert data(received) == texts(3)
    api.acknowledge(subscription, received[:1])
    api.give_back(subscription, received[1:2])
    assert data(api.receive(subscription, 2)) == [b"1", b"2"]


def test_without_ordering_a_key_holds_nothing_up(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, *ordered(("a", 0), ("a", 1)))
    assert len(api.receive(subscription, 1)) == 1
    assert len(api.receive(subscription, 1)) == 1


# ------------------------------------------------------------------------------------------- dead letters, back-off


def test_a_message_that_fails_too_often_becomes_a_dead_letter(request, api, topic):
    emulator_departs(request, True, "has no dead letters by pull")
    dead_topic = api.topic()
    dead = api.subscription(dead_topic)
    policy = {"dead_letter_topic": dead_topic, "max_delivery_attempts": 5}
    subscription = api.subscription(topic, dead_letter_policy=policy)
    (name,) = api.publish(topic, {"data": b"x", "attributes": {"own": "kept"}})
    attempts = []
    for _ in range(5):
        received = api.receive(subscription, 1)
        attempts += [one.delivery_attempt for one in received]
        api.give_back(subscription, received)
    assert attempts == [1, 2, 3, 4, 5]
    (letter,) = api.receive(dead, 1)
    assert letter.message.data == b"x"
    attributes = dict(letter.message.attributes)
    assert attributes.pop("own") == "kept"
    assert attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert attributes["CloudPubSubDeadLetterSourceSubscription"] == subscription.split("/")[-1]
    assert attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] == PROJECT.split("/")[-1]
    assert api.receive(subscription, 1, seconds=1) == []


def test_without_a_dead_letter_topic_a_message_comes_for_ever_and_is_not_counted(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    for _ in range(8):
        (received,) = api.receive(subscription, 1)
        assert received.delivery_attempt == 0
        api.give_back(subscription, [received])


def test_a_retry_policy_puts_the_next_delivery_off(request, api, topic):
    emulator_departs(request, True, "knows no back-off")
    least = {"minimum_backoff": duration_pb2.Duration(seconds=2), "maximum_backoff": duration_pb2.Duration(seconds=2)}
    subscription = api.subscription(topic, retry_policy=least)
    api.publish(topic, b"x")
    api.give_back(subscription, api.receive(subscription, 1))
    given_back = time.monotonic()
    assert data(api.receive(subscription, 1)) == [b"x"]
    assert time.monotonic() - given_back > 1.5


# ----------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    "text, passes",
    [
        ("attributes:domain", {"com", "org", "empty"}),
        ('attributes.domain = "com"', {"com"}),
        ('attributes.domain != "com"', {"org", "empty", "none", "quoted"}),
        ('NOT attributes.domain = "com"', {"org", "empty", "none", "quoted"}),
        ('hasPrefix(attributes.domain, "co")', {"com"}),
        ('hasPrefix(attributes.domain, "")', {"com", "org", "empty"}),
        ('attributes.domain = "com" OR attributes.domain = "org"', {"com", "org"}),
        ('attributes:domain AND attributes.name = "com"', {"com"}),
        ('attributes:domain AND (attributes.name = "com" OR attributes.name = "org")', {"com", "org"}),
        ('NOT (attributes:domain OR attributes.name = "none")', {"quoted"}),
        ('attributes."a.key" = "a \\"quote\\""', {"quoted"}),
        ('attributes.domain = "COM"', set()),
        ("attributes:Domain", set()),
    ],
)
def test_only_messages_that_match_the_filter_are_delivered(request, api, topic, text, passes):
    emulator_departs(request, True, "delivers every message")
    subscription = api.subscription(topic, filter=text)
    messages = [{"name": "com", "domain": "com"}, {"name": "org", "domain": "org"}, {"name": "empty", "domain": ""}]
    messages += [{"name": "none"}, {"name": "quoted", "a.key": 'a "quote"'}]
    everything = api.subscription(topic)
    api.publish(topic, *[{"attributes": one} for one in messages])
    assert len(api.receive(everything, 5)) == 5
    assert {one.message.attributes["name"] for one in api.receive(subscription, 5, seconds=1)} == passes


@pytest.mark.parametrize(
    "text",
    [
        "attributes",
        "attributes.domain",
        "attributes.domain = com",
        'data = "x"',
        'attributes.a = "x" AND',
        '(attributes.a = "x"',
        'attributes.a = "x" AND attributes.b = "y" OR attributes.c = "z"',
        'attributes.a > "x"',
        "hasPrefix(attributes.a)",
        'attributes.a = "x" extra',
        'attributes.a = "x',
    ],
)
def test_a_filter_that_is_no_filter_is_refused(request, api, topic, text):
    emulator_departs(request, True, "does not read filters")
    with pytest.raises(exceptions.InvalidArgument):
        api.subscription(topic, filter=text)


# -------------------------------------------------------------------------------------------------------------- seek


def seek(api, subscription: str, moment: datetime) -> None:
    api.subscriber.seek(request={"subscription": subscription, "time": moment})


def test_a_seek_back_brings_acknowledged_messages_again(api, topic):
    subscription = api.subscription(topic, retain_acked_messages=True)
    start = datetime.now(UTC) - timedelta(seconds=1)
    api.publish(topic, *texts(3))
    api.acknowledge(subscription, api.receive(subscription, 3))
    seek(api, subscription, start)
    assert sorted(data(api.receive(subscription, 3))) == texts(3)


def test_a_seek_back_brings_what_was_published_since_the_moment_and_nothing_else(api, topic):
    subscription = api.subscription(topic, retain_acked_messages=True)
    api.publish(topic, b"before")
    time.sleep(0.05)
    moment = datetime.now(UTC)
    time.sleep(0.05)
    api.publish(topic, b"after")
    api.acknowledge(subscription, api.receive(subscription, 2))
    seek(api, subscription, moment)
    assert data(api.receive(subscription, 2, seconds=2)) == [b"after"]


def test_a_seek_to_now_acknowledges_all_there_is(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, *texts(3))
    held = api.receive(subscription, 1)
    seek(api, subscription, datetime.now(UTC) + timedelta(seconds=1))
    api.give_back(subscription, held)
    assert api.receive(subscription, 1, seconds=1) == []
    time.sleep(1)  # what is published before the moment would be acknowledged too
    api.publish(topic, b"new")
    assert data(api.receive(subscription, 1)) == [b"new"]


def test_without_retained_messages_a_seek_back_brings_only_what_is_unacknowledged(api, topic):
    subscription = api.subscription(topic)
    start = datetime.now(UTC) - timedelta(seconds=1)
    api.publish(topic, *texts(2))
    received = api.receive(subscription, 2)
    api.acknowledge(subscription, received[:1])
    seek(api, subscription, start)
    assert data(api.receive(subscription, 2, seconds=2)) == data(received[1:])


def test_a_seek_without_a_target_is_refused(api, topic):
    with pytest.raises(exceptions.InvalidArgument):
        api.subscriber.seek(request={"subscription": api.subscription(topic)})


def test_a_topics_retention_lets_a_new_subscription_go_back(request, api):
    emulator_departs(request, True, "keeps no messages of a topic")
    topic = api.topic(message_retention_duration=duration_pb2.Duration(seconds=600))
    start = datetime.now(UTC) - timedelta(seconds=1)
    api.publish(topic, b"early")
    subscription = api.subscription(topic)
    assert api.receive(subscription, 1, seconds=0.5) == []
    seek(api, subscription, start)
    assert data(api.receive(subscription, 1)) == [b"early"]
    found = api.subscriber.get_subscription(subscription=subscription)
    assert found.topic_message_retention_duration.total_seconds() == 600
