"""`predict` for tables: rows of {feature: value}, as people of TensorFlow Serving send them too, and whole events."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.json_values import JSON
from tests.models.written_models import OLD, tiny_model, write_model
from tests.models.written_tables import EVENT, NEWER_WINE, PRICE, ROW, ROWS, WINE, definition, wine_model, write_wine

EVENT_ROW = {"alcohol": 12.5, "colour": "white", "organic": True}


@pytest.fixture
def wine(serve, tmp_path):
    """`predict` with a model of wines, good ones or not."""
    write_wine(tmp_path)
    return serve("predict", MODEL_PREFIX="wine-model")


@pytest.fixture
def price(serve, tmp_path):
    """`predict` with a regression, of a wine's price."""
    write_wine(tmp_path, PRICE, wine_model(0))
    return serve("predict", MODEL_PREFIX="price-model")


def asked(client, *instances, **members) -> list[dict]:
    answer = client.post("/", json={"instances": list(instances)} | members)
    assert answer.status_code == 200, answer.json
    return answer.json["predictions"]


@pytest.mark.parametrize("classes", [2, 3])
def test_rows_and_events_are_classified_in_their_order(serve, tmp_path, classes):
    write_wine(tmp_path, model=wine_model(classes))
    answer = serve("predict", MODEL_PREFIX="wine-model").post("/", json={"instances": [*ROWS[:2], EVENT]})
    assert answer.status_code == 200
    assert answer.json == {
        "predictions": [wine_model(classes).predict(row) for row in (*ROWS[:2], EVENT_ROW)],
        "model": {"name": WINE, "runId": "run-1", "trainedAt": "2026-01-05T02:10:00Z"},
    }


def test_a_regression_answers_values_with_their_intervals(price):
    (found,) = asked(price, ROW)
    assert found == wine_model(0).predict(ROW) and set(found) == {"value", "low", "high"}
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_an_explanation_names_the_features_and_their_part(serve, tmp_path, classes):
    model = wine_model(classes)
    write_wine(tmp_path, model=model)
    client = serve("predict", MODEL_PREFIX="wine-model")
    for form in ({"explain": True}, {"parameters": {"explain": True}}):
        (found,) = asked(client, ROW, **form)
        explanation = found.pop("explanation")
        assert found == model.predict(ROW) and explanation == model.explain(ROW, found)
        assert {one["feature"]: one["value"] for one in explanation}.items() <= ROW.items() and explanation


def test_as_tensorflow_serving_and_vertex_ai_have_it(wine):
    lists = {name: [value] for name, value in ROW.items()}
    for members in ({}, {"signature_name": ""}, {"signature_name": "serving_default"}, {"parameters": {}}):
        assert asked(wine, lists, **members) == asked(wine, ROW)
    assert asked(wine, {"alcohol": [None], "colour": [None]}) == asked(wine, {"alcohol": None})


def test_documents_may_be_asked_by_the_default_signature_too(serve, tmp_path):
    write_model(tmp_path, OLD, seed=1)
    found = asked(serve("predict"), {"payload": "a text"}, signature_name="serving_default")
    assert found == [tiny_model(seed=1).predict("a text")]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'[{}, {"alcohol": "13"}]', "instances[0]: expected the model's features, such as alcohol, colour, organic"),
        (b'[{"payload": "a text"}]', "instances[0]: expected the model's features, such as alcohol, colour, organic"),
        (b'[{"alcohol": 1}, {"alcohol": "13"}]', "instances[1].alcohol: expected a number, found a string"),
        (b'[{"alcohol": "NaN"}]', "instances[0].alcohol: expected a number, found a string"),
        (b'[{"alcohol": {}}]', "instances[0].alcohol: expected a number, found an object"),
        (b'[{"alcohol": []}]', "instances[0].alcohol: expected a number, or a list of one, found a list of 0"),
        (b'[{"alcohol": [1, 2]}]', "instances[0].alcohol: expected a number, or a list of one, found a list of 2"),
        (b'[{"alcohol": [[1]]}]', "instances[0].alcohol: expected a number, found an array"),
        (b'[{"alcohol": ["1"]}]', "instances[0].alcohol: expected a number, found a string"),
        (b'[{"colour": 1}]', "instances[0].colour: expected a string, found a number"),
        (b'[{"colour": {"a": 1}}]', "instances[0].colour: expected a string, found an object"),
        (b'[{"alcohol": 1e400}]', "instances[0].alcohol: expected a number, found a number beyond a double's range"),
        (b'[{"alcohol": [-1e999]}]', "instances[0].alcohol: expected a number, found a number beyond a double's range"),
        (b'[{"colour": 1e400}]', "instances[0].colour: expected a string, found a number beyond a double's range"),
        (b'[{"alcohol": NaN}]', "found no JSON"),
        (b'[{"alcohol": Infinity}]', "found no JSON"),
        (b'[{"alcohol": ' + b"1" * 1001 + b"}]", "found no JSON"),
        (b"[[13.8]]", "instances[0]: expected an object, found an array"),
        (b"[13.8]", "instances[0]: expected an object, found a number"),
        (b'[{"eventId": "1"}]', "instances[0]: expected an event, found missing_field: eventTimestamp"),
        (b'[{"eventId": 7, "alcohol": 1}]', "[0]: expected an event, found wrong_type: eventId: expected a string"),
        (b"[" + b'{"alcohol": 1},' * 1000 + b'{"alcohol": 1}]', "instances: expected at most 1000, found 1001"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_400_with_its_path(wine, body, error):
    answer = wine.post("/", data=b'{"instances": %s}' % body)
    assert answer.status_code == 400 and answer.data.count(b"\n") == 1
    assert error in answer.json["error"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"alcohol": "13"}, "wrong_type: alcohol: expected a number, found a string"),
        ({"details": []}, "wrong_type: details: expected an object, found an array"),
        ({"details": {"bio": 1}}, "wrong_type: details.bio: expected a boolean, found a number"),
        ({"alcohol": [13]}, "wrong_type: alcohol: expected a number, found an array"),
        ({"eventTimestamp": "yesterday"}, "bad_timestamp: eventTimestamp"),
    ],
)
def test_an_event_is_judged_by_the_contract_of_the_model(wine, changes, error):
    answer = wine.post("/", json={"instances": [EVENT | changes]})
    assert answer.status_code == 400 and f"instances[0]: expected an event, found {error}" in answer.json["error"]


