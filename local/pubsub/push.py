"""Push delivery: one thread a push subscription hands messages to senders, whose number follows from the answers.

A push is acknowledged by the statuses that the service takes. After a refusal the whole subscription waits, from a
tenth of a second to a minute: twice as long each time, while a message that is taken halves it. With a retry policy
each message waits by itself as well. Source: https://cloud.google.com/pubsub/docs/push, "Push backoff".
"""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

from local.pubsub.broker import Broker
from local.pubsub.subscription import Holder, Subscription

ACKNOWLEDGED = {102, 200, 201, 202, 204}
FIRST_WINDOW, LARGEST_WINDOW = 4, 64  # requests under way at once
LEAST_BACK_OFF, MOST_BACK_OFF = 0.1, 60.0  # seconds


class Pusher:
    """Watches the broker for push subscriptions and serves each."""

    def __init__(self, broker: Broker):
        self.broker = broker
        self.pool = urllib3.PoolManager(maxsize=LARGEST_WINDOW, retries=False)

    def run(self) -> None:
        """Starts a delivery for each push subscription that has none, for ever, on a thread of its own."""
        served: dict[Subscription, threading.Thread] = {}
        while True:
            with self.broker.lock:
                served = {one: thread for one, thread in served.items() if thread.is_alive()}
                for subscription in self.broker.subscriptions.values():
                    if subscription.config.push_config.push_endpoint and subscription not in served:
                        served[subscription] = threading.Thread(target=_Push(self, subscription).run, daemon=True)
                        served[subscription].start()
                self.broker.changed.wait(timeout=1)


class _Push:
    """The pushes of one subscription, until it is deleted or pulled from."""

    def __init__(self, pusher: Pusher, subscription: Subscription):
        self.broker, self.pool, self.subscription = pusher.broker, pusher.pool, subscription
        self.window = FIRST_WINDOW
        self.holder = Holder()
        self.refusals = 0  # more than messages taken
        self.not_before = 0.0

    def run(self) -> None:
        name = self.subscription.config.name
        with ThreadPoolExecutor(LARGEST_WINDOW) as senders, self.broker.lock:
            while self.broker.subscriptions.get(name) is self.subscription:
                config = self.subscription.config
                if not config.push_config.push_endpoint:
                    return
                left = self.not_before - time.monotonic()
                self.holder.max_messages = self.window
                # One message a lease: an ordering key then has one request under way.
                received = [] if left > 0 else self.broker.take(self.subscription, self.holder, self.seconds(), most=1)
                if received:
                    senders.submit(self.send, config, *received)
                else:
                    self.broker.changed.wait(max(left, 0) or None)

    def seconds(self) -> int:
        """The time that a request has; the lease ends a little later, so that its answer still counts."""
        return self.subscription.config.ack_deadline_seconds + 1

    def send(self, config, received) -> None:
        """Sends one message and settles it by the answer."""
        try:
            taken = self.status(config, received) in ACKNOWLEDGED
        except (urllib3.exceptions.HTTPError, ValueError):  # no answer, or attributes that are no header
            taken = False
        with self.broker.lock:
            self.learn(taken)
            if taken:
                self.subscription.acknowledge([received.ack_id])
            else:
                self.subscription.modify(received.ack_id, 0)
            self.broker.changed.notify_all()

    def status(self, config, received) -> int:
        """What the endpoint answers."""
        body, headers = (_unwrapped if config.push_config.HasField("no_wrapper") else _wrapped)(config, received)

        def post() -> int:
            endpoint, seconds = config.push_config.push_endpoint, config.ack_deadline_seconds
            return self.pool.request("POST", endpoint, body, headers=headers, timeout=seconds, redirect=False).status

        try:
            return post()
        except urllib3.exceptions.ProtocolError:  # the endpoint has closed an idle connection as the request left
            return post()

    def learn(self, taken: bool) -> None:
        """Widens the window after an answer that acknowledges, narrows it and waits after any other.

        One message that is taken does not end the waiting: among those that all wait for a model some are poison, which
        the function takes.
        """
        if taken:
            self.refusals = max(self.refusals - 1, 0)
            self.window = min(self.window + 1, LARGEST_WINDOW)
            return
        self.window = max(self.window // 2, 1)
        if time.monotonic() >= self.not_before:  # those under way at a refusal count as one
            self.not_before = time.monotonic() + min(LEAST_BACK_OFF * 2**self.refusals, MOST_BACK_OFF)
            self.refusals = min(self.refusals + 1, 20)


def _wrapped(config, received) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a push in Pub/Sub's own envelope."""
    message = received.message
    published = message.publish_time.ToJsonString()
    inner = {"data": base64.b64encode(message.data).decode(), "attributes": dict(message.attributes)}
    inner |= {"messageId": message.message_id, "message_id": message.message_id}
    inner |= {"publishTime": published, "publish_time": published}
    if message.ordering_key:
        inner["orderingKey"] = message.ordering_key
    envelope = {"message": inner, "subscription": config.name}
    if received.delivery_attempt:
        envelope["deliveryAttempt"] = received.delivery_attempt
    return json.dumps(envelope).encode(), {"Content-Type": "application/json"}


def _unwrapped(config, received) -> tuple[bytes, dict[str, str]]:
    """The message's data as the body; its attributes and what else is known of it as headers, where asked for."""
    message, headers = received.message, {}
    if config.push_config.no_wrapper.write_metadata:
        metadata = {"subscription-name": config.name, "message-id": message.message_id}
        metadata |= {"publish-time": message.publish_time.ToJsonString(), "ordering-key": message.ordering_key}
        metadata |= {"delivery-attempt": str(received.delivery_attempt or "")}
        headers = {f"x-goog-pubsub-{name}": value for name, value in metadata.items() if value}
        headers |= dict(message.attributes)
    return message.data, headers
