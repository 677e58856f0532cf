"""A profile as a file: what it holds, how large it is, what it refuses."""

from collections import Counter
from datetime import date, timedelta

import pytest

from brigade.profiles.profile import MOST_DAYS, NEWEST_DAYS, Profile, ProfileError

FIRST = date(2025, 11, 3)


def daily(days: int, step: int = 1) -> Profile:
    found = {f"{FIRST + timedelta(step * number)}": {"events": {"hour": Counter({"12": 2})}} for number in range(days)}
    return Profile(found, {"kind": {"1": "a"}}, 4)


@pytest.mark.parametrize(
    ("days", "step", "kept", "first"),
    [
        (MOST_DAYS, 1, MOST_DAYS, "2025-11-03"),
        (MOST_DAYS + 1, 1, NEWEST_DAYS + 2, "2025-11-01"),
        (MOST_DAYS + 1, 40, NEWEST_DAYS + 5, "2025-01-01"),
        (MOST_DAYS + 1, 400, NEWEST_DAYS + 1, "2025-11-03"),
    ],
)
def test_a_file_keeps_a_bounded_number_of_days(days, step, kept, first):
    whole = daily(days, step)
    found = whole.folded()
    assert (len(found.days), min(found.days), max(found.days)) == (kept, first, max(whole.days))
    assert (found.events, found.total(), found.names, found.sampled) == (2 * days, whole.total(), whole.names, 4)


def test_profiles_that_look_at_other_shares_are_not_added():
    with pytest.raises(ProfileError, match="1/4 and 1/2"):
        daily(1) + Profile(daily(1).days, {}, 2)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"formatVersion": 2}', '{"formatVersion": 1, "days": [], "names": {}}']
)
def test_another_file_is_refused(text):
    with pytest.raises(ProfileError, match="expected a profile"):
        Profile.of(text)
