"""Blocks of events as Spark hands them over to a Look, and the profile of some."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from brigade.models.verification import Model
from brigade.profiles.blocks import Look
from brigade.profiles.measure import assembled
from brigade.profiles.profile import Profile
from brigade.profiles.watched import Watched

WATCHED = Watched({"payload": "text", "kind": "value", "size": "number", "superTag01": "value"}, "superTag01")


def block(events: Sequence[dict]) -> pa.RecordBatch:
    """Events with `payload`, `kind`, `size`, `superTag01`, `day` and `hour`, all of which are looked at closely."""
    texts = [one.get("payload") for one in events]
    columns = {
        "eventId": pa.array([str(one.get("eventId")) for one in events], pa.string()),
        "day": pa.array([one.get("day", "2026-11-02") for one in events], pa.string()),
        "hour": pa.array([one.get("hour") for one in events], pa.int32()),
        "close": pa.array([True] * len(events), pa.bool_()),
        "c0": pa.array(texts, pa.string()),
        "c0_presence": pa.array([0 if one is None else 2 if one.strip() else 1 for one in texts], pa.int32()),
        "c0_length": pa.array([None if one is None else len(one) for one in texts], pa.int32()),
        "c1": pa.array([one.get("kind") for one in events], pa.string()),
        "c2": pa.array([one.get("size") for one in events], pa.float64()),
        "c3": pa.array([one.get("superTag01") for one in events], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def profile_in(blocks: Sequence[pa.RecordBatch], model: Model | None = None, **settings) -> Profile:
    """The profile of the events of one partition."""
    (counts,) = Look(WATCHED, **settings).counts(blocks, model)
    return assembled((tuple(row.values()) for row in counts.to_pylist()), 1)


def seen(events: Sequence[dict], field: str, aspect: str, model: Model | None = None) -> Counter[str]:
    """How many of these events are in each bucket."""
    return profile_in([block(events)], model).total()[field].get(aspect, Counter())
