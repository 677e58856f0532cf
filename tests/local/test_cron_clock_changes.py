"""A unix-cron schedule on the days on which a time zone puts its clocks forward or back."""

import datetime
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.cloud_scheduler import Cron

HOUR = datetime.timedelta(hours=1)
ZONES = st.sampled_from(sorted(zoneinfo.available_timezones()))


def runs(expression: str, zone: str, since: str, until: str) -> list[str]:
    """The times, in UTC, at which the schedule is due after `since` and until `until`."""
    moment: datetime.datetime | None = datetime.datetime.fromisoformat(since).astimezone(zoneinfo.ZoneInfo(zone))
    end, found = datetime.datetime.fromisoformat(until), []
    while (moment := Cron(expression).next_after(moment)) is not None and moment <= end:
        found.append(f"{moment.astimezone(datetime.UTC):%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "since", "until", "expected"),
    [
        # Autumn: 03:00 becomes 02:00, at 01:00 UTC.
        ("0 * * * *", "Europe/Berlin", "2026-10-24T23:00Z", "2026-10-25T03:00Z", "25 00:00,25 01:00,25 02:00,25 03:00"),
        ("0 0-23 * * *", "Europe/Berlin", "2026-10-25T00:00Z", "2026-10-25T02:00Z", "25 01:00,25 02:00"),
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00Z", "2026-10-25T01:30Z", "25 00:30,25 01:00,25 01:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-26T12:00Z", "25 00:30,26 01:30"),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-24T23:00Z", "2026-10-25T05:00Z", "25 00:00,25 03:00,25 05:00"),
        ("0 * * * *", "America/New_York", "2026-11-01T04:00Z", "2026-11-01T07:00Z", "01 05:00,01 06:00,01 07:00"),
        # Spring: 02:00 becomes 03:00, at 01:00 UTC.
        ("0 * * * *", "Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29T03:00Z", "29 00:00,29 01:00,29 02:00,29 03:00"),
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T01:30Z", "29 00:30,29 01:00,29 01:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-30T12:00Z", "29 01:30,30 00:30"),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-28T22:00Z", "2026-03-29T02:00Z", "28 23:00,29 01:00,29 02:00"),
        ("15 0 * * *", "America/Sao_Paulo", "2018-11-03T04:00Z", "2018-11-05T04:00Z", "04 03:15,05 02:15"),
        # What the last hour of a day leaves out comes on the next day.
        ("15,45 23 * * *", "America/Nuuk", "2026-03-28T12:00Z", "2026-03-30T00:30Z", "29 01:15,29 01:45,30 00:15"),
        # A zone whose clocks change by half an hour.
        ("45 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00Z", "2026-04-04T16:00Z", "04 14:45,04 15:15"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", "2026-10-04T16:00Z", "03 15:45,04 15:15"),
    ],
)
def test_no_run_is_lost_and_none_comes_twice_when_the_clocks_change(expression, zone, since, until, expected):
    assert runs(expression, zone, since, until) == expected.split(",")


@settings(deadline=None)  # the first use of a zone reads its file
@given(zone=ZONES, day=st.dates(datetime.date(1990, 1, 1), datetime.date(2035, 1, 1)))
def test_a_job_of_every_quarter_of_an_hour_comes_each_of_them_in_every_zone(zone, day):
    moment = datetime.datetime(day.year, day.month, day.day, 12, tzinfo=datetime.UTC)
    local = moment.astimezone(zoneinfo.ZoneInfo(zone))
    following = Cron("*/15 * * * *").next_after(local)
    if not local.utcoffset() % (HOUR / 4) and not following.utcoffset() % (HOUR / 4):
        assert following == moment + HOUR / 4


@settings(deadline=None)  # the first use of a zone reads its file
@given(zone=ZONES, day=st.dates(datetime.date(1990, 1, 1), datetime.date(2035, 1, 1)), hour=st.integers(0, 23))
def test_a_daily_job_runs_once_on_every_day_in_every_zone(zone, day, hour):
    cron, here = Cron(f"30 {hour} * * *"), zoneinfo.ZoneInfo(zone)
    first = cron.next_after(datetime.datetime(day.year, day.month, day.day, tzinfo=here))
    second = cron.next_after(first)
    # 23 to 25 hours; a zone that changes sides of the date line has a day twice, or leaves one out.
    assert datetime.timedelta(hours=21) < second.astimezone(datetime.UTC) - first.astimezone(datetime.UTC) <= 48 * HOUR
