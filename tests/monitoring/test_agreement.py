"""Decay of a classification: of all events, of one class, by one label; and where there is none."""

import numpy as np
import pytest

from brigade.monitoring.agreement import performance
from brigade.profiles.profile import PREDICTION, Buckets
from tests.monitoring.made_up_days import DAYS, NAMES, agreement

ALPHA = 0.001
TEST = agreement(a_a=900, a_b=50, a_c=50, b_b=900, b_a=50, b_c=50, c_c=900, c_a=50, c_b=50)[PREDICTION]["agreement"]
USUAL = agreement(a_a=90, a_b=5, a_c=5, b_b=90, b_a=5, b_c=5, c_c=90, c_a=5, c_b=5)


def test_a_model_that_is_as_right_as_before_is_not_worse():
    found = performance(TEST, dict.fromkeys(DAYS[:7], USUAL), NAMES, ALPHA)
    assert found.now.value == found.then.value == pytest.approx(0.9)
    assert (found.is_worse, found.worse, found.p, found.since) == (False, [], 1.0, None)
    assert found.now.events == 7 * 300 and found.now.low < 0.9 < found.now.high
    then, now = found.more["macroF1"]
    assert then.value == pytest.approx(0.9) and now.low < 0.9 < now.high


def test_a_model_that_is_less_right_is_worse_since_the_day():
    bad = agreement(a_a=70, a_b=15, a_c=15, b_b=70, b_a=15, b_c=15, c_c=70, c_a=15, c_b=15)
    days = dict.fromkeys(DAYS[:10], USUAL) | dict.fromkeys(DAYS[10:14], bad)
    found = performance(TEST, days, NAMES, ALPHA)
    assert found.is_worse and found.p < ALPHA and found.since == DAYS[10]
    (overall,) = [one for one in found.worse if one.what == "accuracy fell"]
    assert overall.is_grave and overall.before == pytest.approx(0.1) and overall.now > 0.2
    assert set(overall.grown) == {"a>b", "a>c", "b>a", "b>c", "c>a", "c>b"}


def test_a_label_that_goes_wrong_in_one_class_is_named_though_accuracy_hardly_falls():
    # A tenth of what is alpha is called gamma by those who label.
    bad = agreement(a_a=81, a_b=5, a_c=5, b_b=90, b_a=5, b_c=5, c_c=90, c_a=14, c_b=5)
    days = dict.fromkeys(DAYS[:9], USUAL) | dict.fromkeys(DAYS[9:17], bad)
    found = performance(TEST, days, NAMES, ALPHA)
    whats = [one.what for one in found.worse]
    assert "what is predicted as alpha has the label gamma more often" in whats
    named = found.worse[whats.index("what is predicted as alpha has the label gamma more often")]
    assert named.since == DAYS[9] and named.grown == ("c>a",)


def test_labels_that_the_model_does_not_know_are_wrong():
    days = {DAYS[0]: agreement(a_a=90, b_b=90, c_c=90, new_a=60)}
    found = performance(TEST, days, NAMES, ALPHA)
    assert found.now.value == pytest.approx(270 / 330)
    assert any("a label that the model does not know" in one.what for one in found.worse)


def test_without_a_reference_the_figures_are_told_and_nothing_is_judged():
    found = performance(None, {DAYS[0]: agreement(a_a=1, a_b=9)}, NAMES, ALPHA)
    assert found.then is None and found.now.value == pytest.approx(0.1)
    assert not found.is_worse and found.about() is None


def test_without_labels_there_is_no_performance():
    assert performance(TEST, {}, NAMES, ALPHA) is None
    assert performance(TEST, {DAYS[0]: {PREDICTION: {"agreement": Buckets()}}}, NAMES, ALPHA) is None


def test_a_trifle_is_not_told_however_many_events_there_are():
    many = Buckets({pair: 10_000 * count for pair, count in TEST.items()})
    slightly = {pair: 1000 * count for pair, count in USUAL[PREDICTION]["agreement"].items()}
    slightly["a>a"] -= 1600  # of 300,000: by chance never, and half a percent
    slightly["a>b"] += 1600
    found = performance(many, {DAYS[0]: {PREDICTION: {"agreement": Buckets(slightly)}}}, NAMES, ALPHA)
    assert found.worse == [] and not found.is_worse


def test_a_week_is_set_beside_the_test_and_the_weeks_before():
    few = Buckets({pair: count // 10 for pair, count in TEST.items()})
    bad = agreement(a_a=84, b_b=90, c_c=90, a_b=11, a_c=5, b_a=5, b_c=5, c_a=5, c_b=5)
    week, month = dict.fromkeys(DAYS[:7], bad), dict.fromkeys(DAYS[:14], USUAL) | dict.fromkeys(DAYS[14:21], bad)
    assert not performance(few, week, NAMES, ALPHA).worse, "270 events of the test alone say too little"
    assert performance(few, month, NAMES, ALPHA).worse


def test_chance_alone_makes_hardly_any_model_worse():
    draw, pairs = np.random.default_rng(5), list(TEST)
    share = np.array([TEST[pair] for pair in pairs]) / TEST.total()
    false = 0
    for _ in range(300):
        drawn = [Buckets(dict(zip(pairs, draw.multinomial(size, share).tolist(), strict=True)))
                 for size in (2000, *[60] * 14)]  # fmt: skip
        days = {day: {PREDICTION: {"agreement": one}} for day, one in zip(DAYS, drawn[1:], strict=False)}
        false += bool(performance(drawn[0], days, NAMES, 0.05).worse)
    assert false <= 0.05 * 300


def test_findings_json_has_the_figures():
    about = performance(TEST, {DAYS[0]: USUAL}, NAMES, ALPHA).about()
    assert set(about) == {"metric", "then", "now", "isWorse", "p", "since", "macroF1"}
    assert set(about["now"]) == {"value", "low", "high", "events"}
    assert type(about["isWorse"]) is bool
