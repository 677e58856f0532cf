"""The document model: text → features → scores.

Training (`train_ml_model.py`, on Spark) and serving (`main.py`, on Cloud Run functions) both import this file, so a
document has the same features in both, computed by the same lines. It needs numpy, mmh3 and safetensors and starts in
well under a second; scikit-learn is needed only by training.

A document becomes a bag of words and word pairs, each hashed to one of 2**hash_bits places (feature hashing,
Weinberger et al. 2009), weighted by (1 + ln count) · idf and scaled to length 1; a linear model gives one score for
each class; a calibration, fitted on held-out documents, makes probabilities of them. A model keeps the places that
training used, and only the document's own are touched: the time to classify grows with the document and not with the
model.
"""

import json
import re
import secrets
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

import mmh3
import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

FORMAT_VERSION = 2
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
CHANGED_FILE = "changed.json"  # lies beside the models; see `change_marker`
# Words of their own: characters of scripts without spaces between words (Thai, Lao, Burmese, Khmer, kana, Han) and
# emoji. Two in a row then are a pair, and say more.
ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
# Marks that belong to the letter before them, as the vowel signs of Hebrew, Arabic and Hindi: no letters for Python.
MARKS = "".join(chr(one) for one in range(0x300, 0xE00) if unicodedata.category(chr(one)) in ("Mn", "Mc"))
WORD = re.compile(f"[{ALONE}]|(?:[^\\W{ALONE}][{MARKS}]*){{2,}}|[^\\W{ALONE}][{MARKS}]+")
# The same in a text without any of those characters, as most are, in a third of the time.
LATIN_WORD, BEYOND_LATIN = re.compile(r"\w{2,}"), re.compile("[^\0-\u02ff]")


class ModelFormatError(Exception):
    """A model's files are not of the form that this code reads; the message says what was expected and found."""


def change_marker(what: str, model: str, run_id: str, done: bool) -> bytes:
    """The content of CHANGED_FILE, which whoever replaces a dated manifest writes before it and, `done`, after it.

    what: "trained", "promoted" or "withdrawn". No two are the same: serving that finds the one it knows has nothing
    else to read, and a marker that is not done tells an operator that somebody is at it.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    marker = {"changedAt": now, "model": model, "runId": run_id, "what": what, "done": done}
    return json.dumps(marker | {"token": secrets.token_hex(8)}).encode()


@dataclass(frozen=True)
class FeatureParameters:
    """What a text's features depend on, beside the text.

    hash_bits: the features lie in 0 … 2**hash_bits - 1.
    ngrams: 1 for words, 2 for words and pairs of neighbouring words.
    max_characters: what stands behind it is not read, so that one long text costs a bounded time.
    """

    hash_bits: int = 20
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


def words_of(text: str, parameters: FeatureParameters) -> list[str]:
    text = unicodedata.normalize("NFC", text[: parameters.max_characters]).lower()
    return (WORD if BEYOND_LATIN.search(text) else LATIN_WORD).findall(text)


def grams(text: str, parameters: FeatureParameters) -> list[str]:
    """The document's words and, with 2 ngrams, its pairs, in the order of `gram_places`."""
    words = words_of(text, parameters)
    pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    return words + pairs if parameters.ngrams == 2 else words


def gram_places(text: str, parameters: FeatureParameters) -> list[np.ndarray]:
    """The places of the document's words and, with 2 ngrams, of its pairs; int32, in their order, repeats included."""
    words = words_of(text, parameters)
    hashes = np.fromiter(map(mmh3.hash, words, repeat(0), repeat(False)), np.uint32, len(words))
    last = np.uint32(parameters.size - 1)
    places = [(hashes & last).astype(np.int32)]
    if parameters.ngrams == 2:
        # A pair's hash is made of its words' hashes, many at once: one by one it would take most of the time.
        pairs = hashes[:-1] * np.uint32(0x9E3779B1) + hashes[1:]
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # the end of MurmurHash3
            pairs = (pairs ^ (pairs >> np.uint32(shift))) * np.uint32(factor)
        places.append((pairs & last).astype(np.int32))
    return places


def hashed_counts(text: str, parameters: FeatureParameters) -> tuple[np.ndarray, np.ndarray]:
    """The document's places, ascending (int32, [k]), and how often each occurs in it (float32, [k])."""
    places, counts = np.unique(np.concatenate(gram_places(text, parameters)), return_counts=True)
    return places, counts.astype(np.float32)


