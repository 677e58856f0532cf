"""How many events a day there are, beside the days that the model has learned from."""

from dataclasses import dataclass
from statistics import median

from scipy import stats

from brigade.profiles.profile import EVENTS, NEWEST_DAYS, Buckets, Profile

FEWEST_DAYS = 5  # of both, below which nothing is said: days differ, and those of a week in their own way
LEAST_FACTOR = 2.0  # fewer or more, which is worth a word


@dataclass(frozen=True)
class Volume:
    """Another number of events a day, by the median. since: the first of the new days."""

    before: float
    now: float
    p: float
    since: str


def volume(reference: Profile, current: Profile, alpha: float) -> Volume | None:
    """Whether there are fewer or more events a day, by the rank of the days; None if not, or if there are few days.

    The first and the last day of both are left out, which may not be whole.
    """
    was, now = whole_days(reference), whole_days(current)
    if min(len(was), len(now)) < FEWEST_DAYS:
        return None
    before, after = median(was.values()), median(now.values())
    p = float(stats.mannwhitneyu([*was.values()], [*now.values()], method="auto").pvalue)
    if p > alpha or max(before, after) < LEAST_FACTOR * min(before, after):
        return None
    return Volume(before, after, p, min(now))


def whole_days(profile: Profile) -> dict[str, int]:
    """Day → events. The older days of a file may be counted together."""
    days = sorted(profile.days)[-NEWEST_DAYS:][1:-1]
    return {day: profile.days[day].get(EVENTS, {}).get("hour", Buckets()).total() for day in days}
