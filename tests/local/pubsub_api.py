"""A Pub/Sub server as the conformance tests see it: Google's own clients, and names that no other test has."""

import itertools
import os
import time
from collections.abc import Callable

import pytest

from local import emulators

PROJECT = "projects/brigade-test"
OFFICIAL = os.environ.get("PUBSUB") == "official"
numbers = itertools.count(time.time_ns())


class Api:
    def __init__(self, http_port: int):
        from google.cloud import pubsub

        self.publisher = pubsub.PublisherClient()
        self.subscriber = emulators.subscriber_client()
        self.http = f"http://127.0.0.1:{http_port}/v1"

    def topic(self, **settings) -> str:
        name = f"{PROJECT}/topics/topic-{next(numbers)}"
        self.publisher.create_topic(request={"name": name, **settings})
        return name

    def subscription(self, topic: str, **settings) -> str:
        name = f"{PROJECT}/subscriptions/sub-{next(numbers)}"
        self.subscriber.create_subscription(request={"name": name, "topic": topic, **settings})
        return name

    def publish(self, topic: str, *messages: bytes | dict) -> list[str]:
        """Publishes in one request; returns the messages' ids."""
        request = [{"data": one} if isinstance(one, bytes) else one for one in messages]
        return list(self.publisher.api.publish(topic=topic, messages=request).message_ids)

    def pull(self, subscription: str, count: int = 1000) -> list:
        """What there is at this moment, not acknowledged."""
        request = {"subscription": subscription, "max_messages": count, "return_immediately": True}
        return list(self.subscriber.pull(request=request, timeout=60).received_messages)

    def receive(self, subscription: str, count: int, seconds: float = 30) -> list:
        """`count` messages, not acknowledged; fewer if they do not come in time."""
        found, end = [], time.monotonic() + seconds
        while len(found) < count and time.monotonic() < end:
            pulled = self.pull(subscription, count - len(found))
            found += pulled
            if not pulled:
                time.sleep(0.02)
        return found

    def acknowledge(self, subscription: str, received: list) -> None:
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])

    def give_back(self, subscription: str, received: list) -> None:
        self.set_deadline(subscription, received, 0)

    def set_deadline(self, subscription: str, received: list, seconds: int) -> None:
        ids = [one.ack_id for one in received]
        self.subscriber.modify_ack_deadline(subscription=subscription, ack_ids=ids, ack_deadline_seconds=seconds)


def data(received: list) -> list[bytes]:
    return [one.message.data for one in received]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether the condition held within that time."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(held)


def emulator_departs(request: pytest.FixtureRequest, when: bool, how: str) -> None:
    """States where the official emulator departs from the documentation: there the test has to fail on it."""
    if OFFICIAL and when:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"the official emulator {how}"))


def texts(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def ordered(*pairs: tuple[str, int]) -> list[dict]:
    return [{"data": b"%d" % number, "ordering_key": key} for key, number in pairs]
