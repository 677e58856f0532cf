"""A profile: what a set of events looks like, as counts that add up.

For each day, field and aspect it has how many events fall into which bucket. Profiles of parts, added up, are the
whole's, whatever the parts are. No text of a document is in it: words are told by the bucket of their hash.

    {"2026-11-02": {"payload": {"presence": {"there": 990, "missing": 10}, "length": {"38": 120, …}}, …}, …}

Numbers lie in buckets that grow by GROWTH, as in DDSketch (Masson, Rim, Lee 2019), so a quantile is off by at most 5 %.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from brigade.errors import CannotGoOn

FORMAT_VERSION = 1
PROFILE_FILE = "profile.json"
EVENTS = "events"  # the field that stands for the event as a whole
PREDICTION = "prediction"  # … and the one for what the model makes of it
ALL = "all"  # the bucket that every event of an aspect with several buckets an event is in
MOST_NAMED = 512  # buckets of a field's categories; a field with more may hold anything, and has no names
NO_DAY = "1970-01-01"  # of an event without any time
NEWEST_DAYS, MOST_DAYS = 31, 62  # that a file keeps apart, and that it has at the most
GROWTH = 1.1  # a bucket's upper end divided by its lower end
SMALLEST = 1e-9  # numbers nearer to 0 are 0

Buckets = Counter[str]  # bucket → events
Day = dict[str, dict[str, Buckets]]  # field → aspect → buckets

# How the buckets of an aspect are to be read. `values`: an event is in one, they have no order. `numbers`: an event is
# in one, see `bucket_of_number`. `several`: an event may be in many, and is in ALL besides.
KINDS = {
    "hour": "values",  # of EVENTS: the hour of the day, UTC
    "presence": "values",  # missing, empty, there
    "value": "values",  # a category, by the bucket of its hash; `names` has the names
    "number": "numbers",
    "length": "numbers",  # characters of a text
    "words": "numbers",  # of a text
    "script": "values",  # most letters of a text are latin, cyrillic, …
    "accents": "numbers",  # letters of a text in a thousand that are not ASCII
    "markup": "numbers",  # characters of a text in a thousand that are in tags
    "damage": "values",  # whether a text looks as if it was decoded wrongly
    "word": "several",  # the words that a text has, by the bucket of their hash
    "unknown": "numbers",  # words of a text in a thousand that the model does not know
    "label": "values",  # of PREDICTION: the predicted label
    "confidence": "values",  # of PREDICTION: in twentieths
    "predicted": "numbers",  # of PREDICTION: the predicted value
    "agreement": "values",  # of PREDICTION, of labelled events: label and predicted label
    "error": "numbers",  # of PREDICTION, of labelled events: predicted minus true
    "covered": "values",  # of PREDICTION, of labelled events: whether the interval holds the true value
}


class ProfileError(CannotGoOn):
    """A profile cannot be read or added. The message says what was expected and found."""


@dataclass(frozen=True)
class Profile:
    """What events look like. days: YYYY-MM-DD (UTC) → field → aspect → bucket → events.

    names: field → bucket → the category that the bucket stands for. sampled: one event in so many is looked at closely
    (its texts, and what the model makes of it); 1 is every one.
    """

    days: dict[str, Day] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    sampled: int = 1

    def __add__(self, other: "Profile") -> "Profile":
        """Both together. Raises ProfileError if they look at different shares of the events."""
        if self.days and other.days and self.sampled != other.sampled:
            raise ProfileError(
                f"expected profiles that look closely at the same share of events, found 1/{self.sampled} and "
                f"1/{other.sampled}"
            )
        days: dict[str, Day] = {}
        for one in (self, other):
            for day, fields in one.days.items():
                add(days.setdefault(day, {}), fields)
        names = {name: dict(found) for name, found in self.names.items()}
        for name, theirs in other.names.items():
            mine = names.setdefault(name, {})
            for bucket, text in theirs.items():
                mine[bucket] = min(mine.get(bucket, text), text)
        return Profile(days, names_kept(days, names), self.sampled if self.days else other.sampled)

    def total(self) -> Day:
        """The counts of all days together."""
        found: Day = {}
        for fields in self.days.values():
            add(found, fields)
        return found

    def between(self, first: str, last: str) -> "Profile":
        """The profile of these days alone, both included."""
        days = {day: found for day, found in self.days.items() if first <= day <= last}
        return Profile(days, self.names, self.sampled)

    def folded(self) -> "Profile":
        """The same counts under at most MOST_DAYS days: of more, those before the newest are counted together by month,
        or by year, or all of them under the first."""
        days = sorted(self.days)
        if len(days) <= MOST_DAYS:
            return self
        older = days[:-NEWEST_DAYS]
        for kept, first in ((len("YYYY-MM"), "-01"), (len("YYYY"), "-01-01")):
            moved = {day: day[:kept] + first for day in older}
            if len({*moved.values()}) <= MOST_DAYS - NEWEST_DAYS:
                return self.moved(moved)
        return self.moved(dict.fromkeys(older, days[0]))

    def moved(self, days: dict[str, str]) -> "Profile":
        """The same counts, of these days under others."""
        found: dict[str, Day] = {}
        for day, fields in self.days.items():
            add(found.setdefault(days.get(day, day), {}), fields)
        return Profile(found, self.names, self.sampled)

    @property
    def events(self) -> int:
        """How many events there are."""
        return sum(fields.get(EVENTS, {}).get("hour", Counter()).total() for fields in self.days.values())

    def about(self) -> dict[str, Any]:
        """The profile in JSON's types, keys in their order."""
        days = {
            day: {
                name: {aspect: dict(sorted(buckets.items())) for aspect, buckets in sorted(aspects.items())}
                for name, aspects in sorted(fields.items())
            }
            for day, fields in sorted(self.days.items())
        }
        names = {name: dict(sorted(found.items())) for name, found in sorted(self.names.items())}
        return {"formatVersion": FORMAT_VERSION, "sampled": self.sampled, "days": days, "names": names}

    def text(self) -> str:
        """The content of profile.json."""
        return json.dumps(self.about(), separators=(",", ":")) + "\n"

    @classmethod
    def of(cls, text: bytes | str) -> "Profile":
        """The profile of a file's content. Raises ProfileError if it is none."""
        try:
            found = json.loads(text)
            if found["formatVersion"] != FORMAT_VERSION:
                raise ProfileError(
                    f"expected a profile of format {FORMAT_VERSION}, found {found['formatVersion']!r}; a newer version "
                    "of this code wrote it"
                )
            days = {
                day: {
                    name: {aspect: Counter(buckets) for aspect, buckets in aspects.items()}
                    for name, aspects in fields.items()
                }
                for day, fields in found["days"].items()
            }
            return cls(days, dict(found["names"]), int(found["sampled"]))
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise ProfileError(f"expected a profile in JSON, found {type(problem).__name__}") from problem


