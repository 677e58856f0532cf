"""Looks that are drawn from measured events: which bucket each event is in is measured once, and draws only add up."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from brigade.monitoring.agreement import ASPECT
from brigade.monitoring.agreement import performance as of_classes
from brigade.monitoring.amounts import performance as of_amounts
from brigade.monitoring.findings import findings_of
from brigade.monitoring.performance import SHARE
from brigade.profiles.compare import differences
from brigade.profiles.profile import PREDICTION, Profile
from brigade.profiles.thresholds import Thresholds

DAYS = [f"2026-11-{day:02}" for day in range(1, 29)]
Key = tuple[str, str, str]  # field, aspect, bucket


@dataclass
class Pool:
    """Measured events. versions: a fault's name, or "" → which events are in which column, 0 or 1, [events, columns].
    columns: of the matrices. labels: the events' classes, or for numbers whether they are high. names: as in Profile.
    """

    columns: dict[Key, int] = field(default_factory=dict)
    found: dict[str, tuple[np.ndarray, np.ndarray, int]] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    is_class: bool = True

    def add(self, version: str, batches, look, model) -> None:
        """Measures the events of a version. batches: of Arrow, see `measure.selected`."""
        rows, columns, seen = [], [], 0
        for batch in batches:
            for one in look.found(batch, model):
                places = np.array(
                    [
                        self.columns.setdefault((one.field, one.aspect, bucket), len(self.columns))
                        for bucket in one.buckets
                    ],
                    np.int64,
                )
                rows.append(np.asarray(one.events) + seen)
                columns.append(places[one.codes])
                self.names.setdefault(one.field, {}).update(one.names)
            seen += batch.num_rows
        self.found[version] = np.concatenate(rows), np.concatenate(columns), seen

    def finish(self) -> dict[str, sparse.csr_matrix]:
        """The matrices of all versions, of one width."""
        return {
            version: sparse.csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), (number, len(self.columns)))
            for version, (rows, columns, number) in self.found.items()
        }


class Looks:
    """Looks at drawn events, beside a reference of all the others."""

    def __init__(self, pool: Pool, events: int, seed: int = 0):
        self.pool, self.events, self.draw = pool, events, np.random.default_rng(seed)
        self.matrices = pool.finish()
        self.whole = np.asarray(self.matrices[""].sum(0)).ravel()
        self.keys = list(pool.columns)

    def findings(self, version: str = "", share: float = 1.0, doubled: object = None) -> list[dict]:
        """What one look finds.

        share: of the events that the fault happens to. doubled: a class of which there are twice as many.
        """
        own = self.matrices[""]
        fresh = self.draw.permutation(own.shape[0])[: self.events]
        reference = self.profile({DAYS[0]: self.whole - np.asarray(own[fresh].sum(0)).ravel()})
        if doubled is not None:
            is_it = self.pool.labels == doubled
            number = self.draw.binomial(len(fresh), 2 * is_it.mean())
            of_it, others = fresh[is_it[fresh]], fresh[~is_it[fresh]]
            fresh = np.concatenate([self.draw.choice(of_it, number), others[: len(fresh) - number]])
        happens = self.draw.random(len(fresh)) < share if version else np.zeros(len(fresh), bool)
        days = self.draw.integers(0, 7, len(fresh))
        counts = np.zeros((7, len(self.keys)))
        for rows, which in ((own[fresh[~happens]], ~happens), (self.matrices[version][fresh[happens]], happens)):
            by_day = sparse.csr_matrix((np.ones(which.sum()), (days[which], np.arange(which.sum()))), (7, which.sum()))
            counts += (by_day @ rows).toarray()
        current = self.profile({DAYS[7 + day]: row for day, row in enumerate(counts)})
        return judged(reference, current, self.pool.is_class)

    def profile(self, days: dict[str, np.ndarray]) -> Profile:
        found: dict = {}
        for day, row in days.items():
            for place in np.flatnonzero(row):
                name, aspect, bucket = self.keys[place]
                found.setdefault(day, {}).setdefault(name, {}).setdefault(aspect, Counter())[bucket] = int(row[place])
        return Profile(found, self.pool.names)


def judged(reference: Profile, current: Profile, is_class: bool, thresholds: Thresholds | None = None) -> list[dict]:
    """The findings of a look, drift and decay."""
    thresholds = thresholds or Thresholds()
    own = reference.total()
    if is_class:
        names = current.names.get(PREDICTION, {})
        performance = of_classes(own.get(PREDICTION, {}).get(ASPECT), current.days, names, SHARE * thresholds.alpha)
    else:
        performance = of_amounts(own, current.days, SHARE * thresholds.alpha)
    return findings_of(differences(reference, current, thresholds), performance, None, {})


class Decays:
    """Days of labelled events whose labels, of one class, go wrong from some day on.

    The test set of the reference, a third as many events as were measured, and the days' events are all drawn from the
    measured ones: each from the same distribution, and each event may come again.
    """

    def __init__(self, pool: Pool, seed: int = 0):
        self.draw = np.random.default_rng(seed)
        matrix, keys = pool.finish()[""], list(pool.columns)
        pairs = [place for place, (name, aspect, _) in enumerate(keys) if (name, aspect) == (PREDICTION, ASPECT)]
        which = matrix[:, pairs].tocoo()
        self.pairs = np.array(
            [keys[pairs[place]][2].split(">") for place in which.col]
        )  # [events, label and prediction]
        self.classes = sorted(set(self.pairs[:, 0]))
        self.names = pool.names
        self.wrong = ""  # the class of the last look

    def drawn(self, events: int) -> np.ndarray:
        """The label and the prediction of so many events, [events, 2]."""
        return self.pairs[self.draw.integers(0, len(self.pairs), events)]

    def of_share(self, least: float, most: float) -> list[str]:
        """The classes that have such a share of the events."""
        share = {one: (self.pairs[:, 0] == one).mean() for one in self.classes}
        return [one for one in self.classes if least <= share[one] < most]

    def findings(self, flipped: float, each: int, first: int, last: int, least: float, most: float = 1) -> list[dict]:
        """What a look on the last day finds.

        flipped: the share of a class's labels that are another one's from the first of these days on. each: events a
        day. least, most: the share of all events that the class has.
        """
        test = self.drawn(len(self.pairs) // 3)
        self.wrong = self.draw.choice(self.of_share(least, most))
        taken_for = self.draw.choice([one for one in self.classes if one != self.wrong])
        days = {}
        for day in range(last):
            fresh = self.drawn(each)
            if day + 1 >= first:
                turned = (fresh[:, 0] == self.wrong) & (self.draw.random(each) < flipped)
                fresh[turned, 0] = taken_for
            days[DAYS[day]] = {PREDICTION: {ASPECT: counted(fresh)}}
        reference = {DAYS[0]: {PREDICTION: {ASPECT: counted(test)}}}
        return judged(Profile(reference, self.names), Profile(days, self.names), True)

    def best(self, wrong: str, taken_for: str, flipped: float, events: int, alpha: float) -> float:
        """Which share of the decays of a class the best of all tests finds at this alpha.

        It is the likelihood ratio (Neyman and Pearson 1933) of so many events, by a test that knows what no look does:
        both distributions, the class, the other label and the first day. Simulated.
        """
        before = Counter(map(tuple, self.pairs))
        after = Counter(before)
        for (label, guess), count in before.items():
            if label == wrong:
                after[wrong, guess] -= flipped * count
                after[taken_for, guess] += flipped * count
        cells = sorted(cell for cell in after if after[cell] != before[cell])
        # A pair that has never been seen counts as half an event.
        was, now = (np.maximum([table[cell] for cell in cells], 0.5) / len(self.pairs) for table in (before, after))
        was, now = (np.append(row, max(1 - row.sum(), 0)) / max(row.sum(), 1) for row in (was, now))
        ratio = np.log(np.divide(now, was, out=np.ones_like(now), where=was > 0))
        least = np.quantile(self.draw.multinomial(events, was, 100_000) @ ratio, 1 - alpha)
        return float((self.draw.multinomial(events, now, 10_000) @ ratio > least).mean())


def counted(pairs: np.ndarray) -> Counter:
    return Counter(f"{label}>{guess}" for label, guess in pairs)
