"""Two-sample tests of counts, and how far two distributions lie apart.

Events are independent, so whether two sets of them differ is a question about two rows of counts. The tail of a
likelihood ratio is close to the exact one also far out, where that of Pearson's chi-square promises too much: for 25
expected and 50 found by a factor of 1.3 in place of 20.
"""

import numpy as np
from scipy import stats

FEWEST_EXPECTED = 10  # in each cell of a table whose statistic is compared with chi-square's distribution
SMALLEST_HOPE = 1e-6  # a bucket that could not have a p-value as small as this is not counted among the tests
ALONE = 0.9  # of the chance of an error, for values that are asked one by one; the rest for all together
Array = np.ndarray
Counts = np.ndarray | float  # numbers stand for arrays, as numpy takes them


def spread(table: Array) -> Array:
    """The likelihood ratio statistics (G) of tables of counts [..., rows, columns]: [...]. Empty tables have 0."""
    table = np.asarray(table, float)

    def entropy(counts: Array) -> Array:
        return (counts * np.log(np.where(counts > 0, counts, 1))).sum(axis=-1)

    rows, columns, whole = table.sum(-1), table.sum(-2), table.sum((-1, -2))
    flat = table.reshape(*table.shape[:-2], -1)
    found = entropy(flat) - entropy(rows) - entropy(columns) + whole * np.log(np.where(whole > 0, whole, 1))
    return np.maximum(2 * found, 0)


def one_sided(fewer: Counts, of: Counts, more: Counts, of_more: Counts) -> Array:
    """How likely at most it is, by chance alone, that the share of `more` in `of_more` is so much above that of `fewer`
    in `of`. All are counts of one shape; so is the result.

    It is the signed root of the likelihood ratio with a correction for continuity: from seven tenths of Fisher's exact
    p-value to a few times as much, and it works with arrays.
    """
    fewer, of, more, of_more = np.broadcast_arrays(*(np.asarray(one, float) for one in (fewer, of, more, of_more)))
    both, whole = fewer + more, of + of_more
    expected = np.divide(both * of_more, whole, out=np.zeros_like(both), where=whole > 0)
    above = np.maximum(more - expected - 0.5, 0)  # half an event nearer to what is expected
    near = expected + above
    table = np.stack(
        [np.stack([both - near, near], -1), np.stack([of - both + near, of_more - near], -1)], axis=-2
    )  # [..., with and without, where]
    root = np.sqrt(spread(np.maximum(table, 0)))
    return np.where(above > 0, stats.norm.sf(root), 0.5 + 0.5 * (more <= expected))


def two_sided(before: Counts, of_before: Counts, now: Counts, of_now: Counts) -> Array:
    """As `one_sided`, whichever of the two shares is the larger."""
    return np.minimum(
        1, 2 * np.minimum(one_sided(before, of_before, now, of_now), one_sided(now, of_now, before, of_before))
    )


def hopeful(before: Counts, of_before: Counts, now: Counts, of_now: Counts) -> Array:
    """Whether each bucket has so many events that it could differ at all.

    This looks at both samples together, whose sums say nothing of how they differ: so the others may be left out of the
    number of tests (Tarone 1990).
    """
    before, of_before, now, of_now = (np.asarray(one, float) for one in (before, of_before, now, of_now))
    rarer = np.minimum(of_before, of_now) / np.maximum(of_before + of_now, 1)
    return (before + now) * np.log(np.maximum(rarer, 1e-12)) <= np.log(SMALLEST_HOPE)


def p_of_values(before: Array, now: Array) -> float:
    """How likely it is by chance alone that two rows of counts [K] of values differ so much.

    Each value is asked alone, so that one that was never there does not drown, and all together, those with few events
    as one. Of two values it is enough to ask one.
    """
    before, now = np.asarray(before, float), np.asarray(now, float)
    of_before, of_now = before.sum(), now.sum()
    if not of_before or not of_now or np.count_nonzero(before + now) < 2:
        return 1.0
    alone = two_sided(before, of_before, now, of_now)
    may = hopeful(before, of_before, now, of_now)
    if np.count_nonzero(before + now) == 2:
        return float(alone[before + now > 0].min())
    single = np.count_nonzero(may) * alone[may].min() if may.any() else 1.0
    return float(min(1.0, single / ALONE, p_together(before, now) / (1 - ALONE)))


def p_together(before: Array, now: Array) -> float:
    """The p-value of all values together, by the likelihood ratio with Williams' correction."""
    whole = np.stack([before, now]).astype(float)
    share = whole.sum(1) / whole.sum()
    rare = whole.sum(0) * share.min() < FEWEST_EXPECTED
    table = np.concatenate([whole[:, ~rare], whole[:, rare].sum(1, keepdims=True)], axis=1)
    if 0 < table[:, -1].sum() * share.min() < FEWEST_EXPECTED and table.shape[1] > 2:  # the rare ones are still few
        least = table[:, :-1].sum(0).argmin()
        table[:, least] += table[:, -1]
        table[:, -1] = 0
    table = table[:, table.sum(0) > 0]
    freedom = table.shape[1] - 1
    if freedom < 1 or (table.sum(0) * share.min()).min() < FEWEST_EXPECTED:
        return 1.0
    of, columns = whole.sum(), table.sum(0)
    williams = 1 + (of * (1 / table.sum(1)).sum() - 1) * (of * (1 / columns).sum() - 1) / (6 * of * freedom)
    return float(stats.chi2.sf(spread(table) / williams, freedom))


def shares(counts: Array) -> Array:
    """Counts [..., K] as shares of their sum."""
    counts = np.asarray(counts, float)
    return counts / np.maximum(counts.sum(-1, keepdims=True), 1)


def distance(before: Array, now: Array) -> Array:
    """The Jensen-Shannon distance of two rows of counts [..., K], natural logarithm: 0 to .833 (Lin 1991)."""
    one, other = shares(before), shares(now)
    middle = (one + other) / 2

    def divergence(part: Array) -> Array:
        ratio = np.divide(part, middle, out=np.ones_like(part), where=(part > 0) & (middle > 0))
        return (part * np.log(ratio)).sum(-1)

    return np.sqrt(np.maximum((divergence(one) + divergence(other)) / 2, 0))


def stability(before: Array, now: Array) -> Array:
    """The population stability index of two rows of counts [..., K], each with half an event more: a bucket that one
    of them lacks would make it infinite."""
    before, now = shares(np.asarray(before, float) + 0.5), shares(np.asarray(now, float) + 0.5)
    return ((now - before) * np.log(now / before)).sum(-1)
