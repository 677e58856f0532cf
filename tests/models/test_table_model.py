"""The table model: rows as matrices, its predictions and explanations, and its files."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from pyspark.serializers import CPickleSerializer

from brigade.models.document_model import Calibration
from brigade.models.manifest import DESCRIPTION_FILE, TREES_FILE, ModelFormatError
from brigade.models.table_model import UNCALIBRATED, Feature, Interval, TableModel

FEATURES = [
    Feature("alcohol", "number"),
    Feature("colour", "category", ("red", "white")),
    Feature("organic", "number"),
]
ROW = {"alcohol": 12.5, "colour": "white", "organic": True}


def trained(classes: int, **parameters: object) -> TableModel:
    """A small model of `FEATURES`; of a regression if there are no classes."""
    import xgboost

    draw = np.random.default_rng(1)
    matrix = np.column_stack([draw.uniform(8, 15, 400), draw.integers(0, 2, 400), draw.integers(0, 2, 400)])
    target = matrix[:, 0] + 2 * matrix[:, 1] + matrix[:, 2]
    if classes:
        target = np.digitize(target, np.quantile(target, np.arange(1, classes) / classes))
        parameters |= {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob"}
        parameters |= {"num_class": classes} if classes > 2 else {}
    data = xgboost.QuantileDMatrix(
        matrix.astype(np.float32), target, feature_types=["q", "c", "q"], enable_categorical=True
    )
    booster = xgboost.train({"max_depth": 3, "nthread": 1} | parameters, data, 20)
    names = [f"class {number}" for number in range(classes)]
    interval = None if classes else Interval(0.5, 1.5)
    task = "classification" if classes else "regression"
    return TableModel(task, FEATURES, names, Calibration(1.5, 1.0, 0.1), interval, {"name": "wine"}, booster)


@pytest.fixture(scope="module", params=[0, 2, 3], ids=["regression", "two classes", "three classes"])
def model(request) -> TableModel:
    return trained(request.param)


def saved(model: TableModel, folder) -> tuple[bytes, bytes]:
    model.save(folder)
    return (folder / DESCRIPTION_FILE).read_bytes(), (folder / TREES_FILE).read_bytes()


# ------------------------------------------------------------------------------------------------ rows → numbers


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW, [12.5, 1, 1]),
        ({"alcohol": 12, "colour": "red", "organic": False}, [12, 0, 0]),
        ({"alcohol": np.float64(9.5), "colour": "red", "organic": np.bool_(True)}, [9.5, 0, 1]),
        ({}, [None, None, None]),
        ({"alcohol": None, "colour": None, "organic": None}, [None, None, None]),
        ({"alcohol": math.nan, "colour": "", "organic": math.inf}, [None, None, None]),
        ({"alcohol": -math.inf, "colour": "rosé", "organic": 1e300}, [None, None, None]),
        ({"alcohol": 10**400, "colour": "RED", "organic": "1"}, [None, None, None]),
        ({"alcohol": "12.5", "colour": 1, "organic": [1]}, [None, None, None]),
        ({"alcohol": {"value": 1}, "colour": ["red"], "organic": {}}, [None, None, None]),
        ({"alcohol": 3.4028234e38, "others": "are not read"}, [3.4028234e38, None, None]),
    ],
)
def test_a_row_is_a_line_of_numbers_and_what_cannot_be_read_is_missing(model, row, expected):
    found = model.matrix([row])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([expected], np.float32))


def test_no_rows_have_no_predictions(model):
    assert model.predict_many([]) == []
    assert model.margins(model.matrix([])).shape == ((0,) if model.task == "regression" else (0, len(model.classes)))


# ------------------------------------------------------------------------------------------- numbers → predictions


def test_many_rows_are_predicted_as_one_by_one(model):
    rows = [ROW, {}, {"alcohol": 9.0, "colour": "red"}, {"alcohol": 14.0, "organic": 1}]
    assert model.predict_many(rows) == [model.predict(row) for row in rows]


def test_uncalibrated_probabilities_are_those_of_xgboost():
    for classes in (2, 3):
        model = replace(trained(classes), calibration=UNCALIBRATED)
        matrix = model.matrix([ROW, {}, {"alcohol": 14.9, "colour": "white"}])
        theirs = np.asarray(model.booster.inplace_predict(matrix, missing=np.nan))
        theirs = np.column_stack([1 - theirs, theirs]) if classes == 2 else theirs
        own = model.calibration.probabilities(model.margins(matrix))
        np.testing.assert_allclose(own, theirs, atol=2e-3)


def test_a_class_is_predicted_with_its_probabilities():
    model = trained(3)
    found = model.predict(ROW, top=2)
    likely = model.probabilities(ROW)
    assert found["label"] == model.classes[likely.argmax()] == next(iter(found["scores"]))
    assert found["confidence"] == round(likely.max(), 6) == found["scores"][found["label"]]
    assert len(found["scores"]) == 2
    assert math.isclose(likely.sum(), 1)


def test_a_value_is_predicted_with_its_interval_if_there_is_one():
    model = trained(0)
    found = model.predict(ROW)
    assert found["value"] == pytest.approx(15.5, abs=0.4)
    assert found["value"] == pytest.approx(model.value(ROW))
    assert (found["value"] - found["low"], found["high"] - found["value"]) == pytest.approx((0.5, 1.5))
    assert replace(model, interval=None).predict(ROW) == {"value": found["value"]}


def test_an_answer_is_json(model):
    assert json.loads(json.dumps(model.predict(ROW))) == model.predict(ROW)


# ----------------------------------------------------------------------------------------------------- explanations


def test_an_explanations_weights_add_up_to_what_the_row_makes_of_the_score(model):
    prediction, nothing = model.predict(ROW), {}
    found = model.explain(ROW, prediction)
    assert {one["feature"] for one in found} <= {"alcohol", "colour", "organic"}
    assert all(one["value"] == ROW[one["feature"]] for one in found)
    own = sum(one["weight"] for one in found)
    bias = [sum(one["weight"] for one in model.explain(nothing, prediction))]
    at = () if model.task == "regression" else (model.classes.index(prediction["label"]),)
    difference = model.margins(model.matrix([ROW]))[0][at] - model.margins(model.matrix([nothing]))[0][at]
    assert own - bias[0] == pytest.approx(float(difference), abs=1e-3)


def test_an_explanation_names_the_strongest_features_first_whichever_way_they_point(model):
    found = model.explain({"alcohol": 8.1, "colour": "white", "organic": 0}, model.predict(ROW), top=2)
    strengths = [abs(one["weight"]) for one in found]
    assert len(found) == 2
    assert strengths == sorted(strengths, reverse=True)
    assert found[0]["feature"] == "alcohol"


def test_the_two_classes_are_explained_by_opposite_weights():
    model = trained(2)
    first, second = (model.explain(ROW, {"label": label}) for label in model.classes)
    assert [one["weight"] for one in first] == [-one["weight"] for one in second]


# ------------------------------------------------------------------------------------------------------- its files


def test_a_model_that_is_read_again_predicts_the_same_bits(model, tmp_path):
    again = TableModel.from_bytes(*saved(model, tmp_path))
    rows = [ROW, {}, {"alcohol": 11}]
    np.testing.assert_array_equal(again.margins(again.matrix(rows)), model.margins(model.matrix(rows)))
    assert again.predict_many(rows) == model.predict_many(rows)
    assert (again.features, again.classes, again.interval, again.pipeline) == (
        model.features,
        model.classes,
        model.interval,
        model.pipeline,
    )
    assert (tmp_path / TREES_FILE).read_bytes() == bytes(again.booster.save_raw("ubj"))


def test_spark_sends_a_model_to_its_workers(model):
    spark = CPickleSerializer()
    again = spark.loads(spark.dumps(model))
    assert again.predict(ROW) == model.predict(ROW)


def test_its_description_is_what_the_docs_say(tmp_path):
    description = json.loads(saved(trained(2), tmp_path)[0])
    assert description == {
        "formatVersion": 2,
        "kind": "table",
        "task": "classification",
        "features": [
            {"name": "alcohol", "type": "number"},
            {"name": "colour", "type": "category", "categories": ["red", "white"]},
            {"name": "organic", "type": "number"},
        ],
        "classes": ["class 0", "class 1"],
        "calibration": {"scale": 1.5, "slope": 1.0, "center": 0.1},
        "interval": None,
        "pipeline": {"name": "wine"},
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["formatVersion"], 3),
        (["kind"], "text"),
        (["task"], "ranking"),
        (["features"], []),
        (["features"], [{"name": "alcohol", "type": "number"}]),
        (["features"], [{"name": "alcohol", "type": "number"}] * 3),
        (["features", 0, "type"], "date"),
        (["features", 0, "name"], 7),
        (["features", 1, "categories"], ["red", "red"]),
        (["features", 1, "categories"], [1, 2]),
        (["classes"], ["one"]),
        (["classes"], ["a", "b", "c"]),
        (["classes"], ["a", "a"]),
        (["classes"], None),
        (["calibration"], None),
        (["calibration", "scale"], -1),
        (["calibration", "center"], math.nan),
        (["interval"], {"below": -1, "above": 1, "coverage": 0.9}),
        (["interval"], {"below": 1, "above": math.inf, "coverage": 0.9}),
        (["interval"], {"below": 1}),
        (["pipeline"], None),
    ],
)
def test_a_description_that_is_not_a_table_models_is_refused(tmp_path, path, value):
    description, trees = saved(trained(2), tmp_path)
    document = json.loads(description)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ModelFormatError):
        TableModel.from_bytes(json.dumps(document).encode(), trees)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_damaged_description_is_refused(tmp_path, content):
    trees = saved(trained(0), tmp_path)[1]
    with pytest.raises(ModelFormatError):
        TableModel.from_bytes(content, trees)


def test_damaged_trees_are_refused(tmp_path):
    description, trees = saved(trained(0), tmp_path)
    for content in (b"", b"{", b"{}", b"no trees", trees[:-1], trees[: len(trees) // 2], b"\0" * 1000):
        with pytest.raises(ModelFormatError):
            TableModel.from_bytes(description, content)


def test_trees_of_another_model_are_refused(tmp_path):
    description, _ = saved(trained(2), tmp_path)
    _, trees = saved(trained(3), tmp_path)
    with pytest.raises(ModelFormatError, match="expected trees of 1 scores a row, found 3"):
        TableModel.from_bytes(description, trees)


def test_xgboost_is_imported_only_when_a_table_model_is_read():
    code = "import sys, brigade.models.table_model; sys.exit('xgboost' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
