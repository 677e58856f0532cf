"""A store of MLflow in a file, without a server, and the folder of models that it is told of."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from brigade.tracking.client import URI, connect
from brigade.tracking.sync import sync
from tests.models.written_models import write_model

METRICS = {
    "test": {"accuracy": 0.9, "macroF1": 0.8, "documents": 50, "classes": {"a": {"documents": 50}}},
    "validation": {"accuracy": 0.88, "documents": 40},
    "documents": {"total": 500, "train": 410},
    "chosen": {"alpha": 1e-4, "ngrams": 2, "accuracy": 0.88, "seconds": 3.2},
    "candidates": [{"alpha": 1e-4, "ngrams": 2, "accuracy": 0.88}, {"alpha": 1e-4, "ngrams": 1, "accuracy": 0.87}],
}


class Tracked(NamedTuple):
    """A folder of models, and what MLflow has of it."""

    root: Path

    @property
    def uri(self) -> str:
        return str(self.root)

    @property
    def client(self):
        return connect()

    def write(self, name: str, run_id: str, **changes) -> dict:
        return write_model(self.root, name, run_id, metrics=changes.pop("metrics", METRICS), **changes)

    def sync(self, **settings) -> dict:
        return sync(self.uri, **settings)

    def runs(self, pipeline: str = "documents") -> list:
        experiment = self.client.get_experiment_by_name(pipeline)
        return self.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])

    def versions(self, pipeline: str = "documents") -> dict:
        """The versions by run id."""
        return {one.tags["run_id"]: one for one in self.client.search_model_versions(f"name = '{pipeline}'")}

    def aliases(self, pipeline: str = "documents") -> dict[str, str]:
        """The run ids of the aliases."""
        by_version = {str(one.version): run_id for run_id, one in self.versions(pipeline).items()}
        found = self.client.get_registered_model(pipeline).aliases
        return {alias: by_version[str(version)] for alias, version in found.items()}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """The file of a store in which nothing is. Making its tables takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(URI, f"sqlite:///{folder}/mlflow.db")
        connect().search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracked(empty_store, tmp_path, monkeypatch) -> Tracked:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)  # where MLflow puts files
    monkeypatch.setenv(URI, f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "models").mkdir()
    return Tracked(tmp_path / "models")
