"""Rows of tables, predicted in bulk: numbers and classes as serving gives them, and features that a query computes."""

import dataclasses
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from brigade.models.document_model import Calibration
from brigade.models.table_model import Feature, Interval, TableModel
from brigade.pipelines.load import load
from brigade.prediction.errors import PredictionError
from brigade.serving.rows import predicted
from tests.conversion.sample_events import written as landed
from tests.models.written_models import write_model
from tests.prediction.predictions import counts, model_in, run, told

WINE, SALES = load("wine"), load("sales")
STORES, WEEKS, HORIZON = ("1", "2"), 70, 12
FIRST = datetime(2010, 2, 5)


def trained(definition, features: list[Feature], classes: list[str], largest: float) -> TableModel:
    """A model of these features with a few trees of its own, and of a regression with an interval."""
    import xgboost

    draw = np.random.default_rng(3)
    matrix = draw.uniform(0, largest, (400, len(features))).astype(np.float32)
    for at, one in enumerate(features):
        matrix[:, at] = draw.integers(0, len(one.categories), 400) if one.categories else matrix[:, at]
    target = matrix.sum(axis=1) + 50 * matrix[:, 0]
    target = (target > np.median(target)).astype(int) if classes else target
    kinds = ["c" if one.categories else "q" for one in features]
    data = xgboost.QuantileDMatrix(matrix, target, feature_types=kinds, enable_categorical=True)
    parameters = {"max_depth": 4, "nthread": 1} | ({"objective": "binary:logistic"} if classes else {})
    task, interval = ("classification", None) if classes else ("regression", Interval(20.0, 30.0))
    booster = xgboost.train(parameters, data, 20)
    return TableModel(task, features, classes, Calibration(1.5, 1.0, 0.1), interval, definition.about(), booster)


def write_table_model(folder: Path, model: TableModel) -> str:
    name = f"{model.pipeline['model_prefix']}-2026-01-05"
    row: dict = {}
    found = (
        {"value": model.value(row)} if model.task == "regression" else {"probabilities": [*model.probabilities(row)]}
    )
    label = model.pipeline["model"]["label"]
    write_model(folder / "models", name, model=model, lines=[json.dumps({"row": row} | found)], label=label)
    return name


# ---------------------------------------------------------------------------------------------------------- wine


def wines(number: int) -> list[dict]:
    """Wines as they land, without their quality; every third one lacks a colour."""
    draw = np.random.default_rng(5)
    names = [name for name in WINE.model.features if name != "colour"]
    found = []
    for at in range(number):
        event = {"eventId": f"wine-{at}", "eventTimestamp": f"2026-11-0{at % 3 + 1}T00:00:00Z"}
        event |= dict(zip(names, draw.uniform(0, 80, len(names)).round(2), strict=True))
        found.append(event | ({"colour": ("red", "white")[at % 2]} if at % 3 else {}))
    return found


def wine_model() -> TableModel:
    features = [Feature("colour", "category", ("red", "white"))]
    return trained(
        WINE, features + [Feature(name, "number") for name in WINE.model.features[1:]], ["false", "true"], 80
    )


def test_wines_have_the_label_that_serving_gives(spark, tmp_path):
    name = write_table_model(tmp_path, wine_model())
    given = {one["eventId"]: one for one in wines(50)}
    landed(tmp_path / "input" / "a.jsonl", *map(json.dumps, given.values()), "{broken")
    done = run(spark, tmp_path, prefix="wine-model")
    assert counts(done) == {"events": 50, "predicted": 50} and done["conversion"]["quarantined"] == 1
    rows = told(spark, tmp_path)
    served = predicted(model_in(tmp_path, "wine-model"), [given[row["eventId"]] for row in rows], explain=False)
    assert {row["label"] for row in rows} == {"false", "true"}
    for row, one in zip(rows, served, strict=True):
        assert (row["label"], row["model"]) == (one["label"], name)
        assert row["confidence"] == pytest.approx(one["confidence"], abs=1e-6)
        assert {two["label"]: two["score"] for two in row["scores"]} == pytest.approx(one["scores"], abs=1e-6)
    assert counts(run(spark, tmp_path, prefix="wine-model")) == {"events": 50, "already_there": 50}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"eventId": ["1"], "alcohol": [1.0]},
            "expected parquet with the columns eventId and dt in .*, found no dt among",
        ),
        ({"eventId": ["1"], "dt": ["2026-11-01"], "store": ["1"]}, "such as colour, in the input, found none of them"),
    ],
)
def test_parquet_of_another_form_is_told_in_one_line(spark, tmp_path, columns, said):
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_table_model(tmp_path, wine_model())
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "input" / "a.parquet")
    with pytest.raises(PredictionError, match=said):
        run(spark, tmp_path, prefix="wine-model")


# --------------------------------------------------------------------------------------------------------- sales


def sales_model() -> TableModel:
    features = [Feature("store", "category", STORES)]
    return trained(SALES, features + [Feature(name, "number") for name in SALES.model.features[1:]], [], 300)


def week(store: str, number: int, **changes) -> str:
    """A store's week as it lands; the newest HORIZON ones have no sales yet."""
    event = {"eventId": f"{store} {number}", "eventTimestamp": f"{FIRST + timedelta(weeks=number):%Y-%m-%d}T00:00:00Z"}
    event |= {"store": store, "holiday_flag": int(number % 52 == 40)}
    known = {"weekly_sales": float(100 * int(store) + number)} if number < WEEKS - HORIZON else {}
    return json.dumps(event | known | changes)


