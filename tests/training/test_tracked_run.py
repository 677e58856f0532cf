"""A training with MLFLOW_TRACKING_URI, as MLflow has it; what MLflow is told else is in tests/tracking."""

import hashlib
import json

import pytest

from brigade.errors import SettingError
from brigade.training.run import train
from tests.training.whole_runs import FILES, contents


def test_mlflow_that_is_asked_for_and_missing_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="MLFLOW_TRACKING_URI is set, and mlflow is missing: pip install"):
        train(None, "input", "output")


@pytest.mark.long
def test_mlflow_has_the_run_s_parameters_figures_files_and_model(again):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is optional and not installed here")
    summary, folder = again["summary"], again["folder"]
    client = mlflow.MlflowClient(f"sqlite:///{again['store']}/runs.db")
    (run,) = client.search_runs([client.get_experiment_by_name("documents").experiment_id])
    assert (run.info.run_name, run.info.status) == (f"{summary['model']} {summary['runId']}", "FINISHED")
    params = {name: run.data.params[name] for name in ("label_column", "hash_bits", "seed", "split")}
    assert params == {"label_column": "superTag01", "hash_bits": "12", "seed": "0", "split": "random"}
    chosen = contents(folder, "metrics.json")["chosen"]
    assert [float(run.data.params[name]) for name in ("alpha", "ngrams")] == [chosen["alpha"], chosen["ngrams"]]
    assert run.data.metrics["test_accuracy"] == summary["accuracy"]
    assert run.data.metrics["test_macroF1"] == summary["macroF1"]
    digest = hashlib.sha256((folder / "data.json").read_bytes()).hexdigest()
    assert (run.data.tags["model"], run.data.tags["data_version"]) == (summary["model"], digest)
    assert (run.data.tags["state"], run.data.tags["reason"]) == ("serving", summary["reason"])
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.source)["uri"] == contents(folder, "data.json")["parquet"]
    files = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert files == {"data.json", "metrics.json", "model", "profile.json", "report.html"}
    assert files - {"model"} < set(FILES)
    version = client.get_model_version_by_alias("documents", "champion")
    assert version.run_id == run.info.run_id and version.tags["data_version"] == digest
