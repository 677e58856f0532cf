"""`predict` as HTTP."""

import gzip
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.json_values import JSON
from tests.models.written_models import NEW, OLD, tiny_model, write_model
from tests.serving.pushed_messages import EVENT
from tests.waiting import wait_until


def test_texts_and_events_are_classified_in_their_order(serve, tmp_path):
    write_model(tmp_path, OLD, seed=1)
    answer = serve("predict").post("/", json={"instances": [{"payload": "one text"}, EVENT]})
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    model = tiny_model(seed=1)
    assert answer.json == {
        "predictions": [model.predict("one text"), model.predict("texto teste")],
        "model": {"name": OLD, "runId": "run-1", "trainedAt": "2026-01-05T02:10:00Z"},
    }


def test_get_says_which_model_serves(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict", MODEL_REFRESH_SECONDS="42")
    answer = client.get("/model")
    assert answer.status_code == 200
    model = answer.json
    for key in ("loadedAt", "checkedAt"):
        assert abs(datetime.now(UTC) - datetime.fromisoformat(model.pop(key))) < timedelta(days=1)
    assert model == {
        "name": OLD,
        "runId": "run-1",
        "trainedAt": "2026-01-05T02:10:00Z",
        "promoted": True,
        "pinned": False,
        "refreshSeconds": 42.0,
    }


def test_a_newer_champion_takes_over_without_a_restart(serve, tmp_path):
    write_model(tmp_path, OLD, seed=1)
    client = serve("predict", MODEL_REFRESH_SECONDS="0.01")
    request = {"instances": [{"payload": "some words"}]}
    assert client.post("/", json=request).json["model"]["name"] == OLD
    write_model(tmp_path, NEW, seed=2)
    wait_until(lambda: client.post("/", json=request).json["model"]["name"] == NEW)
    assert client.post("/", json=request).json["predictions"] == [tiny_model(seed=2).predict("some words")]


def test_a_pinned_model_serves_instead_of_the_newest(serve, tmp_path):
    write_model(tmp_path, OLD)
    write_model(tmp_path, NEW)
    model = serve("predict", MODEL_PIN=f"{OLD}/run-1").get("/model").json
    assert model["name"] == OLD and model["pinned"]


def test_without_a_model_predict_answers_503_and_says_where_it_looked(serve, tmp_path):
    write_model(tmp_path, OLD, promoted=False)
    client = serve("predict")
    for answer in (
        client.get("/healthz"),
        client.get("/model"),
        client.post("/", json={"instances": [{"payload": "some words"}]}),
    ):
        assert answer.status_code == 503
        assert str(tmp_path) in answer.json["error"] and f"{OLD}: not promoted" in answer.json["error"]
        assert answer.data.count(b"\n") == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", 'expected a JSON object {"instances": […]}, found no JSON'),
        (b'{"instances": [', "found no JSON"),
        (b"\xff", "found no JSON"),
        (b"[]", 'expected an object {"instances": […]}, found an array'),
        (b"{}", 'expected the key "instances", found none'),
        (b'{"instances": {}}', "instances: expected an array, found an object"),
        (b'{"instances": [{"payload": "a"}, "b"]}', "instances[1]: expected an object, found a string"),
        (b'{"instances": [{}]}', 'instances[0]: expected the key "payload", found none'),
        (b'{"instances": [{"payload": 1}]}', "instances[0].payload: expected a string, found a number"),
        (b'{"instances": [{"payload": " "}]}', "instances[0].payload: expected a text, found an empty one"),
        (b'{"instances": [{"doc": null}]}', "instances[0].doc: expected an object, found null"),
        (b'{"instances": [{"doc": {}}]}', 'instances[0].doc: expected the key "payload", found none'),
        (
            b'{"instances": [{"eventId": "1", "eventTimestamp": "2019-04-02T21:55:57Z", "doc": {"docId": "1"}}]}',
            "instances[0]: expected an event, found missing_field: doc.payload",
        ),
        (b'{"instances": [' + b"1," * 1000 + b"1]}", "instances: expected at most 1000, found 1001"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_what_was_expected(serve, body, error):
    answer = serve("predict").post("/", data=body)
    assert answer.status_code == 400 and answer.data.count(b"\n") == 1
    assert error in answer.json["error"]


def test_a_body_above_the_limit_is_refused_whether_its_length_is_announced_or_not(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict")
    body = b'{"instances": [{"payload": "' + b"a" * 10_000_000 + b'"}]}'
    announced = client.post("/", data=body)
    # What a server hands over when the body comes in chunks.
    in_chunks = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    chunked = client.post("/", input_stream=io.BytesIO(body), environ_overrides=in_chunks)
    for answer in (announced, chunked):
        assert answer.status_code == 413
        assert answer.json == {"error": f"expected a body of at most 10000000 bytes, found {len(body)}"}
    assert client.post("/", data=body[:28] + body[10_000:]).status_code == 200


def test_other_methods_are_refused(serve):
    answer = serve("predict").put("/", json={})
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD, POST"


INSTANCES = st.lists(JSON | st.fixed_dictionaries({"payload": JSON | st.text()}), max_size=4)


@settings(max_examples=300)
@given(JSON | st.fixed_dictionaries({"instances": JSON | INSTANCES}))
def test_no_json_at_all_is_answered_by_an_error_of_ours(any_client, value):
    answer = any_client.post("/", data=json.dumps(value))
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert len(answer.json["predictions"]) == len(value["instances"])


@pytest.fixture
def any_client(serve, tmp_path):
    write_model(tmp_path, OLD)
    return serve("predict")


def test_an_explanation_names_the_documents_own_words_and_their_part_of_the_score(client):
    text = "oil prices rose, oil prices fell"
    answer = client.post("/", json={"instances": [{"payload": text}], "explain": True})
    (prediction,) = answer.json["predictions"]
    model = tiny_model(seed=1)
    assert prediction == model.predict(text) | {"explanation": model.explain(text, prediction["label"])}
    weights = [one["weight"] for one in prediction["explanation"]]
    assert weights == sorted(weights, reverse=True) and all(weight > 0 for weight in weights)
    terms = [one["term"] for one in prediction["explanation"]]
    assert len(set(terms)) == len(terms)
    assert set(terms) <= {"oil", "prices", "rose", "fell"} | {"oil prices", "prices rose", "rose oil", "prices fell"}


def test_explain_is_a_boolean(client):
    for value in ("yes", 1, None, []):
        answer = client.post("/", json={"instances": [{"payload": "a text"}], "explain": value})
        assert answer.status_code == 400 and answer.json["error"].startswith("explain: expected a boolean, found ")
    answer = client.post("/", json={"instances": [{"payload": "a text"}], "explain": False})
    assert "explanation" not in answer.json["predictions"][0]


def test_vertex_ais_form_asks_for_explanations_too(client):
    instances = [{"payload": "oil prices rose"}]
    own, vertex = (
        client.post("/", json={"instances": instances} | form).json
        for form in ({"explain": True}, {"parameters": {"explain": True}})
    )
    assert vertex == own and "explanation" in vertex["predictions"][0]
    for form in ({"parameters": None}, {"parameters": {}}, {"parameters": {"explain": False}}):
        assert "explanation" not in client.post("/", json={"instances": instances} | form).json["predictions"][0]


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"parameters": {"explain": "yes"}}, "parameters.explain: expected a boolean, found a string"),
        ({"parameters": {"topK": 3}}, "parameters: expected the key explain alone, found 'topK'"),
        ({"parameters": []}, "parameters: expected an object, found an array"),
        ({"explian": True}, "expected the keys instances, parameters, explain, found 'explian'"),
    ],
)
def test_what_a_request_asks_for_and_cannot_have_is_refused_by_name(client, members, error):
    answer = client.post("/", json={"instances": [{"payload": "a text"}]} | members)
    assert answer.status_code == 400 and answer.json == {"error": error}


