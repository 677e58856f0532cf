"""Whether one of two models is better on the same events: the exact sign test, and a margin.

Both models answer the same labelled events. An event counts for one of them if that one alone is right, or, for
numbers, if its error is the smaller one. Events on which they are as good as each other say nothing and are left out.
No numpy, since the schedule's trigger asks too.
"""

from math import exp, lgamma, log

ALPHA = 0.001  # a look's chance of calling the former better when neither is
LEAST_ODDS = 1.5  # so often must the former be better, for each time that the serving one is


def is_better(serving_better: int, former_better: int) -> bool:
    """Whether the former model is better than the serving one by more than chance, and by enough to act on.

    serving_better, former_better: how many events the one alone got right. With many events chance explains ever
    less, and a trifle would pass the test; the margin stops it. Raises ValueError for a count below 0.
    """
    if min(serving_better, former_better) < 0:
        raise ValueError(f"expected counts of events, found {serving_better} and {former_better}")
    if former_better < LEAST_ODDS * serving_better:
        return False
    return sign_test(serving_better, former_better) < ALPHA


def sign_test(fewer: int, more: int) -> float:
    """P(X ≥ `more`) for X of Binomial(`fewer` + `more`, 1/2): the exact one-sided sign test.

    Exact but for rounding: the first term by logarithms of the gamma function, the others by their ratio, until they
    no longer change the sum. 1 if there are no events.
    """
    events = fewer + more
    if 2 * more <= events:
        # Above the middle the terms only fall, so the sum is taken there and the rest by symmetry.
        return 1.0 if more == 0 else 1.0 - sign_test(more - 1, events - more + 1)
    term = exp(lgamma(events + 1) - lgamma(more + 1) - lgamma(fewer + 1) - events * log(2))
    total = 0.0
    for successes in range(more, events + 1):
        total += term
        if term < total * 1e-17:
            break
        term *= (events - successes) / (successes + 1)
    return min(total, 1.0)
