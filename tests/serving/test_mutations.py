"""Requests and messages that are nearly right: answered, refused with one line, or a dead letter; never 500."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.json_values import JSON
from tests.models.written_models import OLD, write_model
from tests.serving.pushed_messages import EVENT, EVENTARC, envelope

pytestmark = pytest.mark.long

MANY = settings(max_examples=300)
REQUEST = {"instances": [EVENT, {"payload": "some words"}], "explain": True}
STRUCTURED = {key.removeprefix("ce-"): value for key, value in EVENTARC.items() if key.startswith("ce-")}
HEADERS = st.dictionaries(
    st.sampled_from(["ce-id", "ce-specversion", "Content-Type", "traceparent", "X-Cloud-Trace-Context"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60) | st.sampled_from(list(EVENTARC.values())),
)


def paths(value: object, path: tuple = ()) -> list[tuple]:
    """The way to every value inside a JSON document, the document's own first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in paths(one, (*path, key)))]


@st.composite
def changed(draw, document: object) -> object:
    """The document with one value replaced, removed, or put under another key."""
    document = copy.deepcopy(document)
    *way, last = draw(st.sampled_from(paths(document)[1:]))
    inner = document
    for key in way:
        inner = inner[key]
    old = inner.pop(last)
    kept = draw(st.sampled_from(["replaced", "removed", "renamed"]))
    if kept == "replaced":
        value = draw(JSON | st.just([old]) | st.just({"data": old}))
        inner.insert(last, value) if isinstance(inner, list) else inner.update({last: value})
    elif kept == "renamed" and isinstance(inner, dict):
        inner[draw(st.text(max_size=10))] = old
    return document


@st.composite
def spoiled(draw, content: bytes) -> bytes:
    """The bytes with a few of them replaced, removed or repeated."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 8)))
        middle = draw(st.binary(max_size=8) | st.just(content[start:end] * 3))
        content = content[:start] + middle + content[end:]
    return content


@pytest.fixture
def predict(serve, tmp_path):
    write_model(tmp_path, OLD)
    return serve("predict")


@MANY
@given(st.data(), HEADERS, st.sampled_from(["POST"] * 8 + ["GET", "PUT"]))
def test_a_mutated_request_is_answered_or_refused(predict, data, headers, method):
    body = data.draw(changed(REQUEST).map(lambda document: json.dumps(document).encode()).flatmap(spoiled))
    answer = predict.open("/", method=method, data=body, headers=headers)
    assert answer.status_code in (200, 400, 404, 405, 413)
    assert answer.data.count(b"\n") == 1 and answer.mimetype == "application/json"
    if method == "POST" and answer.status_code == 200:
        assert {"predictions", "model"} == set(answer.json)
    else:
        assert set(answer.json) == {"error"}


def pushes(event: object) -> list[object]:
    """The three forms in which a message comes."""
    push = envelope(json.dumps(event).encode(), {"origin": "here"})
    return [push, push, STRUCTURED | {"data": push}]


@MANY
@given(st.data(), HEADERS)
def test_a_mutated_push_is_classified_or_a_dead_letter_or_refused(pushed, data, headers):
    form = data.draw(st.sampled_from(pushes(EVENT)))
    body = data.draw(changed(form).map(lambda document: json.dumps(document).encode()).flatmap(spoiled))
    answer = pushed.client.post("/", data=body, headers=headers)
    assert answer.status_code in (200, 400, 413)
    if answer.status_code == 200:
        assert answer.json["status"] in ("classified", "dead letter")


@MANY
@given(st.data(), st.sampled_from([{}, EVENTARC]), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_a_mutated_event_is_classified_or_a_dead_letter(pushed, data, headers, attributes):
    content = data.draw(changed(EVENT).map(lambda document: json.dumps(document).encode()).flatmap(spoiled))
    answer = pushed.client.post("/", data=json.dumps(envelope(content, attributes)), headers=headers)
    assert answer.status_code == 200, answer.data
    assert answer.json["status"] in ("classified", "dead letter")
