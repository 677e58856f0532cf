"""Publishes classification's dead letters again, which wait in a subscription.

Each stays there until the topic has taken it again. Whatever was pulled and not published goes back at the end.
"""

import itertools
import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial

from google import pubsub_v1
from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient

from brigade.errors import CannotGoOn
from brigade.publishing.outlets import Outlet, paced
from brigade.publishing.replay import is_data_left_out

NAME = re.compile(r"projects/[^/]+/subscriptions/[^/]+")
# The attributes that classification, and Pub/Sub when it gives up a message, add to the original ones.
DEAD_LETTER_ATTRIBUTES = re.compile(r"reason|detail|originalMessageId|CloudPubSubDeadLetterSource\w+")
HOLD_SECONDS = 600  # the longest that Pub/Sub allows
QUIET_SECONDS = 10  # a subscription that brings nothing for so long counts as empty


def replay_subscription(
    name: str, reason: str | None, outlet: Outlet, rate: float | None, limit: int | None, counts: Counter
) -> None:
    """Sends each dead letter's own bytes, attributes and ordering key, and then acknowledges it.

    An outlet that publishes nothing acknowledges it at once.
    """
    sent: set[str] = set()

    def due(subscription: "DeadLetterSubscription") -> Iterator[tuple[str, str, bytes, dict[str, str], str]]:
        for message in subscription.letters():
            told = dict(message.attributes)
            origin = told.get("originalMessageId") or message.message_id
            if (
                outlet.publishes and told.get("replayOf") in sent
            ):  # sent by this run and refused again: it would go round and round
                counts.update(read=1, skipped_already_sent=1)
            elif reason and told.get("reason") != reason:
                counts.update(read=1, skipped_other_reason=1)
            elif outlet.publishes and is_data_left_out(message.data, told.get("reason")):
                counts.update(read=1, data_left_out=1)
            else:
                sent.add(origin)
                kept = {key: value for key, value in told.items() if not DEAD_LETTER_ATTRIBUTES.fullmatch(key)}
                yield message.message_id, origin, message.data, kept, message.ordering_key

    with DeadLetterSubscription(name) as subscription:
        try:
            for message_id, origin, data, attributes, key in paced(itertools.islice(due(subscription), limit), rate):
                outlet.send(data, attributes | {"replayOf": origin}, partial(subscription.published, message_id), key)
                counts["read"] += 1
        finally:
            outlet.close()


class DeadLetterSubscription:
    """The dead letters in a subscription, as a context: leaving it gives back what was not published again."""

    def __init__(self, name: str):
        self.name, self.client = name, SubscriberClient()
        self.held: dict[str, str] = {}  # messageId → what acknowledges it
        self.taken: deque[str] = deque()  # messageIds that the topic has taken and that are not acknowledged yet
        self.settled: set[str] = set()

    def __enter__(self) -> "DeadLetterSubscription":
        return self

    def __exit__(self, *failure: object) -> None:
        with self.client:
            self.settle()
            self.hold(list(self.held.values()), 0)

    def letters(self) -> Iterator[pubsub_v1.PubsubMessage]:
        """Each message once, however often Pub/Sub brings it, until no other one comes. Raises CannotGoOn."""
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + QUIET_SECONDS:
            new, again = {}, []
            for one in self.pull():
                message_id = one.message.message_id
                if message_id in self.settled:
                    again.append(one.ack_id)
                    continue
                if message_id not in self.held:
                    new[message_id] = one.message
                self.held[message_id] = one.ack_id
            self.acknowledge(again)
            self.hold([self.held[message_id] for message_id in new], HOLD_SECONDS)
            yield from new.values()
            self.settle()
            if new:
                quiet_since = time.monotonic()

    def pull(self) -> list:
        try:
            request = {"subscription": self.name, "max_messages": 500}
            return list(self.client.pull(request=request, timeout=5).received_messages)
        except exceptions.DeadlineExceeded:
            return []
        except exceptions.NotFound:
            raise CannotGoOn(f"{self.name} does not exist; see: gcloud pubsub subscriptions list") from None

    def published(self, message_id: str, _: str) -> None:
        """Notes that the outlet has taken the message. Called in threads of the publishing client's."""
        self.taken.append(message_id)

    def settle(self) -> None:
        """Acknowledges what the topic has taken since the last time."""
        taken = [self.taken.popleft() for _ in range(len(self.taken))]
        self.acknowledge([self.held.pop(message_id) for message_id in taken])
        self.settled.update(taken)

    def acknowledge(self, ack_ids: list[str]) -> None:
        for start in range(0, len(ack_ids), 500):
            self.client.acknowledge(subscription=self.name, ack_ids=ack_ids[start : start + 500])

    def hold(self, ack_ids: list[str], seconds: int) -> None:
        """Keeps Pub/Sub from bringing the messages again for so many seconds."""
        for start in range(0, len(ack_ids), 500):
            request = {"subscription": self.name, "ack_ids": ack_ids[start : start + 500]}
            self.client.modify_ack_deadline(request=request | {"ack_deadline_seconds": seconds})
