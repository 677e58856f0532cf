"""Topics, subscriptions and what a publish request may hold: the embedded server and, with PUBSUB=official, the
official emulator. Where the emulator departs from the documentation, the test says so and expects it to fail."""

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2, field_mask_pb2

from tests.local.pubsub_api import OFFICIAL, PROJECT, data, emulator_departs, numbers

DAY = 24 * 60 * 60


def seconds(number: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=number)


def mask(*paths: str) -> field_mask_pb2.FieldMask:
    return field_mask_pb2.FieldMask(paths=paths)


@pytest.fixture
def topic(api) -> str:
    return api.topic()


# ------------------------------------------------------------------------------------------------------------ topics


def test_a_topic_that_is_created_can_be_got(api):
    topic = api.topic(labels={"team": "docs"})
    assert api.publisher.get_topic(topic=topic).labels == {"team": "docs"}


def test_a_topic_is_created_once(api, topic):
    with pytest.raises(exceptions.AlreadyExists):
        api.publisher.create_topic(name=topic)


@pytest.mark.parametrize("method", ["get_topic", "delete_topic", "list_topic_subscriptions"])
def test_a_topic_that_is_not_there_is_not_found(request, api, method):
    emulator_departs(request, method == "list_topic_subscriptions", "answers with an empty list")
    with pytest.raises(exceptions.NotFound):
        list(getattr(api.publisher, method)(topic=f"{PROJECT}/topics/not-there") or ())


def test_a_deleted_topic_is_gone(api, topic):
    api.publisher.delete_topic(topic=topic)
    with pytest.raises(exceptions.NotFound):
        api.publish(topic, b"late")


def test_topics_are_listed_by_project_and_page(api):
    project = f"projects/brigade-{next(numbers)}"
    names = [f"{project}/topics/topic-{letter}" for letter in "abcde"]
    for name in names:
        api.publisher.create_topic(name=name)
    pages = api.publisher.list_topics(request={"project": project, "page_size": 2}).pages
    found = [[topic.name for topic in page.topics] for page in pages]
    assert sorted(name for page in found for name in page) == names
    assert [len(page) for page in found if page] == [2, 2, 1]


def test_a_topics_subscriptions_are_listed(api, topic):
    names = {api.subscription(topic), api.subscription(topic)}
    assert set(api.publisher.list_topic_subscriptions(topic=topic)) == names


def test_a_topics_labels_can_change(request, api, topic):
    emulator_departs(request, True, "knows no labels in an update")
    changed = {"name": topic, "labels": {"team": "sales"}}
    api.publisher.update_topic(request={"topic": changed, "update_mask": mask("labels")})
    assert api.publisher.get_topic(topic=topic).labels == {"team": "sales"}


@pytest.mark.parametrize("paths", [[], ["name"], ["no_such_field"]])
def test_an_update_without_a_field_that_can_change_is_refused(api, topic, paths):
    with pytest.raises(exceptions.InvalidArgument):
        api.publisher.update_topic(request={"topic": {"name": topic}, "update_mask": mask(*paths)})


@pytest.mark.parametrize(
    "name",
    ["", "topic", "projects/p/topics", f"{PROJECT}/subscriptions/topic"]
    + [f"{PROJECT}/topics/{name}" for name in ("ab", "1abc", "google-topic", "a" * 256, "with space", "a/b")],
)
def test_an_invalid_topic_name_is_refused(api, name):
    with pytest.raises(exceptions.InvalidArgument):
        api.publisher.create_topic(name=name)


def test_every_character_that_the_documentation_allows_is_taken_in_a_name(api):
    name = f"{PROJECT}/topics/aZ09-_.~+%-{next(numbers)}"
    assert api.publisher.create_topic(name=name).name == name


# ------------------------------------------------------------------------------------------------------ subscriptions


