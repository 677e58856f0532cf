"""MLflow says what the folder of models says, after whatever happened to either."""

import hashlib
import json
import logging

import pytest

from brigade.models.__main__ import main as models_command
from brigade.tracking import run as tracked_run
from brigade.tracking.__main__ import main as tracking_command
from brigade.tracking.sync import leaders, sync_if_asked
from tests.models.written_models import MIDDLE, NEW, OLD
from tests.models.written_tables import WINE, write_wine

FIRST, SECOND = "20260105T021000Z-aaaa", "20260202T021000Z-bbbb"


def test_a_run_has_parameters_figures_candidates_the_data_s_version_tags_and_files(tracked):
    tracked.write(OLD, FIRST)
    assert tracked.sync() == {
        "pipeline": "documents", "runs": 1, "logged": 1, "registered": 1, "changed": 0, "passedOver": {},
        "champion": "1", "challenger": None,
    }  # fmt: skip
    (run,) = tracked.runs()
    assert (run.info.run_name, run.info.status) == (f"{OLD} {FIRST}", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1767579000000, 1767579000000)
    assert run.data.params == {"alpha": "0.0001", "ngrams": "2"}
    assert run.data.metrics == {
        "test_accuracy": 0.9, "test_macroF1": 0.8, "test_documents": 50, "validation_accuracy": 0.88,
        "validation_documents": 40, "documents_total": 500, "documents_train": 410, "candidate_alpha": 1e-4,
        "candidate_ngrams": 1, "candidate_accuracy": 0.87,
    }  # fmt: skip
    history = tracked.client.get_metric_history(run.info.run_id, "candidate_accuracy")
    assert [(one.step, one.value) for one in history] == [(0, 0.88), (1, 0.87)]
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    assert tags == {
        "model": OLD, "run_id": FIRST, "state": "serving", "reason": "better than the champion",
        "label": "superTag01", "code_version": "1", "data_version": hashlib.sha256(b"").hexdigest(),
    }  # fmt: skip
    assert tracked.versions()[FIRST].tags == tags
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == tags["data_version"][:16]
    assert {one.path for one in tracked.client.list_artifacts(run.info.run_id)} == {"metrics.json", "model"}


def test_a_second_time_nothing_is_logged(tracked):
    tracked.write(OLD, FIRST)
    tracked.write(MIDDLE, SECOND, seed=1)
    assert tracked.sync()["logged"] == 2
    assert tracked.sync() == {
        "pipeline": "documents", "runs": 2, "logged": 0, "registered": 0, "changed": 0, "passedOver": {},
        "champion": "2", "challenger": None,
    }  # fmt: skip
    assert (len(tracked.runs()), len(tracked.versions())) == (2, 2)


def test_withdrawal_promotion_and_rollback_move_the_aliases_and_the_tags(tracked):
    tracked.write(OLD, FIRST)
    tracked.write(MIDDLE, SECOND, seed=1)
    tracked.sync()
    assert tracked.aliases() == {"champion": SECOND}
    assert models_command(["withdraw", tracked.uri, MIDDLE, "--reason=too slow"]) == 0
    assert tracked.aliases() == {"champion": FIRST, "challenger": SECOND}
    tags = tracked.versions()[SECOND].tags
    assert (tags["state"], tags["reason"]) == ("withdrawn", "withdrawn: too slow")
    assert tracked.runs()[1].data.tags["state"] == "withdrawn" and tracked.versions()[FIRST].tags["state"] == "serving"
    assert models_command(["promote", tracked.uri, f"{MIDDLE}/{SECOND}"]) == 0
    assert tracked.aliases() == {"champion": SECOND}
    assert models_command(["withdraw", tracked.uri, MIDDLE]) == models_command(
        ["withdraw", tracked.uri, OLD, "--force"]
    )
    assert tracked.aliases() == {"challenger": SECOND}
    assert (len(tracked.runs()), len(tracked.versions())) == (2, 2)


def test_a_rejected_run_is_the_challenger(tracked):
    tracked.write(OLD, FIRST)
    tracked.write(NEW, SECOND, seed=1, promoted=False, reason="macro-F1 0.5, which is lower")
    assert tracked.sync()["challenger"] == "2"
    assert tracked.aliases() == {"champion": FIRST, "challenger": SECOND}
    assert tracked.versions()[SECOND].tags["state"] == "rejected"


def test_champion_and_challenger_follow_from_the_rows():
    rows = [{"runId": "1", "state": "promoted"}, {"runId": "2", "state": "serving (future)"}]
    assert leaders(rows) == ("2", None)
    assert leaders([*rows, {"runId": "3", "state": "rejected"}]) == ("2", "3")
    assert leaders([{"runId": "1", "state": "rejected"}]) == (None, "1")


