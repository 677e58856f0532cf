"""Where messages go: a Pub/Sub topic, or standard output for a dry run.

An outlet counts each message exactly once, as published, failed or too_large. A message is published when the server
has acknowledged it.
"""

import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from google import pubsub_v1
from google.api_core import exceptions, retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient, types

from brigade.errors import CannotGoOn, one_line

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 10_000_000  # https://cloud.google.com/pubsub/quotas#resource_limits
GIVE_UP_SECONDS = 120  # a message that the server has not taken by then has failed
RESERVED = {"self", "topic", "data", "ordering_key", "retry", "timeout"}  # what PublisherClient.publish takes
TRANSIENT = (exceptions.Aborted, exceptions.Cancelled, exceptions.TooManyRequests, exceptions.ServerError)

Acknowledged = Callable[[str], None]  # called with the server's messageId, in a thread of the client's
Paced = TypeVar("Paced")


class Outlet(ABC):
    """Takes messages and counts what becomes of them.

    `keeps_ledger` tells whether what it takes is really done with, `publishes` whether it goes out as a message.
    """

    keeps_ledger: bool
    publishes = True

    def __init__(self, topic: str):
        self.topic, self.reported = topic, time.monotonic()
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Acknowledged, ordering_key: str) -> None:
        """Takes a message that fits."""

    @abstractmethod
    def close(self) -> None:
        """Returns when it is known what has become of every message."""

    def send(self, data: bytes, attributes: dict[str, str], acknowledged: Acknowledged, ordering_key: str = "") -> None:
        """Takes a message, or counts it as too_large."""
        if self.fits(data, attributes, ordering_key):
            self.put(data, attributes, acknowledged, ordering_key)
        else:
            self.counts["too_large"] += 1
            log.warning("beyond Pub/Sub's limits: %d bytes, %d attributes", len(data), len(attributes))
        if time.monotonic() > self.reported + 5:
            self.reported = time.monotonic()
            log.info("%d messages published", self.counts["published"])

    def fits(self, data: bytes, attributes: dict[str, str], ordering_key: str = "") -> bool:
        """Whether Pub/Sub takes the message. For one that it does not take, it refuses the whole batch."""
        sizes = ((len(name.encode()), len(value.encode())) for name, value in attributes.items())
        if len(attributes) > 100 or any(not 0 < name <= 256 or value > 1024 for name, value in sizes):
            return False
        if len(ordering_key.encode()) > 1024:
            return False
        if len(data) < MAX_REQUEST_BYTES // 2:  # attributes within their limits are less than an eighth of a megabyte
            return True
        message = pubsub_v1.PubsubMessage(data=data, attributes=attributes, ordering_key=ordering_key)
        request = pubsub_v1.PublishRequest(topic=self.topic, messages=[message])
        return pubsub_v1.PublishRequest.pb(request).ByteSize() <= MAX_REQUEST_BYTES


class StandardOutput(Outlet):
    """Writes what would be published, one message a line."""

    keeps_ledger = False

    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Acknowledged, ordering_key: str) -> None:
        # Outside strings JSON takes a line break for a space; inside strings a raw line break is not allowed.
        sys.stdout.buffer.write(data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
        self.counts.update(published=1, bytes=len(data))

    def close(self) -> None:
        sys.stdout.buffer.flush()


class Nowhere(Outlet):
    """Takes dead letters that are not to be published again, and counts them as acknowledged."""

    publishes = False

    def __init__(self, keeps_ledger: bool):
        super().__init__("")
        self.keeps_ledger = keeps_ledger

    def fits(self, data: bytes, attributes: dict[str, str], ordering_key: str = "") -> bool:
        return True

    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Acknowledged, ordering_key: str) -> None:
        if self.keeps_ledger:
            acknowledged("")
        self.counts["acknowledged"] += 1

    def close(self) -> None:
        """Nothing is under way."""


class Topic(Outlet):
    """Publishes to a topic, with bounded memory. Raises CannotGoOn if the topic does not exist, or vanishes."""

    keeps_ledger = True

    def __init__(self, topic: str):
        super().__init__(topic)
        self.under_way, self.changed = 0, threading.Condition()
        self.broken: str | None = None
        logging.getLogger("google.cloud.pubsub_v1").setLevel(logging.CRITICAL)  # its errors are told here, in one line
        flow = types.PublishFlowControl(5000, 64_000_000, types.LimitExceededBehavior.BLOCK)
        persistence = retry.Retry(retry.if_exception_type(*TRANSIENT), timeout=GIVE_UP_SECONDS)
        patience = retry.Retry(retry.if_exception_type(exceptions.ServiceUnavailable), timeout=3)
        try:
            self.client = PublisherClient(
                types.BatchSettings(max_messages=500, max_latency=0.05),
                types.PublisherOptions(flow_control=flow, retry=persistence),
            )
            self.client.get_topic(topic=topic, retry=patience, timeout=10)
        except exceptions.NotFound:
            hint = "gcloud pubsub topics create NAME --project=PROJECT"
            raise CannotGoOn(f"{topic} does not exist; create it with: {hint}") from None
        except exceptions.PermissionDenied:
            log.info("this account may not see whether %s exists", topic)  # a publisher need not
        except (exceptions.GoogleAPIError, GoogleAuthError) as error:
            raise CannotGoOn(f"{topic} cannot be reached: {one_line(error)}") from error

    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Acknowledged, ordering_key: str) -> None:
        if self.broken:
            raise CannotGoOn(self.broken)
        future = self.publish(data, attributes, ordering_key)
        with self.changed:
            self.under_way += 1
        future.add_done_callback(partial(self.done, len(data), acknowledged))

    def publish(self, data: bytes, attributes: dict[str, str], ordering_key: str) -> Future:
        if not ordering_key and not RESERVED & attributes.keys():
            return self.client.publish(self.topic, data, **attributes)
        # publish() takes attributes as keywords, and one may be named like an argument. With an ordering key it tries
        # for ever. So these messages go one after the other through the client beneath, which keeps their order.
        plain: pubsub_v1.PublisherClient = pubsub_v1.PublisherClient(transport=self.client.transport)
        future: Future = Future()
        try:
            message = pubsub_v1.PubsubMessage(data=data, attributes=attributes, ordering_key=ordering_key)
            future.set_result(plain.publish(topic=self.topic, messages=[message]).message_ids[0])
        except exceptions.GoogleAPIError as error:
            future.set_exception(error)
        return future

    def done(self, size: int, acknowledged: Acknowledged, future: Future) -> None:
        error = future.exception()
        if error is None:
            acknowledged(future.result())
        with self.changed:
            self.counts.update({"published": 1, "bytes": size} if error is None else {"failed": 1})
            if error is not None and not isinstance(error, exceptions.InvalidArgument):
                self.broken = self.broken or f"publishing failed: {one_line(error)}"
            elif error is not None:
                log.error("the server refuses the message: %s", one_line(error))
            self.under_way -= 1
            self.changed.notify_all()

    def close(self) -> None:
        self.client.stop()
        with self.changed:
            self.changed.wait_for(lambda: not self.under_way)


def paced(messages: Iterable[Paced], rate: float | None) -> Iterator[Paced]:
    """The same messages, at most `rate` a second."""
    start = time.monotonic()
    for number, message in enumerate(messages):
        if rate:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield message