def test_a_subscription_gets_the_services_defaults(request, api, topic):
    emulator_departs(request, True, "leaves the default expiration policy out")
    subscription = api.subscriber.get_subscription(subscription=api.subscription(topic))
    assert subscription.topic == topic
    assert subscription.ack_deadline_seconds == 10
    assert subscription.message_retention_duration.total_seconds() == 7 * DAY
    assert not subscription.retain_acked_messages and not subscription.enable_message_ordering
    assert subscription.expiration_policy.ttl.total_seconds() == 31 * DAY


def test_a_subscription_keeps_its_settings(api, topic):
    dead = api.topic()
    name = api.subscription(
        topic,
        ack_deadline_seconds=77,
        retain_acked_messages=True,
        message_retention_duration=seconds(600),
        labels={"a": "b"},
        enable_message_ordering=True,
        expiration_policy={"ttl": seconds(2 * DAY)},
        filter="attributes:a",
        dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 7},
        retry_policy={"minimum_backoff": seconds(1), "maximum_backoff": seconds(2)},
    )
    found = api.subscriber.get_subscription(subscription=name)
    assert (found.ack_deadline_seconds, found.retain_acked_messages, found.labels) == (77, True, {"a": "b"})
    assert found.message_retention_duration.total_seconds() == 600
    assert (found.enable_message_ordering, found.filter) == (True, "attributes:a")
    assert found.expiration_policy.ttl.total_seconds() == 2 * DAY
    assert found.dead_letter_policy.dead_letter_topic == dead
    assert found.dead_letter_policy.max_delivery_attempts == 7
    assert found.retry_policy.minimum_backoff.total_seconds() == 1
    assert found.retry_policy.maximum_backoff.total_seconds() == 2


def test_a_subscription_is_created_once(api, topic):
    name = api.subscription(topic)
    with pytest.raises(exceptions.AlreadyExists):
        api.subscriber.create_subscription(name=name, topic=topic)


def test_a_subscription_needs_a_topic_that_is_there(api):
    with pytest.raises(exceptions.NotFound):
        api.subscription(f"{PROJECT}/topics/not-there")


# What the official emulator takes although the documentation sets a limit.
EMULATOR_TAKES = {
    "deadline_too_short",
    "too_few_attempts",
    "too_many_attempts",
    "expires_within_a_day",
    "filter_too_long",
}
DEAD = f"{PROJECT}/topics/not-there"


@pytest.mark.parametrize(
    "name, settings",
    [
        ("deadline_too_short", {"ack_deadline_seconds": 9}),
        ("deadline_too_long", {"ack_deadline_seconds": 601}),
        ("retention_too_short", {"message_retention_duration": seconds(599)}),
        ("retention_too_long", {"message_retention_duration": seconds(31 * DAY + 1)}),
        ("too_few_attempts", {"dead_letter_policy": {"max_delivery_attempts": 4}}),
        ("too_many_attempts", {"dead_letter_policy": {"max_delivery_attempts": 101}}),
        ("retry_longer_than_ten_minutes", {"retry_policy": {"maximum_backoff": seconds(601)}}),
        (
            "retry_minimum_above_maximum",
            {"retry_policy": {"minimum_backoff": seconds(9), "maximum_backoff": seconds(8)}},
        ),
        ("expires_within_a_day", {"expiration_policy": {"ttl": seconds(DAY - 1)}}),
        ("filter_too_long", {"filter": f'attributes.a = "{"x" * 256}"'}),
        ("endpoint_is_no_url", {"push_config": {"push_endpoint": "127.0.0.1:8080"}}),
    ],
)
def test_a_setting_outside_the_documented_limits_is_refused(request, api, topic, name, settings):
    emulator_departs(request, name in EMULATOR_TAKES, "does not check this limit")
    if "dead_letter_policy" in settings:
        settings = {"dead_letter_policy": {"dead_letter_topic": topic} | settings["dead_letter_policy"]}
    with pytest.raises(exceptions.InvalidArgument):
        api.subscription(topic, **settings)


def test_a_dead_letter_topic_has_to_be_there(api, topic):
    with pytest.raises(exceptions.NotFound):
        api.subscription(topic, dead_letter_policy={"dead_letter_topic": DEAD})


