"""Classes: what the model predicts beside the labels that came, in the test set and now.

Each look asks whether accuracy fell, whether a class is found less often (recall), whether what is predicted as a class
is it less often (precision), and whether one label stands beside a predicted class more often. So a labelling that goes
wrong in one class shows, though accuracy hardly moves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from brigade.monitoring.performance import Figure, Performance, Worse, by_day, of_share, starts
from brigade.profiles import counts
from brigade.profiles.compare import since
from brigade.profiles.profile import Buckets, Day
from brigade.training.evaluation import macro_f1_interval

ASPECT = "agreement"
NEW = "new"  # a label that the model does not know
LEAST_FALL = 0.01  # of accuracy, which is worth a word
LEAST_RISE = 0.03  # of a class's share of mistakes
GRAVE_RISE = 0.1  # … that is an error
MOST = 5  # of what got worse in classes, the surest
FEW = 10  # events of a class, below which its figures are not told


@dataclass(frozen=True)
class Asked:
    """A share of events that should not go up: `part` of `whole` events [days], and the reference's."""

    what: str
    part_before: float
    whole_before: float
    part: np.ndarray
    whole: np.ndarray
    grown: tuple[str, ...]
    least: float
    group: str  # of several that say the same, the surest is told
    of_right: bool = True


def performance(
    before: Buckets | None, days: Mapping[str, Day], names: Mapping[str, str], alpha: float
) -> Performance | None:
    """What the labels say; None without any.

    before: the test set's agreement. days: what came since. names: bucket of a class → its name. alpha: how often
    chance alone may make something worse.
    """
    found = by_day(days, ASPECT)
    if not found:
        return None
    tables = [before or Buckets(), *found.values()]
    keys = sorted({key for buckets in tables for pair in buckets for key in pair.split(">")})
    was, now = square(before or {}, keys), np.stack([square(buckets, keys) for buckets in found.values()])
    total = now.sum(0)
    worse = judged(was, now, keys, names, list(found), alpha) if was.sum() else []
    overall = next((one for one in worse if one.grown == WRONG), None)
    told = [replace(one, grown=wrong_pairs(keys)) if one.grown == WRONG else one for one in worse]
    sure = [one for one in told if one.p <= alpha]
    grave = [one for one in sure if one.is_grave]
    return Performance(
        "accuracy",
        of_share(np.trace(was), was.sum()) if was.sum() else None,
        of_share(np.trace(total), total.sum()),
        bool(grave),
        overall.p if overall else 1.0,
        grave[0].since if grave else None,
        {"macroF1": macro_f1(was, total)},
        [*of_classes(was, total, keys, names)],
        {day: of_share(np.trace(table), table.sum()) for day, table in zip(found, now, strict=True)},
        sure,
    )


WRONG = (">",)  # stands for all pairs of label and prediction that differ


def wrong_pairs(keys: list[str]) -> tuple[str, ...]:
    return tuple(f"{label}>{guess}" for label in keys for guess in keys if label != guess)


def square(buckets: Mapping[str, int], keys: list[str]) -> np.ndarray:
    """The counts [label, predicted] of the pairs."""
    place = {key: number for number, key in enumerate(keys)}
    found = np.zeros((len(keys), len(keys)))
    for pair, count in buckets.items():
        label, _, guess = pair.partition(">")
        found[place[label], place[guess]] += count
    return found


def judged(
    was: np.ndarray, now: np.ndarray, keys: list[str], names: Mapping[str, str], days: list[str], alpha: float
) -> list[Worse]:
    """What got worse, the surest first, and accuracy, whether it did or not. was [K, K]. now [days, K, K].

    A fifth of alpha is for accuracy, the rest for all classes; each for all windows of days.
    """
    right, whole = np.einsum("dii->d", now), now.sum((1, 2))
    accuracy = Asked(
        "accuracy fell", was.sum() - np.trace(was), was.sum(), whole - right, whole, WRONG, LEAST_FALL, "accuracy"
    )
    classes = list(of_each_class(was, now, keys, names))
    first = told(accuracy, days, 5)
    number = sum(might(one) for one in classes)
    found = [told(one, days, 1.25 * number) for one in classes if might(one)]
    best: dict[str, Worse] = {}
    for asked, one in sorted(zip((one for one in classes if might(one)), found, strict=True), key=lambda two: two[1].p):
        if one.p <= alpha and one.now - one.before >= asked.least:
            best.setdefault(asked.group, one)
    if first.now - first.before < LEAST_FALL:
        first = replace(first, p=1.0)
    return [first, *sorted(best.values(), key=lambda one: one.p)[:MOST]]


