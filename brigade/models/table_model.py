"""The table model: a row of named values → margins of boosted trees → probabilities, or a number with its interval.

The trees are XGBoost's, kept in its own UBJSON; what they need to read a row lies beside them in `model.json`. Training
(on Spark) and serving (on Cloud Run functions) both import this file. It needs numpy, and XGBoost only where a table
model is made or used, so that whoever serves documents starts as fast as before.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brigade.models.document_model import MISREAD, Calibration
from brigade.models.manifest import DESCRIPTION_FILE, FORMAT_VERSION, TREES_FILE, ModelFormatError

if TYPE_CHECKING:
    from xgboost import Booster

TASKS, TYPES = ("classification", "regression"), ("number", "category")
# As it is, a margin becomes the probability that XGBoost means by it: a slope this small bends hardly anything.
UNCALIBRATED = Calibration(scale=100.0, slope=0.01)


@dataclass(frozen=True)
class Feature:
    """A column that the model reads. categories: those that it knows, in the order of their numbers."""

    name: str
    type: str
    categories: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each category."""
        return {name: number for number, name in enumerate(self.categories)}

    def value(self, given: object) -> float:
        """The number that stands for a value; NaN if it is missing, not known, or of another type."""
        if self.type == "category":
            return float(self.numbers.get(given, math.nan)) if isinstance(given, str) else math.nan
        if not isinstance(given, int | float | np.number | np.bool_):
            return math.nan
        try:
            found = float(given)
        except OverflowError:  # a whole number beyond all floats
            return math.nan
        return found if abs(found) <= LARGEST else math.nan

    def about(self) -> dict:
        """The feature in model.json."""
        found: dict[str, Any] = {"name": self.name, "type": self.type}
        return found | {"categories": list(self.categories)} if self.type == "category" else found


LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Interval:
    """Around a prediction, such that `coverage` of held-out rows lie in it: [value - below, value + above]."""

    below: float
    above: float
    coverage: float = 0.9

    def checked(self) -> "Interval":
        """Validates the interval and returns self. Raises ModelFormatError if a value is out of range."""
        numbers = (self.below, self.above, self.coverage)
        fine = all(isinstance(one, int | float) and np.isfinite(one) and one >= 0 for one in numbers)
        if not fine or self.coverage > 1:
            raise ModelFormatError(f"expected an interval of finite numbers from 0 on, found {self}")
        return self


