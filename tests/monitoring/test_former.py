"""The model before the one that serves, on the same events."""

import pytest

from brigade.monitoring.former import compared

TESTED = {"accuracy": 0.9, "documents": 1000}


def test_events_count_for_the_model_that_alone_is_right():
    pairs = [("a>a", "a>a", 50), ("a>b", "a>a", 40), ("a>a", "a>b", 5), ("a>b", "a>c", 5)]
    found = compared("m", "r", pairs, False, TESTED)
    assert (found.serving_better, found.former_better, found.passes) == (5, 40, True)
    assert found.now.value == pytest.approx(0.9) and found.now.events == 100
    about = found.about()
    assert about["isBetter"] is True and about["passes"] is True
    assert set(about) == {"name", "runId", "value", "low", "high", "events", "servingBetter", "formerBetter",
                          "isBetter", "passes"}  # fmt: skip


def test_a_former_model_that_has_decayed_too_does_not_pass():
    found = compared("m", "r", [("a>b", "a>a", 60), ("a>b", "a>b", 40)], False, TESTED)
    assert found.about()["isBetter"] and not found.passes
    assert not compared("m", "r", [("a>b", "a>a", 60)], False, {}).passes, "nothing is known of its test"


def test_of_numbers_the_smaller_error_is_the_better_one_whatever_its_sign():
    pairs = [("10n", "7", 30), ("7", "7n", 10), ("zero", "7", 5), ("missing", "7", 1)]
    found = compared("m", "r", pairs, True, {"mae": 2.0})
    assert (found.serving_better, found.former_better) == (5, 31)
    assert found.now.events == 46 and found.passes
    assert not compared("m", "r", pairs, True, {"mae": 1.0}).passes
