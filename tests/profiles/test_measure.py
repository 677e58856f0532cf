"""Profiles measured by Spark: of documents and of tables, whole and in parts, whatever columns there are."""

from collections import Counter
from datetime import datetime

import numpy as np
import pytest

from brigade.pipelines.definition import Definition
from brigade.profiles.buckets import bucket_of_class, bucket_of_value
from brigade.profiles.measure import LOOKED_AT, profile_of, rows_of, sampled_of
from brigade.profiles.profile import ALL, Profile, bucket_of_number
from brigade.profiles.watched import watched_in
from tests.models.written_models import tiny_model
from tests.models.written_tables import DEFINITION, definition, wine_model

SCHEMA = """eventId STRING, eventTimestamp TIMESTAMP, eventSource STRING, superTag01 STRING, payload STRING, dt STRING,
    messageId STRING"""
TEXTS = ["oil prices rose", "wheat prices fell", "Цены на нефть", "<b>oil</b>", "", None]
WINES = "eventId STRING, colour STRING, alcohol DOUBLE, organic BOOLEAN, good BOOLEAN, price DOUBLE, dt STRING"
MODEL = tiny_model()


def documents(number: int) -> list[tuple]:
    return [
        (
            f"e{at}",
            datetime(2026, 11, 1 + at % 3, at % 24),
            f"source {at % 2}",
            f"class-{at % 4}" if at % 5 else None,
            TEXTS[at % 6],
            f"2026-11-0{1 + at % 3}",
            f"m{at}",
        )
        for at in range(number)
    ]


@pytest.fixture(scope="module")
def events(spark):
    return spark.createDataFrame(documents(120), SCHEMA)


@pytest.fixture(scope="module")
def whole(spark, events) -> Profile:
    return profile_of(spark, events, model=MODEL)


def test_documents_are_counted_by_day_field_and_aspect(whole):
    total = whole.total()
    assert (whole.events, whole.sampled, sorted(whole.days)) == (120, 1, ["2026-11-01", "2026-11-02", "2026-11-03"])
    assert total["events"]["hour"].keys() <= {f"{hour:02}" for hour in range(24)}
    assert total["payload"]["presence"] == {"there": 80, "empty": 20, "missing": 20}
    assert total["payload"]["script"] == {"latin": 60, "cyrillic": 20} and total["payload"]["word"][ALL] == 80
    assert total["eventSource"]["value"] == {bucket_of_value("source 0"): 60, bucket_of_value("source 1"): 60}
    assert total["eventType"] == {"presence": Counter(missing=120)}  # there is no such column
    assert total["superTag01"]["presence"] == {"there": 96, "missing": 24}
    assert total["prediction"]["label"].total() == 80
    assert not {"eventId", "messageId", "docId"} & total.keys()


def test_predictions_agree_with_the_labels_as_often_as_the_model_says(whole):
    pairs = Counter(
        (label, MODEL.predict(text)["label"]) for _, _, _, label, text, _, _ in documents(120) if label and text
    )
    known = {name: bucket_of_class(name) for name in MODEL.classes}
    expected: Counter = Counter()
    for (label, predicted), count in pairs.items():
        expected[f"{known.get(label, 'new')}>{known[predicted]}"] += count
    assert whole.total()["prediction"]["agreement"] == expected


def test_parts_of_the_events_add_up_to_the_whole(spark, events, whole):
    halves = [events.where(f"pmod(xxhash64(eventId), 3) {which} 0").repartition(3) for which in ("=", "<>")]
    first, second = (profile_of(spark, half, model=MODEL) for half in halves)
    assert 0 < first.events < 120 and (first + second).text() == whole.text()


def test_one_in_so_many_is_looked_at_closely_and_all_are_counted(spark, events, whole):
    found = profile_of(spark, events, model=MODEL, sampled=4).total()
    assert (
        5 < found["payload"]["word"][ALL] < 50 and found["payload"]["presence"] == whole.total()["payload"]["presence"]
    )
    again = profile_of(spark, events.repartition(5), model=MODEL, sampled=4).total()
    assert again == found
    assert [sampled_of(one) for one in (0, LOOKED_AT, LOOKED_AT + 1, 20 * LOOKED_AT)] == [1, 1, 2, 32]


