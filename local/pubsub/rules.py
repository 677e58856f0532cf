"""What the service takes, and the defaults it fills in: names, settings of topics and subscriptions, sizes.

Limits: https://cloud.google.com/pubsub/quotas and the comments of google.pubsub_v1's types.
"""

import re

from google.protobuf import field_mask_pb2
from google.pubsub_v1.types import pubsub

from local.pubsub.errors import invalid, not_here
from local.pubsub.filters import compile_filter

DAY = 24 * 60 * 60
MAX_MESSAGES = 1000  # a publish request, and a pull's answer
MAX_REQUEST_BYTES = 10_000_000
MAX_ACK_BYTES = 512 * 1024
MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_VALUE_BYTES = 100, 256, 1024
MAX_ORDERING_KEY_BYTES = 1024
MAX_LABELS = 64

NAME = {
    kind: re.compile(rf"projects/[a-z][a-z0-9:.-]{{4,61}}[a-z0-9]/{kind}/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{{2,254}}")
    for kind in ("topics", "subscriptions")
}
PROJECT = re.compile(r"projects/[a-z][a-z0-9:.-]{4,61}[a-z0-9]")

# The service fills these in or ignores what a request says of them.
OUTPUT_ONLY = {"state", "satisfies_pzs", "topic_message_retention_duration", "analytics_hub_subscription_info"}
TOPIC_FIELDS = {"name", "labels", "message_retention_duration"}
TOPIC_UPDATES = TOPIC_FIELDS - {"name"}
SUBSCRIPTION_UPDATES = {
    "ack_deadline_seconds",
    "dead_letter_policy",
    "expiration_policy",
    "labels",
    "message_retention_duration",
    "push_config",
    "retain_acked_messages",
    "retry_policy",
}
SUBSCRIPTION_FIELDS = SUBSCRIPTION_UPDATES | {"name", "topic", "enable_message_ordering", "filter"}
PUSH_FIELDS = {"push_endpoint", "attributes", "pubsub_wrapper", "no_wrapper"}


def check_name(kind: str, name: str) -> None:
    """Raises Refused unless the name is a full one of a topic or a subscription."""
    if not NAME[kind].fullmatch(name):
        raise invalid(
            f"Invalid [{kind}] name: (name={name}). Expected projects/PROJECT/{kind}/ID, where ID has 3 to 255 letters,"
            " digits and -_.~+%, starts with a letter and not with goog."
        )


def check_project(name: str) -> None:
    if not PROJECT.fullmatch(name):
        raise invalid(f"Invalid [project] name: (name={name}). Expected projects/PROJECT.")


def completed_topic(topic):
    """A copy of the topic as it is kept. Raises Refused."""
    _check_fields(topic, TOPIC_FIELDS)
    check_name("topics", topic.name)
    _check_labels(topic.labels)
    if topic.HasField("message_retention_duration"):
        _check_seconds(topic, "message_retention_duration", 600, 31 * DAY)
    kept = type(topic)()
    kept.CopyFrom(topic)
    kept.state = pubsub.Topic.State.ACTIVE
    return kept


def completed_subscription(subscription):
    """A copy of the subscription as it is kept, with the service's defaults. Raises Refused."""
    _check_fields(subscription, SUBSCRIPTION_FIELDS)
    check_name("subscriptions", subscription.name)
    _check_labels(subscription.labels)
    compile_filter(subscription.filter)
    kept = type(subscription)()
    kept.CopyFrom(subscription)
    kept.state = pubsub.Subscription.State.ACTIVE
    kept.ack_deadline_seconds = kept.ack_deadline_seconds or 10
    if not 10 <= kept.ack_deadline_seconds <= 600:
        raise invalid(f"Invalid ack deadline given (deadline={kept.ack_deadline_seconds}). It must be 10 to 600 s.")
    if not kept.HasField("message_retention_duration"):
        kept.message_retention_duration.FromSeconds(7 * DAY)
    _check_seconds(kept, "message_retention_duration", 600, 31 * DAY)
    if not kept.HasField("expiration_policy"):
        kept.expiration_policy.ttl.FromSeconds(31 * DAY)
    if kept.expiration_policy.HasField("ttl"):
        _check_seconds(kept.expiration_policy, "ttl", DAY, 365 * 100 * DAY)
    if kept.HasField("retry_policy"):
        _complete_retry_policy(kept.retry_policy)
    if kept.HasField("dead_letter_policy"):
        policy = kept.dead_letter_policy
        check_name("topics", policy.dead_letter_topic)
        policy.max_delivery_attempts = policy.max_delivery_attempts or 5
        if not 5 <= policy.max_delivery_attempts <= 100:
            raise invalid(f"Invalid maximum delivery attempts ({policy.max_delivery_attempts}). It must be 5 to 100.")
    check_push_config(kept.push_config)
    return kept


