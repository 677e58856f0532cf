"""Adds what a real topic carries as well: messages that are delivered twice, and messages that are not events."""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import orjson


def with_noise(
    events: Iterable[bytes], expected: float, copies: int, malformed: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Yields (kind, bytes): all events ("documents"), and among them recent ones again.

    Of these, `copies` repeat an event byte for byte, and `malformed` are broken in the ways of BREAKS. They are spread
    over the `expected` number of events; those that are due later follow the last event. Without an event there is
    nothing to copy or break.
    """
    rng = random.Random(f"noise {seed}")
    kinds = ["copies"] * copies + ["malformed"] * malformed
    due = sorted(((rng.random() * expected, kind) for kind in kinds), reverse=True)
    breaks = itertools.cycle(BREAKS)
    recent: deque[bytes] = deque(maxlen=100)

    def noise(seen: float) -> Iterator[tuple[str, bytes]]:
        while recent and due and due[-1][0] < seen:
            _, kind = due.pop()
            data = rng.choice(recent)
            if kind == "malformed":
                data = next(breaks)(orjson.loads(data) | {"eventId": f"{rng.getrandbits(160):040x}"})
            yield kind, data

    for seen, data in enumerate(events, 1):
        recent.append(data)
        yield "documents", data
        yield from noise(seen)
    yield from noise(float("inf"))


def with_payload(event: dict, **payload: object) -> bytes:
    doc = {name: value for name, value in event["doc"].items() if name != "payload"}
    return orjson.dumps(event | {"doc": doc | payload})


BREAKS: tuple[Callable[[dict], bytes], ...] = (
    lambda event: b"this is not JSON " + event["eventId"].encode(),
    lambda event: orjson.dumps(event)[:-20],
    lambda event: orjson.dumps([event["eventId"]]),
    lambda event: with_payload(event),
    lambda event: with_payload(event, payload=42),
    lambda event: with_payload(event, payload=""),
    lambda event: orjson.dumps(event | {"eventTimestamp": "yesterday, about noon"}),
    lambda event: orjson.dumps(event | {"eventSource": "doc."}).replace(b"doc.", b"doc.\xe7\xe3o"),
)
