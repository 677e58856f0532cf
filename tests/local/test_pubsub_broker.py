"""What takes hours or days in the broker, with a clock that the test sets; and an oracle for all that may happen."""

import itertools
from types import SimpleNamespace

import pytest
from google.pubsub_v1.types import pubsub
from hypothesis import given, settings
from hypothesis import strategies as st

from local.pubsub import push
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


@pytest.mark.parametrize("every", [0, 4, 10])
@pytest.mark.parametrize("policy", [{}, {"retry_policy": {"minimum_backoff": {"seconds": 10}}}])
def test_an_endpoint_that_refuses_is_asked_ever_more_seldom_although_it_takes_one_of_so_many(
    monkeypatch, policy, every
):
    """As the function does while there is no model, which takes only what can never be classified."""
    broker, clock = broker_with(push_config={"push_endpoint": "http://127.0.0.1:9/"}, **policy)
    monkeypatch.setattr(push, "time", SimpleNamespace(monotonic=clock))
    pushes = push._Push(push.Pusher(broker), broker.subscriptions[SUBSCRIPTION])
    end, sent = clock.now + 240, 0
    while clock.now < end:
        sent += 1
        pushes.learn(bool(every) and sent % every == 0)
        clock.now = max(clock.now, pushes.not_before)
    assert sent < 60
    pushes.learn(True)
    assert pushes.not_before <= clock.now, "what is taken again is not waited for"


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


def test_an_ack_id_counts_after_its_lease_until_the_message_is_sent_again():
    broker, clock = broker_with()
    publish(broker, b"x", b"y")
    x, y = pull(broker)
    wait(broker, clock, 11)
    broker.acknowledge(SUBSCRIPTION, [y.ack_id])  # late, but nobody has it since
    assert texts(pull(broker)) == [b"x"]
    broker.acknowledge(SUBSCRIPTION, [x.ack_id])
    wait(broker, clock, 11)
    assert texts(pull(broker)) == [b"x"]


def test_after_a_failed_message_all_later_ones_of_its_key_come_again_acknowledged_or_not():
    broker, _ = broker_with(enable_message_ordering=True)
    publish(broker, b"0", b"1", b"2", key="a")
    publish(broker, b"other", key="b")
    first, second, _, other = pull(broker)
    broker.acknowledge(SUBSCRIPTION, [second.ack_id, other.ack_id])
    broker.modify(SUBSCRIPTION, [(first.ack_id, 0)])
    assert texts(pull(broker)) == [b"0", b"1", b"2"]


def test_an_unknown_subscription_is_refused():
    with pytest.raises(Refused, match="not found"):
        Broker().pull(SUBSCRIPTION, 1, wait=0)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["", "a", "a", "b"])),
        st.tuples(st.just("pull"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["acknowledge", "give back", "extend", "acknowledge late"]), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 11.0])),
        st.tuples(st.just("seek"), st.sampled_from([0.0, 5.0, 1e6])),
    ),
    min_size=5,
    max_size=40,
)


class Oracle:
    """What subscribers hold, and which messages have to come, must not come, or may."""

    def __init__(self, ordering: bool):
        self.ordering = ordering
        self.published: dict[bytes, tuple[str, float]] = {}  # key and time
        self.held: dict[str, tuple[bytes, float]] = {}  # by ack id: the text, and when the lease ends
        self.expired: list[str] = []  # ack ids
        self.settled: set[bytes] = set()

    def together(self, one: bytes, other: bytes) -> bool:
        """Whether the order of the two matters."""
        key = self.published[one][0]
        return self.ordering and key != "" and key == self.published[other][0]

    def pulled(self, received: list, now: float) -> None:
        before = [text for text, end in self.held.values() if end > now]
        for one in received:
            text = one.message.data
            assert text not in self.settled, "what is acknowledged does not come again"
            assert text not in before, "what is held comes to nobody else"
            assert not [other for other in before if self.together(text, other)], "one holder a key"
            self.held[one.ack_id] = text, now + 10
        for first, second in itertools.pairwise(texts(received)):
            assert first < second or not self.together(first, second)

    def failed(self, ack_id: str) -> None:
        """A message comes again, and with it all later ones of its key."""
        text, _ = self.held.pop(ack_id)
        self.expired.append(ack_id)
        for name, (other, _) in list(self.held.items()):
            if self.together(text, other) and other > text:
                self.expired.append(name)
                del self.held[name]
        self.settled -= {other for other in self.published if self.together(text, other) and other > text}

    def passed(self, now: float) -> None:
        while ended := [name for name, (_, end) in self.held.items() if end <= now]:
            self.failed(min(ended, key=lambda name: self.held[name][0]))


@settings(max_examples=200)
@given(actions=ACTIONS, ordering=st.booleans())
def test_whatever_happens_no_message_is_lost_held_twice_or_out_of_order(actions, ordering):
    broker, clock = broker_with(enable_message_ordering=ordering, retain_acked_messages=True)
    oracle = Oracle(ordering)
    maybe: set[bytes] = set()  # acknowledged late: that may count
    known: dict[str, bytes] = {}
    for action, value in actions:
        if action == "publish":
            text = b"%06d" % len(oracle.published)
            oracle.published[text] = value, clock.now
            publish(broker, text, key=value)
        elif action == "pull":
            received = pull(broker, value)
            known |= {one.ack_id: one.message.data for one in received}
            oracle.pulled(received, clock.now)
        elif action == "wait":
            wait(broker, clock, value)
            oracle.passed(clock.now)
        elif action == "seek":
            moment = clock.now - value
            broker.seek(SUBSCRIPTION, moment)
            oracle.settled = {text for text, (_, when) in oracle.published.items() if when < moment}
            oracle.held, oracle.expired = {}, []
            maybe.clear()
        elif action == "acknowledge late" and oracle.expired:
            ack_id = oracle.expired[value % len(oracle.expired)]
            broker.acknowledge(SUBSCRIPTION, [ack_id])
            maybe.add(known[ack_id])
        elif action != "acknowledge late" and oracle.held:
            ack_id = list(oracle.held)[value % len(oracle.held)]
            text, _ = oracle.held[ack_id]
            if action == "acknowledge":
                broker.acknowledge(SUBSCRIPTION, [ack_id])
                oracle.settled.add(text)
                del oracle.held[ack_id]
            elif action == "extend":
                broker.modify(SUBSCRIPTION, [(ack_id, 20)])
                oracle.held[ack_id] = text, clock.now + 20
            else:
                broker.modify(SUBSCRIPTION, [(ack_id, 0)])
                oracle.failed(ack_id)
    wait(broker, clock, 601)
    oracle.passed(clock.now)
    came: list[bytes] = []
    while received := pull(broker, 3):
        oracle.pulled(received, clock.now)
        came += texts(received)
        broker.acknowledge(SUBSCRIPTION, [one.ack_id for one in received])
        oracle.settled |= set(texts(received))
        oracle.held.clear()
    assert set(oracle.published) <= oracle.settled | maybe, "nothing is lost"
    assert len(came) == len(set(came))
    for first, second in itertools.combinations(came, 2):
        assert first < second or not oracle.together(first, second)