def check_push_config(config) -> None:
    """Raises Refused for an endpoint that is no URL and for what the embedded server does not do."""
    _check_fields(config, PUSH_FIELDS)
    if config.push_endpoint and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", config.push_endpoint):
        raise invalid(f"Invalid push endpoint given (endpoint={config.push_endpoint}). Expected a URL.")
    if config.attributes.get("x-goog-version", "v1") not in ("v1", "v1beta2"):
        raise not_here(f"the push format {config.attributes['x-goog-version']}")


def merged(current, wanted, paths, changeable: set[str]):
    """A copy of `current` with the fields in `paths` as in `wanted`. Raises Refused for one that cannot change."""
    if not paths:
        raise invalid("The update_mask must be set and must contain a non-empty paths list.")
    for path in paths:
        if path not in changeable:
            raise invalid(f"Invalid update_mask provided: {path} is not a known mutable field.")
    changed = type(current)()
    changed.CopyFrom(current)
    field_mask_pb2.FieldMask(paths=paths).MergeMessage(wanted, changed, True, True)
    return changed


def check_publish(request) -> None:
    """Raises Refused for what no topic takes."""
    if not request.messages:
        raise invalid("The value for message_count is too small: a publish request needs at least one message.")
    if len(request.messages) > MAX_MESSAGES:
        raise invalid(f"The value for message_count is too large: {len(request.messages)}, at most {MAX_MESSAGES}.")
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(f"The value for request_size is too large: {request.ByteSize()} bytes, at most 10000000.")
    for message in request.messages:
        if not message.data and not message.attributes:
            raise invalid("Some messages in the request are invalid: one has neither data nor an attribute.")
        if len(message.attributes) > MAX_ATTRIBUTES:
            raise invalid(f"A message has {len(message.attributes)} attributes; at most {MAX_ATTRIBUTES} are allowed.")
        for key, value in message.attributes.items():
            if not key or len(key.encode()) > MAX_KEY_BYTES:
                raise invalid(f"An attribute key has {len(key.encode())} bytes; it must have 1 to {MAX_KEY_BYTES}.")
            if key.lower().startswith("goog"):
                raise invalid(f"The attribute key {key} is reserved: it begins with goog.")
            if len(value.encode()) > MAX_VALUE_BYTES:
                raise invalid(f"The value of attribute {key} has over {MAX_VALUE_BYTES} bytes.")
        if len(message.ordering_key.encode()) > MAX_ORDERING_KEY_BYTES:
            raise invalid(f"An ordering key has over {MAX_ORDERING_KEY_BYTES} bytes.")


def check_ack_ids(request) -> None:
    if not request.ack_ids:
        raise invalid("No ack ids specified.")
    if request.ByteSize() > MAX_ACK_BYTES:
        raise invalid(f"The request has {request.ByteSize()} bytes; at most {MAX_ACK_BYTES} are allowed.")


def check_deadline(seconds: int, least: int = 0) -> None:
    if not least <= seconds <= 600:
        raise invalid(f"Invalid ack deadline given (deadline={seconds}). It must be {least} to 600 s.")


def seconds_of(duration) -> float:
    return duration.ToNanoseconds() / 1e9


def _check_fields(message, known: set[str]) -> None:
    """Raises Refused, by name, for a field that the service knows and the embedded server does not."""
    for field, _ in message.ListFields():
        if field.name not in known and field.name not in OUTPUT_ONLY:
            raise not_here(f"{message.DESCRIPTOR.name}.{field.name}")


def _check_labels(labels) -> None:
    if len(labels) > MAX_LABELS:
        raise invalid(f"There are {len(labels)} labels; at most {MAX_LABELS} are allowed.")
    for key, value in labels.items():
        if not re.fullmatch(r"[^\W\d_][\w-]{0,62}", key) or key != key.lower():
            raise invalid(f"Invalid label key {key}: a lowercase letter, then lowercase letters, digits, - and _.")
        if not re.fullmatch(r"[\w-]{0,63}", value) or value != value.lower():
            raise invalid(f"Invalid label value {value}: lowercase letters, digits, - and _, at most 63.")


def _check_seconds(message, field: str, least: float, most: float) -> None:
    seconds = seconds_of(getattr(message, field))
    if not least <= seconds <= most:
        raise invalid(f"Invalid {field} given: {seconds:g} s. It must be {least:g} to {most:g} s.")


def _complete_retry_policy(policy) -> None:
    for field, default in (("minimum_backoff", 10), ("maximum_backoff", 600)):
        if not policy.HasField(field):
            getattr(policy, field).FromSeconds(default)
        _check_seconds(policy, field, 0, 600)
    if seconds_of(policy.minimum_backoff) > seconds_of(policy.maximum_backoff):
        raise invalid("Invalid retry policy: minimum_backoff is larger than maximum_backoff.")
