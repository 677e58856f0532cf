"""Logs a run to MLflow, if MLFLOW_TRACKING_URI is set. MLflow is optional; everything else works without it."""

import hashlib
import importlib.util
import os
from pathlib import Path

from brigade.training.errors import TrainingError


def is_tracked() -> bool:
    """Whether the run is to be logged. Raises TrainingError if that was asked for and MLflow is missing."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    if importlib.util.find_spec("mlflow") is None:
        raise TrainingError("MLFLOW_TRACKING_URI is set, and mlflow is missing: pip install mlflow-skinny, or unset it")
    return True


def track(name: str, run: dict, settings: dict, figures: dict, folder: Path) -> None:
    """Logs the run's parameters, figures, data version and files."""
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    mlflow.set_experiment("document-classification")
    with mlflow.start_run(run_name=f"{name} {run['runId']}"):
        mlflow.log_params(settings)
        numbers = {key: value for key, value in figures["test"].items() if isinstance(value, int | float)}
        mlflow.log_metrics({f"test_{key}": value for key, value in numbers.items()})
        digest = hashlib.sha256((folder / "data.json").read_bytes()).hexdigest()
        tags = {"model": name, "promoted": run["promoted"], "reason": run["reason"], "code_version": run["codeVersion"]}
        mlflow.set_tags(tags | {"data_version": digest})
        mlflow.log_artifacts(str(folder))