@dataclass
class TableModel:
    """A complete model of a table.

    task: classification or regression. features: in the order of the matrix's columns. classes: C names, in the order
    of the margins; none for regression. calibration: turns margins into probabilities. interval: of a regression.
    pipeline: the definition that the model was made with, as JSON. booster: the trees.
    """

    task: str
    features: list[Feature]
    classes: list[str]
    calibration: Calibration
    interval: Interval | None
    pipeline: dict
    booster: "Booster" = field(repr=False)

    kind = "table"

    def __post_init__(self) -> None:
        # One row is served, or one partition evaluated, at a time: more threads would only wait for one another.
        self.booster.set_param({"nthread": 1})

    def __getstate__(self) -> dict:
        """As Spark sends it to its workers."""
        return {**self.__dict__, "booster": bytes(self.booster.save_raw("ubj"))}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= {**state, "booster": read_booster(state["booster"])}
        self.__post_init__()

    def matrix(self, rows: Sequence[Mapping]) -> np.ndarray:
        """The rows as float32 [n, features]; NaN is missing: absent, null, not finite, or a category not known."""
        found = np.full((len(rows), len(self.features)), np.nan, np.float32)
        for at, row in enumerate(rows):
            found[at] = [one.value(row.get(one.name)) for one in self.features]
        return found

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """One score for each class, float64 [n, C]; the predicted values, float64 [n], of a regression.

        With two classes the second one's log-odds are shared between both scores.
        """
        kind = "value" if self.task == "regression" else "margin"
        found = self.booster.inplace_predict(matrix, predict_type=kind, missing=np.nan, validate_features=False)
        found = np.asarray(found, np.float64).reshape(len(matrix), len(self.classes) if len(self.classes) > 2 else 1)
        if self.task == "regression":
            return found[:, 0]
        return np.hstack([-found, found]) / 2 if len(self.classes) == 2 else found

    def probabilities(self, row: Mapping) -> np.ndarray:
        """One calibrated probability for each class, float64 [C], summing to 1."""
        return self.calibration.probabilities(self.margins(self.matrix([row]))[0])

    def value(self, row: Mapping) -> float:
        """The predicted value of a regression."""
        return float(self.margins(self.matrix([row]))[0])

    def predict(self, row: Mapping, top: int = 5) -> dict:
        """`{"label", "confidence", "scores": {class: probability}}`, or `{"value", "low", "high"}` of a regression.

        scores has the `top` likeliest classes, descending. low and high are left out if the model has no interval.
        """
        return self.predict_many([row], top)[0]

    def predict_many(self, rows: Sequence[Mapping], top: int = 5) -> list[dict]:
        """The same for each of several rows, by one call of the trees."""
        margins = self.margins(self.matrix(rows))
        if self.task == "regression":
            return [self.answer(float(value)) for value in margins]
        return [self.classified(likely, top) for likely in self.calibration.probabilities(margins)]

    def classified(self, likely: np.ndarray, top: int) -> dict:
        """The answer for the probabilities [C] of a row."""
        order = np.argsort(-likely, kind="stable")[:top]
        return {
            "label": self.classes[order[0]],
            "confidence": round(float(likely[order[0]]), 6),
            "scores": {self.classes[i]: round(float(likely[i]), 6) for i in order},
        }

    def answer(self, value: float) -> dict:
        """The answer for a predicted value, rounded to the eight digits that float32 trees can mean."""
        found = {"value": value}
        if self.interval:
            found |= {"low": value - self.interval.below, "high": value + self.interval.above}
        return {name: float(f"{one:.8g}") for name, one in found.items()}

    def explain(self, row: Mapping, prediction: dict, top: int = 10) -> list[dict]:
        """What speaks for a prediction and against it, strongest first: [{"feature", "value", "weight"}, …].

        A weight is a feature's part of the label's score, or of the value: its SHAP value (Lundberg et al. 2020).
        There are at most `top` features; those of weight 0 are left out.
        """
        from xgboost import DMatrix

        data = DMatrix(self.matrix([row]), missing=np.nan, nthread=1)
        found = self.booster.predict(data, pred_contribs=True, validate_features=False, strict_shape=True)[0]
        parts = np.asarray(found, np.float64)[:, :-1]  # [scores, features]; the last column is the same for all rows
        if self.task == "regression":
            own = parts[0]
        else:
            label = self.classes.index(prediction["label"])
            own = parts[0] * (label - 0.5) if len(self.classes) == 2 else parts[label]
        strongest = [at for at in np.argsort(-np.abs(own), kind="stable")[:top] if own[at] != 0]
        return [
            {
                "feature": self.features[at].name,
                "value": row.get(self.features[at].name),
                "weight": float(f"{own[at]:.6g}"),
            }
            for at in strongest
        ]

    def save(self, folder: Path) -> None:
        """Writes `model.json` and `weights.ubj` into an existing folder."""
        description = {
            "formatVersion": FORMAT_VERSION,
            "kind": self.kind,
            "task": self.task,
            "features": [one.about() for one in self.features],
            "classes": self.classes if self.task == "classification" else None,
            "calibration": asdict(self.calibration) if self.task == "classification" else None,
            "interval": asdict(self.interval) if self.interval else None,
            "pipeline": self.pipeline,
        }
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, ensure_ascii=False, indent=1), "utf-8")
        (folder / TREES_FILE).write_bytes(self.booster.save_raw("ubj"))

    @classmethod
    def from_bytes(cls, description: bytes, weights: bytes) -> "TableModel":
        """The model in the contents of its two files. Raises ModelFormatError if they do not fit together."""
        try:
            document = json.loads(description)
            about = described(document)
            booster = read_booster(weights)
        except ModelFormatError:
            raise
        except MISREAD as error:  # damaged JSON, a missing key and damaged trees all mean the same here
            raise ModelFormatError(f"{DESCRIPTION_FILE} or {TREES_FILE} cannot be read: {error!r}") from error
        found = cls(**about, booster=booster)
        check_trees(found)
        return found


