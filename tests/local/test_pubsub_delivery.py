"""How messages reach subscribers by pull and by streaming pull: leases, ordering, dead letters, filters, seeks. The
embedded server and, with PUBSUB=official, the official emulator."""

import threading
import time
from concurrent import futures
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2

from tests.local.pubsub_api import PROJECT, data, emulator_departs, wait_until


@pytest.fixture
def topic(api) -> str:
    return api.topic()


def texts(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# -------------------------------------------------------------------------------------------------------------- pull


def test_a_message_comes_as_it_was_published(api, topic):
    subscription = api.subscription(topic)
    before = datetime.now(UTC)
    (name,) = api.publish(topic, {"data": bytes(range(256)), "attributes": {"ключ": "ção"}, "ordering_key": "k"})
    (received,) = api.receive(subscription, 1)
    assert received.message.data == bytes(range(256))
    assert received.message.attributes == {"ключ": "ção"}
    assert (received.message.message_id, received.message.ordering_key) == (name, "k")
    assert before - timedelta(seconds=1) < received.message.publish_time < datetime.now(UTC) + timedelta(seconds=1)
    assert received.delivery_attempt == 0


def test_each_subscription_has_its_own_copy(api, topic):
    first, second = api.subscription(topic), api.subscription(topic)
    api.publish(topic, b"x")
    for subscription in (first, second):
        received = api.receive(subscription, 1)
        assert data(received) == [b"x"]
        api.acknowledge(subscription, received)


def test_a_subscription_has_nothing_from_before_it_was_created(api, topic):
    api.publish(topic, b"early")
    subscription = api.subscription(topic)
    api.publish(topic, b"late")
    assert data(api.receive(subscription, 2, seconds=2)) == [b"late"]


def test_a_pull_that_is_to_return_at_once_returns_at_once(api, topic):
    asked = {"subscription": api.subscription(topic), "max_messages": 1, "return_immediately": True}
    assert not api.subscriber.pull(request=asked, timeout=20).received_messages


def test_a_pull_that_finds_nothing_answers_within_its_deadline(api, topic):
    assert not api.subscriber.pull(subscription=api.subscription(topic), max_messages=1, timeout=20).received_messages


def test_a_pull_waits_for_a_message(api, topic):
    subscription = api.subscription(topic)
    with futures.ThreadPoolExecutor(1) as pool:
        pulled = pool.submit(lambda: api.receive(subscription, 1))
        time.sleep(0.2)
        api.publish(topic, b"x")
        assert data(pulled.result()) == [b"x"]


def test_a_pull_gives_at_most_as_many_as_it_is_asked_for(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, *texts(10))
    assert len(api.pull(subscription, 3)) <= 3
    assert len(api.receive(subscription, 100, seconds=1)) >= 7


@pytest.mark.parametrize("count", [0, -1])
def test_a_pull_for_no_message_is_refused(request, api, topic, count):
    emulator_departs(request, count < 0, "waits for ever")
    with pytest.raises(exceptions.InvalidArgument):
        api.subscriber.pull(subscription=api.subscription(topic), max_messages=count, timeout=5)


def test_a_pull_from_what_is_not_there_is_not_found(api):
    with pytest.raises(exceptions.NotFound):
        api.pull(f"{PROJECT}/subscriptions/not-there")


def test_more_than_an_answer_holds_comes_in_several(api, topic):
    subscription = api.subscription(topic)
    for number in range(12):
        api.publish(topic, b"%d" % number * 700_000)
    received = api.receive(subscription, 12)
    assert sorted(len(one.message.data) for one in received) == [700_000] * 10 + [1_400_000] * 2


def test_a_message_of_the_largest_size_is_delivered(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, b"x" * 9_900_000)
    (received,) = api.receive(subscription, 1)
    assert len(received.message.data) == 9_900_000


# ------------------------------------------------------------------------------------------------- acknowledgement


def test_an_acknowledged_message_does_not_come_again(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    received = api.receive(subscription, 1)
    api.set_deadline(subscription, received, 1)
    api.acknowledge(subscription, received)
    api.acknowledge(subscription, received)  # twice is no error
    assert api.receive(subscription, 1, seconds=2.5) == []


def test_a_message_that_is_held_comes_to_nobody_else(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    assert len(api.receive(subscription, 1)) == 1
    assert api.receive(subscription, 1, seconds=1) == []


def test_a_message_that_is_given_back_comes_again_at_once(api, topic):
    subscription = api.subscription(topic, ack_deadline_seconds=600)
    api.publish(topic, b"x")
    first = api.receive(subscription, 1)
    api.give_back(subscription, first)
    again = api.receive(subscription, 1)
    assert data(again) == [b"x"] and again[0].message.message_id == first[0].message.message_id
    assert again[0].ack_id != first[0].ack_id


def test_a_message_whose_deadline_passes_comes_again(api, topic):
    subscription = api.subscription(topic, ack_deadline_seconds=600)
    api.publish(topic, b"x")
    api.set_deadline(subscription, api.receive(subscription, 1), 1)
    assert data(api.receive(subscription, 1)) == [b"x"]


def test_a_deadline_can_be_put_off(api, topic):
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    received = api.receive(subscription, 1)
    api.set_deadline(subscription, received, 1)
    api.set_deadline(subscription, received, 60)
    assert api.receive(subscription, 1, seconds=2.5) == []


def test_an_acknowledgement_after_the_deadline_counts_while_nobody_else_has_the_message(request, api, topic):
    emulator_departs(request, True, "forgets the ack id")
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    received = api.receive(subscription, 1)
    api.give_back(subscription, received)
    api.acknowledge(subscription, received)
    assert api.receive(subscription, 1, seconds=1) == []


@pytest.mark.parametrize("seconds", [-1, 601])
def test_a_deadline_outside_the_documented_limits_is_refused(request, api, topic, seconds):
    emulator_departs(request, seconds > 600, "does not check this limit")
    subscription = api.subscription(topic)
    api.publish(topic, b"x")
    with pytest.raises(exceptions.InvalidArgument):
        api.set_deadline(subscription, api.receive(subscription, 1), seconds)


def test_an_acknowledgement_of_nothing_is_refused(api, topic):
    with pytest.raises(exceptions.InvalidArgument):
        api.subscriber.acknowledge(subscription=api.subscription(topic), ack_ids=[])


def test_an_acknowledgement_to_what_is_not_there_is_not_found(api):
    with pytest.raises(exceptions.NotFound):
        api.subscriber.acknowledge(subscription=f"{PROJECT}/subscriptions/not-there", ack_ids=["x"])


def test_an_acknowledgement_of_over_half_a_mebibyte_is_refused(api, topic):
    with pytest.raises(exceptions.InvalidArgument):
        api.subscriber.acknowledge(subscription=api.subscription(topic), ack_ids=["x" * 100] * 6000)


# ---------------------------------------------------------------------------------------------------------- ordering


def ordered(*pairs: tuple[str, int]) -> list[dict]:
    return [{"data": b"%d" % number, "ordering_key": key} for key, number in pairs]


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


# ---------------------------------------------------------------------------------------------------- streaming pull


class Subscriber:
    """A running `subscribe()`, and what it was called with."""

    def __init__(self, api, subscription: str, answer=None, **flow):
        from google.cloud.pubsub_v1.types import FlowControl

        self.messages: list = []
        self.lock = threading.Lock()
        self.answer = answer or (lambda message: message.ack())
        control = FlowControl(**flow) if flow else FlowControl()
        self.future = api.subscriber.subscribe(subscription, self.receive, flow_control=control)

    def receive(self, message) -> None:
        with self.lock:
            self.messages.append(message)
        self.answer(message)

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *failure) -> None:
        self.future.cancel()
        if failure[0] is None:
            self.future.result(timeout=30)


def test_a_subscriber_gets_every_message_once(api, topic):
    subscription = api.subscription(topic)
    with Subscriber(api, subscription) as subscriber:
        for start in range(0, 500, 100):
            api.publish(topic, *[b"%d" % number for number in range(start, start + 100)])
        assert wait_until(lambda: len(subscriber.messages) >= 500)
        assert sorted(int(message.data) for message in subscriber.messages) == list(range(500))
    assert api.receive(subscription, 1, seconds=1) == []


def test_a_subscriber_that_gives_a_message_back_gets_it_again(api, topic):
    tried: list[str] = []

    def answer(message) -> None:
        tried.append(message.message_id)
        message.ack() if len(tried) > 2 else message.nack()

    with Subscriber(api, api.subscription(topic), answer):
        api.publish(topic, b"x")
        assert wait_until(lambda: len(tried) == 3)
    assert len(set(tried)) == 1


def test_a_subscriber_is_sent_no_more_than_it_takes(request, api, topic):
    emulator_departs(request, True, "leaves flow control to the client")
    subscription = api.subscription(topic)
    held: list = []
    with Subscriber(api, subscription, held.append, max_messages=3) as subscriber:
        api.publish(topic, *texts(10))
        assert wait_until(lambda: len(held) == 3)
        others = api.receive(subscription, 7)
        assert len(others) == 7 and len(held) == 3
        api.acknowledge(subscription, others)
        for message in held:
            message.ack()
        assert len(subscriber.messages) == 3


def test_a_subscriber_keeps_the_order_of_a_key(api, topic):
    subscription = api.subscription(topic, enable_message_ordering=True)
    with Subscriber(api, subscription) as subscriber:
        for start in range(0, 100, 20):
            api.publish(topic, *ordered(*[(key, number) for number in range(start, start + 20) for key in "ab"]))
        assert wait_until(lambda: len(subscriber.messages) >= 200)
    for key in "ab":
        assert [m.data for m in subscriber.messages if m.ordering_key == key] == texts(100)


def test_a_subscribers_delivery_attempts_are_counted_with_a_dead_letter_topic(api, topic):
    attempts: list[int] = []

    def answer(message) -> None:
        attempts.append(message.delivery_attempt)
        message.nack() if len(attempts) < 3 else message.ack()

    policy = {"dead_letter_topic": api.topic(), "max_delivery_attempts": 5}
    with Subscriber(api, api.subscription(topic, dead_letter_policy=policy), answer):
        api.publish(topic, b"x")
        assert wait_until(lambda: len(attempts) == 3)
    assert attempts == [1, 2, 3]


@pytest.mark.waits
def test_a_subscriber_holds_a_message_longer_than_its_deadline(api, topic):
    """The client extends the lease while the callback works."""
    subscription = api.subscription(topic, ack_deadline_seconds=10)
    with Subscriber(api, subscription, lambda message: (time.sleep(25), message.ack())) as subscriber:
        api.publish(topic, b"x")
        assert wait_until(lambda: len(subscriber.messages) == 1)
        assert api.receive(subscription, 1, seconds=20) == []
    assert len(subscriber.messages) == 1


def test_a_subscriber_of_what_is_not_there_is_told(api):
    future = api.subscriber.subscribe(f"{PROJECT}/subscriptions/not-there", print)
    with pytest.raises(exceptions.NotFound):
        future.result(timeout=30)


def test_a_subscriber_is_told_when_its_subscription_is_deleted(api, topic):
    subscription = api.subscription(topic)
    subscriber = Subscriber(api, subscription)
    api.publish(topic, b"x")
    assert wait_until(lambda: len(subscriber.messages) == 1)
    api.subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(exceptions.NotFound):
        subscriber.future.result(timeout=30)


@pytest.mark.parametrize(
    "request_",
    [{"stream_ack_deadline_seconds": 9}, {"stream_ack_deadline_seconds": 601}, {}]
    + [{"stream_ack_deadline_seconds": 10, "modify_deadline_seconds": [10]}],
)
def test_a_stream_that_begins_wrongly_is_refused(api, topic, request_):
    stream = api.subscriber.streaming_pull(iter([{"subscription": api.subscription(topic), **request_}]), timeout=20)
    with pytest.raises(exceptions.InvalidArgument):
        next(iter(stream))
