"""Two profiles compared: what is different, by how much, and since when.

Each aspect of each field is one question, and Holm's correction holds for all of them together. A difference that is
sure and smaller than anybody minds is not one. The hour of an event is not judged, since events come in bursts; nor
are labels beside predictions, which `brigade/monitoring/performance.py` judges.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from brigade.profiles import counts
from brigade.profiles.profile import ALL, KINDS, Buckets, Profile, bounds_of_bucket
from brigade.profiles.thresholds import Thresholds

NOT_JUDGED = ("hour", "agreement", "error", "covered")
# Aspects that get more of the chance of an error than others: a class that is twice as common is a small change beside
# a text that is cut. Weights as in Holm (1979).
WEIGHTS = {"value": 16.0, "label": 16.0}
BINS = 10  # of numbers, about as many events of the reference in each
MOST_CHANGES = 6  # that a difference tells of
APART = ("missing", "zero")  # no neighbours of other numbers


@dataclass(frozen=True)
class Difference:
    """An aspect of a field that differs.

    distance: Jensen-Shannon, natural logarithm. p: after the correction. since: the day, YYYY-MM-DD. changes: (what,
    share before, share now), the largest first. grown: the buckets of the profile of which there are more now, the
    largest first. events: how many of now the aspect was looked at in.
    """

    field: str
    aspect: str
    severity: str
    psi: float
    distance: float
    p: float
    since: str | None
    changes: tuple[tuple[str, float, float], ...]
    grown: tuple[str, ...]
    events: int


@dataclass(frozen=True)
class Rows:
    """An aspect of both profiles as rows of counts. names [K]: what each column stands for. before, now [K]. days:
    day → [K] of now. parts: the columns' buckets. wholes: of `several`, the events before and now, and by day."""

    names: list[str]
    before: np.ndarray
    now: np.ndarray
    days: dict[str, np.ndarray]
    parts: list[list[str]]
    wholes: tuple[int, int, dict[str, int]] | None = None


def differences(reference: Profile, current: Profile, thresholds: Thresholds) -> list[Difference]:
    """What differs of the aspects that both have, the largest distance first."""
    asked = [
        (name, aspect, rows, p) for name, aspect, rows in both(reference, current) if (p := p_of(rows)) is not None
    ]
    asked.sort(key=lambda one: one[3] / weight_of(one[1]))
    left, worst = sum(weight_of(aspect) for _, aspect, _, _ in asked), 0.0
    differing = []
    for name, aspect, rows, p in asked:
        worst = max(worst, min(1.0, p * left / weight_of(aspect)))
        left -= weight_of(aspect)
        if worst > thresholds.alpha:
            break
        one = difference(name, aspect, rows, names_of(reference, current, name), thresholds)
        if one.distance >= thresholds.distance:
            differing.append(replace(one, p=worst))
    return sorted(differing, key=lambda one: -one.distance)


def weight_of(aspect: str) -> float:
    """How much of the chance of an error an aspect gets, next to others."""
    return WEIGHTS.get(aspect, 1.0)


def both(reference: Profile, current: Profile) -> Iterator[tuple[str, str, Rows]]:
    """(field, aspect, rows) of what both profiles have."""
    before, now = reference.total(), current.total()
    for name in sorted(before.keys() & now.keys()):
        for aspect in sorted(before[name].keys() & now[name].keys() - set(NOT_JUDGED)):
            by_day = {
                day: got for day, fields in sorted(current.days.items()) if (got := fields.get(name, {}).get(aspect))
            }
            yield name, aspect, rows_of(KINDS.get(aspect, "values"), before[name][aspect], now[name][aspect], by_day)


def names_of(reference: Profile, current: Profile, name: str) -> dict[str, str]:
    """Bucket → category of a field, as far as one of the profiles knows it."""
    return current.names.get(name, {}) | reference.names.get(name, {})


def rows_of(kind: str, before: Buckets, now: Buckets, by_day: dict[str, Buckets]) -> Rows:
    """An aspect's rows of counts: a column a bucket, or of numbers a bin of some."""
    keys = sorted(key for key in before.keys() | now.keys() if key != ALL)
    bins = bins_of(before, keys) if kind == "numbers" else {key: key for key in keys}
    names = list(dict.fromkeys(bins[key] for key in ordered(keys)) if kind == "numbers" else keys)
    place = {name: number for number, name in enumerate(names)}
    parts: list[list[str]] = [[] for _ in names]
    for key in keys:
        parts[place[bins[key]]].append(key)

    def row(buckets: Buckets) -> np.ndarray:
        found = np.zeros(len(names))
        for key, count in buckets.items():
            if key != ALL:
                found[place[bins[key]]] += count
        return found

    wholes = None
    if kind == "several":
        wholes = before[ALL], now[ALL], {day: found[ALL] for day, found in by_day.items()}
    return Rows(names, row(before), row(now), {day: row(found) for day, found in by_day.items()}, parts, wholes)


# -------------------------------------------------------------------------------------------------------- numbers


def ordered(keys: list[str]) -> list[str]:
    """The buckets of numbers, the smallest first; those that are none before them."""
    return sorted(keys, key=lambda key: (key != "missing", 0.0 if key == "missing" else bounds_of_bucket(key)[1]))


