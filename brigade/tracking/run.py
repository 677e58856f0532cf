"""What a run is in MLflow: parameters, figures, candidates, the data's version, its files and the model.

All of it follows from the run's files, which never change. So a run can be logged at any time, and logging what is
there already changes nothing.
"""

import hashlib
import json
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brigade.models.manifest import (
    DATA_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    SERVING_FILES,
    Manifest,
    find_manifest,
    run_folder,
)
from brigade.models.verification import Model, read_checked
from brigade.storage import Folder
from brigade.tracking.loader import columns, read_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "model"  # the folder of the MLflow model among a run's artifacts
RESULTS = ("accuracy", "macroF1", "loss", "seconds")  # of the chosen candidate; the rest are its settings
STARTED = re.compile(r"\d{8}T\d{6}Z")  # with which a run's id begins
# Of the package, what a model in MLflow needs; these folders' own folders are left out.
CODE = ("errors.py", "paths.py", "sql_text.py", "storage.py", "events", "models", "tracking")
PACKAGES = {"text": ("mmh3", "numpy", "pandas", "safetensors"), "table": ("numpy", "pandas", "xgboost-cpu")}


@dataclass(frozen=True)
class Run:
    """A run of the folder. files: name → content, each as the manifest says."""

    name: str
    manifest: Manifest
    files: dict[str, bytes]

    @property
    def metrics(self) -> dict:
        return self.document(METRICS_FILE)

    @property
    def data(self) -> dict:
        return self.document(DATA_FILE)

    def document(self, file: str) -> dict:
        """The object in a JSON file; empty if the run has no such file."""
        return json.loads(self.files.get(file, b"{}"))

    @property
    def data_version(self) -> str:
        """The SHA-256 of data.json, which names the files that were read with their own."""
        return hashlib.sha256(self.files.get(DATA_FILE, b"")).hexdigest()

    @property
    def ended(self) -> int:
        """When the run was written, in milliseconds since 1970."""
        return milliseconds(datetime.fromisoformat(self.manifest.created_at))

    @property
    def started(self) -> int:
        """When the run began, as its id says."""
        found = STARTED.match(self.manifest.run_id)
        moment = found and datetime.strptime(found[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return milliseconds(moment) if moment else self.ended


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def read(models: Folder, name: str, run_id: str) -> Run:
    """A run of the folder. Raises PassedOver unless it is whole."""
    manifest = find_manifest(models, name, run_id)
    return Run(name, manifest, {file: read_checked(models, name, manifest, file) for file in manifest.files})


@contextmanager
def artifacts(run: Run) -> Iterator[Path]:
    """A folder with what is kept of a run in MLflow. Raises PassedOver if serving would not load the run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "artifacts"
        save_model(run, folder / MODEL, Path(scratch))
        for file, content in run.files.items():
            if file not in SERVING_FILES:
                (folder / file).write_bytes(content)
        yield folder


def log(client: "MlflowClient", mlflow_id: str, run: Run, folder: Path) -> None:
    """Logs all that a run of MLflow has beside its tags, and ends it. Done again, it changes nothing.

    folder: of its artifacts.
    """
    from mlflow.entities import Metric, Param

    chosen = {key: value for key, value in run.metrics.get("chosen", {}).items() if key not in RESULTS}
    params = run.data.get("options", {}) | chosen
    client.log_batch(
        mlflow_id,
        metrics=[Metric(key, value, run.ended, step) for key, value, step in figures(run.metrics)],
        params=[Param(key, str(value)) for key, value in sorted(params.items())],
    )
    client.log_inputs(mlflow_id, [data_set(run)])
    client.log_artifacts(mlflow_id, str(folder))
    client.set_terminated(mlflow_id, "FINISHED", run.ended)


def figures(metrics: dict) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of each figure of metrics.json. A candidate's step is its rank, 0 for the chosen one."""
    for part in ("test", "validation", "documents"):
        for key, value in metrics.get(part, {}).items():
            if is_number(value):
                yield f"{part}_{key}", value, 0
    for rank, candidate in enumerate(metrics.get("candidates", [])):
        for key, value in candidate.items():
            if is_number(value):
                yield f"candidate_{key}", value, rank


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def data_set(run: Run) -> Any:
    """The data that a run has learned, as MLflow names it: the parquet, and the beginning of the data's version."""
    from mlflow.entities import Dataset, DatasetInput

    source = str(run.data.get("parquet", ""))
    kind = source.partition("://")[0] if "://" in source else "local"
    return DatasetInput(Dataset(source or "data", run.data_version[:16], kind, json.dumps({"uri": source})))


# -------------------------------------------------------------------------------------------------------- the model


def save_model(run: Run, target: Path, scratch: Path) -> None:
    """Writes the MLflow model of a run. Raises PassedOver if serving would not load the run."""
    from mlflow.pyfunc import save_model

    models, package = scratch / "models", scratch / "code" / "brigade"
    folder = models / run_folder(run.name, run.manifest.run_id)
    folder.mkdir(parents=True)
    for file, content in run.files.items():
        (folder / file).write_bytes(content)
    (folder / MANIFEST_FILE).write_text(json.dumps(run.manifest.document, ensure_ascii=False))
    copy_package(package)
    model = read_run(str(models))
    with warnings.catch_warnings(action="ignore"):  # it asks for an example, which would be a document's text
        save_model(
            path=str(target),
            python_model=str(package / "tracking" / "mlflow_model.py"),
            artifacts={"models": str(models)},
            code_paths=[str(package)],
            pip_requirements=requirements(model),
            signature=signature(model),
        )


def signature(model: Model) -> Any:
    """The columns that a model reads. A number may be whole or not, and a value of a table may be missing."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    if model.kind == "text":
        return ModelSignature(Schema([ColSpec("string", name) for name in columns(model)]))
    return ModelSignature(Schema([ColSpec(AnyType(), name, required=False) for name in columns(model)]))


def requirements(model: Model) -> list[str]:
    """What `pip` installs for the model, in the versions of this environment."""
    return [f"{name}=={version(name)}" for name in ("mlflow-skinny", *PACKAGES[model.kind])]


def copy_package(target: Path) -> None:
    """Copies CODE out of the package, which may be a folder or a zip."""
    package = resources.files("brigade")
    target.mkdir(parents=True)
    (target / "__init__.py").write_bytes((package / "__init__.py").read_bytes())
    for name in CODE:
        copy(package / name, target / name)


def copy(source: Traversable, target: Path) -> None:
    if source.is_file():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir()
    for one in source.iterdir():
        if one.is_file() and one.name.endswith(".py"):
            copy(one, target / one.name)
