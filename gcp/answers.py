"""The demo's two subscriptions: when its documents were published, and what came back for them."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.cloud import pubsub
from google.protobuf.duration_pb2 import Duration

from gcp.commands import Failed, say

PULL_SECONDS = 5
OTHERS_SECONDS = 600  # the longest that Pub/Sub keeps a message from being brought again


class Inbox:
    """A subscription from which messages are pulled. Raises Failed if a call fails."""

    def __init__(self, subscription: str, event_ids: Collection[str]):
        self.subscription, self.event_ids = subscription, event_ids
        self.client = pubsub.SubscriberClient()

    def __enter__(self):
        return self

    def __exit__(self, *failure) -> None:
        self.client.close()

    def received(self) -> list:
        try:
            request = {"subscription": self.subscription, "max_messages": 1000}
            return list(self.client.pull(request=request, timeout=PULL_SECONDS).received_messages)
        except DeadlineExceeded:
            return []
        except GoogleAPIError as error:
            raise Failed(f"{self.subscription}: {type(error).__name__}: {str(error).splitlines()[0]}") from None

    def acknowledge(self, received: Sequence) -> None:
        if received:
            self.client.acknowledge(subscription=self.subscription, ack_ids=[one.ack_id for one in received])


class PublicationTimes(Inbox):
    """When Pub/Sub took the documents: a subscription of its own to their topic, removed at the end.

    Only Pub/Sub's own clock can be compared with the times of the answers. If this process is killed, Pub/Sub removes
    the subscription after a day.
    """

    def __init__(self, project: str, topic: str, event_ids: Collection[str]):
        super().__init__(f"projects/{project}/subscriptions/demo-{uuid.uuid4().hex[:12]}", event_ids)
        self.topic, self.found = topic, {}

    def __enter__(self):
        request = {"name": self.subscription, "topic": self.topic}
        request["expiration_policy"] = {"ttl": Duration(seconds=86400)}
        request["message_retention_duration"] = Duration(seconds=3600)
        say(f"# a subscription of its own to {self.topic}, for the times of publication: {self.subscription}")
        try:
            self.client.create_subscription(request=request)
        except GoogleAPIError as error:
            raise Failed(f"{self.topic}: {type(error).__name__}: {str(error).splitlines()[0]}") from None
        return self

    def __exit__(self, *failure) -> None:
        try:
            self.client.delete_subscription(subscription=self.subscription)
        except GoogleAPIError as error:
            say(f"{self.subscription} is left, for a day: {type(error).__name__}")
        super().__exit__(*failure)

    def pull(self) -> None:
        if len(self.found) == len(self.event_ids):
            return
        received = self.received()
        for one in received:
            event_id = event_id_of(one.message)
            if event_id in self.event_ids:
                self.found.setdefault(event_id, one.message.publish_time)
        self.acknowledge(received)


class Answers(Inbox):
    """The classification of each document. Messages of others go back to the subscription at the end."""

    def __init__(self, subscription: str, event_ids: Collection[str]):
        super().__init__(subscription, event_ids)
        self.found: dict[str, dict] = {}  # event id → classification and when it was published
        self.others: dict[str, str] = {}  # message id → what returns it

    def __exit__(self, *failure) -> None:
        try:
            self.set_deadline(self.others.values(), 0)
        except GoogleAPIError:
            say("what was not the demo's comes back when its deadline has passed")
        super().__exit__(*failure)

    def pull(self) -> None:
        own, others = [], {}
        for one in self.received():
            event_id = one.message.attributes.get("eventId") or event_id_of(one.message)
            if event_id in self.event_ids:
                own.append(one)
                answer = json.loads(one.message.data)["classification"]
                self.found.setdefault(event_id, answer | {"publishTime": one.message.publish_time})
            else:
                others[one.message.message_id] = one.ack_id
        self.acknowledge(own)
        self.set_deadline(others.values(), OTHERS_SECONDS)
        self.others |= others

    def set_deadline(self, ack_ids: Collection[str], seconds: int) -> None:
        ids = list(ack_ids)
        for start in range(0, len(ids), 500):
            request = {"subscription": self.subscription, "ack_ids": ids[start : start + 500]}
            self.client.modify_ack_deadline(request=request | {"ack_deadline_seconds": seconds})


def event_id_of(message) -> str:
    """The id of the event in the message; "" when it is no event."""
    try:
        found = json.loads(message.data)
    except ValueError:
        return ""
    return str(found.get("eventId", "")) if isinstance(found, dict) else ""


def table(events: Sequence[dict], answers: Mapping[str, dict], times: Mapping[str, object]) -> tuple[list[str], int]:
    """The lines of the table, a document each, and how many were given their own label."""
    rows = [("document", "its label", "classified as", "confidence", "ms")]
    agreed = 0
    for event in events:
        label, event_id = event["doc"]["metadata"]["superTag01"], event["eventId"]
        answer, published = answers.get(event_id), times.get(event_id)
        if answer is None:
            rows.append((event["doc"]["docId"], label, "missing", "", ""))
            continue
        agreed += answer["label"] == label
        waited = f"{(answer['publishTime'] - published).total_seconds() * 1000:.0f}" if published else "?"
        rows.append((event["doc"]["docId"], label, answer["label"], f"{answer['confidence']:.4f}", waited))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines, agreed