def bins_of(before: Buckets, keys: list[str]) -> dict[str, str]:
    """Bucket → the bin of numbers that it belongs to: about BINS of them by the reference's quantiles, those outside
    its numbers apart, as are `zero` and `missing`. A bin is named by its range."""
    line = [key for key in ordered(keys) if key not in APART]
    inside = [number for number, key in enumerate(line) if before.get(key)]
    groups: list[list[str]] = [[]]
    if inside:
        low, high = line[: inside[0]], line[inside[-1] + 1 :]
        most, got = sum(before[line[number]] for number in inside) / BINS, 0
        for key in line[inside[0] : inside[-1] + 1]:
            groups[-1].append(key)
            got += before.get(key, 0)
            if got >= most and key != line[inside[-1]]:
                groups.append([])
                got = 0
        groups = [low, *groups, high]
    else:
        groups = [line]
    found = {key: key for key in keys if key in APART}
    for group in groups:
        if group:
            name = f"{shown(bounds_of_bucket(group[0])[0])} – {shown(bounds_of_bucket(group[-1])[1])}"
            found |= dict.fromkeys(group, name)
    return found


def shown(value: float) -> str:
    """A number for people, to three digits."""
    return f"{float(f'{value:.3g}'):,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


# ------------------------------------------------------------------------------------------------------ judgement


def p_of(rows: Rows) -> float | None:
    """The p-value of an aspect; None if nothing could differ, whichever of the events were the current ones."""
    if rows.wholes is None:
        of_before, of_now = rows.before.sum(), rows.now.sum()
        if not of_before or not of_now or len(rows.names) < 2:
            return None
        return counts.p_of_values(rows.before, rows.now)
    of_before, of_now, _ = rows.wholes
    may = counts.hopeful(rows.before, of_before, rows.now, of_now)
    if not of_before or not of_now or not may.any():
        return None
    return float(min(1.0, may.sum() * counts.two_sided(rows.before, of_before, rows.now, of_now)[may].min()))


def difference(name: str, aspect: str, rows: Rows, known: dict[str, str], thresholds: Thresholds) -> Difference:
    """How much an aspect differs, in what, and since when. Its p is still without the correction.

    known: bucket → the category's name.
    """
    if rows.wholes is None:
        before, now = merged(rows)
        far, psi = float(counts.distance(before, now)), float(counts.stability(before, now))
        of_before, of_now = rows.before.sum(), rows.now.sum()
        start = since(rows.before[None], {day: row[None] for day, row in rows.days.items()})
    else:
        of_before, of_now, by_day = rows.wholes
        pairs = with_others(rows.before, of_before), with_others(rows.now, of_now)
        each = counts.distance(*pairs)
        sure = counts.two_sided(rows.before, of_before, rows.now, of_now) * len(each) <= thresholds.alpha
        told = np.flatnonzero(sure) if sure.any() else np.array([each.argmax()])
        far, psi = float(each[told].max()), float(counts.stability(*pairs)[told].max())
        start = since(pairs[0][told], {day: with_others(row, by_day[day])[told] for day, row in rows.days.items()})
    shares = rows.before / max(of_before, 1), rows.now / max(of_now, 1)
    change = shares[1] - shares[0]
    largest = [place for place in np.argsort(-np.abs(change), kind="stable")[:MOST_CHANGES] if change[place]]
    return Difference(
        name,
        aspect,
        "error" if psi >= thresholds.psi else "warning",
        round(psi, 4),
        round(far, 4),
        1.0,
        start,
        tuple(
            (known.get(rows.names[at], rows.names[at]), float(shares[0][at]), float(shares[1][at])) for at in largest
        ),
        tuple(
            key for at in np.argsort(-change, kind="stable")[:MOST_CHANGES] if change[at] > 0 for key in rows.parts[at]
        ),
        int(of_now),
    )


def merged(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The counts before and now, those of rare values together: what many of them differ by, by chance, would add up.
    A value that surely differs stays apart."""
    of_before, of_now = rows.before.sum(), rows.now.sum()
    smaller = min(of_before, of_now) / (of_before + of_now)
    rare = (rows.before + rows.now) * smaller < counts.FEWEST_EXPECTED
    rare &= counts.two_sided(rows.before, of_before, rows.now, of_now) * len(rows.names) > 0.01
    before, now = (np.append(row[~rare], row[rare].sum()) for row in (rows.before, rows.now))
    return before, now


def with_others(row: np.ndarray, whole: int) -> np.ndarray:
    """Of each bucket [K] the events in it and those not in it: [K, 2]."""
    return np.stack([row, np.maximum(whole - row, 0)], axis=-1)


def since(before: np.ndarray, days: dict[str, np.ndarray]) -> str | None:
    """The day from which on the events are likeliest to be others than before.

    before: the reference's counts [n, K] of n tables, which are added up. days: day → [n, K]. Every day could be the
    first of the new ones; the days before it are then like the reference. None if there are no days.
    """
    names = sorted(days)
    if not names:
        return None
    rows = np.stack([days[day] for day in names])  # [days, n, K]
    after = rows[::-1].cumsum(0)[::-1]
    until = before + np.concatenate([np.zeros_like(rows[:1]), rows.cumsum(0)[:-1]])
    return names[int(counts.spread(np.stack([until, after], axis=-2)).sum(-1).argmax())]
