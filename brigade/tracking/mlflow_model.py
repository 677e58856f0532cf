"""The code of every model in MLflow, which runs this file when it loads one ("models from code"). No pickle."""

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pandas import DataFrame

from brigade.tracking.loader import predictions, read_run


class Run(PythonModel):
    """A run's model, read from the artifact `models`."""

    def load_context(self, context: Any) -> None:
        self.model = read_run(context.artifacts["models"])

    def predict(self, context: Any, model_input: DataFrame, params: dict | None = None) -> list[dict]:
        return predictions(self.model, model_input)


set_model(Run())
