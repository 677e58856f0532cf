"""What the trigger tells of findings, and what it says of wrong settings, against the Dataproc stand-in."""

import json

import pytest

from scheduler.main import main
from tests.schedule.watched_shop import BAD, LATER, MONDAY, history, started
from tests.schedule.written_findings import DRIFT, DRIFTED, FORMER, write_findings


def test_each_finding_about_the_serving_model_is_a_log_line(at, found, monkeypatch, capsys):
    monkeypatch.setenv("EARLY_TRAINING", "dry")
    write_findings(found, **DRIFTED | {"findings": [DRIFT, DRIFT | {"severity": "warning", "kind": "volume"}]})
    at(LATER, "?look=1")
    call, *lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (call["logger"], call["severity"], call["findings"]["verdict"]) == ("scheduler", "INFO", "drift")
    assert [(one["logger"], one["severity"], one["kind"], one["findingSeverity"]) for one in lines] == [
        ("monitoring", "WARNING", "drift", "error"),
        ("monitoring", "NOTICE", "volume", "warning"),
    ]
    assert lines[0]["message"] == DRIFT["message"] and lines[0]["field"] == "payload"


def test_findings_about_a_model_that_serves_no_longer_are_not_told_again(at, found, capsys):
    write_findings(found, **DRIFTED | {"model": {"name": FORMER, "runId": "run-1"}})
    answer = at(LATER, "?look=1").json
    assert "which does not serve" in answer["findings"]["problem"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_findings_that_cannot_be_read_hold_back_no_regular_training(at, dataproc, found):
    write_findings(found, "2026-03-01", verdict="fine")
    answer = at("2026-03-02T02:00:00Z").json
    assert answer["decision"] == "start" and started(dataproc) == ["retrain"]
    assert "verdict: expected one of ok, drift, decay" in answer["findings"]["problem"]
    assert answer["acted"] is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MONITOR_TEMPLATE", "monitor", "MONITOR_TEMPLATE: expected projects/P/regions/R/workflowTemplates/T"),
        ("FINDINGS_URI", "s3://findings", "FINDINGS_URI: expected gs://bucket/prefix"),
        ("FINDINGS_URI", "", "EARLY_TRAINING: expected FINDINGS_URI beside on, found none"),
        ("EARLY_TRAINING", "yes", "EARLY_TRAINING: expected off, dry or on, found 'yes'"),
        ("WITHDRAWAL", "ON", "WITHDRAWAL: expected off, dry or on, found 'ON'"),
    ],
)
def test_a_wrong_setting_is_said(at, dataproc, found, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    answer = at(MONDAY)
    assert answer.status_code == 500 and answer.json["error"].startswith(message) and dataproc.requests == []


def test_by_hand_a_look_does_the_same(found, models, capsys):
    write_findings(found, **BAD)
    assert main(["--look", "--dry_run", f"--now={LATER}"]) == 0
    assert json.loads(capsys.readouterr().out)["withdrawal"]["would"] is True
    assert history(models) == []