@pytest.mark.parametrize(
    "field, value",
    [
        ("ack_deadline_seconds", 20),
        ("labels", {"x": "y"}),
        ("retain_acked_messages", True),
        ("message_retention_duration", seconds(1200)),
        ("push_config", {"push_endpoint": "http://127.0.0.1:9/"}),
        ("retry_policy", {"minimum_backoff": seconds(3), "maximum_backoff": seconds(4)}),
    ],
)
def test_a_subscriptions_setting_can_change(request, api, topic, field, value):
    emulator_departs(request, field == "labels", "knows no labels in an update")
    name = api.subscription(topic)
    request = {"subscription": {"name": name, field: value}, "update_mask": mask(field)}
    api.subscriber.update_subscription(request=request)
    found = api.subscriber.get_subscription(subscription=name)
    expected = type(found)(**{field: value})
    assert getattr(found, field) == getattr(expected, field)
    assert found.topic == topic


@pytest.mark.parametrize(
    "field, value", [("filter", "attributes:a"), ("enable_message_ordering", True), ("topic", "x")]
)
def test_a_subscriptions_topic_filter_and_ordering_cannot_change(api, topic, field, value):
    name = api.subscription(topic)
    with pytest.raises(exceptions.InvalidArgument):
        request = {"subscription": {"name": name, field: value}, "update_mask": mask(field)}
        api.subscriber.update_subscription(request=request)


def test_subscriptions_are_listed_by_project(api):
    project = f"projects/brigade-{next(numbers)}"
    topic = f"{project}/topics/topic"
    api.publisher.create_topic(name=topic)
    names = {f"{project}/subscriptions/sub-{letter}" for letter in "abc"}
    for name in names:
        api.subscriber.create_subscription(name=name, topic=topic)
    found = api.subscriber.list_subscriptions(request={"project": project, "page_size": 2})
    assert {subscription.name for subscription in found} == names


def test_a_deleted_subscription_is_gone(api, topic):
    name = api.subscription(topic)
    api.subscriber.delete_subscription(subscription=name)
    for call in (api.subscriber.get_subscription, api.subscriber.delete_subscription):
        with pytest.raises(exceptions.NotFound):
            call(subscription=name)
    with pytest.raises(exceptions.NotFound):
        api.pull(name)


def test_a_subscription_outlives_its_topic_and_keeps_its_messages(api, topic):
    name = api.subscription(topic)
    api.publish(topic, b"kept")
    api.publisher.delete_topic(topic=topic)
    assert api.subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"
    assert data(api.receive(name, 1)) == [b"kept"]


# ------------------------------------------------------------------------------------------------- refused by name

only_embedded = pytest.mark.skipif(OFFICIAL, reason="the embedded server's own limits; the emulator does some of it")


@only_embedded
@pytest.mark.parametrize(
    "name, settings",
    [
        ("enable_exactly_once_delivery", {"enable_exactly_once_delivery": True}),
        ("bigquery_config", {"bigquery_config": {"table": "p.d.t"}}),
        ("cloud_storage_config", {"cloud_storage_config": {"bucket": "bucket"}}),
        ("message_transforms", {"message_transforms": [{"javascript_udf": {"function_name": "f"}}]}),
        ("oidc_token", {"push_config": {"push_endpoint": "http://h/", "oidc_token": {"service_account_email": "a@b"}}}),
    ],
)
def test_what_a_subscription_cannot_have_here_is_refused_by_name(api, topic, name, settings):
    with pytest.raises(exceptions.MethodNotImplemented, match=name):
        api.subscription(topic, **settings)


@only_embedded
@pytest.mark.parametrize(
    "name, settings",
    [
        ("schema_settings", {"schema_settings": {"schema": f"{PROJECT}/schemas/s"}}),
        ("kms_key_name", {"kms_key_name": "key"}),
        ("ingestion_data_source_settings", {"ingestion_data_source_settings": {"cloud_storage": {"bucket": "b"}}}),
    ],
)
def test_what_a_topic_cannot_have_here_is_refused_by_name(api, name, settings):
    with pytest.raises(exceptions.MethodNotImplemented, match=name):
        api.topic(**settings)