@pytest.mark.parametrize("at", ["log_batch", "log_inputs", "log_artifacts", "set_terminated", "create_model_version"])
def test_a_server_that_goes_away_in_the_middle_has_all_of_it_once_after_the_next_time(tracked, monkeypatch, caplog, at):
    import mlflow

    tracked.write(OLD, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, at, lambda *_, **__: (_ for _ in ()).throw(OSError("connection refused")))
        sync_if_asked(tracked.uri)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "MLflow was not told: connection refused" in record.getMessage()
    assert f"later: python -m brigade.tracking sync {tracked.uri}" in record.getMessage()
    assert tracked.sync()["registered"] == 1
    assert tracked.sync() | {"champion": "1"} == tracked.sync()
    (run,) = tracked.runs()
    assert run.info.status == "FINISHED" and list(tracked.versions()) == [FIRST]
    assert len(tracked.client.get_metric_history(run.info.run_id, "candidate_accuracy")) == 2
    assert len(run.inputs.dataset_inputs) == 1


def test_a_damaged_run_is_passed_over_and_the_others_are_told(tracked):
    tracked.write(OLD, FIRST)
    tracked.write(MIDDLE, SECOND, seed=1)
    (tracked.root / MIDDLE / "runs" / SECOND / "metrics.json").write_text(json.dumps({"test": 1}))
    tracked.write(NEW, "run-3", golden=0.1)
    tracked.write(NEW, "run-4", golden=0.1, promoted=False)  # which serving does not look into
    done = tracked.sync()
    assert done["runs"] == done["registered"] == 1 and list(tracked.versions()) == [FIRST]
    assert [one.data.tags["run_id"] for one in tracked.runs()] == [FIRST]
    assert done["passedOver"].keys() == {f"{MIDDLE}/{SECOND}", f"{NEW}/run-3", f"{NEW}/run-4"}
    assert "golden.jsonl line 1" in done["passedOver"][f"{NEW}/run-4"]
    assert tracked.aliases()["champion"] == FIRST


def test_a_run_that_is_damaged_later_keeps_its_version_and_says_so(tracked):
    tracked.write(OLD, FIRST)
    tracked.write(MIDDLE, SECOND, seed=1)
    tracked.sync()
    (tracked.root / MIDDLE / "runs" / SECOND / "metrics.json").write_text(json.dumps({"test": 1}))
    assert tracked.sync()["changed"] == 2
    assert tracked.aliases() == {"champion": FIRST}
    assert tracked.versions()[SECOND].tags["state"] == "damaged"


def test_a_table_is_of_its_own_pipeline(tracked):
    write_wine(tracked.root, WINE)
    assert tracked.sync(prefix="wine-model")["champion"] == "1"
    assert tracked.aliases("wine") == {"champion": "run-1"}
    assert tracked.client.search_model_versions("name = 'documents'") == []


def test_what_was_missed_is_told_by_hand(tracked, capsys):
    tracked.write(OLD, FIRST)
    assert tracking_command(["sync", tracked.uri]) == 0
    assert json.loads(capsys.readouterr().out)["logged"] == 1


@pytest.mark.parametrize(
    ("uri", "arguments", "status", "message"),
    [
        ("", ["sync", "models"], 2, "MLFLOW_TRACKING_URI: expected the address of an MLflow server, found none"),
        ("sqlite:///none.db", ["sync", "empty"], 1, "expected models in empty, found none"),
        ("sqlite:///none.db", ["sync", "gs://B"], 2, "expected gs://bucket/prefix or a local path, found 'gs://B'"),
        ("sqlite:///none.db", ["sync", "m", "--model_prefix=W"], 2, "such as wine-model, found 'W'"),
        ("http://127.0.0.1:1", ["sync", "{models}"], 1, "127.0.0.1"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tracked, monkeypatch, capsys, uri, arguments, status, message):
    tracked.write(OLD, FIRST)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    try:
        found = tracking_command([one.format(models=tracked.uri) for one in arguments])
    except SystemExit as ended:
        found = ended.code
    output = capsys.readouterr()
    assert (found, output.out) == (status, "") and message in output.err.splitlines()[-1]


def test_without_an_address_nothing_is_told_and_mlflow_is_not_looked_for(monkeypatch, caplog):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sync_if_asked("nowhere")
    assert caplog.records == []


def test_the_package_is_copied_from_a_zip_too(tmp_path, monkeypatch):
    import zipfile

    from tests.training.whole_runs import zipped_package

    archive = zipfile.Path(zipped_package(tmp_path / "brigade.zip"))
    monkeypatch.setattr(tracked_run.resources, "files", lambda package: archive / package)
    tracked_run.copy_package(tmp_path / "copied")
    found = {path.relative_to(tmp_path / "copied").as_posix() for path in (tmp_path / "copied").rglob("*.py")}
    assert {"__init__.py", "errors.py", "models/verification.py", "tracking/mlflow_model.py"} <= found
    assert not any(name.startswith(("training", "serving")) for name in found)
