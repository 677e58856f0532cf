"""The models and the history that benchmarks/loop.py draws, as the schedule's trigger sees them."""

import random
from dataclasses import dataclass, field
from datetime import date, datetime
from statistics import NormalDist

from brigade.models.history import LOOP, rfc3339
from brigade.schedule.loop import Models, Run

TESTED = 2_000  # documents of a model's test
NORMAL = NormalDist()


@dataclass
class Model:
    """A dated model. skill: how often it is right on events as they were when it was trained."""

    name: str
    skill: float
    tested: float  # its accuracy on its test, as drawn
    promoted: bool = True

    @property
    def run(self) -> Run:
        return self.name, "r"


@dataclass
class World:
    """The models and the history, as the trigger sees them."""

    chance: random.Random
    models: list[Model] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    entries: list[dict] = field(default_factory=list)

    def add(self, day: date, skill: float, promoted: bool = True) -> None:
        tested = binomial(self.chance, TESTED, skill) / TESTED
        self.models.append(Model(f"doc-classification-model-{day}", skill, tested, promoted))
        self.days.add(day)

    def serving(self) -> list[Model]:
        """The promoted models, the one that serves first."""
        return [one for one in sorted(self.models, key=lambda one: one.name, reverse=True) if one.promoted]

    def seen(self) -> Models:
        first, second = (self.serving() + [None, None])[:2]  # type: ignore[list-item]
        return Models(first and first.run, second and second.run, self.days, self.entries)

    def note(self, what: str, now: datetime, model: str, by: str = LOOP) -> None:
        self.entries.append({"at": rfc3339(now), "what": what, "model": model, "runId": "r", "by": by, "figures": {}})
        del self.entries[:-100]  # older ones decide nothing here, and each decision reads them all


def binomial(chance: random.Random, events: int, share: float) -> int:
    """How many of the events, each with that chance."""
    share = min(1.0, max(0.0, share))
    if events > 60 and min(share, 1 - share) * events > 20:  # near enough, and a thousand times as fast
        return min(events, max(0, round(chance.gauss(events * share, (events * share * (1 - share)) ** 0.5))))
    return sum(chance.random() < share for _ in range(events))


def worse_by_chance(then: float, right: int, events: int) -> float:
    """p of so few right answers if the accuracy were still that of the test, whose own error counts too."""
    if not events:
        return 1.0
    both = (then * TESTED + right) / (TESTED + events)
    error = (both * (1 - both) * (1 / TESTED + 1 / events)) ** 0.5
    return NORMAL.cdf((right / events - then) / error) if error else 1.0
