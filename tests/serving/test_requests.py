"""What both entry points do with any request: GET, broken bodies, bugs."""

import io
import json

import pytest

from brigade.serving import answers
from tests.models.written_models import NEW, OLD, write_model
from tests.serving.pushed_messages import EVENT, having


@pytest.mark.parametrize("target", ["predict", "classify"])
def test_both_entry_points_say_whether_and_what_they_serve(serve, tmp_path, target):
    client = serve(target)
    assert client.get("/healthz").status_code == client.head("/healthz").status_code == 503
    write_model(tmp_path, OLD)
    client.store.next_look = 0.0
    assert client.get("/model").json["name"] == OLD
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.head("/healthz").status_code == 200 and client.head("/healthz").data == b""


def test_any_other_path_names_the_two(client):
    for path in ("/", "/metrics", "/model/secret"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json == {"error": "expected GET /healthz or GET /model, found another path"}


def test_a_slash_at_the_end_does_not_matter(client):
    assert client.get("/healthz/").json == {"status": "ok"}
    assert client.get("/model/").json == client.get("/model").json


def test_a_body_that_breaks_off_is_refused(client):
    announced = {"CONTENT_LENGTH": "1000"}
    answer = client.post("/", input_stream=io.BytesIO(b'{"instances": []}'), environ_overrides=announced)
    assert answer.status_code == 400
    assert answer.json == {"error": "expected a whole body, found one that breaks off"}


def test_a_bug_is_500_without_a_word_of_it_and_its_stack_without_the_text_is_logged(client, entries, monkeypatch):
    def bug(self, text):
        raise ValueError(f"no vector for {text}")

    client.get("/healthz")
    monkeypatch.setattr(type(client.store.current().model), "predict", bug)
    answer = client.post("/", json={"instances": [{"payload": "secret words"}]})
    assert answer.status_code == 500
    assert answer.json == {"error": "an error of this service; its log says more"}
    entry = entries()[-1]
    assert (entry["severity"], entry["status"], entry["model"]) == ("ERROR", 500, OLD)
    assert "in bug" in entry["message"] and entry["message"].endswith("ValueError")
    assert "secret" not in json.dumps(entry)


def test_a_message_that_meets_a_bug_is_neither_lost_nor_a_dead_letter(pushed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(answers, "with_member", lambda *_: 1 / 0)
        assert pushed.push(having()).status_code == 500
    assert pushed.push(having()).status_code == 200
    assert pushed.result().attributes["eventId"] == EVENT["eventId"]


def test_a_newer_model_says_since_when_it_serves(serve, tmp_path):
    write_model(tmp_path, OLD)
    client = serve("predict")
    before = client.get("/model").json
    write_model(tmp_path, NEW)
    client.store.look()
    after = client.get("/model").json
    assert after["name"] == NEW and after["loadedAt"] >= before["loadedAt"]
    assert after["checkedAt"] >= before["checkedAt"]
