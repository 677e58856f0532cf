"""The document model: text → scores → probabilities.

A linear model gives one score for each class; a calibration, fitted on held-out documents, turns scores into
probabilities. A model keeps only the places that training used, and a prediction reads only the document's own, so its
time grows with the document and not with the model. Training (on Spark) and serving (on Cloud Run functions) both
import this file. It needs numpy, mmh3 and safetensors, and starts in well under a second.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from brigade.models.manifest import DESCRIPTION_FILE, FORMAT_VERSION, WEIGHTS_FILE, ModelFormatError
from brigade.models.text_features import FeatureParameters, gram_places, grams, hashed_counts, weighted

# What reading code raises for content that it does not expect. A lack of memory, say, is no damage, and is not here.
MISREAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, SafetensorError)


@dataclass(frozen=True)
class Calibration:
    """Scores → probabilities: softmax of scale · tanh(slope · (score - center)).

    With a slope near 0 this is temperature scaling (Guo et al. 2017). The tanh squashes scores far from the others: a
    linear classifier's margins keep growing where its certainty does not.
    """

    scale: float = 1.0
    slope: float = 1.0
    center: float = 0.0

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities over the last axis; float64, same shape as the scores."""
        squashed = self.scale * np.tanh(self.slope * (np.asarray(scores, np.float64) - self.center))
        powers = np.exp(squashed - squashed.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def checked(self) -> "Calibration":
        """Validates the calibration and returns self. Raises ModelFormatError if a value is out of range."""
        fine = all(isinstance(one, int | float) and np.isfinite(one) for one in (self.scale, self.slope, self.center))
        if not fine or self.scale <= 0 or self.slope <= 0:
            raise ModelFormatError(f"expected a calibration of finite numbers, scale and slope above 0, found {self}")
        return self


@dataclass
class DocumentModel:
    """A complete classifier: feature parameters, weights and calibration.

    classes: C names, in the order of the weights' columns.
    places: int32 [features], ascending: the places that training used. A document's other places do not count.
    idf: float32 [features].
    weights: float32 [features, C], one row a feature, so that a document's rows lie together.
    intercept: float32 [C].
    calibration: turns scores into probabilities.
    pipeline: the definition that the model was made with, as JSON; None for the project's own documents.
    """

    classes: list[str]
    parameters: FeatureParameters
    places: np.ndarray
    idf: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    calibration: Calibration = Calibration()
    pipeline: dict | None = None

    kind = "text"

    def known(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positions of those places that the model keeps (int64), and which ones they are (bool [k])."""
        if not len(self.places):
            return np.zeros(0, np.int64), np.zeros(len(places), bool)
        columns = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        known = self.places[columns] == places
        return columns[known], known

    def features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The document's features: positions in `places` (int64, [k]) and values (float32, [k])."""
        places, counts = hashed_counts(text, self.parameters)
        columns, known = self.known(places)
        return columns, weighted(np.array([0, len(columns)]), columns, counts[known], self.idf)

    def scores(self, text: str) -> np.ndarray:
        """One score for each class, float64 [C], before calibration."""
        columns, values = self.features(text)
        return values.astype(np.float64) @ self.weights[columns].astype(np.float64) + self.intercept

    def block_scores(self, texts: Sequence[str]) -> np.ndarray:
        """`scores` of each of several texts, at least one, float64 [n, C]: the same numbers by fewer calls of numpy."""
        places, counts = zip(*(hashed_counts(text, self.parameters) for text in texts), strict=True)
        columns, known = self.known(np.concatenate(places))
        starts = np.concatenate([[0], np.cumsum(known)])[np.cumsum([0, *map(len, places)])]
        values = weighted(starts, columns, np.concatenate(counts)[known], self.idf).astype(np.float64)
        scores = [
            values[begin:end] @ self.weights[columns[begin:end]].astype(np.float64) for begin, end in pairwise(starts)
        ]
        return np.array(scores) + self.intercept

    def probabilities(self, text: str) -> np.ndarray:
        """One calibrated probability for each class, float64 [C], summing to 1."""
        return self.calibration.probabilities(self.scores(text))

    def predict(self, text: str, top: int = 5) -> dict:
        """`{"label", "confidence", "scores": {class: probability}}`; scores has the `top` likeliest, descending."""
        likely = self.probabilities(text)
        order = np.argsort(-likely, kind="stable")[:top]
        return {
            "label": self.classes[order[0]],
            "confidence": round(float(likely[order[0]]), 6),
            "scores": {self.classes[i]: round(float(likely[i]), 6) for i in order},
        }

    def explain(self, text: str, label: str, top: int = 10) -> list[dict]:
        """The document's words and pairs that speak for a label, strongest first: [{"term", "weight"}, …].

        A weight is the term's part of the label's score, above 0; there are at most `top` terms. Terms that share a
        place share its weight, and the first of them is named. Raises ValueError if the label is not a class.
        """
        columns, values = self.features(text)
        parts = values.astype(np.float64) * self.weights[columns, self.classes.index(label)]
        terms = grams(text, self.parameters)
        places = np.concatenate(gram_places(text, self.parameters))
        strongest = [part for part in np.argsort(-parts, kind="stable")[:top] if parts[part] > 0]
        return [
            {"term": terms[np.argmax(places == self.places[columns[part]])], "weight": round(float(parts[part]), 6)}
            for part in strongest
        ]

    def save(self, folder: Path) -> None:
        """Writes `model.json` and `weights.safetensors` into an existing folder."""
        description = {
            "formatVersion": FORMAT_VERSION,
            "classes": self.classes,
            "features": asdict(self.parameters),
            "calibration": asdict(self.calibration),
        }
        if self.pipeline is not None:
            description |= {"kind": self.kind, "pipeline": self.pipeline}
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, ensure_ascii=False, indent=1), "utf-8")
        tensors = {"idf": self.idf, "weights": self.weights, "intercept": self.intercept}
        tensors = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
        tensors["places"] = np.ascontiguousarray(self.places, np.int32)
        (folder / WEIGHTS_FILE).write_bytes(save_tensors(tensors))

    @classmethod
    def from_bytes(cls, description: bytes, weights: bytes) -> "DocumentModel":
        """The model in the contents of its two files. Raises ModelFormatError if they do not fit together."""
        try:
            document = json.loads(description)
            version = document["formatVersion"]
            if version != FORMAT_VERSION:
                raise ModelFormatError(f"expected model format {FORMAT_VERSION}, found {version!r}")
            parameters = FeatureParameters(**document["features"])
            size = parameters.checked().size
            tensors = load_tensors(weights)
            features = len(tensors["places"])
            model = cls(
                classes=list(document["classes"]),
                parameters=parameters,
                places=tensors["places"],
                idf=tensors["idf"],
                weights=tensors["weights"],
                intercept=tensors["intercept"],
                calibration=Calibration(**document["calibration"]).checked(),
                pipeline=document.get("pipeline"),
            )
        except ModelFormatError:
            raise
        except MISREAD as error:  # damaged JSON, a missing key and a damaged tensor file all mean the same here
            raise ModelFormatError(f"{DESCRIPTION_FILE} or {WEIGHTS_FILE} cannot be read: {error!r}") from error
        if len(set(model.classes)) != len(model.classes) or not all(isinstance(one, str) for one in model.classes):
            raise ModelFormatError("expected classes to be different strings")
        expected = {
            "places": (features,),
            "idf": (features,),
            "weights": (features, len(model.classes)),
            "intercept": (len(model.classes),),
        }
        for name, shape in expected.items():
            if tensors[name].shape != shape:
                raise ModelFormatError(f"expected {name} of shape {shape}, found {tensors[name].shape}")
        places = model.places
        if features and not (places[0] >= 0 and places[-1] < size and (np.diff(places) > 0).all()):
            raise ModelFormatError(f"expected ascending places below {size}")
        return model
