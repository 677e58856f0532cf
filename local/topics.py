"""The topics and the subscriptions: how each is set, for `make up`, the demo and the tests.

Terraform and the commands of docs/by_hand.md say the same; a test compares all three. A subscription of which nobody
hears is kept: none expires.
"""

from datetime import timedelta

WEEK, LONGEST = timedelta(days=7), timedelta(days=31)
NEVER: dict = {}  # an expiration policy without a time

# Name → the fields of google.pubsub_v1's Topic.
TOPICS: dict[str, dict] = {
    "topic-brigade": {"message_retention_duration": WEEK},
    "topic-brigade-classified": {},
    "topic-brigade-dead-letter": {},
}

# Name → topic, and the fields of google.pubsub_v1's Subscription.
SUBSCRIPTIONS: dict[str, tuple[str, dict]] = {
    "sub-brigade": (
        "topic-brigade",
        # Acknowledged messages stay, so that landing can be wound back after a kill.
        {"message_retention_duration": WEEK, "retain_acked_messages": True},
    ),
    "sub-brigade-classify": (
        "topic-brigade",
        {
            "message_retention_duration": WEEK,
            "retry_policy": {"minimum_backoff": timedelta(seconds=10), "maximum_backoff": timedelta(seconds=600)},
            "dead_letter_policy": {"dead_letter_topic": "topic-brigade-dead-letter", "max_delivery_attempts": 100},
        },
    ),
    "sub-brigade-classified": ("topic-brigade-classified", {"message_retention_duration": WEEK}),
    "sub-brigade-dead-letter": ("topic-brigade-dead-letter", {"message_retention_duration": LONGEST}),
}
PUSHED = "sub-brigade-classify"
ACK_DEADLINE_SECONDS = 60  # of all of them


def topic(project: str, name: str) -> dict:
    """The request that creates the topic."""
    return {"name": f"projects/{project}/topics/{name}"} | TOPICS[name]


def subscription(project: str, name: str, endpoint: str = "") -> dict:
    """The request that creates the subscription, which pushes to the endpoint if there is one."""
    of, settings = SUBSCRIPTIONS[name]
    request = {
        "name": f"projects/{project}/subscriptions/{name}",
        "topic": f"projects/{project}/topics/{of}",
        "ack_deadline_seconds": ACK_DEADLINE_SECONDS,
        "expiration_policy": NEVER,
    } | settings
    if policy := settings.get("dead_letter_policy"):
        letters = f"projects/{project}/topics/{policy['dead_letter_topic']}"
        request["dead_letter_policy"] = policy | {"dead_letter_topic": letters}
    return request | ({"push_config": {"push_endpoint": endpoint}} if endpoint else {})
