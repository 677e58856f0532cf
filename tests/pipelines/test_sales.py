"""The features of the weekly sales: what they are, and that none of them looks into the future."""

from datetime import UTC, datetime, timedelta

import pytest

from brigade.pipelines.load import load

WEEKS, HORIZON = 120, 12
FIRST = datetime(2010, 2, 5, tzinfo=UTC)
SCHEMA = "eventId string, eventTimestamp timestamp, dt string, store string, weekly_sales double, holiday_flag long"
MODEL = load("sales").model


def weeks(store: str = "1", first: float = 0.0) -> list[tuple]:
    return [
        (f"{store} {week}", FIRST + timedelta(weeks=week), "2010", store, first + week, int(week % 52 == 40))
        for week in range(WEEKS)
    ]


def features(spark, rows: list[tuple], horizon: int = HORIZON) -> dict[str, dict]:
    """The features of each row, by its id."""
    session = spark.newSession()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.createDataFrame(rows, SCHEMA).createOrReplaceTempView("rows")
    made = session.sql(MODEL.query, args={"horizon": horizon}).collect()
    assert len(made) == len(rows)
    return {row.eventId: {name: row[name] for name in (*MODEL.features, MODEL.label, MODEL.baseline)} for row in made}


def test_the_features_of_a_week_are_those_of_the_weeks_that_they_name(spark):
    made = features(spark, weeks() + weeks("2", first=1000.0))
    mean = sum(range(37, 89)) / 52  # of the 52 weeks that end with the last known one
    assert made["1 100"] == {
        "store": "1", "week_of_year": 1, "holiday_flag": 0, "known_sales": 88.0, "known_sales_before": 87.0,
        "known_mean": mean, "sales_51_weeks_ago": 49.0, "sales_52_weeks_ago": 48.0, "sales_53_weeks_ago": 47.0,
        "mean_of_lags": (88 + 87 + 49 + 48 + 47) / 5, "weekly_sales": 100.0,
        "growth": 86.5 / 34.5, "grown_sales": 48 * (86.5 / 34.5),
    }  # fmt: skip
    assert made["2 100"]["known_sales"] == 1088.0  # of its own store
    assert made["1 20"]["sales_52_weeks_ago"] is None and made["1 20"]["mean_of_lags"] == (8 + 7) / 2
    assert made["1 5"]["known_sales"] is None and made["1 5"]["mean_of_lags"] is None
    assert features(spark, weeks(), horizon=4)["1 100"]["known_sales"] == 96.0


@pytest.mark.parametrize("horizon", [1, HORIZON, 30])
def test_a_shifted_future_leaves_the_features_as_they_are(spark, horizon):
    now = 80  # the last week of which the sales are known
    rows = weeks() + weeks("2", first=1000.0)
    shifted = [(*row[:4], row[4] * 7 + 3 if row[1] > FIRST + timedelta(weeks=now) else row[4], row[5]) for row in rows]
    unknown = [(*row[:4], None if row[1] > FIRST + timedelta(weeks=now) else row[4], row[5]) for row in rows]
    as_it_was, as_shifted, as_unknown = (features(spark, some, horizon) for some in (rows, shifted, unknown))
    for store in "12":
        for week in range(now + horizon + 1):
            for other in (as_shifted, as_unknown):
                known = {name: as_it_was[f"{store} {week}"][name] for name in MODEL.features}
                assert known == {name: other[f"{store} {week}"][name] for name in MODEL.features}
    later = f"1 {now + horizon + 1}"  # and the test would see it
    assert as_it_was[later]["known_sales"] != as_shifted[later]["known_sales"]


def test_a_missing_week_moves_no_other_week_into_its_place(spark):
    whole = features(spark, weeks())
    gone = features(spark, [row for row in weeks() if row[0] != "1 60"])
    twice = features(spark, [*weeks(), ("again", *weeks()[60][1:])])
    for made in (gone, twice):
        for id, row in made.items():
            for name in ("known_sales", "known_sales_before", "sales_51_weeks_ago", "sales_52_weeks_ago"):
                assert id == "again" or row[name] in (None, whole[id][name])
