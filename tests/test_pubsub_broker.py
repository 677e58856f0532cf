"""What takes hours or days in the broker, with a clock that the test sets; and an oracle for all that may happen."""

import itertools

import pytest
from google.pubsub_v1.types import pubsub
from hypothesis import given, settings
from hypothesis import strategies as st

from local.pubsub.broker import FORGET_SECONDS, Broker
from local.pubsub.errors import Refused

TOPIC, SUBSCRIPTION = "projects/brigade-test/topics/topic", "projects/brigade-test/subscriptions/sub"
DAY = 24 * 60 * 60


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def broker_with(topic: dict | None = None, **settings) -> tuple[Broker, Clock]:
    clock = Clock()
    broker = Broker(clock)
    broker.create_topic(pubsub.Topic.pb()(name=TOPIC, **(topic or {})))
    broker.create_subscription(pubsub.Subscription.pb()(name=SUBSCRIPTION, topic=TOPIC, **settings))
    return broker, clock


def publish(broker: Broker, *texts: bytes, key: str = "") -> None:
    broker.publish(TOPIC, [pubsub.PubsubMessage.pb()(data=text, ordering_key=key) for text in texts])


def pull(broker: Broker, count: int = 1000) -> list:
    return broker.pull(SUBSCRIPTION, count, wait=0)


def texts(received: list) -> list[bytes]:
    return [one.message.data for one in received]


def wait(broker: Broker, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    broker.tick()


def test_an_unacknowledged_message_is_dropped_after_the_retention():
    broker, clock = broker_with(message_retention_duration={"seconds": 600})
    publish(broker, b"old")
    wait(broker, clock, 590)
    publish(broker, b"new")
    wait(broker, clock, 20)
    assert texts(pull(broker)) == [b"new"]


def test_an_acknowledged_message_is_kept_for_the_retention_and_no_longer():
    broker, clock = broker_with(message_retention_duration={"seconds": 600}, retain_acked_messages=True)
    start = clock.now
    publish(broker, b"old")
    wait(broker, clock, 300)
    publish(broker, b"new")
    broker.acknowledge(SUBSCRIPTION, [one.ack_id for one in pull(broker)])
    broker.seek(SUBSCRIPTION, start)
    received = pull(broker)
    assert texts(received) == [b"old", b"new"]
    broker.acknowledge(SUBSCRIPTION, [one.ack_id for one in received])
    wait(broker, clock, 301 + FORGET_SECONDS)
    broker.seek(SUBSCRIPTION, start)
    assert texts(pull(broker)) == [b"new"]


def test_a_topic_keeps_its_messages_for_its_retention_and_no_longer():
    broker, clock = broker_with(topic={"message_retention_duration": {"seconds": 600}})
    start = clock.now
    publish(broker, b"old")
    wait(broker, clock, 300)
    publish(broker, b"new")
    broker.delete_subscription(SUBSCRIPTION)
    broker.create_subscription(pubsub.Subscription.pb()(name=SUBSCRIPTION, topic=TOPIC))
    broker.seek(SUBSCRIPTION, start)
    assert texts(pull(broker)) == [b"old", b"new"]
    wait(broker, clock, 301 + FORGET_SECONDS)
    broker.seek(SUBSCRIPTION, clock.now)  # drops what the subscription itself has
    broker.seek(SUBSCRIPTION, start)
    assert texts(pull(broker)) == [b"new"]


@pytest.mark.parametrize("used", [True, False])
def test_a_subscription_expires_when_nobody_uses_it(used):
    broker, clock = broker_with(expiration_policy={"ttl": {"seconds": DAY}})
    wait(broker, clock, DAY - 10)
    if used:
        pull(broker)
    wait(broker, clock, 20)
    assert (SUBSCRIPTION in broker.subscriptions) == used


def test_a_subscription_without_a_time_to_live_never_expires():
    broker, clock = broker_with(expiration_policy={})
    wait(broker, clock, 1000 * DAY)
    assert SUBSCRIPTION in broker.subscriptions


def test_the_back_off_doubles_up_to_its_maximum():
    broker, clock = broker_with(retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 35}})
    publish(broker, b"x")
    waits = []
    for _ in range(5):
        (received,) = pull(broker)
        broker.modify(SUBSCRIPTION, [(received.ack_id, 0)])
        for seconds in itertools.count(1):
            wait(broker, clock, 1)
            if broker.subscriptions[SUBSCRIPTION].waiting:
                waits.append(seconds)
                break
    assert waits == [10, 20, 35, 35, 35]