def features_of(spark, folder: Path) -> dict[str, dict]:
    """What the definition's second query makes of the converted events."""
    spark.read.parquet(f"{folder}/parquet").createOrReplaceTempView("rows")
    rows = spark.sql(SALES.model.query, args={"horizon": HORIZON}).collect()
    return {row.eventId: {name: row[name] for name in SALES.model.features} for row in rows}


@pytest.fixture
def shops(spark, tmp_path):
    """A folder with a model of sales and the landed weeks of two stores."""
    write_table_model(tmp_path, sales_model())
    landed(tmp_path / "input" / "a.jsonl", *(week(store, number) for store in STORES for number in range(WEEKS)))
    return tmp_path


@pytest.mark.long
def test_the_newest_weeks_are_predicted_by_the_query(spark, shops):
    done = run(spark, shops, prefix="sales-model")
    assert counts(done) == {"events": 140, "predicted": 140}  # those with sales, and the 24 without
    model, rows, features = model_in(shops, "sales-model"), told(spark, shops), features_of(spark, shops)
    newest = features[f"1 {WEEKS - 1}"]
    assert newest["known_sales"] == 100 + WEEKS - 1 - HORIZON and newest["sales_52_weeks_ago"] == 100 + WEEKS - 1 - 52
    for row in rows:
        expected = model.value(features[row["eventId"]])
        assert row["value"] == pytest.approx(expected, rel=1e-6)
        assert (row["low"], row["high"]) == pytest.approx((expected - 20, expected + 30), rel=1e-6)
    assert len({row["value"] for row in rows}) > 20


@pytest.mark.long
def test_a_week_s_sales_change_the_predictions_of_the_weeks_that_read_them_alone(spark, shops):
    run(spark, shops, prefix="sales-model")
    before = {row["eventId"]: row for row in told(spark, shops)}
    assert counts(run(spark, shops, prefix="sales-model")) == {"events": 140, "already_there": 140}
    landed(shops / "input" / "b.jsonl", week("1", WEEKS - HORIZON, weekly_sales=158.0, pubsub=PUBLISHED))
    done = run(spark, shops, prefix="sales-model")
    again = counts(done)["replaced"]
    # No week that is there reads it, nor does it itself; but it moves to the day of its publication.
    assert counts(done) == {"events": 140, "predicted": again, "already_there": 140 - again, "replaced": again}
    after = {row["eventId"]: row for row in told(spark, shops)}
    changed = {name for name, row in after.items() if row != before[name]}
    assert changed == {f"1 {WEEKS - HORIZON}"} and again == 1 and len(after) == 140
    newer = f"1 {WEEKS}"
    landed(shops / "input" / "c.jsonl", week("1", WEEKS))
    assert counts(run(spark, shops, prefix="sales-model")) == {"events": 141, "predicted": 1, "already_there": 140}
    (row,) = [row for row in told(spark, shops) if row["eventId"] == newer]
    assert features_of(spark, shops)[newer]["known_sales"] == 158.0
    assert row["value"] == pytest.approx(model_in(shops, "sales-model").value(features_of(spark, shops)[newer]))


PUBLISHED = {"messageId": "17", "publishTime": "2011-07-01T00:00:00Z", "attributes": {}}


@pytest.mark.long
def test_days_are_those_of_the_rows_whose_features_see_all_events(spark, shops):
    run(spark, shops, prefix="sales-model")
    before = {row["eventId"]: row for row in told(spark, shops)}
    day = (FIRST + timedelta(weeks=WEEKS - 1)).date()
    done = run(spark, shops, prefix="sales-model", days=(day - timedelta(weeks=2), day))
    assert counts(done) == {"events": 6, "predicted": 6, "replaced": 6} and done["rows"] == 140
    for row in told(spark, shops):
        old = before[row["eventId"]]
        assert row["value"] == old["value"]
        assert (row["predictedAt"] != old["predictedAt"]) == (date.fromisoformat(row["dt"]) > day - timedelta(weeks=3))


@pytest.mark.long
def test_a_query_that_leaves_events_out_refuses_them_and_one_that_doubles_them_is_refused(spark, tmp_path):
    fewer = "SELECT *, 1 AS week_of_year FROM rows WHERE weekly_sales IS NOT NULL"
    model, of = sales_model(), SALES.model
    landed(tmp_path / "input" / "a.jsonl", *(week("1", number) for number in range(WEEKS)))
    for query, error in ((fewer, None), (f"{fewer} UNION ALL {fewer}", "at most one row for each of 70 events")):
        definition = dataclasses.replace(SALES, model=dataclasses.replace(of, query=query))
        folder = tmp_path / ("fewer" if error is None else "more")
        (folder / "models").mkdir(parents=True)
        (folder / "input").symlink_to(tmp_path / "input")
        write_table_model(folder, dataclasses.replace(model, pipeline=definition.about()))
        if error:
            with pytest.raises(PredictionError, match=error):
                run(spark, folder, prefix="sales-model")
            continue
        expected = {"events": WEEKS, "predicted": WEEKS - HORIZON, "no_row": HORIZON}
        assert counts(run(spark, folder, prefix="sales-model")) == expected
        assert counts(run(spark, folder, prefix="sales-model")) == {
            "events": WEEKS, "already_there": WEEKS - HORIZON, "no_row": HORIZON,
        }  # fmt: skip