@only_embedded
def test_snapshots_are_refused_by_name(api, topic):
    subscription = api.subscription(topic)
    with pytest.raises(exceptions.MethodNotImplemented, match="CreateSnapshot"):
        api.subscriber.create_snapshot(name=f"{PROJECT}/snapshots/snapshot", subscription=subscription)
    with pytest.raises(exceptions.MethodNotImplemented, match="snapshot"):
        api.subscriber.seek(request={"subscription": subscription, "snapshot": f"{PROJECT}/snapshots/snapshot"})
    with pytest.raises(exceptions.MethodNotImplemented, match="ListTopicSnapshots"):
        list(api.publisher.list_topic_snapshots(topic=topic))


# --------------------------------------------------------------------------------------------------- publish requests


def test_a_publish_request_for_a_topic_that_is_not_there_is_not_found(api):
    with pytest.raises(exceptions.NotFound):
        api.publish(f"{PROJECT}/topics/not-there", b"x")


def attributes(count: int = 1, key: int = 1, value: int = 1) -> dict:
    return {"attributes": {f"{number:0{key}}": "v" * value for number in range(count)}}


@pytest.mark.parametrize(
    "message",
    [
        attributes(),
        attributes(count=100),
        attributes(key=256),
        attributes(value=1024),
        {"data": b"x", "ordering_key": "k" * 1024},
    ],
)
def test_what_the_documentation_allows_is_published(api, topic, message):
    subscription = api.subscription(topic)
    (name,) = api.publish(topic, message)
    (received,) = api.receive(subscription, 1)
    assert received.message.message_id == name
    assert dict(received.message.attributes) == message.get("attributes", {})
    assert received.message.ordering_key == message.get("ordering_key", "")


EMULATOR_PUBLISHES = {
    "too_many_attributes",
    "long_key",
    "long_value",
    "no_key",
    "reserved_key",
    "long_ordering_key",
    "too_large",
}


@pytest.mark.parametrize(
    "name, messages",
    [
        ("nothing", []),
        ("empty_message", [{}]),
        ("too_many_messages", [{"data": b"x"}] * 1001),
        ("one_message_of_many_is_empty", [{"data": b"x"}, {}]),
        ("too_many_attributes", [attributes(count=101)]),
        ("long_key", [attributes(key=257)]),
        ("long_value", [attributes(value=1025)]),
        ("no_key", [{"attributes": {"": "v"}}]),
        ("reserved_key", [{"attributes": {"googclient": "v"}}]),
        ("long_ordering_key", [{"data": b"x", "ordering_key": "k" * 1025}]),
        ("too_large", [{"data": b"x" * 10_000_001}]),
    ],
)
def test_a_publish_request_outside_the_documented_limits_is_refused(request, api, topic, name, messages):
    emulator_departs(request, name in EMULATOR_PUBLISHES, "does not check this limit")
    subscription = api.subscription(topic)
    with pytest.raises(exceptions.InvalidArgument):
        api.publish(topic, *messages)
    assert api.pull(subscription) == []


def test_ids_are_unique_and_come_in_the_order_of_the_messages(api, topic):
    subscription = api.subscription(topic)
    ids = api.publish(topic, *[b"%d" % number for number in range(100)])
    assert len(set(ids)) == 100
    received = {one.message.message_id: one.message.data for one in api.receive(subscription, 100)}
    assert [received[name] for name in ids] == [b"%d" % number for number in range(100)]


def test_the_publisher_batches(api, topic):
    subscription = api.subscription(topic)
    futures = [api.publisher.publish(topic, b"%d" % number, place=str(number)) for number in range(500)]
    ids = [future.result(timeout=60) for future in futures]
    received = api.receive(subscription, 500)
    assert {one.message.message_id for one in received} == set(ids)
    assert all(one.message.attributes["place"].encode() == one.message.data for one in received)
