"""Decides where a message lands: an event below the output path, anything else below the dead-letter path.

Every message leaves exactly once, as one line in the folder of its day of publication. A dead letter carries the
reason that `brigade.events` gives, and the message's own bytes in base64.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import orjson
from apache_beam.io.gcp.pubsub import PubsubMessage

from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import MAX_EVENT_BYTES, NotAnEvent, read_event
from brigade.events.members import landed_line
from brigade.landing.counters import count

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Route(beam.DoFn):
    """PubsubMessage → (folder, Line).

    Events and dead letters leave by the same output, since the folder tells them apart. The local runner takes each
    bundle through every step of the graph, so a second branch of the same steps would cost as much again.
    """

    def __init__(
        self,
        output_path: str,
        dead_letter_path: str,
        max_event_bytes: int = MAX_EVENT_BYTES,
        contract: Contract = DOCUMENTS,
    ):
        self.output_path, self.dead_letter_path = output_path, dead_letter_path
        self.max_event_bytes, self.contract = max_event_bytes, contract
        self.second: int | None = None
        self.clock = ""

    def start_bundle(self) -> None:
        self.received = 0

    def finish_bundle(self) -> None:
        count("received", self.received)

    def process(self, message: PubsubMessage) -> Iterator:
        self.received += 1
        micros = (message.publish_time - EPOCH) // MICROSECOND
        second, fraction = divmod(micros, 1_000_000)
        if second != self.second:  # neighbours share it, and formatting it would take a tenth of a message's time
            self.second, self.clock = second, (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
        day = f"dt={self.clock[:10]}"
        data = message.data or b""
        about = {
            "messageId": message.message_id or "",
            "publishTime": f"{self.clock}.{fraction:06}Z",
            "attributes": dict(message.attributes or {}),
        }
        if message.ordering_key:
            about["orderingKey"] = message.ordering_key
        try:
            event = read_event(data, self.max_event_bytes, self.contract)
            yield f"{self.output_path}/{day}", (micros, landed_line(data, event, about))
        except NotAnEvent as problem:
            count(f"dead_lettered_{problem.reason}")
            about = {"reason": problem.reason, "detail": problem.detail} | about
            about["data"] = base64.b64encode(data).decode("ascii")
            yield f"{self.dead_letter_path}/{day}", (micros, orjson.dumps(about) + b"\n")
