"""The client of MLflow, where MLFLOW_TRACKING_URI asks for one. It is optional, and imported only then."""

import importlib.util
import os
from typing import TYPE_CHECKING

from brigade.errors import SettingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
SETTINGS = {  # MLflow's own, where nobody has set them
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its 7 take four minutes, for which a training would wait
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds without a byte
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output has the summary alone
}


def is_asked_for() -> bool:
    """Whether MLFLOW_TRACKING_URI is set. Raises SettingError if it is, and MLflow is missing."""
    if not os.environ.get(URI):
        return False
    if importlib.util.find_spec("mlflow") is None:
        raise SettingError(f"{URI} is set, and mlflow is missing: pip install mlflow-skinny pandas, or unset it")
    return True


def connect() -> "MlflowClient":
    """The client of the server that MLFLOW_TRACKING_URI names; nothing is asked of it. Raises SettingError."""
    if not is_asked_for():
        raise SettingError(f"{URI}: expected the address of an MLflow server, found none")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient()
