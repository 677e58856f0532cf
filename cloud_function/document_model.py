"""The document model: text → features → scores.

Training (`train_ml_model.py`, on Spark) and serving (`main.py`, on Cloud Run functions) both import this file, so a
document has the same features in both, computed by the same lines. It needs numpy, mmh3 and safetensors and starts in
well under a second; scikit-learn is needed only by training.

A document becomes a bag of words and word pairs, each hashed to one of 2**hash_bits places (feature hashing,
Weinberger et al. 2009), weighted by (1 + ln count) · idf and scaled to length 1; a linear model gives one score for
each class; a softmax with a fitted temperature (Guo et al. 2017) makes probabilities of the scores. Only the document's
own places are touched, so the time to classify grows with the document and not with the model.
"""

import json
import re
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path

import mmh3
import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
WORD = re.compile(r"\b\w\w+\b")


class ModelFormatError(Exception):
    """A model's files are not of the form that this code reads; the message says what was expected and found."""


@dataclass(frozen=True)
class FeatureParameters:
    """What a text's features depend on, beside the text.

    hash_bits: the features lie in 0 … 2**hash_bits - 1.
    ngrams: 1 for words, 2 for words and pairs of neighbouring words.
    max_characters: what stands behind it is not read, so that one long text costs a bounded time.
    """

    hash_bits: int = 18
    ngrams: int = 2
    max_characters: int = 200_000

    @property
    def size(self) -> int:
        return 1 << self.hash_bits

    def checked(self) -> "FeatureParameters":
        """Itself. Raises ModelFormatError for values that no model is trained with."""
        if self.hash_bits not in range(1, 31) or self.ngrams not in (1, 2) or not self.max_characters > 0:
            raise ModelFormatError(f"expected 1 to 30 hash_bits, 1 or 2 ngrams and some characters, found {self}")
        return self


def hashed_counts(text: str, parameters: FeatureParameters) -> tuple[np.ndarray, np.ndarray]:
    """The document's places, ascending (int32, [k]), and how often each occurs in it (float32, [k])."""
    words = WORD.findall(unicodedata.normalize("NFC", text[: parameters.max_characters]).lower())
    grams = list(words)
    if parameters.ngrams == 2:
        grams += [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    last = parameters.size - 1
    counts: dict[int, int] = {}
    for gram in grams:
        place = mmh3.hash(gram, 0, False) & last
        counts[place] = counts.get(place, 0) + 1
    places = np.fromiter(counts.keys(), np.int32, len(counts))
    order = np.argsort(places)
    return places[order], np.fromiter(counts.values(), np.float32, len(counts))[order]


def weighted(places: np.ndarray, counts: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """The document's feature values, float32 [k], of length 1 (or all 0 where training knew none of its places)."""
    values = (1 + np.log(counts)) * idf[places]
    length = np.sqrt(values @ values)
    return (values / length if length > 0 else values).astype(np.float32)


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax over the last axis of scores / temperature, float64, same shape as the scores."""
    scaled = np.asarray(scores, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@dataclass
class DocumentModel:
    """A classifier, whole: preparation, weights and calibration.

    classes: C names, in the order of the weights' columns.
    idf: float32 [features]; 0 where a feature was too rare in training to count.
    weights: float32 [features, C], one row a feature, so that a document's rows lie together.
    intercept: float32 [C].
    temperature: greater than 0; scores are divided by it before the softmax.
    """

    classes: list[str]
    parameters: FeatureParameters
    idf: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    temperature: float = 1.0

    def scores(self, text: str) -> np.ndarray:
        """One score a class, float32 [C], before calibration."""
        places, counts = hashed_counts(text, self.parameters)
        return weighted(places, counts, self.idf) @ self.weights[places] + self.intercept

    def probabilities(self, text: str) -> np.ndarray:
        """One calibrated probability a class, float64 [C], summing to 1."""
        return probabilities(self.scores(text), self.temperature)

    def predict(self, text: str, top: int = 5) -> dict:
        """`{"label", "confidence", "scores": {class: probability of the `top` likeliest, descending}}`."""
        likely = self.probabilities(text)
        order = np.argsort(-likely, kind="stable")[:top]
        return {
            "label": self.classes[order[0]],
            "confidence": round(float(likely[order[0]]), 6),
            "scores": {self.classes[i]: round(float(likely[i]), 6) for i in order},
        }

    def save(self, folder: Path) -> None:
        """Writes `model.json` and `weights.safetensors` into an existing folder."""
        description = {
            "formatVersion": FORMAT_VERSION,
            "classes": self.classes,
            "features": asdict(self.parameters),
            "calibration": {"method": "temperature", "temperature": self.temperature},
        }
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, ensure_ascii=False, indent=1), "utf-8")
        tensors = {"idf": self.idf, "weights": self.weights, "intercept": self.intercept}
        (folder / WEIGHTS_FILE).write_bytes(
            save_tensors({name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()})
        )

    @classmethod
    def from_bytes(cls, description: bytes, weights: bytes) -> "DocumentModel":
        """The model in the contents of its two files. Raises ModelFormatError when they do not fit together."""
        try:
            document = json.loads(description)
            version = document["formatVersion"]
            if version != FORMAT_VERSION:
                raise ModelFormatError(f"expected model format {FORMAT_VERSION}, found {version!r}")
            parameters = FeatureParameters(**document["features"])
            size = parameters.checked().size
            tensors = load_tensors(weights)
            model = cls(
                classes=list(document["classes"]),
                parameters=parameters,
                idf=tensors["idf"],
                weights=tensors["weights"],
                intercept=tensors["intercept"],
                temperature=float(document["calibration"]["temperature"]),
            )
        except ModelFormatError:
            raise
        except Exception as error:  # damaged JSON, a missing key and a damaged tensor file all mean the same here
            raise ModelFormatError(f"{DESCRIPTION_FILE} or {WEIGHTS_FILE} cannot be read: {error!r}") from error
        if len(set(model.classes)) != len(model.classes) or not all(isinstance(one, str) for one in model.classes):
            raise ModelFormatError("expected classes to be different strings")
        expected = {
            "idf": (size,),
            "weights": (size, len(model.classes)),
            "intercept": (len(model.classes),),
        }
        for name, shape in expected.items():
            if tensors[name].shape != shape:
                raise ModelFormatError(f"expected {name} of shape {shape}, found {tensors[name].shape}")
        if not 0 < model.temperature < float("inf"):
            raise ModelFormatError(f"expected a temperature above 0, found {model.temperature}")
        return model
