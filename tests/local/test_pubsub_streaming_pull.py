"""Streaming pull, as google-cloud-pubsub's subscriber uses it."""

import threading
import time

import pytest
from google.api_core import exceptions

from tests.local.pubsub_api import PROJECT, emulator_departs, ordered, texts, wait_until


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
