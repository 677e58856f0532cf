"""All topics and subscriptions, and what can be done with them. One lock guards everything; nothing here knows gRPC or
HTTP."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import grpc
from google.pubsub_v1.types import pubsub

from local.pubsub import rules
from local.pubsub.errors import Refused, already_exists, not_found
from local.pubsub.subscription import Delivery, Holder, Message, PubsubMessage, Subscription

DELETED_TOPIC = "_deleted-topic_"
TICK_SECONDS = 0.05
FORGET_SECONDS = 10

ReceivedMessage = pubsub.ReceivedMessage.pb()


class Topic:
    def __init__(self, config):
        self.config = config
        self.subscriptions: dict[str, Subscription] = {}
        self.kept: deque[Message] = deque()  # only with a message_retention_duration

    @property
    def retention(self) -> float:
        """Seconds; 0: the topic itself keeps nothing."""
        return rules.seconds_of(self.config.message_retention_duration)


class Broker:
    """Messages are numbered from the microseconds of its start, so that their ids differ from an earlier broker's."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self.clock = clock
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)  # notified when a message waits or a subscription has changed
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.last_number = int(clock() * 1e6)
        self.looked_for_old = clock()

    # ----------------------------------------------------------------------------------------------------- topics

    def create_topic(self, config):
        kept = rules.completed_topic(config)
        with self.lock:
            if kept.name in self.topics:
                raise already_exists(kept.name)
            self.topics[kept.name] = Topic(kept)
            return kept

    def topic(self, name: str) -> Topic:
        rules.check_name("topics", name)
        with self.lock:
            if name not in self.topics:
                raise not_found(name)
            return self.topics[name]

    def update_topic(self, config, paths: list[str]):
        with self.lock:
            topic = self.topic(config.name)
            topic.config = rules.completed_topic(rules.merged(topic.config, config, paths, rules.TOPIC_UPDATES))
            return topic.config

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, with the messages they have."""
        with self.lock:
            for subscription in self.topic(name).subscriptions.values():
                subscription.config.topic = DELETED_TOPIC
            del self.topics[name]

    # ---------------------------------------------------------------------------------------------- subscriptions

    def create_subscription(self, config):
        kept = rules.completed_subscription(config)
        with self.lock:
            if kept.name in self.subscriptions:
                raise already_exists(kept.name)
            topic = self.topic(kept.topic)
            self._check_dead_letter_topic(kept)
            subscription = Subscription(kept, self.clock, self._dead_letter)
            topic.subscriptions[kept.name] = self.subscriptions[kept.name] = subscription
            self.changed.notify_all()
            return self.described(subscription)

    def subscription(self, name: str) -> Subscription:
        rules.check_name("subscriptions", name)
        with self.lock:
            if name not in self.subscriptions:
                raise not_found(name)
            return self.subscriptions[name]

    def described(self, subscription: Subscription):
        """Its settings, with the retention of its topic."""
        shown = type(subscription.config)()
        shown.CopyFrom(subscription.config)
        topic = self.topics.get(shown.topic)
        if topic and topic.retention:
            shown.topic_message_retention_duration.CopyFrom(topic.config.message_retention_duration)
        return shown

    def update_subscription(self, config, paths: list[str]):
        with self.lock:
            subscription = self.subscription(config.name)
            changed = rules.merged(subscription.config, config, paths, rules.SUBSCRIPTION_UPDATES)
            changed = rules.completed_subscription(changed)
            self._check_dead_letter_topic(changed)
            subscription.configure(changed)
            self.changed.notify_all()
            return self.described(subscription)

    def delete_subscription(self, name: str) -> None:
        with self.lock:
            subscription = self.subscription(name)
            del self.subscriptions[name]
            if subscription.config.topic in self.topics:
                del self.topics[subscription.config.topic].subscriptions[name]
            self.changed.notify_all()

    def _check_dead_letter_topic(self, config) -> None:
        if config.dead_letter_policy.dead_letter_topic:
            self.topic(config.dead_letter_policy.dead_letter_topic)

    # --------------------------------------------------------------------------------------------------- messages

    def publish(self, topic_name: str, messages: Iterable) -> list[str]:
        """Returns the messages' ids. `messages` are PubsubMessages; id and time are written into them."""
        with self.lock:
            topic = self.topic(topic_name)
            ids = []
            for message in messages:
                self.last_number += 1
                published = self.clock()
                message.message_id = str(self.last_number)
                message.publish_time.FromNanoseconds(int(published * 1e6) * 1000)
                kept = Message(self.last_number, published, message.SerializeToString(), message.ordering_key)
                if topic.retention:
                    topic.kept.append(kept)
                for subscription in topic.subscriptions.values():
                    subscription.add(kept)
                ids.append(message.message_id)
            self.changed.notify_all()
            return ids

    def pull(self, name: str, count: int, wait: float) -> list:
        """Returns at most `count` ReceivedMessages; none if none came within `wait` seconds."""
        end = time.monotonic() + wait
        with self.lock:
            while True:
                subscription = self.subscription(name)
                check_is_pulled(subscription)
                subscription.used = self.clock()
                taken = subscription.take(count, subscription.config.ack_deadline_seconds)
                left = end - time.monotonic()
                if taken or left <= 0:
                    return [_received(subscription, delivery) for delivery in taken]
                self.changed.wait(left)

    def take(self, subscription: Subscription, holder: Holder, seconds: float, most: int = rules.MAX_MESSAGES) -> list:
        """Returns the ReceivedMessages that a stream or a push may be sent now. The caller holds the lock."""
        subscription.used = self.clock()
        messages, size = holder.room()
        if messages <= 0 or size <= 0:
            return []
        taken = subscription.take(min(messages, most), seconds, holder, size)
        return [_received(subscription, delivery) for delivery in taken]

    def acknowledge(self, name: str, ack_ids: Iterable[str]) -> None:
        with self.lock:
            self.subscription(name).acknowledge(ack_ids)
            self.changed.notify_all()

    def modify(self, name: str, deadlines: Iterable[tuple[str, int]]) -> None:
        """Sets the leases' deadlines, in seconds from now; 0 gives a message back."""
        with self.lock:
            subscription = self.subscription(name)
            for ack_id, seconds in deadlines:
                subscription.modify(ack_id, seconds)
            self.changed.notify_all()

    def seek(self, name: str, moment: float) -> None:
        with self.lock:
            subscription = self.subscription(name)
            topic = self.topics.get(subscription.config.topic)
            subscription.seek(moment, topic.kept if topic else ())
            self.changed.notify_all()

    def _dead_letter(self, subscription: Subscription, delivery: Delivery) -> bool:
        """Publishes a message that was tried too often to the dead-letter topic, with the attributes that say so."""
        topic = subscription.config.dead_letter_policy.dead_letter_topic
        if topic not in self.topics:
            return False
        message = PubsubMessage.FromString(delivery.message.data)
        _, project, _, name = subscription.config.name.split("/")
        prefix = "CloudPubSubDeadLetterSource"
        message.attributes[f"{prefix}DeliveryCount"] = str(delivery.attempts)
        message.attributes[f"{prefix}Subscription"] = name
        message.attributes[f"{prefix}SubscriptionProject"] = project
        message.attributes[f"{prefix}TopicPublishTime"] = message.publish_time.ToJsonString()
        self.publish(topic, [message])
        return True

    # ------------------------------------------------------------------------------------------------ time goes by

    def tick(self) -> None:
        """Ends leases, and now and then drops what is too old."""
        with self.lock:
            waiting = [one.tick() for one in list(self.subscriptions.values())]
            if any(waiting):
                self.changed.notify_all()
            if self.clock() - self.looked_for_old < FORGET_SECONDS:
                return
            self.looked_for_old = self.clock()
            for topic in self.topics.values():
                while topic.kept and topic.kept[0].published < self.clock() - topic.retention:
                    topic.kept.popleft()
            for name, subscription in list(self.subscriptions.items()):
                subscription.forget_old()
                if subscription.has_expired():
                    self.delete_subscription(name)

    def run_clock(self) -> None:
        """Ticks for ever, on a thread of its own."""
        while True:
            time.sleep(TICK_SECONDS)
            self.tick()


def check_is_pulled(subscription: Subscription) -> None:
    if subscription.config.push_config.push_endpoint:
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "This method is not supported for push subscriptions.")


def _received(subscription: Subscription, delivery: Delivery):
    """A delivery as subscribers get it."""
    received = ReceivedMessage(ack_id=delivery.ack_id)
    received.message.MergeFromString(delivery.message.data)
    if subscription.config.HasField("dead_letter_policy"):
        received.delivery_attempt = delivery.attempts
    return received