def test_a_number_beyond_doubles_in_an_event_is_refused(wine):
    body = json.dumps({"instances": [EVENT]}).replace("12.5", "1e400")
    answer = wine.post("/", data=body)
    assert answer.status_code == 400 and "alcohol: expected a number, found a number beyond" in answer.json["error"]


@pytest.mark.parametrize("value", ["classify", 1, {}, ["serving_default"]])
def test_another_signature_is_refused(wine, value):
    answer = wine.post("/", json={"instances": [ROW], "signature_name": value})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("signature_name: expected serving_default, found ")


def test_what_is_missing_unknown_and_ignored_is_counted_in_the_log_line(wine, entries):
    instances = [
        {"alcohol": 12.5, "colour": "white", "organic": False},
        {"alcohol": None, "colour": "rosé", "vintage": 1999},
        {"alcohol": 1e300, "organic": True, "vintage": 2001, "name\nof": "secret"},
        EVENT | {"colour": None},
    ]
    asked(wine, *instances)
    (entry,) = entries()
    assert (entry["missing"], entry["unknownCategories"]) == (5, 1)  # alcohol, organic; alcohol, colour; colour
    assert (entry["ignored"], entry["ignoredNames"]) == (3, ["name of", "vintage"])
    assert "secret" not in json.dumps(entry) and "1999" not in json.dumps(entry)
    asked(wine, ROW)
    assert (entries()[1]["missing"], entries()[1]["unknownCategories"]) == (0, 0) and "ignored" not in entries()[1]


def test_ten_thousand_columns_are_read_and_a_few_of_their_names_logged(wine, entries):
    others = {f"column-{number:05}" + "x" * 100: number for number in range(10_000)}
    assert asked(wine, others | ROW) == [wine_model().predict(ROW)]
    (entry,) = entries()
    assert entry["ignored"] == 10_000 and len(entry["ignoredNames"]) == 20
    assert all(len(name) == 40 for name in entry["ignoredNames"])


def test_labels_that_rows_and_events_carry_are_compared(wine, entries):
    (found,) = asked(wine, ROW)
    right, wrong = found["label"] == "true", found["label"] == "false"
    for instance in (ROW | {"good": right}, ROW | {"good": [right]}, EVENT | {"good": right}):
        asked(wine, instance)
    asked(wine, ROW | {"good": wrong})
    asked(wine, EVENT | {"good": None})
    asked(wine, ROW | {"good": {"secret": 1}})
    assert [one.get("agrees") for one in entries()] == [None, True, True, True, False, None, None]
    assert not any("ignored" in one for one in entries())
    asked(wine, ROW | {"good": right}, ROW | {"good": wrong}, ROW)
    assert (entries()[-1]["documents"], entries()[-1]["labelled"], entries()[-1]["agreed"]) == (3, 2, 1)


def test_a_values_error_is_logged_where_the_value_is_known(price, entries):
    value = wine_model(0).predict(ROW)["value"]
    asked(price, ROW | {"price": value + 2}, explain=True)
    asked(price, ROW)
    asked(price, EVENT, ROW | {"price": value - 1}, ROW | {"price": True}, ROW)
    first, second, third = entries()
    assert first["absoluteError"] == pytest.approx(2) and first["value"] == value
    assert {"low", "high", "missing"} <= first.keys() and "explanation" not in first and "label" not in first
    assert "absoluteError" not in second
    assert (third["rows"], third["labelled"]) == (4, 2)
    assert third["absoluteError"] == pytest.approx((abs(value - 10) + 1) / 2)
    assert "12.5" not in json.dumps(entries())


def test_no_rows_have_no_predictions(wine, price):
    assert asked(wine) == asked(price) == []


