"""The trigger over HTTP: its query, its statuses and its log."""

import json
from datetime import UTC, datetime

import pytest

from brigade.schedule.trigger import moment_of
from tests.schedule.dataproc_server import IMPORT, TEMPLATE


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T02:00:00Z", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05t02:00:00.123456789z", datetime(2026, 1, 5, 2, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-04T23:00:00-03:00", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05", None),
        ("2026-01-05T02:00:00", None),
        ("2026-02-30T02:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_schedule_time_is_rfc_3339_or_it_is_none(text, moment):
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    ("now", "scheduled", "period"),
    [
        ("2026-02-02T00:00:01Z", "2026-02-02T00:00:00Z", "2026-02-02"),
        ("2026-02-01T23:59:59Z", "2026-02-02T00:00:00Z", "2026-02-02"),  # this machine's clock is behind
        ("2026-02-01T23:58:00Z", "2026-02-02T00:00:00Z", "2026-01-05"),  # but not by as much as that
        ("2026-02-02T02:00:00Z", "2026-01-26T02:00:00Z", "2026-02-02"),  # a week late: what counts is what is due now
        ("2026-02-02T02:00:00Z", "2096-01-02T02:00:00Z", "2026-02-02"),
        ("2026-02-02T02:00:00Z", "soon", "2026-02-02"),
    ],
)
def test_now_counts_but_not_before_the_call_was_meant(at, now, scheduled, period):
    assert at(now, "?dry_run=1", scheduled=scheduled).json["period"]["start"] == period


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?dryrun=1", "query: expected dry_run, force or look, found 'dryrun'"),
        ("?force=1&%0Ax=1", "query: expected dry_run, force or look, found '\\nx'"),
        ("?force=1&force=1", "force: expected it once, found it 2 times"),
        ("?dry_run=0&dry_run=1", "dry_run: expected it once, found it 2 times"),
        ("?dry_run", "dry_run: expected 0 or 1, found ''"),
        ("?look=1&force=1", "query: expected force or look, found both"),
        ("?force=" + "y" * 1000, f"force: expected 0 or 1, found '{'y' * 50}'"),
    ],
)
def test_another_query_is_answered_400_in_one_line_and_does_nothing(at, dataproc, query, message):
    answer = at("2026-01-12T02:00:00Z", query)
    assert (answer.status_code, answer.json) == (400, {"error": message}) and dataproc.requests == []


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("GET", "?force=1"), ("PUT", "?dry_run=1"), ("DELETE", "")])
def test_only_post_starts_anything(at, dataproc, method, query):
    answer = at("2026-01-12T02:00:00Z", query, method)
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST" and dataproc.requests == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WORKFLOW_TEMPLATE", "", "WORKFLOW_TEMPLATE: expected projects/P/regions/R/workflowTemplates/T, found ''"),
        ("WORKFLOW_TEMPLATE", "retrain", "WORKFLOW_TEMPLATE: expected projects/P/regions/R"),
        ("MODELS_URI", "", "MODELS_URI: expected gs://bucket/prefix or a local path, found ''"),
        ("MODELS_URI", "s3://models", "MODELS_URI: expected gs://bucket/prefix"),
        (
            "MODEL_PREFIX",
            "Wine",
            "MODEL_PREFIX: expected a model's name without its date, such as wine-model",
        ),
        ("SCHEDULE_ANCHOR", "", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found ''"),
        ("SCHEDULE_ANCHOR", "20260105", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found '20260105'"),
        ("SCHEDULE_ANCHOR", "2026-02-30", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD"),
        ("SCHEDULE_ANCHOR", "9999-12-27", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD"),
        ("SCHEDULE_ANCHOR", "2026-01-06", "SCHEDULE_ANCHOR: expected a Monday, found 2026-01-06, a Tuesday"),
    ],
)
def test_a_wrong_setting_answers_500_and_says_what_was_expected(at, dataproc, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 500 and dataproc.requests == []
    assert answer.json["error"].startswith(message)


def test_a_period_with_a_model_of_another_prefix_alone_has_none(at, models, monkeypatch):
    (models / "wine-model-2026-01-06").mkdir()
    (models / "wine-model-2026-01-06" / "manifest.json").write_text("{}")
    for prefix, decision in (("wine-model", "skip"), ("", "start")):
        monkeypatch.setenv("MODEL_PREFIX", prefix)
        assert at("2026-01-12T02:00:00Z", "?dry_run=1").json["decision"] == decision


def test_a_parameter_that_leads_nowhere_answers_500(at, dataproc):
    bad = {"id": "retrain", "version": 3, "parameters": [{"name": "DATE", "fields": ["labels['other']"]}]}
    dataproc.answers = [{"operations": []}, bad]
    answer = at("2026-01-12T02:00:00Z")
    message = "workflow template: expected a value at its parameter's labels['other'], found none"
    assert (answer.status_code, answer.json) == (500, {"error": message}) and dataproc.started() == []


def test_without_the_template_the_call_fails_so_that_it_comes_again(at, dataproc):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 503
    assert answer.json["error"] == f"{TEMPLATE} does not exist; import it with: {IMPORT}"


def test_while_dataproc_is_unavailable_it_is_asked_again(at, dataproc):
    busy = ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, 503)
    dataproc.answers = [busy, None, busy, None, busy]
    assert at("2026-01-12T02:00:00Z").json["decision"] == "start"
    assert [body["requestId"] for body in dataproc.started()] == ["brigade-2026-01-05-2026-01-12"] * 2
    assert len(dataproc.operations()) == 1


def test_a_refusal_is_one_line(at, dataproc):
    dataproc.answers = [({"error": {"code": 403, "message": "no\npermission", "status": "PERMISSION_DENIED"}}, 403)]
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 503
    expected = f"Dataproc does not let this account use {TEMPLATE}: no permission; SECURITY.md says who may do what"
    assert answer.json["error"] == expected


def test_each_call_is_one_line_of_json_with_the_decision(at, dataproc, capsys):
    answers = [at("2026-01-12T02:00:00Z").json, at("2026-01-12T02:00:00Z", "?dry_run=1", "GET").json]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    common = {"severity": "INFO", "logger": "scheduler", "status": 200}
    started = "start: the period 2026-01-05 to 2026-02-01 has no model yet"
    waits = "skip: the period 2026-01-05 to 2026-02-01 waits: a workflow is running"
    assert lines == [common | {"message": started} | answers[0], common | {"message": waits} | answers[1]]


def test_the_severity_of_its_line_follows_the_status(at, dataproc, monkeypatch, capsys):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    answers = [
        at("2026-01-12T02:00:00Z"),
        at("2026-01-12T02:00:00Z", "?other=1"),
        at("2026-01-12T02:00:00Z", "", "PUT"),
    ]
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-06")
    answers.append(at("2026-01-12T02:00:00Z"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["severity"], line["status"]) for line in lines] == [
        ("ERROR", 503),
        ("WARNING", 400),
        ("WARNING", 405),
        ("ERROR", 500),
    ]
    assert [line["message"] for line in lines] == [answer.json["error"] for answer in answers]
    assert answers[2].headers["Allow"] == "POST"
