"""A run as an MLflow model: its files as training wrote them, verified whenever it is loaded, and what it predicts.

The files lie in the MLflow model as in the folder of models, `<name>/runs/<run id>/`, so that serving's own code reads
and verifies them. Its answers are those of the function `predict`.
"""

from typing import Any

from brigade.errors import WrongInput
from brigade.models.document_model import DocumentModel
from brigade.models.manifest import find_manifest
from brigade.models.verification import Model, load_verified
from brigade.storage import folder_at

TEXT = "payload"  # of the documents' pipeline; another one of texts names its own column


def read_run(folder: str) -> Model:
    """The model of the one run in a folder. Raises PassedOver unless its files are what training wrote."""
    models = folder_at(folder)
    (name,) = models.folders()
    (run_id,) = models.folders(f"{name}/runs")
    return load_verified(models, name, find_manifest(models, name, run_id))


def columns(model: Model) -> list[str]:
    """The names of the columns that a model reads."""
    if isinstance(model, DocumentModel):
        return [TEXT if model.pipeline is None else model.pipeline["model"]["features"][0]]
    return [one.name for one in model.features]


def predictions(model: Model, given: Any) -> list[dict]:
    """The answer for each row: {"label", "confidence", "scores"} or {"value", …}.

    given: a DataFrame with the model's columns, or what becomes one, such as a list of {column: value}. Of a table a
    column may be missing, and so may be a value. Raises WrongInput.
    """
    from pandas import DataFrame

    frame = given if isinstance(given, DataFrame) else DataFrame(given)
    known = [name for name in columns(model) if name in frame.columns]
    if not known:
        some = ", ".join(columns(model)[:3])
        raise WrongInput(f"expected the model's columns, such as {some}, found none of them")
    rows = frame[known].to_dict("records")
    if not isinstance(model, DocumentModel):
        return model.predict_many(rows) if rows else []
    for number, row in enumerate(rows):
        if not isinstance(row[known[0]], str):
            raise WrongInput(f"row {number}, {known[0]}: expected a text, found none")
    return [model.predict(row[known[0]]) for row in rows]
