"""Table models for tests: a few trees made by XGBoost itself, written into a folder as training writes them."""

import functools
import json
from pathlib import Path

import numpy as np

from brigade.models.document_model import Calibration
from brigade.models.table_model import Feature, Interval, TableModel
from tests.models.written_models import write_model

WINE, NEWER_WINE, PRICE = "wine-model-2026-01-05", "wine-model-2026-02-02", "price-model-2026-01-05"
FEATURES = [Feature("alcohol", "number"), Feature("colour", "category", ("red", "white")), Feature("organic", "number")]
ROW = {"alcohol": 12.5, "colour": "white", "organic": True}
ROWS = [ROW, {"alcohol": 9, "colour": "red"}, {}]
EVENT = {
    "eventId": "wine-1",
    "eventTimestamp": "2026-01-05T10:00:00Z",
    "colour": "white",
    "alcohol": 12.5,
    "details": {"bio": True},
    "good": False,
    "price": 10,
    "cellar": "kept",
}
DEFINITION = {
    "name": "wine",
    "description": None,
    "event": {
        "id": "eventId",
        "time": "eventTimestamp",
        "fields": {
            "eventId": {"type": "string", "required": True},
            "eventTimestamp": {"type": "timestamp", "required": True},
            "colour": "string",
            "alcohol": "number",
            "details.bio": "boolean",
            "good": "boolean",
            "price": {"type": "number"},
        },
    },
    "query": "SELECT eventId, colour, alcohol, details.bio AS organic, good, price, dt FROM events",
}


def definition(label: str, **changes: object) -> dict:
    task = "classification" if label == "good" else "regression"
    names = [one.name for one in FEATURES]
    return DEFINITION | {"model": {"kind": "table", "task": task, "label": label, "features": names, **changes}}


@functools.cache
def wine_model(classes: int = 2, seed: int = 1) -> TableModel:
    """A model of FEATURES: true or false, or several classes; with none a regression, of a price."""
    import xgboost

    draw = np.random.default_rng(seed)
    matrix = np.column_stack([draw.uniform(8, 15, 400), draw.integers(0, 2, 400), draw.integers(0, 2, 400)])
    target = matrix[:, 0] + 2 * matrix[:, 1] + matrix[:, 2]
    parameters = {"max_depth": 3, "nthread": 1}
    if classes:
        target = np.digitize(target, np.quantile(target, np.arange(1, classes) / classes))
        parameters |= {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob"}
        parameters |= {"num_class": classes} if classes > 2 else {}
    data = xgboost.QuantileDMatrix(
        matrix.astype(np.float32), target, feature_types=["q", "c", "q"], enable_categorical=True
    )
    booster = xgboost.train(parameters, data, 20)
    names = ["false", "true"] if classes == 2 else [f"class-{number}" for number in range(classes)]
    task, interval = ("classification", None) if classes else ("regression", Interval(0.5, 1.5))
    pipeline = definition("good" if classes else "price")
    return TableModel(task, FEATURES, names, Calibration(1.5, 1.0, 0.1), interval, pipeline, booster)


def golden_lines(model: TableModel, shift: float = 0) -> list[str]:
    """What training computed for ROWS, plus `shift`."""
    if model.task == "regression":
        return [json.dumps({"row": row, "value": model.value(row) + shift}) for row in ROWS]
    return [json.dumps({"row": row, "probabilities": [p + shift for p in model.probabilities(row)]}) for row in ROWS]


def write_wine(root: Path, name: str = WINE, model: TableModel | None = None, **changes) -> dict:
    """Writes a whole table model and returns its manifest."""
    model = model or wine_model()
    lines = changes.pop("lines", None) or golden_lines(model, changes.pop("golden", 0))
    label = model.pipeline["model"]["label"]
    return write_model(root, name, model=model, lines=lines, **{"label": label, **changes})
