"""`classify` for tables: events of the model's contract in, the same events with a prediction out."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.models.written_models import OLD, write_model
from tests.models.written_tables import EVENT, PRICE, WINE, wine_model, write_wine
from tests.serving.pushed_messages import EVENT as DOCUMENT
from tests.serving.pushed_messages import Pushed, envelope, having

EVENT_ROW = {"alcohol": 12.5, "colour": "white", "organic": True}
OWN_BYTES = json.dumps(EVENT)[:-1].encode() + b', "big": 123456789012345678901234567890,\n "float": 1.0e5} '


@pytest.fixture
def wine(serve, pubsub, tmp_path) -> Pushed:
    """`classify` with a model of wines, good ones or not."""
    write_wine(tmp_path)
    return Pushed(serve, pubsub, MODEL_PREFIX="wine-model")


@pytest.fixture
def price(serve, pubsub, tmp_path) -> Pushed:
    write_wine(tmp_path, PRICE, wine_model(0))
    return Pushed(serve, pubsub, MODEL_PREFIX="price-model")


def told(message, member: str, time: str) -> dict:
    """What was added to the event, without the time, which is now."""
    found = json.loads(message.data)[member]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found.pop(time))) < timedelta(days=1)
    return found


def test_an_event_goes_on_as_it_came_with_its_class(wine, entries):
    answer = wine.push(OWN_BYTES)
    assert (answer.status_code, answer.json) == (200, {"status": "classified"})
    message, prediction = wine.result(), wine_model().predict(EVENT_ROW)
    assert message.data.startswith(OWN_BYTES.strip()[:-1] + b', "classification": {')
    run = {"model": WINE, "runId": "run-1"}
    assert told(message, "classification", "classifiedAt") == prediction | run
    assert dict(message.attributes) == {"eventId": "wine-1", "label": prediction["label"], "model": WINE}
    (entry,) = entries()
    assert (entry["message"], entry["eventId"], entry["label"]) == ("classified", "wine-1", prediction["label"])
    assert (entry["missing"], entry["unknownCategories"]) == (0, 0)
    assert entry["agrees"] is (prediction["label"] == "false")
    assert set(entry["milliseconds"]) == {"read", "model", "predict", "publish", "total"}


def test_an_event_goes_on_with_its_value(price, entries):
    assert price.push(json.dumps(EVENT | {"prediction": "an earlier one"}).encode()).json == {"status": "predicted"}
    message, prediction = price.result(), wine_model(0).predict(EVENT_ROW)
    assert told(message, "prediction", "predictedAt") == prediction | {"model": PRICE, "runId": "run-1"}
    assert message.data.count(b'"prediction"') == 1 and b'"classification"' not in message.data
    assert dict(message.attributes) == {"eventId": "wine-1", "value": str(prediction["value"]), "model": PRICE}
    (entry,) = entries()
    assert (entry["message"], entry["value"]) == ("predicted", prediction["value"])
    assert entry["absoluteError"] == pytest.approx(abs(prediction["value"] - 10))


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (json.dumps(DOCUMENT | {"alcohol": "13"}).encode(), "wrong_type", "alcohol: expected a number, found a string"),
        (json.dumps(EVENT).replace("12.5", "1e400").encode(), "wrong_type", "alcohol: expected a number, found"),
        (json.dumps(EVENT).replace("12.5", "NaN").encode(), "malformed_json", ""),
        (json.dumps(EVENT | {"eventId": ""}).encode(), "missing_field", "eventId is empty"),
        (json.dumps(EVENT | {"eventTimestamp": "2026"}).encode(), "bad_timestamp", "eventTimestamp: expected RFC 3339"),
        (b'{"alcohol": 12.5}', "missing_field", "eventId"),
        (b"no event", "malformed_json", ""),
    ],
)  # fmt: skip
def test_what_is_no_event_of_the_contract_is_a_dead_letter(wine, data, reason, detail):
    assert wine.push(data, {"origin": "here"}).json == {"status": "dead letter", "reason": reason}
    message = wine.dead_letter()
    assert message.data == data and message.attributes["origin"] == "here"
    assert message.attributes["reason"] == reason and message.attributes["detail"].startswith(detail)


def test_an_event_without_a_single_feature_is_predicted_and_all_is_missing(wine, entries):
    data = json.dumps({"eventId": "1", "eventTimestamp": "2026-01-05T10:00:00Z"}).encode()
    assert wine.push(data).status_code == 200
    found = told(wine.result(), "classification", "classifiedAt")
    assert found.items() >= wine_model().predict({}).items()
    assert entries()[0]["missing"] == 3


@pytest.mark.parametrize("data", [b"no event", json.dumps(EVENT).encode(), having()])
def test_without_a_model_nothing_is_judged_and_pubsub_brings_it_again(serve, pubsub, tmp_path, data):
    write_model(tmp_path, OLD)
    pushed = Pushed(serve, pubsub, MODEL_PREFIX="wine-model")
    assert pushed.push(data).status_code == 503
    write_wine(tmp_path)
    pushed.client.store.next_look = 0.0
    assert pushed.push(data).status_code == 200


def test_an_event_without_envelope_is_told_by_its_id_and_time(wine):
    bare = EVENT | {"message": "kept"}
    assert wine.client.post("/", json=bare).json == {"status": "classified"}
    assert json.loads(wine.result().data)["message"] == "kept"
    answer = wine.client.post("/", json={"eventId": "1", "alcohol": 12.5})
    assert answer.status_code == 400 and "expected" in answer.json["error"]


def test_an_envelope_is_one_whatever_the_event_holds(wine):
    body = envelope(json.dumps(EVENT).encode(), {})
    body["message"]["orderingKey"] = "cellar-7"
    assert wine.client.post("/", json=body).status_code == 200
    assert wine.result().ordering_key == "cellar-7"