def test_a_dead_letter_topic_that_is_gone_lets_the_message_come_again():
    dead = f"{TOPIC}-dead"
    broker = Broker(clock := Clock())
    for name in (TOPIC, dead):
        broker.create_topic(pubsub.Topic.pb()(name=name))
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    broker.create_subscription(pubsub.Subscription.pb()(name=SUBSCRIPTION, topic=TOPIC, dead_letter_policy=policy))
    broker.delete_topic(dead)
    publish(broker, b"x")
    for attempt in range(1, 8):
        (received,) = pull(broker)
        assert received.delivery_attempt == attempt
        wait(broker, clock, 11)


def test_an_unknown_subscription_is_refused():
    with pytest.raises(Refused, match="not found"):
        Broker().pull(SUBSCRIPTION, 1, wait=0)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("pull"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["acknowledge", "give back"]), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 11.0])),
        st.tuples(st.just("seek"), st.sampled_from([0.0, 5.0, 1e6])),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(actions=ACTIONS, ordering=st.booleans())
def test_whatever_happens_no_message_is_lost_held_twice_or_out_of_order(actions, ordering):
    """Held messages come to nobody else; what was never acknowledged comes in the end, a key's in order."""
    broker, clock = broker_with(enable_message_ordering=ordering, retain_acked_messages=True)
    published: dict[bytes, float] = {}
    keys: dict[bytes, str] = {}
    settled: set[bytes] = set()
    held: dict[str, tuple[bytes, float]] = {}  # by ack id: the text, and when the lease ends
    names = itertools.count()
    for action, value in actions:
        if action == "publish":
            text = b"%06d" % next(names)
            published[text], keys[text] = clock.now, value
            publish(broker, text, key=value)
        elif action == "pull":
            for one in pull(broker, value):
                text = one.message.data
                assert text not in settled
                assert not [1 for other, end in held.values() if other == text and end > clock.now]
                held[one.ack_id] = text, clock.now + 10
        elif action in ("acknowledge", "give back") and held:
            ack_id = list(held)[value % len(held)]
            text, end = held[ack_id]
            if end > clock.now:
                del held[ack_id]
                if action == "acknowledge":
                    broker.acknowledge(SUBSCRIPTION, [ack_id])
                    settled.add(text)
                else:
                    broker.modify(SUBSCRIPTION, [(ack_id, 0)])
                    if ordering and keys[text]:  # all later ones of the key come again
                        later = {one for one in published if keys[one] == keys[text] and one > text}
                        settled -= later
                        held = {name: pair for name, pair in held.items() if pair[0] not in later}
        elif action == "wait":
            wait(broker, clock, value)
            for name, (text, end) in list(held.items()):
                if end <= clock.now:
                    held.pop(name, None)
                    if ordering and keys[text]:
                        later = {one for one in published if keys[one] == keys[text] and one > text}
                        settled -= later
                        held = {name: pair for name, pair in held.items() if pair[0] not in later}
        elif action == "seek":
            moment = clock.now - value
            broker.seek(SUBSCRIPTION, moment)
            settled = {text for text, when in published.items() if when < moment}
            held = {}
    wait(broker, clock, 601)
    for text, _ in held.values():
        if ordering and keys[text]:
            settled -= {one for one in published if keys[one] == keys[text] and one >= text}
    came: list[bytes] = []
    for _ in range(200):
        received = pull(broker, 3)
        if not received:
            break
        came += texts(received)
        broker.acknowledge(SUBSCRIPTION, [one.ack_id for one in received])
    assert len(came) == len(set(came))
    assert set(published) - settled <= set(came)
    if ordering:
        for key in "ab":
            of_key = [text for text in came if keys[text] == key]
            assert of_key == sorted(of_key)
