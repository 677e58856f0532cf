"""Profiles with given counts."""

from collections import Counter

from brigade.profiles.profile import ALL, Profile

FIRST, LAST = "2026-11-02", "2026-11-08"
WEEK = [f"2026-11-0{day}" for day in range(2, 9)]


def profile(aspects: dict[tuple[str, str], dict[str, int]], day: str = FIRST, events: int = 0, **more) -> Profile:
    """A profile of one day: (field, aspect) → bucket → events."""
    fields: dict = {"events": {"hour": Counter({"12": events})}} if events else {}
    for (name, aspect), buckets in aspects.items():
        fields.setdefault(name, {})[aspect] = Counter(buckets)
    return Profile({day: fields}, **more)


def words(of: int, **found: int) -> dict[str, int]:
    """The buckets of an aspect of which an event may have several."""
    return {ALL: of} | found