def test_a_feature_that_the_query_computes_is_missing_in_an_event(serve, tmp_path, entries):
    model = wine_model()
    query = "SELECT eventId, alcohol, upper(colour) AS colour, details.bio AS organic, dt FROM events"
    changed = type(model)(**{**model.__dict__, "pipeline": definition("good") | {"query": query}})
    write_wine(tmp_path, model=changed)
    client = serve("predict", MODEL_PREFIX="wine-model")
    assert asked(client, EVENT) == [model.predict({"alcohol": 12.5, "organic": True})]
    assert entries()[0]["missing"] == 1 and "agrees" not in entries()[0]


def test_without_a_model_of_its_prefix_the_answer_is_503(serve, tmp_path):
    write_model(tmp_path, OLD)
    answer = serve("predict", MODEL_PREFIX="wine-model").post("/", json={"instances": [ROW]})
    assert answer.status_code == 503 and "wine-model-YYYY-MM-DD" in answer.json["error"]


def test_a_newer_table_model_takes_over(wine, tmp_path):
    write_wine(tmp_path, NEWER_WINE, wine_model(3))
    wine.store.look()
    answer = wine.post("/", json={"instances": [ROW]}).json
    assert answer["model"]["name"] == NEWER_WINE and answer["predictions"] == [wine_model(3).predict(ROW)]


TEXT = {"kind": "text", "task": "classification", "label": "kind", "features": ["story"]}
TEXT_EVENT = {
    "id": "meta.id",
    "time": "meta.at",
    "fields": {"meta.id": "string", "meta.at": "timestamp", "told": "string"},
}


def test_texts_of_other_events_are_read_by_their_contract(serve, tmp_path, entries):
    model = tiny_model(seed=1)
    model.pipeline = {"event": TEXT_EVENT, "query": "SELECT told AS story FROM events", "model": TEXT}
    write_model(tmp_path, WINE, model=model, label="kind")
    client = serve("predict", MODEL_PREFIX="wine-model")
    event = {"meta": {"id": "1", "at": "2026-01-05T10:00:00Z"}, "told": "a text"}
    assert asked(client, {"story": "a text"}, {"story": ["a text"]}, event) == [model.predict("a text")] * 3
    label = model.predict("a text")["label"]
    (found,) = asked(client, {"story": "a text", "kind": label}, explain=True)
    assert found["explanation"] and entries()[-1]["agrees"] is True
    for body, error in (
        ('{"payload": "a text"}', 'instances[0]: expected the key "story", found none'),
        ('{"story": " "}', "instances[0].story: expected a text, found an empty one"),
        ('{"story": null}', "instances[0].story: expected a text, found null"),
        ('{"story": 1e400}', "instances[0].story: expected a string, found a number beyond a double's range"),
        (json.dumps(event | {"told": ""}), "instances[0]: expected an event, found empty_payload: story holds no text"),
    ):
        answer = client.post("/", data='{"instances": [' + body + "]}")
        assert (answer.status_code, answer.json) == (400, {"error": error})


VALUES = JSON | st.lists(JSON, max_size=2) | st.floats(allow_nan=False) | st.sampled_from(["white", "rosé", 10**400])
WILD = st.dictionaries(st.sampled_from(["alcohol", "colour", "organic", "good", "eventId"]) | st.text(), VALUES)


@settings(max_examples=300)
@given(st.lists(WILD | JSON, max_size=4))
def test_whatever_a_row_holds_it_is_predicted_or_refused(wine, instances):
    body = json.dumps({"instances": instances}).replace("Infinity", "1e999")
    answer = wine.post("/", data=body)
    assert answer.status_code in (200, 400) and answer.data.count(b"\n") == 1
    if answer.status_code == 200:
        assert len(answer.json["predictions"]) == len(instances)
        assert all(0 < one["confidence"] <= 1 for one in answer.json["predictions"])


ALL = ("xgboost", "scipy", "pandas", "sklearn", "pyspark", "yaml", "pydantic")


@pytest.mark.parametrize(("prefix", "imported"), [("doc-classification-model", False), ("wine-model", True)])
def test_xgboost_is_imported_for_a_table_model_alone(tmp_path, prefix, imported):
    write_model(tmp_path, OLD)
    write_wine(tmp_path)
    program = f"""
import json, os, sys
os.environ |= {{"MODELS_URI": {str(tmp_path)!r}, "MODEL_PREFIX": {prefix!r}}}
from functions_framework import create_app
client = create_app("predict", {str(ROOT / "cloud_function" / "main.py")!r}).test_client()
here = lambda: [name for name in {ALL} if name in sys.modules]
print(json.dumps(here()))
instance = {{"payload": "a text"}} if {prefix!r}.startswith("doc") else {{"alcohol": 1}}
assert client.post("/", json={{"instances": [instance], "explain": True}}).status_code == 200
print(json.dumps(here()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    before, after = map(json.loads, done.stdout.splitlines())
    assert before == [], done.stderr
    assert after == (["xgboost", "scipy"] if imported else [])