def weighted(starts: np.ndarray, columns: np.ndarray, counts: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """The feature values of n documents, float32 [k], each document's of length 1.

    They are computed in float64 and rounded once, at the end: so they are the same on any processor.

    starts: where each document's columns and counts begin, and where the last one's end, [n + 1].
    columns: positions in `idf`, [k]; counts: how often, float32 [k]; idf: float32 [features].
    """
    values = (1 + np.log(counts.astype(np.float64))) * idf[columns]
    documents = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    lengths = np.sqrt(np.bincount(documents, values**2, len(starts) - 1))
    return (values / np.where(lengths > 0, lengths, 1)[documents]).astype(np.float32)


@dataclass(frozen=True)
class Calibration:
    """Scores → probabilities: softmax of scale · tanh(slope · (score - center)).

    Temperature scaling (Guo et al. 2017), for which the slope is near 0, with scores far from the others' squashed: a
    linear classifier's margins go on growing where its certainty does not.
    """

    scale: float = 1.0
    slope: float = 1.0
    center: float = 0.0

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Over the last axis; float64, same shape as the scores."""
        squashed = self.scale * np.tanh(self.slope * (np.asarray(scores, np.float64) - self.center))
        powers = np.exp(squashed - squashed.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def checked(self) -> "Calibration":
        """Itself. Raises ModelFormatError for values that no model is calibrated with."""
        fine = all(isinstance(one, int | float) and np.isfinite(one) for one in (self.scale, self.slope, self.center))
        if not fine or self.scale <= 0 or self.slope <= 0:
            raise ModelFormatError(f"expected a calibration of finite numbers, scale and slope above 0, found {self}")
        return self


@dataclass
class DocumentModel:
    """A classifier, whole: preparation, weights and calibration.

    classes: C names, in the order of the weights' columns.
    places: int32 [features], ascending: the places that training used. A document's other places do not count.
    idf: float32 [features].
    weights: float32 [features, C], one row a feature, so that a document's rows lie together.
    intercept: float32 [C].
    calibration: what makes probabilities of the scores.
    """

    classes: list[str]
    parameters: FeatureParameters
    places: np.ndarray
    idf: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    calibration: Calibration = Calibration()

    def known(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of some places the model keeps (bool [k]), and before it the positions of those (int64)."""
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
        """One score a class, float64 [C], before calibration."""
        columns, values = self.features(text)
        return values.astype(np.float64) @ self.weights[columns].astype(np.float64) + self.intercept

    def probabilities(self, text: str) -> np.ndarray:
        """One calibrated probability a class, float64 [C], summing to 1."""
        return self.calibration.probabilities(self.scores(text))

    def predict(self, text: str, top: int = 5) -> dict:
        """`{"label", "confidence", "scores": {class: probability of the `top` likeliest, descending}}`."""
        likely = self.probabilities(text)
        order = np.argsort(-likely, kind="stable")[:top]
        return {
            "label": self.classes[order[0]],
            "confidence": round(float(likely[order[0]]), 6),
            "scores": {self.classes[i]: round(float(likely[i]), 6) for i in order},
        }

    def explain(self, text: str, label: str, top: int = 10) -> list[dict]:
        """The document's words and pairs that speak for a label, those that say most first: [{"term", "weight"}, …].

        A weight is the term's part of the label's score, above 0; at most `top` terms. Terms that share a place share
        its weight, and the first of them stands for all. Raises ValueError for a label that is none of the classes.
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
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, ensure_ascii=False, indent=1), "utf-8")
        tensors = {"idf": self.idf, "weights": self.weights, "intercept": self.intercept}
        tensors = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
        tensors["places"] = np.ascontiguousarray(self.places, np.int32)
        (folder / WEIGHTS_FILE).write_bytes(save_tensors(tensors))

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
            features = len(tensors["places"])
            model = cls(
                classes=list(document["classes"]),
                parameters=parameters,
                places=tensors["places"],
                idf=tensors["idf"],
                weights=tensors["weights"],
                intercept=tensors["intercept"],
                calibration=Calibration(**document["calibration"]).checked(),
            )
        except ModelFormatError:
            raise
        except Exception as error:  # damaged JSON, a missing key and a damaged tensor file all mean the same here
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
