"""How right the model is about labelled events now, beside how right it was about the test set, and what got worse.

Classes are judged in `agreement.py`, numbers in `amounts.py`; this is what both find.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from brigade.profiles.profile import PREDICTION, Buckets, Day

SHARE = 0.5  # of a look's alpha, within which chance alone may make a model worse; drift has a whole one
# Of so many days with labels the last ones are judged by themselves, beside all of them: a look a week finds what came
# since the one before within eight, and what came late in the week within four. A day more dilutes what is new.
WINDOWS = 8, 4
SURE = 1.96  # standard errors: 95 of 100 intervals hold the true value


@dataclass(frozen=True)
class Figure:
    """A figure, its 95 % interval, and of how many events it is."""

    value: float
    low: float
    high: float
    events: int

    def about(self) -> dict:
        return {key: round(value, 4) if key != "events" else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Worse:
    """What got worse by more than chance: a share of events that went up, or a mean.

    aspect: of PREDICTION. what: one line without figures. before, now: the share or mean. p: after the correction for
    all that was looked at. grown: buckets of the aspect whose events are examples. is_grave: an error, not a warning.
    """

    aspect: str
    what: str
    before: float
    now: float
    p: float
    since: str
    grown: tuple[str, ...]
    is_grave: bool
    of_right: bool = True


@dataclass(frozen=True)
class Performance:
    """What labelled events say. metric: accuracy or mae. then: of the test set; None if nothing is known of it.

    worse: what got worse, the surest first; is_worse: whether the metric itself did, or of a class so much that it is
    grave. p: of the metric, after the correction. more: further figures, then and now, None if there is none.
    classes: (class, recall then, recall now, precision then, precision now, labelled events now). days: by day.
    """

    metric: str
    then: Figure | None
    now: Figure
    is_worse: bool
    p: float
    since: str | None
    more: Mapping[str, tuple[Figure | None, Figure | None]] = field(default_factory=dict)
    classes: Sequence[tuple] = ()
    days: Mapping[str, Figure] = field(default_factory=dict)
    worse: Sequence[Worse] = ()

    def about(self) -> dict | None:
        """The `performance` of findings.json; None if nothing is known of the test set."""
        if self.then is None:
            return None
        figures = {
            name: {"then": then and then.about(), "now": now and now.about()} for name, (then, now) in self.more.items()
        }
        found = {"metric": self.metric, "then": self.then.about(), "now": self.now.about(), "isWorse": self.is_worse}
        return found | {"p": self.p, "since": self.since} | figures


def of_share(part: float, whole: float) -> Figure:
    """A share of events and its interval (Wilson 1927)."""
    share, z = part / whole, SURE
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return Figure(share, max(0.0, middle - half), min(1.0, middle + half), round(whole))


def of_mean(sizes: np.ndarray, counts: np.ndarray) -> Figure:
    """The mean of sizes [K] that so many events [K] have, and its interval."""
    events = counts.sum()
    mean = (sizes * counts).sum() / events
    spread = math.sqrt(((sizes - mean) ** 2 * counts).sum() / max(events - 1, 1) / events)
    return Figure(float(mean), float(max(0.0, mean - SURE * spread)), float(mean + SURE * spread), round(events))


def by_day(days: Mapping[str, Day], aspect: str) -> dict[str, Buckets]:
    """Day → buckets of an aspect of PREDICTION; days without an event of it are left out."""
    found = {day: fields.get(PREDICTION, {}).get(aspect) for day, fields in sorted(days.items())}
    return {day: buckets for day, buckets in found.items() if buckets and buckets.total()}


def starts(days: int) -> list[int]:
    """Where the windows that are judged begin among so many days, each ending with the last one."""
    return [0, *(days - last for last in WINDOWS if last < days)]
