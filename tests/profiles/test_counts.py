"""Tests of counts hold what they promise: against the exact test, and where nothing differs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from brigade.profiles import counts


@given(st.integers(20, 20_000), st.integers(20, 2_000), st.data())
def test_a_share_s_p_value_is_about_the_exact_one(before, now, data):
    a, b = data.draw(st.integers(0, before)), data.draw(st.integers(0, now))
    exact = stats.fisher_exact([[b, now - b], [a, before - a]], alternative="greater")[1]
    found = float(counts.one_sided(a, before, b, now))
    if 1e-12 < exact < 0.1:
        assert 0.65 * exact < found < 10 * exact


def test_a_share_that_is_the_same_or_smaller_is_not_larger():
    assert counts.one_sided(500, 1000, 50, 100) >= 0.5
    assert counts.one_sided(500, 1000, 10, 100) >= 0.5
    assert counts.one_sided(0, 0, 5, 10) == 1  # nothing to compare with


def test_of_events_of_one_kind_few_are_told_to_differ():
    draw, kinds = np.random.default_rng(7), 1 / np.arange(1, 41)
    rows = [draw.multinomial([3000, 400], kinds / kinds.sum()) for _ in range(3000)]
    found = np.array([counts.p_of_values(before, now) for before, now in rows])
    assert (found <= 0.01).mean() <= 0.01
    assert (found <= 0.05).mean() >= 0.015, "the tests are far too careful"


def test_a_value_that_was_never_there_does_not_drown_among_others():
    before = np.append(np.full(30, 500), 0)
    assert counts.p_of_values(before, np.append(np.full(30, 32), 12)) < 1e-6


def test_many_small_changes_are_seen_together():
    before, now = np.full(40, 1000), np.tile([115, 85], 20)
    assert 40 * counts.two_sided(before, before.sum(), now, now.sum()).min() > 0.05
    assert counts.p_of_values(before, now) < 1e-3


@pytest.mark.parametrize("before, now", [([0, 0], [5, 5]), ([5, 5], [0, 0]), ([7, 0], [9, 0]), ([3], [4])])
def test_where_nothing_could_differ_nothing_does(before, now):
    assert counts.p_of_values(np.array(before), np.array(now)) == 1


def test_a_bucket_with_hardly_an_event_is_no_test():
    assert list(counts.hopeful(np.array([0, 1, 900]), 10_000, np.array([1, 10, 90]), 1000)) == [False, True, True]


def test_the_distance_is_that_of_jensen_and_shannon():
    assert counts.distance([900, 100], [50, 50]) == pytest.approx(jensenshannon([0.9, 0.1], [0.5, 0.5]))
    assert counts.distance([10, 0], [0, 20]) == pytest.approx(np.sqrt(np.log(2)))
    assert counts.distance([10, 30], [20, 60]) == pytest.approx(0)


def test_the_stability_index_is_finite_where_a_value_is_new():
    assert counts.stability([500_000, 500_000], [300_000, 700_000]) == pytest.approx(0.2 * np.log(7 / 3), rel=1e-3)
    assert 0.2 < counts.stability([10_000, 0], [9500, 500]) < 1
