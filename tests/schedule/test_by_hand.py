"""The trigger by hand: a run, and the days on which a training is due."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from brigade.schedule import retraining
from scheduler.main import main
from tests.schedule.dataproc_server import IMPORT, TEMPLATE
from tests.schedule.dated_models import write_manifest


def test_by_hand_it_does_the_same_and_prints_one_line_of_json(models, dataproc, capsys):
    assert main(["--dry_run", "--now=2026-01-12T02:00:00Z"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["decision"], planned["dryRun"], planned["operation"]) == ("start", True, None)
    assert dataproc.operations() == []
    assert main(["--now=2026-01-12T02:00:00Z"]) == 0
    done = json.loads(capsys.readouterr().out)
    (operation,) = dataproc.operations()
    assert done == planned | {"dryRun": False, "operation": operation.name}
    dataproc.end()
    write_manifest(models, "2026-01-12")
    assert main(["--force", "--now=2026-01-13T02:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "start" and len(dataproc.operations()) == 2


def test_by_hand_a_wrong_setting_is_status_2_a_refusal_1(models, dataproc, monkeypatch, caplog, capsys):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    assert main(["--now=2026-01-12T02:00:00Z"]) == 1
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-06")
    assert main(["--dry_run"]) == 2
    missing, wrong = [record.getMessage() for record in caplog.records if record.name == "scheduler"]
    assert missing == f"{TEMPLATE} does not exist; import it with: {IMPORT}"
    assert "2026-01-06, a Tuesday" in wrong
    assert capsys.readouterr().out == ""


@pytest.fixture
def nothing_but_the_anchor(monkeypatch):
    for name in ("WORKFLOW_TEMPLATE", "MODELS_URI", "DATAPROC_API_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-05")


def test_next_prints_the_next_days_of_training_and_needs_no_more_than_the_anchor(nothing_but_the_anchor, capsys):
    assert main(["--next", "2", "--now=2026-01-12T02:00:00Z"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary == {
        "today": None,
        "next": [
            {
                "date": "2026-02-02",
                "decision": "start",
                "reason": "the period 2026-02-02 to 2026-03-01 has no model yet",
                "period": {"start": "2026-02-02", "end": "2026-03-01", "number": 2},
            },
            {
                "date": "2026-03-02",
                "decision": "start",
                "reason": "the period 2026-03-02 to 2026-03-29 has no model yet",
                "period": {"start": "2026-03-02", "end": "2026-03-29", "number": 3},
            },
        ],
    }
    assert [line.split()[:2] for line in printed.err.splitlines()] == [["2026-02-02", "start"], ["2026-03-02", "start"]]


def test_next_prints_five_days_by_default_over_the_year_s_end(nothing_but_the_anchor, capsys):
    assert main(["--next", "--now=2026-11-30T02:00:00Z"]) == 0
    days = [row["date"] for row in json.loads(capsys.readouterr().out)["next"]]
    assert days == ["2026-12-07", "2027-01-04", "2027-02-01", "2027-03-01", "2027-03-29"]


@pytest.mark.parametrize(
    ("models", "today", "following"),
    [
        ([], "start", ["start", "start"]),
        (["2026-01-06"], "skip", ["start", "start"]),
        (["2026-01-06", "2026-03-02"], "skip", ["start", "skip"]),
    ],
)
def test_with_the_models_next_says_what_happens_today_too(
    nothing_but_the_anchor, tmp_path, monkeypatch, capsys, models, today, following
):
    monkeypatch.setenv("MODELS_URI", str(tmp_path))
    for day in models:
        write_manifest(tmp_path, day)
    assert main(["--next=2", "--now=2026-01-12T02:00:00Z"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["today"]["date"], summary["today"]["decision"]) == ("2026-01-12", today)
    assert [row["decision"] for row in summary["next"]] == following
    assert printed.err.splitlines()[0].split()[:3] == ["2026-01-12", "today", today]


def test_before_the_first_period_next_begins_with_the_anchor(nothing_but_the_anchor, capsys):
    assert main(["--next=1", "--now=2025-06-01T00:00:00Z"]) == 0
    assert [row["date"] for row in json.loads(capsys.readouterr().out)["next"]] == ["2026-01-05"]


def test_models_that_cannot_be_listed_are_a_warning_for_next(nothing_but_the_anchor, monkeypatch, capsys, caplog):
    def refused(*_, **__):
        raise OSError("no\nroute")

    monkeypatch.setenv("MODELS_URI", "gs://models/output")
    monkeypatch.setattr(retraining, "model_dates", refused)
    assert main(["--next=1", "--now=2026-01-12T02:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["today"] is None
    assert [record.getMessage() for record in caplog.records] == ["MODELS_URI: OSError: no route"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--now=tomorrow"], "expected RFC 3339, such as 2026-01-12T02:00:00Z, found 'tomorrow'"),
        (["--now=9999-12-31T00:00:00Z"], "expected RFC 3339, such as 2026-01-12T02:00:00Z, found '9999"),
        (["--next=0"], "expected 1 to 999, found '0'"),
        (["--next=1000"], "expected 1 to 999, found '1000'"),
        (["--next=some"], "expected 1 to 999, found 'some'"),
        (["--next", "--force"], "not allowed with argument"),
        (["--sometimes"], "unrecognized arguments: --sometimes"),
    ],
)
def test_wrong_arguments_are_status_2_and_say_what_was_expected(flags, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        main(flags)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err


def test_by_hand_nothing_is_started_for_a_day_that_is_yet_to_come(models, dataproc, capsys):
    later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}T02:00:00Z"
    for flags in ([], ["--force"]):
        with pytest.raises(SystemExit) as ended:
            main([*flags, f"--now={later}"])
        assert ended.value.code == 2
        assert f"--now: expected today, UTC, or earlier, found {later[:10]}" in capsys.readouterr().err
    assert main(["--dry_run", f"--now={later}"]) == main(["--next=1", f"--now={later}"]) == 0
    assert dataproc.operations() == []
