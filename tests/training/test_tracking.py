"""MLflow, if it is asked for."""

import hashlib

import pytest

from brigade.training.errors import TrainingError
from brigade.training.tracking import is_tracked
from tests.training.whole_runs import FILES, contents


def test_mlflow_that_is_asked_for_and_missing_is_said_at_once(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert is_tracked() is False
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="MLFLOW_TRACKING_URI is set, and mlflow is missing: pip install"):
        is_tracked()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "mlflow" or None)
    assert is_tracked() is True


@pytest.mark.long
def test_mlflow_has_the_runs_parameters_figures_and_files(again):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is optional and not installed here")
    summary, folder = again["summary"], again["folder"]
    client = mlflow.MlflowClient(f"sqlite:///{again['store']}/runs.db")
    experiment = client.get_experiment_by_name("document-classification")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (f"{summary['model']} {summary['runId']}", "FINISHED")
    params = {name: run.data.params[name] for name in ("label_column", "hash_bits", "seed", "split")}
    assert params == {"label_column": "superTag01", "hash_bits": "12", "seed": "0", "split": "random"}
    chosen = contents(folder, "metrics.json")["chosen"]
    assert [float(run.data.params[name]) for name in ("alpha", "ngrams")] == [chosen["alpha"], chosen["ngrams"]]
    assert run.data.metrics["test_accuracy"] == summary["accuracy"]
    assert run.data.metrics["test_macroF1"] == summary["macroF1"]
    digest = hashlib.sha256((folder / "data.json").read_bytes()).hexdigest()
    assert (run.data.tags["model"], run.data.tags["data_version"]) == (summary["model"], digest)
    assert (run.data.tags["promoted"], run.data.tags["reason"]) == ("True", summary["reason"])
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == set(FILES)
