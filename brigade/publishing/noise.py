"""Adds what a real topic carries as well: messages that are delivered twice, and messages that are not events."""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import value_at

TEXTS, SCALARS = ("string", "text", "timestamp"), ("number", "integer", "boolean")


def with_noise(
    events: Iterable[bytes],
    expected: float,
    copies: int,
    malformed: int,
    seed: int,
    contract: Contract = DOCUMENTS,
) -> Iterator[tuple[str, bytes]]:
    """Yields (kind, bytes): all events ("documents"), and among them recent ones again.

    Of these, `copies` repeat an event byte for byte, and `malformed` are broken in the ways of `breaks`. They are
    spread over the `expected` number of events; those that are due later follow the last event. Without an event there
    is nothing to copy or break.
    """
    rng = random.Random(f"noise {seed}")
    kinds = ["copies"] * copies + ["malformed"] * malformed
    due = sorted(((rng.random() * expected, kind) for kind in kinds), reverse=True)
    ways = itertools.cycle(breaks(contract))
    id = contract.id.split(".")
    recent: deque[bytes] = deque(maxlen=100)

    def noise(seen: float) -> Iterator[tuple[str, bytes]]:
        while recent and due and due[-1][0] < seen:
            _, kind = due.pop()
            data = rng.choice(recent)
            if kind == "malformed":
                data = next(ways)(changed(orjson.loads(data), id, f"{rng.getrandbits(160):040x}"))
            yield kind, data

    for seen, data in enumerate(events, 1):
        recent.append(data)
        yield "documents", data
        yield from noise(seen)
    yield from noise(float("inf"))


def breaks(contract: Contract) -> list[Callable[[dict], bytes]]:
    """The ways in which an event of the contract is broken: each makes bytes of it that are no event."""
    id, time = tuple(contract.id.split(".")), contract.time.split(".")
    main = [path for path, kind in contract.required if kind in TEXTS][-1]  # of a document its text
    ways: list[Callable[[dict], bytes]] = [
        lambda event: b"this is not JSON " + value_at(event, id).encode(),
        lambda event: orjson.dumps(event)[:-20],
        lambda event: orjson.dumps([value_at(event, id)]),
        lambda event: orjson.dumps(without(event, main)),
        lambda event: orjson.dumps(changed(event, main, 42)),
        lambda event: orjson.dumps(changed(event, main, "")),
        lambda event: orjson.dumps(changed(event, time, "yesterday, about noon")),
        lambda event: orjson.dumps(event | {"eventSource": "doc."}).replace(b"doc.", b"doc.\xe7\xe3o"),
    ]
    if scalars := [one.path for one in contract.fields if one.type in SCALARS]:
        ways.append(lambda event: orjson.dumps(changed(event, scalars[-1], "about seven")))
    return ways


def changed(event: dict, path: Sequence[str], value: object) -> dict:
    """The event with another value at the path."""
    name, *inner = path
    return event | {name: changed(event.get(name) or {}, inner, value) if inner else value}


def without(event: dict, path: Sequence[str]) -> dict:
    """The event without what lies at the path."""
    name, *inner = path
    if inner:
        return event | {name: without(event[name], inner)}
    return {other: value for other, value in event.items() if other != name}
