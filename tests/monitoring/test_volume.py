"""How many events a day there are."""

from collections import Counter

from brigade.monitoring.volume import volume
from brigade.profiles.profile import EVENTS, Profile

MONTH = [f"2026-10-{day:02}" for day in range(1, 29)]
WEEK = [f"2026-11-{day:02}" for day in range(1, 10)]


def days(names: list[str], events: int) -> Profile:
    return Profile({day: {EVENTS: {"hour": Counter({"10": events + place % 7})}} for place, day in enumerate(names)})


def test_a_tenth_of_the_events_is_told_with_both_numbers():
    found = volume(days(MONTH, 1000), days(WEEK, 100), 0.001)
    assert (round(found.before, -2), round(found.now, -2)) == (1000, 100) and found.since == WEEK[1]


def test_as_many_or_somewhat_fewer_events_are_nothing():
    assert volume(days(MONTH, 1000), days(WEEK, 1000), 0.001) is None
    assert volume(days(MONTH, 1000), days(WEEK, 700), 0.001) is None


def test_few_days_say_nothing():
    assert volume(days(MONTH, 1000), days(WEEK[:4], 10), 0.001) is None
    assert volume(Profile(), days(WEEK, 10), 0.001) is None


def test_the_first_and_the_last_day_may_be_cut():
    cut = days(WEEK[:1], 1) + days(WEEK[1:-1], 1000) + days(WEEK[-1:], 1)
    assert volume(days(MONTH, 1000), cut, 0.001) is None


def test_months_that_a_file_counts_as_one_day_are_no_days():
    months = [f"{2024 + at // 12}-{at % 12 + 1:02}-01" for at in range(31)]
    learned = days(months, 20) + days([*MONTH, "2026-10-29", "2026-10-30", "2026-10-31"], 1000)
    found = volume(learned, days(WEEK, 100), 0.001)
    assert found and found.before > 900
