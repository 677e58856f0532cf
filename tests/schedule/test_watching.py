"""The trigger sees to the monitoring and acts on findings: against the Dataproc stand-in and a folder of models."""

import json

import pytest

from brigade.models import __main__ as operator
from brigade.models.history import read_history
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.models.store import ModelStore
from brigade.schedule import watching
from brigade.schedule.loop import Models
from brigade.schedule.settings import Environment
from brigade.storage import folder_at
from tests.models.written_models import write_model
from tests.schedule.watched_shop import BAD, LATER, MONDAY, MONITOR, history, started
from tests.schedule.written_findings import DECAYED, FORMER, SERVING, write_findings

# --------------------------------------------------------------------------------------------------- the monitoring


def test_a_week_without_a_training_starts_the_monitoring_with_the_template_s_own_values(at, dataproc, found):
    answer = at(MONDAY).json
    assert answer["decision"] == "skip" and started(dataproc) == ["brigade-monitor"]
    assert (answer["monitoring"]["decision"], answer["operation"]) == ("start", None)
    (body,) = dataproc.started()
    assert (body["requestId"], body["parameters"]) == (
        "brigade-monitor-2026-02-23",
        {"INPUT": "gs://ml_input/parquet/"},
    )


def test_a_week_with_a_training_starts_no_monitoring_beside_it(at, dataproc, found):
    answer = at("2026-03-02T02:00:00Z").json
    assert answer["decision"] == "start" and started(dataproc) == ["retrain"]
    assert answer["monitoring"] == {
        "decision": "skip", "reason": "a training starts, or a workflow is running", "operation": None,
    }  # fmt: skip


def test_while_the_monitoring_runs_no_training_starts_and_no_second_look(at, dataproc, found):
    first = at(MONDAY).json["monitoring"]["operation"]
    for time, query in ((MONDAY, ""), ("2026-03-02T02:00:00Z", "?force=1")):
        answer = at(time, query).json
        assert (answer["decision"], answer["operation"]) == ("skip", first)
        assert answer["monitoring"]["decision"] == "skip"
    assert started(dataproc) == ["brigade-monitor"]


def test_a_day_that_has_findings_is_not_looked_at_again(at, dataproc, found):
    write_findings(found)
    answer = at(LATER).json
    assert answer["monitoring"]["reason"] == "there are findings of 2026-02-23" and started(dataproc) == []


def test_without_the_settings_there_is_no_monitoring_and_nothing_follows(at, dataproc, found, monkeypatch):
    write_findings(found, **BAD)
    for name in ("MONITOR_TEMPLATE", "FINDINGS_URI", "EARLY_TRAINING", "WITHDRAWAL"):
        monkeypatch.delenv(name)
    answer = at(LATER).json
    assert {"monitoring", "findings", "earlyTraining", "withdrawal"} & answer.keys() == set()
    assert started(dataproc) == []


def test_without_its_template_the_call_fails_after_the_training_was_seen_to(at, dataproc, found):
    dataproc.client.delete_workflow_template(name=MONITOR)
    assert at("2026-03-02T02:00:00Z").status_code == 200 and started(dataproc) == ["retrain"]
    dataproc.end()
    answer = at(MONDAY)
    assert answer.status_code == 503 and "--source=monitor_template.yaml" in answer.json["error"]


# ------------------------------------------------------------------------------------------------- ahead of time


def test_decay_starts_a_training_ahead_of_time_that_is_in_the_history_before_it_starts(at, dataproc, found, models):
    write_findings(found, **DECAYED)
    answer = at(LATER).json
    assert (answer["decision"], answer["acted"], started(dataproc)) == ("start", "trained early", ["retrain"])
    assert answer["parameters"]["DATE"] == "2026-02-23" and answer["operation"]
    assert "trained early: ahead of time: decay (accuracy 0.91 in its test, 0.82 now" in answer["reason"]
    assert history(models) == [("trained early", "doc-classification-model-2026-02-23")]
    assert answer["earlyTraining"]["done"] and answer["earlyTraining"]["figures"]["now"] == 0.82
    assert answer["monitoring"]["decision"] == "skip"


def test_a_call_that_comes_again_starts_no_second_one_and_a_week_later_none_follows(at, dataproc, found, models):
    write_findings(found, **DECAYED)
    at(LATER)
    assert at(LATER).json["reason"].endswith("waits: a workflow is running")
    dataproc.end()  # it has failed
    assert at(LATER).json["decision"] == "start"  # on the same day it is the same one
    dataproc.end()
    write_findings(found, "2026-03-01", createdAt="2026-03-01T02:20:00Z", **DECAYED)
    answer = at("2026-03-01T06:00:00Z").json
    assert (
        answer["decision"] == "skip"
        and "had its training ahead of time on 2026-02-23" in answer["earlyTraining"]["reason"]
    )
    assert started(dataproc).count("retrain") == 2 and len(history(models)) == 1