BODY = json.dumps({"instances": [{"payload": "preços e preços"}]}, ensure_ascii=False).encode()


@pytest.mark.parametrize("packed", [gzip.compress(BODY), gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])])
def test_a_body_in_gzip_is_unpacked(client, packed):
    answer = client.post("/", data=packed, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200 and answer.json == client.post("/", data=BODY).json


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        (BODY, {"Content-Encoding": "gzip"}, 400, "Content-Encoding: gzip: expected a body in gzip"),
        (gzip.compress(BODY)[:-9], {"Content-Encoding": "gzip"}, 400, "Content-Encoding: gzip: expected a whole body"),
        (BODY, {"Content-Encoding": "br"}, 415, "Content-Encoding: expected gzip or none, found br"),
        (
            BODY.decode().encode("latin-1"),
            {"Content-Type": "application/json; charset=latin-1"},
            415,
            "Content-Type: expected charset=utf-8, found charset=latin-1",
        ),
    ],
)
def test_a_header_at_fault_is_named(client, body, headers, status, error):
    answer = client.post("/", data=body, headers=headers)
    assert answer.status_code == status and answer.json["error"].startswith(error)


def test_a_small_body_that_unpacks_to_a_large_one_is_refused(client):
    bomb = gzip.compress(b'{"instances": [{"payload": "' + b"a" * 50_000_000 + b'"}]}')
    answer = client.post("/", data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413 and "10000000 bytes when unpacked" in answer.json["error"]
