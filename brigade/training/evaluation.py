"""How good a model is: what it predicts for documents whose labels are known, and the figures that follow from it.

An Evaluation is computed partition by partition, where the documents lie, and added up. All figures of the metrics and
of the report come from it; a new metric goes into `metrics`.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from pyspark import RDD

from brigade.models.document_model import DocumentModel
from brigade.profiles.predictions import of_classes, of_words
from brigade.profiles.profile import Profile
from brigade.profiles.tally import Tally, assembled
from brigade.profiles.texts import word_hashes
from brigade.training.features import Matrix, scores_of

BINS = 10  # of confidence
ROWS_AT_ONCE = 500
WORST_MISTAKES = 20
SURELY = 1.96  # standard errors on both sides: 95 times in a hundred
HEADLINES = ("accuracy", "macroF1", "logLoss", "expectedCalibrationError", "documents")


@dataclass
class Evaluation:
    """What a model predicts for documents whose labels are known; the evaluations of partitions can be added.

    pairs: how often each (label, predicted) occurs. log_loss: the sum of -ln p(label). bins: for each of BINS equal
    ranges of confidence, [documents, right ones, sum of confidences]. worst: the surest mistakes, (confidence, label,
    predicted, text). profile: what the model makes of them, if that was asked for.
    """

    pairs: Counter = field(default_factory=Counter)
    log_loss: float = 0.0
    bins: np.ndarray = field(default_factory=lambda: np.zeros((BINS, 3)))
    worst: list[tuple] = field(default_factory=list)
    profile: Profile = Profile()

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(
            self.pairs + other.pairs,
            self.log_loss + other.log_loss,
            self.bins + other.bins,
            heapq.nlargest(WORST_MISTAKES, self.worst + other.worst),
            self.profile + other.profile,
        )

    def add(self, label: str, predicted: str, confidence: float, likely: float, text: str) -> None:
        """Counts one document. likely: the probability of its label, 0 if the model does not know that label."""
        self.pairs[label, predicted] += 1
        self.bins[min(int(confidence * BINS), BINS - 1)] += (1, label == predicted, confidence)
        self.log_loss -= float(np.log(max(likely, 1e-12)))
        if label != predicted:
            self.worst.append((round(confidence, 4), label, predicted, text[:600]))
            if len(self.worst) > 10 * WORST_MISTAKES:
                self.worst = heapq.nlargest(WORST_MISTAKES, self.worst)

    @property
    def documents(self) -> int:
        return sum(self.pairs.values())

    @property
    def accuracy(self) -> float:
        return sum(count for (label, predicted), count in self.pairs.items() if label == predicted) / self.documents


def evaluate(documents: RDD, model: DocumentModel, text: str | None = None) -> Evaluation:
    """Evaluates a model on documents (rows of `payload`, `label`) with the code that serving uses.

    text: the name of the texts' field, for a profile, which has no days.
    """
    if not documents.getNumPartitions():  # Spark has found out that there are none
        return Evaluation()
    shared = documents.context.broadcast(model)
    found = documents.mapPartitions(lambda rows: evaluate_rows(rows, shared.value, text)).treeReduce(lambda a, b: a + b)
    shared.destroy()
    return found


def evaluate_rows(rows: Iterable, model: DocumentModel, text: str | None = None) -> Iterator[Evaluation]:
    """Evaluates a model on the rows of one partition."""
    index = {name: number for number, name in enumerate(model.classes)}
    found, tally, left = Evaluation(), Tally(), iter(rows)
    while block := list(islice(left, ROWS_AT_ONCE)):
        likely = model.calibration.probabilities(model.block_scores([row.payload for row in block]))
        best = likely.argmax(axis=1)
        for row, guess, chances in zip(block, best.tolist(), likely, strict=True):
            own = chances[index[row.label]] if row.label in index else 0.0
            found.add(row.label, model.classes[guess], float(chances[guess]), float(own), row.payload)
        if text is not None:
            tally_texts(tally, model, text, block, likely)
    yield replace(found, profile=assembled(tally.rows()))


def tally_texts(tally: Tally, model: DocumentModel, name: str, block: list, likely: np.ndarray) -> None:
    """Counts what a model makes of documents that have a text. likely: the probabilities of all, [n, C]."""
    there = np.flatnonzero([bool(row.payload.strip()) for row in block])
    own, events = [block[at] for at in there], np.arange(len(there))
    hashes = [word_hashes(row.payload, model.parameters) for row in own]
    labels = [row.label for row in own]
    tally.add_undated(of_words(model, name, events, hashes))
    for found in of_classes(model.classes, events, likely[there], labels):
        tally.add_undated(found)


def evaluate_matrices(matrices: Iterable[Matrix], model: DocumentModel) -> Iterator[Evaluation]:
    """Evaluates a model on the matrices of one partition, see `evaluate_scores`."""
    found = Evaluation()
    for matrix in matrices:
        found += evaluate_scores(scores_of(matrix, model), matrix.classes, model.classes)
    yield found


def evaluate_scores(scores: np.ndarray, classes: np.ndarray, names: list[str]) -> Evaluation:
    """The evaluation of scores [n, C] of documents of these classes [n]: the pairs alone, all that selection needs.

    names: of the C classes.
    """
    guesses = scores.argmax(axis=1).tolist()
    pairs = zip(classes.tolist(), guesses, strict=True)
    return Evaluation(Counter((names[label], names[guess]) for label, guess in pairs))


def majority(evaluation: Evaluation, trained: dict[str, int]) -> Evaluation:
    """The same documents evaluated with the simplest model: always the class that was commonest in training.

    Each class is as likely as it was there. trained: documents by class.
    """
    guess, total = max(trained, key=lambda name: (trained[name], name)), sum(trained.values())
    found = Evaluation()
    for (label, _), count in evaluation.pairs.items():
        found.pairs[label, guess] += count
        found.log_loss -= count * float(np.log(max(trained.get(label, 0) / total, 1e-12)))
        confidence = trained[guess] / total
        found.bins[min(int(confidence * BINS), BINS - 1)] += (count, count * (label == guess), count * confidence)
    return found


def per_class(evaluation: Evaluation, classes: Iterable[str] = ()) -> dict[str, dict]:
    """Precision, recall, F1 and documents of each class that is the label or the prediction of a document.

    classes: others that are to be listed too, with 0 documents.
    """
    support: Counter = Counter()
    predicted: Counter = Counter()
    for (label, guess), count in evaluation.pairs.items():
        support[label] += count
        predicted[guess] += count
    found = {}
    for name in sorted({*support, *predicted, *classes}):
        right = evaluation.pairs[name, name]
        found[name] = {
            "precision": right / predicted[name] if predicted[name] else 0.0,
            "recall": right / support[name] if support[name] else 0.0,
            "f1": 2 * right / max(support[name] + predicted[name], 1),
            "documents": support[name],
        }
    return found


def macro_f1(evaluation: Evaluation) -> float:
    """The mean F1 over the classes that documents have."""
    found = [one["f1"] for one in per_class(evaluation).values() if one["documents"]]
    return sum(found) / len(found)


def metrics(evaluation: Evaluation, known: Iterable[str] = ()) -> dict:
    """All figures of an evaluation: overall, by class, the confusions (most frequent first), and the calibration.

    known: the model's classes, which are listed even if no document has them.
    """
    bins = [
        {"documents": int(count), "accuracy": round(right / count, 4), "confidence": round(total / count, 4)}
        for count, right, total in evaluation.bins
        if count
    ]
    gaps = [abs(right - total) for _, right, total in evaluation.bins]
    classes = {
        name: {key: round(value, 4) for key, value in one.items()} for name, one in per_class(evaluation, known).items()
    }
    pairs = sorted(evaluation.pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "accuracy": round(evaluation.accuracy, 4),
        "accuracyInterval": accuracy_interval(evaluation.accuracy, evaluation.documents),
        "macroF1": round(macro_f1(evaluation), 4),
        "macroF1Interval": macro_f1_interval(macro_f1(evaluation), classes),
        "logLoss": round(evaluation.log_loss / evaluation.documents, 4),
        "expectedCalibrationError": round(sum(gaps) / evaluation.documents, 4),
        "documents": evaluation.documents,
        "classes": classes,
        "confusions": [[*pair, count] for pair, count in pairs if pair[0] != pair[1]][:1000],
        "calibration": bins,
    }


def variance(classes: Mapping[str, dict]) -> float:
    """About the variance of a macro-F1: each class's F1 taken for a share of its documents.

    The shares are drawn towards one half by two documents (Agresti and Coull 1998), so that a class with few documents
    never counts as certain. classes: see `per_class`. Raises ValueError if none has documents.
    """
    parts = [(float(one["f1"]), int(one["documents"])) for one in classes.values() if one["documents"]]
    if not parts:
        raise ValueError("expected classes with documents, found none")
    shares = np.array([(f1 * count + 1) / (count + 2) for f1, count in parts])
    counts = np.array([count + 2 for _, count in parts])
    return float((shares * (1 - shares) / counts).sum() / len(parts) ** 2)


def accuracy_interval(accuracy: float, documents: int) -> list[float]:
    """Between which accuracies the true one lies 95 times in a hundred (Wilson 1927), of so many test documents."""
    square = SURELY**2 / documents
    middle = (accuracy + square / 2) / (1 + square)
    half = SURELY / (1 + square) * float(np.sqrt(accuracy * (1 - accuracy) / documents + square / documents / 4))
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def macro_f1_interval(value: float, classes: Mapping[str, dict]) -> list[float]:
    """About the same for a macro-F1, see `variance`."""
    half = SURELY * variance(classes) ** 0.5
    return [round(max(0.0, value - half), 4), round(min(1.0, value + half), 4)]


def over_classes(classes: dict[str, dict]) -> str:
    """What a macro-F1 is the mean over, in words. classes: see `per_class`."""
    tested = sum(1 for one in classes.values() if one["documents"])
    return f"the {tested} of {len(classes)} classes that have test documents"


def headlines(evaluation: Evaluation) -> dict:
    """The overall figures alone."""
    return {key: value for key, value in metrics(evaluation).items() if key in HEADLINES}
