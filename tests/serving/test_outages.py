"""Requests that are all refused because the same thing is missing: one line when it begins, one when it is over."""

import json

import pytest

from brigade.serving import logs
from tests.models.written_models import OLD, write_model
from tests.serving.pushed_messages import Pushed, envelope, having


@pytest.fixture
def outages(logged):
    """outages(): the lines about outages so far, those of refused requests among them."""
    return lambda: [one for one in map(json.loads, logged()) if "missing" in one]


@pytest.fixture
def unserved(serve, pubsub) -> Pushed:
    """`classify` with its topics, and no model."""
    return Pushed(serve, pubsub)


def test_without_a_model_all_messages_together_are_one_line_and_the_model_s_return_is_another(
    unserved, tmp_path, entries, outages
):
    assert {unserved.push(having()).status_code for _ in range(50)} == {503}
    (first,) = outages()
    assert (first["severity"], first["status"], first["missing"], first["refused"]) == ("ERROR", 503, "a model", 1)
    assert first["message"].startswith("no model to serve: looked in ") and first["messageId"] == "4711"
    write_model(tmp_path, OLD)
    unserved.client.store.next_look = 0.0
    assert [unserved.push(having()).status_code for _ in range(3)] == [200] * 3
    _, last = outages()
    since = first["since"]
    assert last["message"] == f"a model is there again; requests refused since {since}: 50"
    assert (last["severity"], last["refused"], last["since"]) == ("INFO", 50, since)
    assert [entry["status"] for entry in entries()] == [503, 200, 200, 200]


def test_broken_messages_do_not_end_the_lack_of_a_model(unserved, outages, entries):
    for _ in range(5):
        assert unserved.push(having()).status_code == 503
        assert unserved.push(b"no event").status_code == 200
    assert len(outages()) == 1 and [entry["status"] for entry in entries()] == [503] + [200] * 5


def test_a_second_lack_has_lines_of_its_own(unserved, tmp_path, outages):
    for number in range(2):
        unserved.push(having())
        write_model(tmp_path, OLD, run_id=f"run-{number}")
        unserved.client.store.next_look = 0.0
        unserved.push(having())
        unserved.client.store.served = None
        (tmp_path / OLD / "manifest.json").unlink()
        unserved.client.store.next_look = 0.0
    assert [one.get("status") for one in outages()] == [503, None, 503, None]


def test_predictions_and_probes_share_the_line(serve, outages):
    client = serve("predict")
    for _ in range(3):
        assert client.post("/", json={"instances": [{"payload": "a text"}]}).status_code == 503
        assert client.get("/healthz").status_code == 503
    assert len(outages()) == 1


def test_a_topic_out_of_reach_is_one_line_and_no_lack_of_a_model(serve, pubsub, tmp_path, outages):
    write_model(tmp_path, OLD)
    nowhere = f"projects/{pubsub.project}/topics/there-is-none"
    pushed = Pushed(serve, pubsub, RESULT_TOPIC=nowhere)
    assert {pushed.push(having()).status_code for _ in range(3)} == {503}
    (line,) = outages()
    assert line["missing"] == "RESULT_TOPIC" and line["message"].startswith(f"cannot publish to {nowhere}")


def test_a_setting_that_is_missing_is_one_line(serve, tmp_path, outages):
    write_model(tmp_path, OLD)
    client = serve("classify")
    assert {client.post("/", json=envelope(having(), {})).status_code for _ in range(3)} == {500}
    assert [one["missing"] for one in outages()] == ["RESULT_TOPIC"]


def test_who_looks_later_finds_a_reminder_with_the_count(serve, monkeypatch, outages):
    monkeypatch.setattr(logs, "REMINDER_SECONDS", 0.0)
    client = serve("predict")
    for _ in range(3):
        client.get("/healthz")
    assert [one["refused"] for one in outages()] == [1, 2, 3] and len({one["since"] for one in outages()}) == 1
