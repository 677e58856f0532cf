"""Pull and acknowledgement, as google-cloud-pubsub sees them: against the embedded server and the official emulator."""

import time
from concurrent import futures
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions

from tests.local.pubsub_api import PROJECT, data, emulator_departs, texts

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