def of_each_class(was: np.ndarray, now: np.ndarray, keys: list[str], names: Mapping[str, str]) -> Iterator[Asked]:
    """Each class's share of mistakes among its labels, among its predictions, and by the label beside these."""
    for at, key in enumerate(keys):
        name = name_of(key, names)
        others = [other for other in range(len(keys)) if other != at]
        if was[at].sum() and now[:, at].sum():
            grown = tuple(f"{key}>{keys[other]}" for other in others)
            yield Asked(
                f"{name} is found less often", was[at, others].sum(), was[at].sum(), now[:, at, others].sum(1),
                now[:, at].sum(1), grown, LEAST_RISE, f"label {key}",
            )  # fmt: skip
        if not was[:, at].sum() or not now[:, :, at].sum():
            continue
        predicted = was[:, at].sum(), now[:, :, at].sum(1)
        grown = tuple(f"{keys[other]}>{key}" for other in others)
        yield Asked(
            f"what is predicted as {name} is so less often", was[others, at].sum(), predicted[0],
            now[:, others, at].sum(1), predicted[1], grown, LEAST_RISE, f"predicted {key}",
        )  # fmt: skip
        for other in others if len(others) > 1 else ():  # of two classes it is the same question
            yield Asked(
                f"what is predicted as {name} has the label {name_of(keys[other], names)} more often", was[other, at],
                predicted[0], now[:, other, at], predicted[1], (f"{keys[other]}>{key}",), LEAST_RISE,
                f"predicted {key}", of_right=False,
            )  # fmt: skip


def name_of(key: str, names: Mapping[str, str]) -> str:
    return "a label that the model does not know" if key == NEW else names.get(key, key)


def might(asked: Asked) -> bool:
    """Whether there are enough events for a share to have gone up, in one of the windows of days."""
    part, whole = asked.part_before + asked.part.sum(), asked.whole_before + asked.whole.sum()
    inside = np.array([asked.whole[at:].sum() for at in starts(len(asked.whole))])
    return bool(counts.hopeful(part, whole - inside, 0, inside).any())


def told(asked: Asked, days: list[str], tests: float) -> Worse:
    """The surest of the windows of days, its p-value that of one of so many tests. The days before it are told from it
    as the test set is."""
    windows = starts(len(days))
    part, whole = (np.array([row[at:].sum() for at in windows]) for row in (asked.part, asked.whole))
    earlier = asked.part_before + asked.part.sum() - part, asked.whole_before + asked.whole.sum() - whole
    p = counts.one_sided(*earlier, part, whole)
    best = int(p.argmin())
    before, now = asked.part_before / asked.whole_before, float(part[best] / max(whole[best], 1))
    rows = {day: np.array([[asked.part[at], asked.whole[at] - asked.part[at]]]) for at, day in enumerate(days)}
    first = since(np.array([[asked.part_before, asked.whole_before - asked.part_before]]), rows)
    is_grave = asked.grown == WRONG or now - before >= GRAVE_RISE
    p_value = float(min(1.0, p[best] * len(windows) * tests))
    return Worse(
        ASPECT, asked.what, float(before), now, p_value, first or days[0], asked.grown, is_grave, asked.of_right
    )


def of_classes(was: np.ndarray, total: np.ndarray, keys: list[str], names: Mapping[str, str]) -> Iterator[tuple]:
    """See Performance.classes."""
    for at, key in enumerate(keys):
        if key != NEW and total[at].sum() + total[:, at].sum():
            found = [
                float(table[at, at] / whole) if (whole := table.sum(axis)[at]) >= FEW else None
                for axis in (1, 0)
                for table in (was, total)
            ]
            yield name_of(key, names), *found, int(total[at].sum())


def macro_f1(was: np.ndarray, now: np.ndarray) -> tuple[Figure | None, Figure | None]:
    """The mean F1 of the classes that have labels on both sides, or now if there is no test set, then and now."""
    both = (now.sum(1) > 0) & (was.sum(1) > 0) if was.sum() else now.sum(1) > 0

    def mean(table: np.ndarray) -> Figure | None:
        if not table.sum() or not both.any():
            return None
        f1 = 2 * np.diagonal(table) / np.maximum(table.sum(0) + table.sum(1), 1)
        classes = {str(at): {"f1": float(f1[at]), "documents": int(table[at].sum())} for at in np.flatnonzero(both)}
        value = float(f1[both].mean())
        low, high = macro_f1_interval(value, classes)
        return Figure(value, low, high, int(table.sum()))

    return mean(was), mean(now)
