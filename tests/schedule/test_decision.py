"""What four weeks are, and whether a workflow starts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.schedule.decision import decide, request_id
from brigade.schedule.periods import next_period_starts, period_of

ANCHOR = date(2026, 1, 5)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("now", "models", "start", "period"),
    [
        # the period's edges
        ("2026-01-05T00:00:00Z", [], True, "2026-01-05"),
        ("2026-01-05T02:00:00Z", [], True, "2026-01-05"),
        ("2026-02-01T23:59:59Z", [], True, "2026-01-05"),
        ("2026-02-02T00:00:00Z", [], True, "2026-02-02"),
        # before the first period
        ("2026-01-04T23:59:59Z", [], False, "2026-01-05"),
        ("2025-06-01T00:00:00Z", ["2025-06-01"], False, "2026-01-05"),
        # a model of this period, of its first and last day, of its neighbours
        ("2026-01-12T02:00:00Z", ["2026-01-05"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-02-01"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-01-04"], True, "2026-01-05"),
        ("2026-02-09T02:00:00Z", ["2026-02-01"], True, "2026-02-02"),
        ("2026-01-26T02:00:00Z", ["2026-02-02"], True, "2026-01-05"),
        # the first week's run failed; the second's, third's and last's may still come
        ("2026-01-12T02:00:00Z", [], True, "2026-01-05"),
        ("2026-01-26T02:00:00Z", ["2025-12-08"], True, "2026-01-05"),
        # periods were missed altogether
        ("2026-06-15T02:00:00Z", ["2026-01-05"], True, "2026-05-25"),
        # the moment counts in UTC, wherever the clock that tells it stands
        ("2026-02-01T22:00:00-03:00", [], True, "2026-02-02"),
        ("2026-02-02T00:30:00+01:00", [], True, "2026-01-05"),
        # summer time starts on 2026-03-29 in Lisbon: 01:30 there is 00:30 in UTC
        ("2026-03-30T01:00:00+01:00", ["2026-03-02"], True, "2026-03-30"),
        ("2026-03-30T00:59:59+01:00", ["2026-03-02"], False, "2026-03-02"),
        # over the year's end, and over 29 February 2028
        ("2026-12-31T23:00:00Z", ["2026-12-07"], False, "2026-12-07"),
        ("2027-01-04T02:00:00Z", ["2026-12-31"], True, "2027-01-04"),
        ("2028-02-28T02:00:00Z", ["2028-02-27"], True, "2028-02-28"),
        ("2028-03-26T23:59:59Z", ["2028-02-29"], False, "2028-02-28"),
        ("2028-03-27T00:00:00Z", ["2028-02-29"], True, "2028-03-27"),
    ],
)
def test_a_workflow_starts_when_its_period_has_no_model(now, models, start, period):
    decision = decide(at(now), ANCHOR, {date.fromisoformat(day) for day in models})
    assert (decision.start, decision.period.start.isoformat()) == (start, period)
    assert decision.period.start.isoformat() in decision.reason


@settings(max_examples=300)
@given(
    first=st.integers(0, 400),
    hour=st.integers(0, 23),
    calls=st.lists(st.integers(1, 3), min_size=8, max_size=60),
)
def test_weekly_calls_start_exactly_one_workflow_a_period_when_runs_succeed(first, hour, calls):
    """Each week the job fires once, or, as at least once means, up to three times."""
    begin = datetime(2026, 1, 5, hour, tzinfo=UTC) + timedelta(days=first)
    models, started = set(), []
    for week, times in enumerate(calls):
        for _ in range(times):
            now = begin + timedelta(weeks=week)
            decision = decide(now, ANCHOR, models)
            if decision.start:
                started.append(decision.period.start)
                models.add(now.date())  # the run's model, whether promoted or not
    days = [(begin + timedelta(weeks=week)).date() for week in range(len(calls))]
    periods = {ANCHOR + timedelta(days=(day - ANCHOR).days // 28 * 28) for day in days}
    assert started == sorted(periods)


@settings(max_examples=200)
@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    weeks=st.integers(0, 500),
)
def test_a_period_holds_the_moment_and_starts_on_a_monday(now, weeks):
    anchor = ANCHOR - timedelta(weeks=weeks)
    decision = decide(now, anchor, [])
    assert decision.period.start.weekday() == 0
    assert decision.start == (now.date() >= anchor)
    if decision.start:
        assert decision.period.start <= now.date() < decision.period.start + timedelta(days=28)
        assert next_period_starts(now, anchor, 1)[0] == decision.period.start + timedelta(days=28)
    else:
        assert next_period_starts(now, anchor, 1)[0] == anchor


@pytest.mark.parametrize(
    ("models", "running", "force", "start"),
    [
        ([], "op", False, False),
        ([], "op", True, False),
        (["2026-01-05"], "op", True, False),
        (["2026-01-05"], None, True, True),
        ([], None, True, True),
    ],
)
def test_force_overrides_a_model_and_nothing_a_running_workflow(models, running, force, start):
    days = {date.fromisoformat(day) for day in models}
    assert decide(at("2026-01-12T02:00:00Z"), ANCHOR, days, running, force).start == start


@pytest.mark.parametrize(
    ("day", "start", "end", "number"),
    [
        ("2025-12-31", "2026-01-05", "2026-02-01", 1),
        ("2026-01-05", "2026-01-05", "2026-02-01", 1),
        ("2026-02-01", "2026-01-05", "2026-02-01", 1),
        ("2026-02-02", "2026-02-02", "2026-03-01", 2),
        ("2027-01-04", "2027-01-04", "2027-01-31", 14),  # 13 periods are 364 days
    ],
)
def test_periods_are_numbered_from_the_anchor(day, start, end, number):
    period = period_of(date.fromisoformat(day), ANCHOR)
    assert (f"{period.start}", f"{period.end}", period.number) == (start, end, number)


def test_calls_of_a_day_share_a_request_id_and_the_next_weeks_has_another():
    def identifier(time: str) -> str:
        return request_id(decide(at(time), ANCHOR, []))

    assert identifier("2026-01-12T02:00:00Z") == "brigade-2026-01-05-2026-01-12"
    assert len(identifier("2026-01-12T02:00:00Z")) <= 40
    assert identifier("2026-01-12T23:59:59Z") == identifier("2026-01-12T02:00:00Z")
    assert identifier("2026-01-11T23:00:00-03:00") == identifier("2026-01-12T02:00:00Z")
    assert identifier("2026-01-19T02:00:00Z") != identifier("2026-01-12T02:00:00Z")