def add(sums: Day, fields: Day) -> None:
    """Adds a day's counts to others."""
    for name, aspects in fields.items():
        for aspect, buckets in aspects.items():
            sums.setdefault(name, {}).setdefault(aspect, Counter()).update(buckets)


def names_kept(days: dict[str, Day], names: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The names of those fields that have at most MOST_NAMED categories: what the parts of a whole keep adds up to what
    the whole keeps."""
    kept = {}
    for name, own in names.items():
        values = {bucket for fields in days.values() for bucket in fields.get(name, {}).get("value", ())}
        if len(values) <= MOST_NAMED:
            kept[name] = own
    return kept


def bucket_of_number(value: float | None) -> str:
    """The bucket of a number: `12` or `-3` of a positive one, `7n` of a negative one, `zero` or `missing`."""
    if value is None or not math.isfinite(value):
        return "missing"
    if abs(value) < SMALLEST:
        return "zero"
    place = math.ceil(math.log(abs(value)) / math.log(GROWTH))
    return f"{place}" if value > 0 else f"{place}n"


def bounds_of_bucket(bucket: str) -> tuple[float, float]:
    """The numbers between which a bucket's lie, (low, high]. Raises ValueError for `missing`."""
    if bucket == "zero":
        return -SMALLEST, SMALLEST
    place = int(bucket.removesuffix("n"))
    low, high = power(place - 1), power(place)
    return (-high, -low) if bucket.endswith("n") else (low, high)


def power(place: int) -> float:
    """GROWTH to that power; infinity beyond all floats, where the largest numbers' bucket ends."""
    try:
        return GROWTH**place
    except OverflowError:
        return math.inf
