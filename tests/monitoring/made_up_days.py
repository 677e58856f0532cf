"""Labelled events of some days, as profiles count them."""

from collections import Counter

import numpy as np

from brigade.profiles.profile import PREDICTION, Day, bucket_of_number

DAYS = [f"2026-11-{day:02}" for day in range(1, 22)]
NAMES = {"a": "alpha", "b": "beta", "c": "gamma"}


def agreement(**pairs: int) -> Day:
    """The counts of a day: a_b=3 are three events with the label a, predicted as b."""
    counts = Counter({">".join(pair.split("_")): count for pair, count in pairs.items()})
    return {PREDICTION: {"agreement": counts}}


def errors(values: np.ndarray, covered: float | None = None) -> Day:
    """The counts of a day with these errors. covered: the share of labels in the interval."""
    found = {"error": Counter(bucket_of_number(value) for value in values)}
    if covered is not None:
        inside = round(covered * len(values))
        found["covered"] = Counter(yes=inside, no=len(values) - inside)
    return {PREDICTION: found}
