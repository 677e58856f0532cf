"""Counts how many events are in each bucket, block by block, until they are a profile."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from brigade.profiles.buckets import Found
from brigade.profiles.profile import NO_DAY, Profile, names_kept

Row = tuple[str, str, str, str, int, str | None]  # day, field, aspect, bucket, events, the category's name


@dataclass
class Tally:
    """counts: (day, field, aspect, bucket) → events. names: (field, bucket) → the category that it stands for."""

    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    names: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, found: Found, days: np.ndarray, different: Sequence[str]) -> None:
        """Adds the buckets of a block's events. days: of each event, positions in `different`, int [n]."""
        pairs = days[found.events] * len(found.buckets) + found.codes
        for pair, number in zip(*map(np.ndarray.tolist, np.unique(pairs, return_counts=True)), strict=True):
            day, code = divmod(pair, len(found.buckets))
            self.counts[different[day], found.field, found.aspect, found.buckets[code]] += number
        for bucket, name in found.names.items():
            key = found.field, bucket
            self.names[key] = min(self.names.get(key, name), name)

    def add_undated(self, found: Found) -> None:
        """The same for events whose days do not matter."""
        self.add(found, np.zeros(1 + found.events.max(initial=0), np.int64), [NO_DAY])

    def rows(self) -> Iterator[Row]:
        """What was counted."""
        for (day, name, aspect, bucket), events in self.counts.items():
            yield day, name, aspect, bucket, events, self.names.get((name, bucket))


def assembled(rows: Iterable[Row], sampled: int = 1) -> Profile:
    """The profile of what tallies have counted."""
    profile = Profile(sampled=sampled)
    for day, name, aspect, bucket, events, category in rows:
        profile.days.setdefault(day, {}).setdefault(name, {}).setdefault(aspect, Counter())[bucket] += events
        if category is not None:
            names = profile.names.setdefault(name, {})
            names[bucket] = min(names.get(bucket, category), category)
    return replace(profile, names=names_kept(profile.days, profile.names))
