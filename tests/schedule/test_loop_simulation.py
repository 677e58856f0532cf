"""The loop over many weeks, by benchmarks/loop.py: what never happens, and that the simulation would show it."""

import pytest

from benchmarks import loop
from brigade.models import better
from brigade.schedule import loop as rules

MISSING = "missing labels"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_in_a_century_of_random_findings_each_period_has_one_regular_training_and_at_most_one_more(seed):
    counts = loop.century(seed)
    assert counts["most regular that succeed in a period"] == counts["most extra in a period"] == 1
    assert counts["within a week"] == 0
    assert counts["periods"] > 1250 and counts["extra"] > 200 and counts["actions"] > counts["extra"]


@pytest.mark.parametrize("kind", loop.KINDS)
def test_in_a_year_the_better_model_is_withdrawn_by_chance_at_most(kind):
    histories = [loop.history(kind, seed) for seed in range(60)]
    assert sum(one["wrong"] > 0 for one in histories) == 0  # of 60; the target is 1 of 100, measured over 1,000
    assert sum(one["within a week"] for one in histories) == 0


@pytest.mark.long
def test_of_a_thousand_histories_at_most_one_in_a_hundred_loses_its_better_model():
    _, missed = loop.histories(1000)
    assert missed == []


def test_bad_models_are_withdrawn_and_without_labels_nothing_is():
    bad = [loop.history("bad model", seed) for seed in range(20)]
    assert sum(one["withdrawn"] > 0 for one in bad) > 15
    assert sum(loop.history(MISSING, seed)["withdrawn"] for seed in range(20)) <= 1


def test_a_rule_that_is_too_weak_shows_in_the_histories(monkeypatch):
    """Of models as good as each other, one is a little better on nearly each week's events."""
    monkeypatch.setattr(better, "ALPHA", 0.5)
    monkeypatch.setattr(better, "LEAST_ODDS", 1.0)
    monkeypatch.setattr(loop, "worse_by_chance", lambda then, right, events: 0.0005 if right < then * events else 0.5)
    found = [loop.history("flapping", seed) for seed in range(40)]
    assert sum(one["wrong"] > 0 for one in found) > 2


def test_without_the_days_between_two_things_they_would_come_within_a_week(monkeypatch):
    monkeypatch.setattr(rules, "QUIET", rules.QUIET * 2)
    monkeypatch.setattr(loop, "QUIET", rules.QUIET)
    assert loop.century(1, years=10)["within a week"] == 0
    monkeypatch.setattr(rules, "QUIET", rules.QUIET * 0)
    assert loop.century(1, years=10)["within a week"] > 0
