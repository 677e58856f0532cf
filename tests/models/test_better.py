"""Whether a former model is better: the exact sign test against sums of whole numbers, and the margin."""

import random
from math import comb

import pytest

from brigade.models.better import ALPHA, is_better, sign_test


def tail(fewer: int, more: int) -> float:
    events = fewer + more
    return sum(comb(events, successes) for successes in range(more, events + 1)) / 2**events


def test_the_sign_test_is_exact_for_all_small_counts():
    for events in range(40):
        for more in range(events + 1):
            assert sign_test(events - more, more) == pytest.approx(tail(events - more, more), rel=1e-9), (events, more)


def test_the_sign_test_holds_for_many_events():
    assert sign_test(4_800, 5_200) == pytest.approx(tail(4_800, 5_200), rel=1e-6)
    assert sign_test(100, 1_000_000) == 0
    assert sign_test(500_000, 500_000) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    ("serving", "former", "expected"),
    [
        (0, 0, False),
        (0, 9, False),  # 1/512
        (0, 10, True),  # 1/1024: the fewest events that can say so
        (10, 0, False),
        (10, 30, False),  # .0011
        (10, 35, True),
        (20, 30, False),  # the margin holds, chance does not
        (1_000, 1_400, False),  # chance holds, the margin does not
        (1_000, 1_500, True),
    ],
)
def test_a_former_model_is_better_by_more_than_chance_and_by_a_margin(serving: int, former: int, expected: bool):
    assert is_better(serving, former) is expected


def test_models_as_good_as_each_other_are_seldom_told_apart():
    draw = random.Random(23)
    looks = 20_000
    wrong = sum(is_better(60 - former, former) for former in (draw.getrandbits(60).bit_count() for _ in range(looks)))
    assert wrong <= 2 * ALPHA * looks


def test_a_count_below_zero_is_refused():
    with pytest.raises(ValueError, match="expected counts of events, found -1 and 3"):
        is_better(-1, 3)