def test_rows_are_what_the_profile_counts(spark, events, whole):
    rows = rows_of(spark, events, model=MODEL)
    assert rows.columns == ["eventId", "day", "field", "aspect", "bucket"]
    counts = rows.groupBy("day", "field", "aspect", "bucket").count().collect()
    found = {(row.day, row.field, row.aspect, row.bucket): row["count"] for row in counts}
    assert found == {
        (day, field, aspect, bucket): count
        for day, fields in whole.days.items()
        for field, aspects in fields.items()
        for aspect, buckets in aspects.items()
        for bucket, count in buckets.items()
    }


def test_no_event_makes_an_empty_profile(spark):
    found = profile_of(spark, spark.createDataFrame([], SCHEMA), model=MODEL)
    assert (found.days, found.names, found.events) == ({}, {}, 0)


@pytest.fixture(scope="module")
def wines(spark):
    draw = np.random.default_rng(5)
    rows = [
        (
            f"w{at}",
            ["red", "white", None][at % 3],
            float(draw.uniform(8, 15)) if at % 7 else None,
            at % 2 == 0,
            at % 4 == 0 if at % 5 else None,
            float(at) if at % 5 else None,
            "2026-11-01",
        )
        for at in range(60)
    ]
    return spark.createDataFrame(rows, WINES)


def of_wine(label: str) -> Definition:
    return Definition.of(DEFINITION | definition(label) | {"model_prefix": "wine-model"})


def test_a_classification_of_rows_is_counted_as_it_is_served(spark, wines):
    model = wine_model(2)
    total = profile_of(spark, wines, of_wine("good"), model).total()
    rows = [row.asDict() for row in wines.collect()]
    told = [one["label"] for one in model.predict_many(rows)]
    assert total["prediction"]["label"] == Counter(map(bucket_of_class, told))
    labels = ["true" if row["good"] else "false" for row in rows if row["good"] is not None]
    pairs = zip(labels, (one for one, row in zip(told, rows, strict=True) if row["good"] is not None), strict=True)
    expected = Counter(f"{bucket_of_class(label)}>{bucket_of_class(one)}" for label, one in pairs)
    assert total["prediction"]["agreement"] == expected
    assert total["good"]["value"] == Counter(map(bucket_of_value, labels))
    assert total["colour"]["presence"] == {"there": 40, "missing": 20}
    assert total["organic"]["number"] == {"zero": 30, "0": 30}
    alcohols = Counter(bucket_of_number(row["alcohol"]) for row in rows if row["alcohol"] is not None)
    assert total["alcohol"]["number"] == alcohols


def test_a_regression_s_errors_are_counted_of_rows_with_a_label(spark, wines):
    model = wine_model(0)
    total = profile_of(spark, wines, of_wine("price"), model).total()
    rows = [row.asDict() for row in wines.collect()]
    values = [model.value(row) for row in rows]
    known = [(value, row["price"]) for value, row in zip(values, rows, strict=True) if row["price"] is not None]
    assert total["prediction"]["predicted"] == Counter(map(bucket_of_number, values))
    assert total["prediction"]["error"] == Counter(bucket_of_number(value - price) for value, price in known)
    inside = sum(-1.5 <= value - price <= 0.5 for value, price in known)
    assert +total["prediction"]["covered"] == +Counter(yes=inside, no=len(known) - inside)


def test_a_column_of_another_type_than_the_model_s_is_missing_to_it(spark, wines):
    changed = wines.withColumn("alcohol", wines.alcohol.cast("string")).drop("organic")
    total = profile_of(spark, changed, of_wine("price"), wine_model(0)).total()
    assert total["alcohol"] == {"presence": Counter(missing=60)} == total["organic"]
    fresh = profile_of(spark, changed, of_wine("price")).total()
    assert "value" in fresh["alcohol"]  # without a model the column is what it holds


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, {"alcohol": "number", "colour": "value", "organic": "number", "price": "number"}),
        ({"ignored": ["colour", "price"]}, {"alcohol": "number", "organic": "number", "price": "number"}),
        (
            {"categories": ["organic", "vintage"], "label": "good"},
            {"alcohol": "number", "colour": "value", "organic": "value", "good": "number", "vintage": "value"},
        ),
    ],
)
def test_which_columns_are_looked_at_and_as_what(wines, given, fields):
    assert watched_in(wines.schema, of_wine("price"), **given).fields == fields
