"""Watches the subscription that a local job reads, and stops the job when nothing can come from it any more.

A subscription outlives its topic. When the topic is deleted, Pub/Sub shows `_deleted-topic_` in its place, and a new
topic of the same name sends nothing to the old subscription. Pulling from it goes on without an error.
"""

import logging
import signal
import threading
from contextlib import suppress

from google.api_core import exceptions

from brigade.errors import CannotGoOn

WATCH_SECONDS = 15.0  # between two looks
DELETED_TOPIC = "_deleted-topic_"  # as Pub/Sub shows the topic of a subscription that has lost it

log = logging.getLogger(__name__)


def check_subscription(subscription: str, without_topic: bool = False) -> None:
    """Raises CannotGoOn if the subscription is gone, or its topic is. Passes Pub/Sub's other errors on.

    without_topic: the topic may be gone; what the subscription still holds can be read.
    """
    from google.cloud.pubsub_v1 import SubscriberClient

    try:
        with SubscriberClient() as subscriber:
            topic = subscriber.get_subscription(subscription=subscription, timeout=30).topic
    except exceptions.NotFound:
        create = "gcloud pubsub subscriptions create … --topic=… --retain-acked-messages"
        raise CannotGoOn(f"{subscription} does not exist; create it with: {create}") from None
    if topic == DELETED_TOPIC and not without_topic:
        raise CannotGoOn(
            f"the topic of {subscription} was deleted, and a new topic of its name sends nothing to it; land what it "
            "still holds with --without_topic, then delete it and create it again"
        )


class Watch:
    """Looks at a subscription until the `with` block ends. `problem` is why it stopped the job, or ""."""

    def __init__(self, subscription: str, without_topic: bool = False):
        self.subscription, self.without_topic = subscription, without_topic
        self.problem, self.done = "", threading.Event()

    def __enter__(self) -> "Watch":
        threading.Thread(target=self.look, name="watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()

    def look(self) -> None:
        """Sends this process SIGTERM, as whoever stops the job does, when the subscription has lost its source."""
        while not self.done.wait(WATCH_SECONDS):
            # Pub/Sub may be out of reach, or this account may not look: reading the messages shows that.
            with suppress(exceptions.GoogleAPICallError, exceptions.RetryError):
                try:
                    check_subscription(self.subscription, self.without_topic)
                except CannotGoOn as problem:
                    self.problem = str(problem)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                    return
