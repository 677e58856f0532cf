"""Decay of a regression: larger errors, and an interval that holds fewer labels."""

import numpy as np
import pytest
from scipy import stats

from brigade.monitoring.amounts import p_of_larger, performance, row, sizes_of
from brigade.profiles.profile import PREDICTION
from tests.monitoring.made_up_days import DAYS, errors

ALPHA = 0.001
DRAW = np.random.default_rng(2)
TEST = errors(DRAW.normal(0, 10, 4000), 0.9)


SIZES = sizes_of(errors(np.geomspace(0.01, 1000, 2000))[PREDICTION]["error"])


def days(scale: float, covered: float = 0.9, first: int = 0, last: int = 7) -> dict:
    return {day: errors(DRAW.normal(0, scale, 80), covered) for day in DAYS[first:last]}


def test_errors_that_are_as_large_as_before_are_no_decay():
    found = performance(TEST, days(10), ALPHA)
    assert found.metric == "mae" and not found.is_worse and not found.worse
    assert found.then.value == pytest.approx(10 * np.sqrt(2 / np.pi), rel=0.05)
    assert found.now.low < found.then.value < found.now.high
    assert found.more["coverage"][1].value == pytest.approx(0.9, abs=0.01)


def test_larger_errors_are_a_decay_since_the_day():
    found = performance(TEST, days(10) | days(20, 0.9, 7, 12), ALPHA)
    (worse,) = found.worse
    assert found.is_worse and found.p < ALPHA and found.since == worse.since == DAYS[7]
    assert worse.aspect == "error" and worse.now > 1.5 * worse.before


def test_one_monstrous_label_is_none():
    found = performance(TEST, days(10) | {DAYS[8]: errors(np.array([1e9]))}, ALPHA)
    assert found.now.value > 1000 and not found.worse


def test_an_interval_that_holds_fewer_labels_is_one():
    (worse,) = performance(TEST, days(10, 0.7), ALPHA).worse
    assert worse.aspect == "covered" and worse.is_grave and worse.grown == ("no",)
    assert (worse.before, worse.now) == (pytest.approx(0.1), pytest.approx(0.3))


def test_ranks_are_those_of_mann_and_whitney():
    was, now = np.array([50, 30, 15, 5]), np.array([20, 18, 14, 9])
    values = [np.repeat(np.arange(4), row) for row in (now, was)]
    expected = stats.mannwhitneyu(*values, alternative="greater", method="asymptotic", use_continuity=False).pvalue
    assert p_of_larger(was, now) == pytest.approx(expected)


def test_slightly_larger_errors_are_a_trifle_however_many_there_are():
    many, slightly = errors(np.linspace(0.1, 30, 90_000)), errors(np.linspace(0.1, 31, 90_000))
    assert p_of_larger(*(row(one[PREDICTION]["error"], SIZES) for one in (many, slightly))) < 1e-9
    assert performance(many, {DAYS[0]: slightly}, ALPHA).worse == []


def test_errors_up_and_down_are_errors():
    up, down = errors(np.full(100, 5.0)), errors(np.full(100, -5.0))
    assert performance(up, {DAYS[0]: down}, ALPHA).worse == []


def test_without_labels_or_a_reference_nothing_is_judged():
    assert performance(TEST, {DAYS[0]: {PREDICTION: {}}}, ALPHA) is None
    found = performance({}, days(10), ALPHA)
    assert found.then is None and not found.worse and found.now.events == 560
