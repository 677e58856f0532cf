"""Numbers: how far the model is from the labels that came, in the test set and now.

Errors are asked by their rank (Mann, Whitney 1947), so that one monstrous label does not make a model worse; and how
many labels lie in the model's interval.
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy import stats

from brigade.monitoring.performance import Figure, Performance, Worse, by_day, of_mean, of_share, starts
from brigade.profiles import counts
from brigade.profiles.compare import since
from brigade.profiles.profile import PREDICTION, Buckets, Day, bounds_of_bucket

LEAST_RATIO = 1.05  # of the mean error, now to then, which is worth a word
LEAST_MISSES = 0.03  # more labels outside the interval
GRAVE_MISSES = 0.1


def performance(reference: Day, days: Mapping[str, Day], alpha: float) -> Performance | None:
    """What the labels say; None without any. reference: the test set's counts. See `agreement.performance`."""
    found = by_day(days, "error")
    if not found:
        return None
    own = reference.get(PREDICTION, {})
    values = sizes_of(own.get("error", Buckets()), *found.values())
    was, now = row(own.get("error", Buckets()), values), np.stack([row(one, values) for one in found.values()])
    then = of_mean(values, was) if was.sum() else None
    figure = of_mean(values, now.sum(0))
    tests = 2
    worse = [one for one in (larger(was, now, values, list(found), tests), missed(own, days, tests)) if one]
    sure = [one for one in worse if one.p <= alpha]
    grave = [one for one in sure if one.is_grave]
    return Performance(
        "mae",
        then,
        figure,
        bool(grave),
        next((one.p for one in worse if one.aspect == "error"), 1.0),
        grave[0].since if grave else None,
        {"coverage": (covered(own.get("covered")), covered(sum(by_day(days, "covered").values(), Buckets())))},
        (),
        {day: of_mean(values, table) for day, table in zip(found, now, strict=True)},
        sure,
    )


def sizes_of(*rows: Buckets) -> np.ndarray:
    """How far from 0 the errors of these buckets are, the smallest first; errors up and down alike."""
    return np.array(sorted({size_of(key) for buckets in rows for key in buckets if key != "missing"}))


def size_of(bucket: str) -> float:
    """How far from 0 the middle of an error's bucket is."""
    return 0.0 if bucket == "zero" else abs(sum(bounds_of_bucket(bucket))) / 2


def row(buckets: Buckets, sizes: np.ndarray) -> np.ndarray:
    """The events by size of error."""
    found = np.zeros(len(sizes))
    for key, count in buckets.items():
        if key != "missing":
            found[np.searchsorted(sizes, size_of(key))] += count
    return found


def covered(buckets: Buckets | None) -> Figure | None:
    """The share of labels in the interval; None without any."""
    return of_share(buckets["yes"], buckets.total()) if buckets and buckets.total() else None


def larger(was: np.ndarray, now: np.ndarray, values: np.ndarray, days: list[str], tests: int) -> Worse | None:
    """Whether errors are larger than in the test set and on the days before; the surest window of days."""
    if not was.sum():
        return None
    windows = starts(len(days))
    p, start = min((p_of_larger(was + now[:at].sum(0), now[at:].sum(0)), at) for at in windows)
    before, after = of_mean(values, was), of_mean(values, now[start:].sum(0))
    p = min(1.0, p * len(windows) * tests) if after.value >= LEAST_RATIO * before.value else 1.0
    middle = np.searchsorted(was.cumsum(), 0.75 * was.sum())  # the largest quarter of the errors, and the others
    halves = {
        day: np.array([[table[:middle].sum(), table[middle:].sum()]]) for day, table in zip(days, now, strict=True)
    }
    first = since(np.array([[was[:middle].sum(), was[middle:].sum()]]), halves)
    return Worse("error", "errors are larger", before.value, after.value, p, first or days[0], (), True)


def p_of_larger(was: np.ndarray, now: np.ndarray) -> float:
    """One-sided p-value of Mann and Whitney's rank test for two rows of counts of ordered values, ties as usual."""
    before, after, both = was.sum(), now.sum(), was + now
    if not before or not after:
        return 1.0
    below = was.cumsum() - was
    above = (now * (below + was / 2)).sum() - before * after / 2
    of = before + after
    variance = before * after / 12 * (of + 1 - ((both**3 - both).sum()) / max(of * (of - 1), 1))
    return float(stats.norm.sf(above / math.sqrt(variance))) if variance > 0 else 1.0


def missed(own: Mapping[str, Buckets], days: Mapping[str, Day], tests: int) -> Worse | None:
    """Whether the interval holds fewer labels than it did; the surest window of days."""
    was, found = own.get("covered"), by_day(days, "covered")
    if not was or not was.total() or not found:
        return None
    rows = np.array([[one["no"], one["yes"]] for one in found.values()], float)
    windows, names = starts(len(rows)), list(found)
    sums = np.array([rows[at:].sum(0) for at in windows])
    earlier = np.array([was["no"], was["yes"]]) + rows.sum(0) - sums
    p = counts.one_sided(earlier[:, 0], earlier.sum(1), sums[:, 0], sums.sum(1))
    best = int(p.argmin())
    before, now = was["no"] / was.total(), float(sums[best, 0] / sums[best].sum())
    if now - before < LEAST_MISSES:
        return None
    first = since(np.array([[was["no"], was["yes"]]], float), {day: rows[None, at] for at, day in enumerate(names)})
    chance = float(min(1.0, p[best] * len(windows) * tests))
    what = "the interval holds fewer labels"
    return Worse("covered", what, before, now, chance, first or names[0], ("no",), now - before >= GRAVE_MISSES)