def described(document: dict) -> dict:
    """The parts of a table model that stand in its model.json. Raises ModelFormatError, or an error of MISREAD."""
    for key, known in {"formatVersion": (FORMAT_VERSION,), "kind": ("table",), "task": TASKS}.items():
        if document[key] not in known:
            raise ModelFormatError(f"expected {key} {' or '.join(map(str, known))}, found {document[key]!r}")
    features = [
        Feature(one["name"], one["type"], tuple(one["categories"]) if one["type"] == "category" else ())
        for one in document["features"]
    ]
    classes = list(document["classes"]) if document["task"] == "classification" else []
    names = [one.name for one in features]
    lists = [("features", names), ("classes", classes), *((one.name, list(one.categories)) for one in features)]
    for what, found in lists:
        if not all(isinstance(one, str) for one in found) or len(set(found)) != len(found):
            raise ModelFormatError(f"expected different strings, found others for {what}")
    if not features or any(one.type not in TYPES for one in features):
        raise ModelFormatError(f"expected features of the types {' and '.join(TYPES)}")
    if document["task"] == "classification" and len(classes) < 2:
        raise ModelFormatError(f"expected at least two classes, found {classes}")
    calibration, interval, pipeline = document["calibration"], document["interval"], document["pipeline"]
    if not isinstance(pipeline, dict):
        raise ModelFormatError(f"expected the pipeline's definition, found {type(pipeline).__name__}")
    return {
        "task": document["task"],
        "features": features,
        "classes": classes,
        "calibration": Calibration(**calibration).checked() if classes else UNCALIBRATED,
        "interval": Interval(**interval).checked() if interval is not None else None,
        "pipeline": pipeline,
    }


def check_trees(model: TableModel) -> None:
    """Raises ModelFormatError unless the trees read the model's features and give a score for each of its classes."""
    features = model.booster.num_features()
    if features != len(model.features):
        raise ModelFormatError(f"expected trees of {len(model.features)} features, found {features}")
    missing = np.full((1, features), np.nan, np.float32)
    found = np.asarray(model.booster.inplace_predict(missing, predict_type="margin", missing=np.nan)).size
    expected = len(model.classes) if len(model.classes) > 2 else 1
    if found != expected:
        raise ModelFormatError(f"expected trees of {expected} scores a row, found {found}")


left_out: list[str] = []  # packages that XGBoost shall not take along; a process that only predicts names them


@contextmanager
def hidden(packages: Iterable[str]) -> Iterator[None]:
    """Imports find no such packages meanwhile, unless they are there already."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None stands for one that is not installed
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def read_booster(content: bytes) -> "Booster":
    """The trees in UBJSON. Raises ModelFormatError for anything else."""
    with hidden(left_out):
        from xgboost import Booster
        from xgboost.core import XGBoostError

    if not content.startswith(b"{"):  # XGBoost ends the process if there is nothing to read
        raise ModelFormatError(f"{TREES_FILE} cannot be read: expected UBJSON, found {bytes(content[:10])!r}")
    try:
        return Booster(model_file=bytearray(content))
    except XGBoostError as error:
        raise ModelFormatError(f"{TREES_FILE} cannot be read: {str(error).strip().splitlines()[0]}") from error