def test_where_storage_does_not_take_the_entry_no_training_starts(at, dataproc, found, monkeypatch):
    write_findings(found, **DECAYED)

    def refused(*_: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr("brigade.schedule.watching.record", refused)
    assert at(LATER).status_code == 503 and started(dataproc) == []


@pytest.mark.parametrize(("mode", "would"), [("dry", True), ("", True), ("off", False)])
def test_dry_only_says_what_it_would_do_and_off_not_even_that(at, dataproc, found, models, monkeypatch, mode, would):
    monkeypatch.setenv("EARLY_TRAINING", mode)
    monkeypatch.setenv("WITHDRAWAL", mode)
    monkeypatch.delenv("MONITOR_TEMPLATE")
    write_findings(found, **BAD)
    answer = at(LATER).json
    assert (answer["decision"], answer["acted"]) == ("skip", None)
    for name in ("earlyTraining", "withdrawal"):
        assert (answer[name]["mode"], answer[name]["would"], answer[name]["done"]) == (mode or "dry", would, False)
    assert started(dataproc) == [] and history(models) == []
    assert ModelStore(str(models)).current().name == SERVING


def test_a_dry_run_changes_nothing_though_all_is_on(at, dataproc, found, models):
    write_findings(found, **BAD)
    answer = at(LATER, "?dry_run=1", "GET").json
    assert answer["withdrawal"]["would"] and answer["earlyTraining"]["would"] and answer["acted"] is None
    assert history(models) == [] and {method for method, _, _ in dataproc.requests} == {"GET"}


# ----------------------------------------------------------------------------------------------------- withdrawal


def test_a_worse_model_is_withdrawn_and_the_former_one_serves(at, dataproc, found, models, capsys):
    store = ModelStore(str(models), refresh_seconds=0)
    assert store.current().name == SERVING
    write_findings(found, **BAD)
    answer = at(LATER).json
    assert (answer["decision"], answer["acted"]) == ("skip", "withdrawn")
    assert answer["withdrawal"]["done"] and not answer["earlyTraining"]["done"]  # one thing at a time
    assert "160 are the former model's" in answer["reason"]
    store.look()
    assert store.current().name == FORMER
    assert history(models) == [("withdrawn", SERVING)] and started(dataproc) == []
    assert read_history(folder_at(str(models)), DOCUMENTS_PREFIX)[-1]["at"] == "2026-02-23T06:00:00.000000Z"
    assert json.loads((models / "changed.json").read_text())["done"] is True
    capsys.readouterr()
    assert operator.main(["list", str(models)]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(SERVING))
    assert "withdrawn" in row and "the loop: " in row
    assert operator.main(["history", str(models)]) == 0
    assert "  loop  " in capsys.readouterr().out.splitlines()[-1]


def test_after_a_withdrawal_nothing_follows_from_the_same_findings(at, dataproc, found, models):
    write_findings(found, **BAD)
    at(LATER)
    for time in (LATER, "2026-03-01T06:00:00Z"):
        answer = at(time, "?look=1").json
        assert (answer["acted"], answer["findings"]["isCurrent"]) == (None, False)
    assert len(history(models)) == 1 and started(dataproc) == []


def test_the_former_model_has_to_be_whole(at, found, models):
    write_findings(found, **BAD)
    (models / FORMER / "runs" / "run-1" / "weights.safetensors").write_bytes(b"half")
    answer = at(LATER, "?look=1").json
    assert (
        answer["withdrawal"]["done"] is False and "would not be the one that serves" in answer["withdrawal"]["reason"]
    )
    assert ModelStore(str(models)).current().name == SERVING


def test_somebody_who_is_changing_a_model_is_not_disturbed(at, dataproc, found, models, monkeypatch):
    write_findings(found, **BAD)
    monkeypatch.setenv("EARLY_TRAINING", "off")
    (models / "changed.json").write_text(json.dumps({"changedAt": "2999-01-01T00:00:00Z", "done": False}))
    monkeypatch.setattr("brigade.models.decisions.CLAIM_SECONDS", float("inf"))
    answer = at(LATER, "?look=1").json
    assert answer["acted"] is None and "somebody has been changing a model" in answer["withdrawal"]["reason"]
    assert history(models) == []


def test_a_former_model_that_a_person_withdraws_meanwhile_keeps_the_serving_one(at, found, models, monkeypatch):
    """Else an older one would serve, of which nobody knows how right it is on these events."""
    write_model(models, "doc-classification-model-2025-12-08", seed=3)
    write_findings(found, **BAD)
    known = watching.known_models

    def and_then(environment: Environment) -> Models:
        seen = known(environment)
        assert operator.main(["withdraw", str(models), FORMER]) == 0
        return seen

    monkeypatch.setattr(watching, "known_models", and_then)
    monkeypatch.setenv("EARLY_TRAINING", "off")
    answer = at(LATER, "?look=1").json
    assert answer["acted"] is None and f"expected {FORMER}/run-1 to serve after" in answer["withdrawal"]["reason"]
    assert ModelStore(str(models)).current().name == SERVING


def test_before_the_first_period_nothing_follows_from_findings(at, dataproc, found, models, monkeypatch):
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-03-02")
    write_findings(found, **BAD)
    assert at(LATER).json["acted"] is None and history(models) == []
    assert ModelStore(str(models)).current().name == SERVING


def test_a_regular_training_comes_first(at, dataproc, found, models):
    write_findings(found, "2026-03-01", createdAt="2026-03-01T02:20:00Z", **BAD)
    answer = at("2026-03-02T02:00:00Z").json
    assert answer["decision"] == "start" and answer["acted"] is None and started(dataproc) == ["retrain"]
    assert not answer["withdrawal"]["would"] and "the regular training comes first" in answer["withdrawal"]["reason"]
    dataproc.end()
    assert at("2026-03-02T02:00:00Z", "?look=1").json["decision"] == "skip"  # a look starts no regular training
    assert started(dataproc) == ["retrain"] and history(models) == []
