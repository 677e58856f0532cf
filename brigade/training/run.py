"""TRAIN: parquet → candidates → evaluation → gate → a dated model. PySpark and scikit-learn.

What enters: landed JSON (converted first, by `spark_sql.json_into_parquet`) or the parquet that was made of it. What
leaves: `<OUTPUT>/doc-classification-model-YYYY-MM-DD/`, a manifest and the run's files below `runs/<run id>/`:
weights, description, metrics, the data's version, golden documents and a report. The manifest says whether the model
is promoted: it is when it is about as good as the model that serves now, or better, on the same held-out documents.

The classifier is linear and trained by iterative parameter mixing (McDonald, Hall, Mann 2010): in each round every
partition runs some epochs of scikit-learn's SGDClassifier from the shared weights, and the weights are averaged. A
round moves one weight matrix, whatever the number of documents.

    documents ─► parts ─► blocks of counted features, cached ─► candidates ─► the best one, on all but the test part
                                                                          ─► test ─► gate ─► model, report

On this machine:
    spark-submit --py-files spark_sql.py,cloud_function/document_model.py train_ml_model.py landing/input models
On GCP:
    gcloud dataproc jobs submit pyspark train_ml_model.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=spark_sql.py,cloud_function/document_model.py -- gs://ml_input/input/ gs://ml_output/output/
"""

import argparse
import hashlib
import heapq
import html
import importlib.util
import itertools
import json
import logging
import os
import re
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from brigade.conversion import run as spark_sql
from brigade.conversion.table import read_parquet
from brigade.models import document_model
from brigade.models.document_model import Calibration, DocumentModel, FeatureParameters, gram_places, weighted
from brigade.spark import ROWS_A_TASK, open_session

log = logging.getLogger("train_ml_model")

MODEL_PREFIX = "doc-classification-model-"
BLOCK_ROWS = 2000  # documents that a worker holds as one matrix
# Features are read block by block, once a round. From memory Spark takes a partition whole, however large it is; what
# is read again soon is in memory all the same, in the operating system's cache of the disk.
CACHE = StorageLevel.DISK_ONLY
KEPT_BLOCKS = 16  # that it keeps for further epochs
DOCUMENTS_A_PARTITION = 2500  # at least: the average of weights that saw less is worse than one that saw all
MIN_DOCUMENTS = 20
MAX_WEIGHTS = 1 << 25  # of one model: 128 MiB as float32
MAX_CLASSES = 5000
TRIAL_ROUNDS, ROUNDS, LAST_ROUNDS = 1, 2, 1  # of a candidate, of the best one, and of that with all documents
EPOCHS = 4  # of each round, in each partition: sending the weights around costs more than an epoch
FEW_DOCUMENTS, MAX_ROUNDS = 5000, 40  # fewer are gone through more often
MANY_DOCUMENTS = 10_000  # whose random parts have their fractions by themselves, within a few per cent
FIXED_POINT = 2.0**24  # weights are added up as whole numbers, so that the order of adding changes nothing
CLEARLY = 0.5  # standard errors of the accuracy by which a later candidate has to be better
CAUTION = 0.1  # standard errors of the log loss by which a more cautious calibration may be worse
CALIBRATED_SCORES = 1_000_000  # at most, and a document of each partition
BINS = 10  # of confidence
GOLDEN_DOCUMENTS = 20
WORST_MISTAKES = 20
HEADLINES = ("accuracy", "macroF1", "logLoss", "expectedCalibrationError", "documents")
WORDS_A_CLASS = 12
SAMPLED_FOR_WORDS = 2000  # documents, about, in which the words behind the weights are looked up
TOLERANCE = 0.01  # by which a new model's macro-F1 may be below the serving one's


class TrainingError(Exception):
    """No model can be trained of this input; the message says what was expected, what was found, and what to do."""


# ---------------------------------------------------------------------------------------------------- documents


def labelled_documents(events: DataFrame, label_column: str, seed: int = 0) -> DataFrame:
    """Events → `payload`, `label` (null where there is none), `eventId`, `time`, and `place`: equal texts share it."""
    if label_column not in events.columns:
        raise TrainingError(f"expected a label column, found no {label_column} among {', '.join(events.columns)}")
    if "payload" not in events.columns:
        raise TrainingError(f"expected the texts in a column payload, found {', '.join(events.columns)}")
    label = F.trim(F.col(label_column).cast("string"))
    times = [F.col(name) for name in ("publishTime", "eventTimestamp") if name in events.columns]
    return events.select(
        F.coalesce("payload", F.lit("")).alias("payload"),
        F.when(label != "", label).alias("label"),
        "eventId",
        F.coalesce(*times, F.lit(None).cast("timestamp")).cast("timestamp").alias("time"),
        F.xxhash64(F.coalesce("payload", F.lit("")), F.lit(seed)).alias("place"),
    )


def split(documents: DataFrame, fractions: dict[str, float], by: str = "random", many: bool = False) -> DataFrame:
    """Documents with their `part`, of about these fractions. Equal texts, and with them equal events, share a part.

    by: "random" cuts at quantiles of the texts' hashes, so that even few documents fill every part; "time" at quantiles
    of the time at which a text came first: the first part named has the newest texts. many: there are so many documents
    that the quantiles of their hashes need not be looked up.
    """
    if by == "time":
        first = F.min("time").over(Window.partitionBy("place"))
        documents = documents.withColumn("order", -F.coalesce(F.unix_micros(first), F.lit(0)).cast("double"))
    else:
        documents = documents.withColumn("order", F.col("place").cast("double"))
    names, bounds = list(fractions), np.cumsum(list(fractions.values()))[:-1].tolist()
    if by == "random" and many:
        cuts = [(bound - 0.5) * 2.0**64 for bound in bounds]  # hashes lie evenly in -2**63 … 2**63
    else:
        cuts = documents.stat.approxQuantile("order", bounds, 0.0005)
    part = F.lit(names[-1])
    for name, cut in reversed(list(zip(names, cuts, strict=False))):
        part = F.when(F.col("order") <= cut, name).otherwise(part)
    return documents.withColumn("part", part).drop("order")


# ----------------------------------------------------------------------------------------------------- features


@dataclass
class Counts:
    """The counted grams of n documents, one row each: starts [n + 1], places int32 [k], counts float32 [k]."""

    starts: np.ndarray
    places: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, documents: list[np.ndarray]) -> "Counts":
        rows = [np.unique(places, return_counts=True) for places in documents]
        return cls(
            np.concatenate([[0], np.cumsum([len(places) for places, _ in rows])]).astype(np.int64),
            np.concatenate([places for places, _ in rows]).astype(np.int32),
            np.concatenate([counts for _, counts in rows]).astype(np.float32),
        )


@dataclass
class Block:
    """Some documents of one partition: their classes (int32 [n]), whether they are for validation, their grams.

    grams: the counts of words alone, and of words and pairs.
    """

    classes: np.ndarray
    validation: bool
    grams: list[Counts]


def count_features(rows: Iterable, parameters: FeatureParameters, index: dict[str, int]) -> Iterator[Block]:
    """Rows (payload, label, part) → blocks of up to BLOCK_ROWS documents of one part."""
    waiting: dict[bool, tuple[list, list]] = {False: ([], []), True: ([], [])}

    def block(validation: bool) -> Block:
        classes, grams = waiting[validation]
        waiting[validation] = ([], [])
        longest = range(1, parameters.ngrams + 1)
        counted = [Counts.of([np.concatenate(one[:ngrams]) for one in grams]) for ngrams in longest]
        return Block(np.asarray(classes, np.int32), validation, counted)

    for row in rows:
        classes, grams = waiting[row.part == "validation"]
        classes.append(index[row.label])
        grams.append(gram_places(row.payload, parameters))
        if len(classes) == BLOCK_ROWS:
            yield block(row.part == "validation")
    for validation, (classes, _) in list(waiting.items()):
        if classes:
            yield block(validation)


@dataclass
class Frequencies:
    """In how many documents each place occurs, int32 [size] for words and for words and pairs; and documents."""

    places: list[np.ndarray]
    documents: int

    def __add__(self, other: "Frequencies") -> "Frequencies":
        both = zip(self.places, other.places, strict=True)
        return Frequencies([one + two for one, two in both], self.documents + other.documents)


def document_frequencies(blocks: Iterable[Block], parameters: FeatureParameters) -> Iterator[list[Frequencies]]:
    """What a partition knows: of its documents to train with, and of those for validation."""
    both = [Frequencies([np.zeros(parameters.size, np.int32) for _ in range(parameters.ngrams)], 0) for _ in range(2)]
    for block in blocks:
        found = both[block.validation]
        for total, grams in zip(found.places, block.grams, strict=True):
            total += np.bincount(grams.places, minlength=parameters.size).astype(np.int32)
        found.documents += len(block.classes)
    yield both


def used_places(frequencies: Frequencies, ngrams: int, most: int) -> np.ndarray:
    """The places that a model keeps, ascending, int32: those of words that two documents have, and of pairs that three
    have; rarer ones teach next to nothing. Below 100 documents all; of more than `most` the most frequent ones."""
    few = frequencies.documents < 100
    counted = frequencies.places[ngrams - 1]
    found = np.flatnonzero((counted >= (1 if few else 3)) | (frequencies.places[0] >= (1 if few else 2)))
    if len(found) > most:
        found = np.sort(found[np.argsort(-counted[found], kind="stable")[:most]])
    return found.astype(np.int32)


def inverse_frequencies(frequencies: np.ndarray, documents: int, power: float) -> np.ndarray:
    """(ln((1 + n) / (1 + df)) + 1) to a power, float32, same shape."""
    return ((np.log((1 + documents) / (1 + frequencies)) + 1) ** power).astype(np.float32)


@dataclass
class Matrix:
    """Documents as a sparse matrix [n, features], and their classes."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    classes: np.ndarray
    validation: bool

    def sparse(self, features: int):
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.columns, self.starts), (len(self.classes), features))


def weigh(block: Block, model: DocumentModel) -> Matrix:
    """A block's features by a model's places and idf, computed as `DocumentModel.features` does it."""
    counts = block.grams[model.parameters.ngrams - 1]
    columns, known = model.known(counts.places)
    starts = np.concatenate([[0], np.cumsum(known)])[counts.starts].astype(np.int32)
    values = weighted(starts, columns, counts.counts[known], model.idf)
    return Matrix(starts, columns.astype(np.int32), values, block.classes, block.validation)


# ----------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Settings:
    """What a model is trained with.

    ngrams: 1 for words, 2 for words and pairs. alpha: the regularisation of scikit-learn's SGDClassifier. Both are
    chosen when they are not given. idf_power: how much rare words count for.
    """

    ngrams: int = 2
    alpha: float = 1e-4
    idf_power: float = 1.5


# What is tried for each setting, in this order, the others as they are by then.
CHOICES = {"alpha": (1e-4, 1e-5), "ngrams": (2, 1)}


@dataclass
class Weights:
    """What a round shares: coefficients [rows, features], intercepts [rows], updates so far.

    There is one row a class, and a single one where there are two classes. They are added up as whole numbers, so that
    partitions may come in any order: sums of float32 depend on it.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    updates: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.coefficients, self.intercepts, self.updates

    def __mul__(self, share: float) -> "Weights":
        return Weights(*((part * np.float32(share)).astype(np.float32) for part in self.parts))

    def fixed(self) -> "Weights":
        if self.coefficients.dtype.kind == "i":
            return self
        return Weights(*(whole(np.rint(part * np.float64(FIXED_POINT))) for part in self.parts))

    def floating(self) -> "Weights":
        if self.coefficients.dtype.kind != "i":
            return self
        return Weights(*((part / FIXED_POINT).astype(np.float32) for part in self.parts))

    def __add__(self, other: "Weights") -> "Weights":
        both = zip(self.fixed().parts, other.fixed().parts, strict=True)
        return Weights(*(whole(np.add(one, two, dtype=np.int64)) for one, two in both))


def whole(numbers: np.ndarray) -> np.ndarray:
    """The same whole numbers as int32, or as int64 where they do not fit: half the bytes to send, as a rule."""
    small = np.abs(numbers).max(initial=0) <= np.iinfo(np.int32).max
    return np.asarray(numbers).astype(np.int32 if small else np.int64)


def epoch(
    matrices: Iterable[Matrix], start: Weights, classes: int, alpha: float, seed: int, documents: int
) -> Iterator[Weights]:
    """One partition's EPOCHS from the shared weights: its weights after them, by its share of the documents.

    Nothing for a partition without documents.
    """
    from sklearn.linear_model import SGDClassifier

    learner, seen, blocks, kept = None, 0, 0, []
    for matrix in matrices:
        features = matrix.sparse(start.coefficients.shape[1])
        if learner is None:
            learner = SGDClassifier(loss="hinge", alpha=alpha, random_state=seed)
            # A first call makes room for the weights, whose values are then replaced by the shared ones.
            learner.partial_fit(features[:1], matrix.classes[:1], classes=np.arange(classes))
            learner.coef_[:], learner.intercept_[:] = start.coefficients, start.intercepts
            learner.t_ = float(start.updates)
        learner.partial_fit(features, matrix.classes)
        seen += len(matrix.classes)
        blocks += 1
        if blocks <= KEPT_BLOCKS:
            kept.append((features, matrix.classes))
    if learner is None:
        return
    if blocks == len(kept):  # larger partitions are gone through once a round: they give updates enough
        for number in range(1, EPOCHS):
            learner.random_state = seed + number
            for features, own in kept:
                learner.partial_fit(features, own)
    found = Weights(learner.coef_, learner.intercept_, np.float32(learner.t_))
    yield (found * (seen / documents)).fixed()


@dataclass
class Prepared:
    """The features of all blocks for some ngrams and idf_power: a model without weights, and the matrices, cached.

    documents: those that are not for validation.
    """

    plan: DocumentModel
    matrices: RDD
    documents: int

    @classmethod
    def of(
        cls, blocks: RDD, frequencies: Frequencies, classes: list[str], features: FeatureParameters, settings: Settings
    ) -> "Prepared":
        counted = frequencies.places[settings.ngrams - 1]
        places = used_places(frequencies, settings.ngrams, MAX_WEIGHTS // len(classes))
        if not len(places):
            raise TrainingError("expected words that occur in more than one document, found none; are the texts empty?")
        idf = inverse_frequencies(counted[places], frequencies.documents, settings.idf_power)
        parameters = replace(features, ngrams=settings.ngrams)
        nothing = np.zeros((0, len(classes)), np.float32)
        plan = DocumentModel(classes, parameters, places, idf, nothing, np.zeros(len(classes), np.float32))
        shared = blocks.context.broadcast(plan)
        matrices = blocks.map(lambda block: weigh(block, shared.value)).persist(CACHE)
        return cls(plan, matrices, frequencies.documents)


class Trainer:
    """Trains one model, round by round: on the blocks that are not for validation, and in the end on all of them."""

    def __init__(self, prepared: Prepared, settings: Settings, seed: int):
        self.context, self.settings, self.seed = prepared.matrices.context, settings, seed
        self.plan, self.matrices, self.documents = prepared.plan, prepared.matrices, prepared.documents
        self.rounds, self.sums, self.summed = 0, None, 0
        self.own = self.matrices.filter(lambda matrix: not matrix.validation)
        classes, features = len(self.plan.classes), len(self.plan.places)
        rows = 1 if classes == 2 else classes
        self.weights = Weights(np.zeros((rows, features), np.float32), np.zeros(rows, np.float32), np.float32(1))

    def advance(self, rounds: int) -> None:
        """Runs so many rounds more."""
        classes, alpha, documents = len(self.plan.classes), self.settings.alpha, self.documents
        for _ in range(rounds):
            shared, seed = self.context.broadcast(self.weights), self.seed + EPOCHS * self.rounds
            mixed = self.own.mapPartitions(
                lambda part, shared=shared, seed=seed: epoch(part, shared.value, classes, alpha, seed, documents)
            )
            self.weights = mixed.treeReduce(lambda one, other: one + other).floating()
            shared.destroy()
            self.rounds += 1
            if self.rounds > 1:  # the first round's weights are still far off
                self.sums = (self.sums + self.weights).floating() if self.summed else self.weights
                self.summed += 1

    def average_from_here(self) -> None:
        """Earlier rounds do not count for the average any more."""
        self.summed = 0

    def take_all(self, documents: int) -> None:
        """From here on the validation documents are learned too."""
        self.own, self.documents = self.matrices, documents
        self.average_from_here()

    def model(self) -> DocumentModel:
        """The average of the rounds but the first, not calibrated."""
        count = max(self.summed, 1)
        found = self.sums if self.summed else self.weights
        coefficients, intercepts = found.coefficients / count, found.intercepts / count
        if len(coefficients) == 1:  # two classes: the second one's score, and its opposite for the first
            coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.hstack([-intercepts, intercepts])
        weights = np.ascontiguousarray(coefficients.T, np.float32)
        return replace(self.plan, weights=weights, intercept=intercepts.astype(np.float32))

    def validate(self) -> "Evaluation":
        """The model's work on the validation blocks."""
        shared = self.context.broadcast(self.model())
        validation = self.matrices.filter(lambda matrix: matrix.validation)
        found = validation.mapPartitions(lambda part: evaluate_matrices(part, shared.value)).treeReduce(
            lambda one, other: one + other
        )
        shared.destroy()
        return found

    def calibrate(self) -> Calibration:
        """The calibration of the scores of the validation documents, of which CALIBRATED_SCORES are enough."""
        shared = self.context.broadcast(self.model())
        validation = self.matrices.filter(lambda matrix: matrix.validation)
        most = CALIBRATED_SCORES // len(self.plan.classes) // validation.getNumPartitions() + 1
        found = validation.mapPartitions(lambda part: first_scores(part, shared.value, most)).collect()
        shared.destroy()
        scores, classes = zip(*found, strict=True)
        return calibrated(np.concatenate(scores), np.concatenate(classes))


def first_scores(
    matrices: Iterable[Matrix], model: DocumentModel, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The scores [n, C] and classes [n] of a partition's first documents, `most` of them at most."""
    for matrix in matrices:
        if most > 0:
            yield scores_of(matrix, model)[:most], matrix.classes[:most]
            most -= len(matrix.classes)


def calibrated(scores: np.ndarray, classes: np.ndarray) -> Calibration:
    """The calibration under which documents with these scores [n, C] are likeliest to be of these classes [n], or
    rather one that is more cautious by CAUTION standard errors of its log loss.

    The documents to come differ more from the training ones than a random tenth of these does, and so a model is less
    often right than validation says. And where all of n documents were right, the next one is so with a probability of
    1 - 1 / (n + 2), by Laplace's rule of succession, and not with 1.
    """
    from scipy.optimize import minimize

    documents = np.arange(len(classes))

    def losses(one: Calibration) -> np.ndarray:
        return -np.log(np.maximum(one.probabilities(scores)[documents, classes], 1e-12))

    def calibration(found: np.ndarray) -> Calibration:
        return Calibration(float(np.exp(found[0])), float(np.exp(found[1])), float(found[2]))

    grid = [(k, a, c) for k in np.log([1, 2, 4, 8, 16]) for a in np.log([0.1, 0.4, 1.6]) for c in (-1.5, -0.75, 0)]
    start = min(grid, key=lambda one: losses(calibration(one)).mean())
    bounds = [(np.log(0.05), np.log(500)), (np.log(0.05), np.log(8)), (-4, 4)]
    found = minimize(
        lambda one: losses(calibration(one)).mean(), start, method="Nelder-Mead", bounds=bounds, options={"maxfev": 300}
    )
    best = calibration(found.x)
    own = losses(best)
    most = max(own.mean() + CAUTION * own.std() / np.sqrt(len(own)), 1 / (len(own) + 2))
    cautious = (replace(best, scale=best.scale * 0.98**n) for n in range(1, 400))
    return [best, *itertools.takewhile(lambda one: losses(one).mean() <= most, cautious)][-1]


def rounds_for(documents: int, rounds: int) -> int:
    """Epochs for so many documents, where `rounds` are enough for many."""
    return max(rounds, min(MAX_ROUNDS, rounds * FEW_DOCUMENTS // documents))


@dataclass
class Trial:
    """A candidate, its figures on the validation documents, and the seconds that it took."""

    settings: Settings
    accuracy: float
    macro_f1: float
    seconds: float

    def about(self) -> dict:
        figures = {"accuracy": round(self.accuracy, 4), "macroF1": round(self.macro_f1, 4)}
        return asdict(self.settings) | figures | {"seconds": round(self.seconds, 1)}


def clearly_better(accuracy: float, other: float, documents: int) -> bool:
    """Whether one accuracy is above another by more than chance alone makes of so many documents every other time."""
    return accuracy - other > CLEARLY * np.sqrt(other * (1 - other) / documents)


def select(
    blocks: RDD, frequencies: Frequencies, classes: list[str], features: FeatureParameters, fixed: dict, seed: int
) -> tuple[Trainer, list[Trial]]:
    """Tries CHOICES, one setting after the other; returns the best candidate's trainer, and all trials, the best first.

    fixed: settings that are given and not tried. The earlier one stays, unless a later one is clearly better on the
    validation documents.
    """
    best, best_trial, trials = None, None, []
    tried: set[Settings] = set()
    prepared: dict[tuple, Prepared] = {}
    for name, values in CHOICES.items():
        for value in values:
            so_far = best_trial.settings if best_trial else Settings(**fixed)
            settings = replace(so_far, **{name: fixed.get(name, value)})
            if settings in tried:
                continue
            tried.add(settings)
            started = time.monotonic()
            key = settings.ngrams, settings.idf_power
            if key not in prepared:
                prepared[key] = Prepared.of(blocks, frequencies, classes, features, settings)
            trainer = Trainer(prepared[key], settings, seed)
            trainer.advance(rounds_for(frequencies.documents, TRIAL_ROUNDS))
            found = trainer.validate()
            trial = Trial(settings, found.accuracy, macro_f1(found), time.monotonic() - started)
            trials.append(trial)
            log.info(
                "candidate %d: %d-grams, idf power %g, alpha %g: accuracy %.4f on %d validation documents, %.1f s",
                len(trials), settings.ngrams, settings.idf_power, settings.alpha, trial.accuracy, found.documents,
                trial.seconds,
            )  # fmt: skip
            if best_trial is None or clearly_better(trial.accuracy, best_trial.accuracy, found.documents):
                best, best_trial = trainer, trial
    for one in prepared.values():
        if one.matrices is not best.matrices:
            one.matrices.unpersist()
    return best, sorted(trials, key=lambda trial: trial is not best_trial)


# --------------------------------------------------------------------------------------------------- evaluation


@dataclass
class Evaluation:
    """What a model made of documents whose labels are known; sums that add up over partitions.

    pairs: how often each (label, predicted) came. log_loss: the sum of -ln p(label). bins: for each of BINS of
    confidence, [documents, right ones, sum of confidences]. worst: the surest mistakes, (confidence, label, predicted,
    text).
    """

    pairs: Counter = field(default_factory=Counter)
    log_loss: float = 0.0
    bins: np.ndarray = field(default_factory=lambda: np.zeros((BINS, 3)))
    worst: list[tuple] = field(default_factory=list)

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(
            self.pairs + other.pairs,
            self.log_loss + other.log_loss,
            self.bins + other.bins,
            heapq.nlargest(WORST_MISTAKES, self.worst + other.worst),
        )

    def add(self, label: str, predicted: str, confidence: float, likely: float, text: str) -> None:
        """Counts one document; `likely` is the probability of its label, 0 for one that the model does not know."""
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


def scores_of(matrix: Matrix, model: DocumentModel) -> np.ndarray:
    """Before calibration, float32 [n, C]."""
    return (matrix.sparse(len(model.places)) @ model.weights + model.intercept).astype(np.float32)


def evaluate_matrices(matrices: Iterable[Matrix], model: DocumentModel) -> Iterator[Evaluation]:
    """What selection asks for: the pairs alone."""
    found = Evaluation()
    for matrix in matrices:
        guesses = scores_of(matrix, model).argmax(axis=1)
        for label, predicted in zip(matrix.classes.tolist(), guesses.tolist(), strict=True):
            found.pairs[model.classes[label], model.classes[predicted]] += 1
    yield found


def evaluate_rows(rows: Iterable, model: DocumentModel) -> Iterator[Evaluation]:
    index = {name: number for number, name in enumerate(model.classes)}
    found = Evaluation()
    for row in rows:
        likely = model.probabilities(row.payload)
        best = int(np.argmax(likely))
        own = likely[index[row.label]] if row.label in index else 0.0
        found.add(row.label, model.classes[best], float(likely[best]), float(own), row.payload)
    yield found


def evaluate(documents: RDD, model: DocumentModel) -> Evaluation:
    """The model's work on documents (rows of `payload`, `label`), computed where they lie, as serving computes it."""
    shared = documents.context.broadcast(model)
    found = documents.mapPartitions(lambda rows: evaluate_rows(rows, shared.value)).treeReduce(lambda a, b: a + b)
    shared.destroy()
    return found


def majority(evaluation: Evaluation, trained: dict[str, int]) -> Evaluation:
    """What naming training's commonest class, each class as likely as it was there, makes of the same documents."""
    guess, total = max(trained, key=lambda name: (trained[name], name)), sum(trained.values())
    found = Evaluation()
    for (label, _), count in evaluation.pairs.items():
        found.pairs[label, guess] += count
        found.log_loss -= count * float(np.log(max(trained.get(label, 0) / total, 1e-12)))
        confidence = trained[guess] / total
        found.bins[min(int(confidence * BINS), BINS - 1)] += (count, count * (label == guess), count * confidence)
    return found


def per_class(evaluation: Evaluation) -> dict[str, dict]:
    """Precision, recall, F1 and documents of each class that a document has, or was taken to have."""
    support, predicted = Counter(), Counter()
    for (label, guess), count in evaluation.pairs.items():
        support[label] += count
        predicted[guess] += count
    found = {}
    for name in sorted({*support, *predicted}):
        right = evaluation.pairs[name, name]
        found[name] = {
            "precision": right / predicted[name] if predicted[name] else 0.0,
            "recall": right / support[name] if support[name] else 0.0,
            "f1": 2 * right / (support[name] + predicted[name]),
            "documents": support[name],
        }
    return found


def macro_f1(evaluation: Evaluation) -> float:
    """The mean F1 over the classes that documents have."""
    found = [one["f1"] for one in per_class(evaluation).values() if one["documents"]]
    return sum(found) / len(found)


def metrics(evaluation: Evaluation) -> dict:
    """An evaluation's figures, those of each class, confusions (most frequent first) and calibration."""
    bins = [
        {"documents": int(count), "accuracy": round(right / count, 4), "confidence": round(total / count, 4)}
        for count, right, total in evaluation.bins
        if count
    ]
    gaps = [abs(right - total) for _, right, total in evaluation.bins]
    classes = {
        name: {key: round(value, 4) for key, value in one.items()} for name, one in per_class(evaluation).items()
    }
    pairs = sorted(evaluation.pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "accuracy": round(evaluation.accuracy, 4),
        "macroF1": round(macro_f1(evaluation), 4),
        "logLoss": round(evaluation.log_loss / evaluation.documents, 4),
        "expectedCalibrationError": round(sum(gaps) / evaluation.documents, 4),
        "documents": evaluation.documents,
        "classes": classes,
        "confusions": [[*pair, count] for pair, count in pairs if pair[0] != pair[1]][:1000],
        "calibration": bins,
    }


def headlines(evaluation: Evaluation) -> dict:
    return {key: value for key, value in metrics(evaluation).items() if key in HEADLINES}


def decide_promotion(
    challenger: float, champion: float | None, tolerance: float = TOLERANCE, force: str | None = None
) -> tuple[bool, str]:
    """Whether the new model is to serve, and why.

    challenger, champion: macro-F1 on the same documents; None when nothing serves yet. tolerance: by how much the
    challenger may be lower. force: why it is to serve whatever the figures say; None when they decide.
    """
    figures = f"macro-F1 {challenger:.4f}" + ("" if champion is None else f", the serving model's {champion:.4f}")
    if force is not None:
        return True, f"forced ({force}): {figures}"
    if champion is None:
        return True, f"first model: {figures}"
    if challenger >= champion - tolerance:
        return True, f"{figures} on the same documents, tolerance {tolerance:g}"
    return False, f"{figures} on the same documents, which is lower by more than the tolerance {tolerance:g}"


# ------------------------------------------------------------------------------------------------ model folder


class ModelFolder:
    """The models below a path, gs:// or local, through the file systems that Spark knows."""

    def __init__(self, spark: SparkSession, path: str):
        self.hadoop = spark._jvm.org.apache.hadoop.fs
        self.path = path.rstrip("/")
        self.file_system = self.hadoop.Path(self.path).getFileSystem(spark._jsc.hadoopConfiguration())

    def copy_in(self, local: Path, name: str) -> None:
        """Copies a local file to `<path>/<name>`, replacing what is there."""
        target = self.hadoop.Path(f"{self.path}/{name}")
        self.file_system.copyFromLocalFile(False, True, self.hadoop.Path(f"file://{local}"), target)

    def read(self, name: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "copy")
            # The last argument: without the local file system's checksum files.
            source = self.hadoop.Path(f"{self.path}/{name}")
            self.file_system.copyToLocalFile(False, source, self.hadoop.Path(f"file://{copy}"), True)
            return copy.read_bytes()

    def names(self) -> list[str]:
        """The names of the dated model folders, newest first."""
        root = self.hadoop.Path(self.path)
        found = self.file_system.listStatus(root) if self.file_system.exists(root) else []
        names = [status.getPath().getName() for status in found]
        return sorted((name for name in names if name.startswith(MODEL_PREFIX)), reverse=True)

    def is_promoted(self, name: str) -> bool:
        """Whether the dated model of that name is there and may serve."""
        try:
            return json.loads(self.read(f"{name}/manifest.json"))["promoted"] is True
        except Exception:  # Py4J's error for a file that is not there, or a manifest that is none
            return False

    def champion(self) -> tuple[str, DocumentModel] | None:
        """The newest promoted model, with its name; what cannot be read is passed over with a warning."""
        for name in self.names():
            try:
                manifest = json.loads(self.read(f"{name}/manifest.json"))
                if manifest["promoted"]:
                    files = [
                        self.read(f"{name}/runs/{manifest['runId']}/{file}")
                        for file in (document_model.DESCRIPTION_FILE, document_model.WEIGHTS_FILE)
                    ]
                    return name, DocumentModel.from_bytes(*files)
            except Exception as error:  # Py4J and damaged files alike: this model cannot serve, so it is no champion
                log.warning("passing over %s: %s", name, str(error).splitlines()[0])
        return None

    def write(self, name: str, run: dict, local: Path, promoted: bool) -> None:
        """Copies a run's files from a local folder to the dated model's, and its manifest last."""
        files = []
        for path in sorted(local.iterdir()):
            content = path.read_bytes()
            files.append({"name": path.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
            self.copy_in(path, f"{name}/runs/{run['runId']}/{path.name}")
        # Last: what has no manifest does not serve. The run keeps its own copy, so that serving can be pinned to it.
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder, "manifest.json")
            manifest.write_text(json.dumps(run | {"files": files}, ensure_ascii=False, indent=1), "utf-8")
            self.copy_in(manifest, f"{name}/runs/{run['runId']}/manifest.json")
            if promoted or not self.is_promoted(name):  # an earlier run of the day that serves goes on serving
                self.mark_change(name, run["runId"], done=False)
                self.copy_in(manifest, f"{name}/manifest.json")
                self.mark_change(name, run["runId"], done=True)

    def mark_change(self, name: str, run_id: str, done: bool) -> None:
        """Tells serving to look again; before the manifest too, in case that this process ends right after it."""
        with tempfile.TemporaryDirectory() as folder:
            marker = Path(folder, document_model.CHANGED_FILE)
            marker.write_bytes(document_model.change_marker("trained", name, run_id, done))
            self.copy_in(marker, marker.name)


# ------------------------------------------------------------------------------------------------ the data's version


def data_version(spark: SparkSession, events: DataFrame, path: str) -> dict:
    """The parquet files that events are read from, with size in bytes and SHA-256, computed where they lie."""
    # Spark names a local file file:///… here and file:/… there, and escapes it here only.
    read = [(re.sub("^file:/+", "/", unquote(name)),) for name in events.inputFiles()]
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    files = files.select("path", "length", F.sha2("content", 256).alias("sha256"))
    read = F.broadcast(spark.createDataFrame(read, "read STRING"))
    files = files.join(read, F.regexp_replace("path", "^file:/+", "/") == F.col("read"), "left_semi")
    rows = [{"file": row.path, "size": row.length, "sha256": row.sha256} for row in sorted(files.collect())]
    if len(rows) != len(set(events.inputFiles())):
        raise TrainingError(f"expected to find the {len(events.inputFiles())} files that were read, found {len(rows)}")
    return {"parquet": path, "files": rows}


def events_of_version(spark: SparkSession, version: dict) -> DataFrame:
    """The events of exactly these files. Raises TrainingError when one has changed or is no longer there."""
    wanted = {one["file"]: one["sha256"] for one in version["files"]}
    if not spark_sql.holds_files(spark, version["parquet"]):
        raise TrainingError(f"expected the files that the model's data.json names, found none in {version['parquet']}")
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(version["parquet"])
    names = F.broadcast(spark.createDataFrame([(name,) for name in wanted], "path STRING"))
    files = files.join(names, "path", "left_semi").select("path", F.sha2("content", 256).alias("sha256"))
    try:
        found = {row.path: row.sha256 for row in files.collect()}
    except Exception as error:  # a damaged block: Py4J's error
        cause = str(error).strip().splitlines()[0]
        raise TrainingError(f"the files that data.json names cannot be read: {cause}") from None
    other = [name for name, digest in wanted.items() if found.get(name) != digest]
    if other:
        raise TrainingError(
            f"expected {len(wanted)} files as the model's data.json names them, found {len(other)} changed or gone: "
            f"{other[0]}; a backup or the bucket's object versions may still have them"
        )
    frame = spark.read.option("mergeSchema", "true").option("basePath", version["parquet"])
    return frame.parquet(*wanted)


def code_version() -> str:
    """The SHA-256 of the three files that a model depends on, first 12 digits."""
    digest = hashlib.sha256()
    for module_file in (__file__, spark_sql.__file__, document_model.__file__):
        digest.update(Path(module_file).read_bytes())
    return digest.hexdigest()[:12]


# -------------------------------------------------------------------------------------------------------- report


def count_grams(rows: Iterable, model: DocumentModel, wanted: set[int]) -> Iterator[Counter]:
    """How often each (place, gram) of the wanted places occurs in a partition's documents."""
    found: Counter = Counter()
    for row in rows:
        texts = document_model.grams(row.payload, model.parameters)
        places = np.concatenate(gram_places(row.payload, model.parameters))
        found.update((place, text) for place, text in zip(places.tolist(), texts, strict=True) if place in wanted)
    yield found


def learned_words(documents: RDD, model: DocumentModel, classes: list[str]) -> dict[str, list[str]]:
    """For each of some classes the words and pairs that speak most for it, looked up in a sample of the documents."""
    index = {name: number for number, name in enumerate(model.classes)}
    strongest = {}
    for name in classes:
        speaks = model.weights[:, index[name]] * model.idf
        most = np.argpartition(-speaks, min(3 * WORDS_A_CLASS, len(speaks) - 1))[: 3 * WORDS_A_CLASS]
        strongest[name] = [at for at in most[np.argsort(-speaks[most], kind="stable")].tolist() if speaks[at] > 0]
    wanted = {int(model.places[at]) for places in strongest.values() for at in places}
    small = replace(model, weights=model.weights[:0], places=model.places[:0], idf=model.idf[:0])
    counts = documents.mapPartitions(lambda rows: count_grams(rows, small, wanted)).treeReduce(lambda a, b: a + b)
    texts: dict[int, str] = {}
    for (place, text), _ in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        texts.setdefault(place, text)
    names = {name: [int(model.places[at]) for at in places] for name, places in strongest.items()}
    return {name: [texts[one] for one in places if one in texts][:WORDS_A_CLASS] for name, places in names.items()}


STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem;color:#222;background:#fff}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2.2rem}.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left;
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.no{color:#a11}.yes{color:#176b2c}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1rem 0}
.cards div{border:1px solid #ddd;border-radius:.5rem;padding:.6rem .8rem}.cards b{display:block;font-size:1.5rem}
.cards small{color:#555}
.bar{display:inline-block;height:.8rem;background:#2f6db5;vertical-align:middle;margin-left:.3rem}
td:has(.bar){text-align:left!important;white-space:nowrap}
details{margin:.4rem 0}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;padding:.6rem;font-size:.85rem}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#333}p.pt{color:#555}
"""


def table(head: list[str], rows: Iterable[Iterable], numbers: int = 0) -> str:
    """An HTML table; its last `numbers` columns are set to the right."""

    def row(cells: Iterable, kind: str) -> str:
        cells = [str(cell) for cell in cells]
        aligned = [' class="n"' if number >= len(cells) - numbers else "" for number in range(len(cells))]
        return "".join(f"<{kind}{side}>{html.escape(cell)}</{kind}>" for side, cell in zip(aligned, cells, strict=True))

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table><tr>{row(head, "th")}</tr>{body}</table></div>'


def confusion_picture(evaluation: Evaluation) -> str:
    """The confusion matrix as SVG, a row a label: what its documents were taken for, in percent."""
    supports: Counter = Counter()
    for (label, _), count in evaluation.pairs.items():
        supports[label] += count
    names = sorted(name for name, _ in supports.most_common(40))
    cell, left, top = 30, 190, 150
    size = cell * len(names)
    parts = [f'<svg viewBox="0 0 {left + size + 90} {top + size + 10}" role="img" aria-label="confusion matrix">']
    for i, label in enumerate(names):
        y, short = top + i * cell, html.escape(label[:28])
        parts.append(f'<text x="{left - 6}" y="{y + 19}" text-anchor="end">{short}</text>')
        x = left + i * cell + 19
        parts.append(f'<text transform="translate({x},{top - 6}) rotate(-60)">{short}</text>')
        for j, guess in enumerate(names):
            count = evaluation.pairs[label, guess]
            share = count / supports[label]
            colour = "47,109,181" if i == j else "190,40,40"
            title = html.escape(f"{label}, taken for {guess}: {count} of {supports[label]}")
            parts.append(
                f'<rect x="{left + j * cell}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
                f'fill="rgba({colour},{0.04 + 0.9 * share:.2f})"><title>{title}</title></rect>'
            )
            if share >= 0.005:
                ink = ' fill="#fff" style="fill:#fff"' if share > 0.55 else ""
                middle = left + j * cell + cell / 2 - 0.5
                parts.append(f'<text x="{middle}" y="{y + 19}" text-anchor="middle"{ink}>{100 * share:.0f}</text>')
    return "".join([*parts, "</svg>"])


def calibration_picture(bins: list[dict]) -> str:
    """The calibration curve as SVG: how often a confidence was right, next to the line on which it would be true."""
    size, pad = 300, 36
    most = max(one["documents"] for one in bins)

    def at(x: float, y: float) -> tuple[float, float]:
        return pad + x * size, pad / 2 + (1 - y) * size

    parts = [f'<svg viewBox="0 0 {size + 2 * pad} {size + 2 * pad}" width="420" role="img" aria-label="calibration">']
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<rect x="{x0}" y="{y1}" width="{size}" height="{size}" fill="#fafafa" stroke="#ccc"/>')
    parts.append(f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#999" stroke-dasharray="4"/>')
    points = [at(one["confidence"], one["accuracy"]) for one in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#2f6db5" stroke-width="2"/>')
    for (x, y), one in zip(points, bins, strict=True):
        radius = 3 + 9 * (one["documents"] / most) ** 0.5
        title = f"{one['documents']} documents: confidence {one['confidence']:.3f}, right {one['accuracy']:.3f}"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#2f6db5" fill-opacity=".6">')
        parts.append(f"<title>{title}</title></circle>")
    for tick in (0, 0.5, 1):
        x, y = at(tick, tick)
        parts.append(f'<text x="{x}" y="{y0 + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{x0 - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{pad + size / 2}" y="{y0 + 32}" text-anchor="middle">confidence</text></svg>')
    return "".join(parts)


def report(name: str, run: dict, figures: dict, test: Evaluation, words: dict[str, list[str]], data: dict) -> str:
    """The run as one HTML page that needs nothing beside it."""
    own, champion, majority_ = figures["test"], figures["champion"], figures["majority"]
    state = "yes" if run["promoted"] else "no"
    cards = [
        ("accuracy", f"{own['accuracy']:.4f}", f"commonest class: {majority_['accuracy']:.4f}"),
        ("macro-F1", f"{own['macroF1']:.4f}", f"commonest class: {majority_['macroF1']:.4f}"),
        ("log loss", f"{own['logLoss']:.3f}", f"commonest class: {majority_['logLoss']:.3f}"),
        ("calibration error", f"{own['expectedCalibrationError']:.3f}", "0 is perfect"),
        ("test documents", f"{own['documents']:,}", f"{figures['documents']['trained']:,} trained on"),
    ]
    if champion:
        cards.insert(2, ("serving model", f"{champion['macroF1']:.4f}", f"macro-F1 of {champion['name']}"))
    boxes = "".join(
        f"<div>{title}<b>{value}</b><small>{html.escape(note)}</small></div>" for title, value, note in cards
    )
    bars = "".join(
        f"<tr><td>{html.escape(key)}</td>"
        f'<td class="n">{one["f1"]:.3f} <i class="bar" style="width:calc({one["f1"]:.3f} * min(9rem, 18vw))"></i></td>'
        + "".join(f'<td class="n">{one[column]:.3f}</td>' for column in ("precision", "recall"))
        + f'<td class="n">{one["documents"]}</td></tr>'
        for key, one in list(own["classes"].items())[:200]
    )
    mistakes = "".join(
        f"<details><summary>{html.escape(label)}, taken for {html.escape(guess)} ({sure:.2f})</summary>"
        f"<pre>{html.escape(text)}</pre></details>"
        for sure, label, guess, text in test.worst
    )
    trials = table(
        ["n-grams", "idf power", "alpha", "macro-F1", "accuracy", "seconds"],
        [
            [one["ngrams"], one["idf_power"], one["alpha"], one["macroF1"], one["accuracy"], one["seconds"]]
            for one in figures["candidates"]
        ],
        numbers=3,
    )
    spoken = table(["class", "words"], [[key, ", ".join(found)] for key, found in words.items()])
    size = sum(one["size"] for one in data["files"])
    retrain = "spark-submit --py-files spark_sql.py,cloud_function/document_model.py train_ml_model.py data.json OUTPUT"
    documents = ", ".join(f"{value:,} {key}" for key, value in figures["documents"].items())
    said = {"yes": "promovido: serve a partir de agora", "no": "rejeitado: não serve"}[state]
    percent = f"{100 * own['accuracy']:.1f}".replace(".", ",")
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>
<h1>{name}</h1>
<p><b class="{state}">{"promoted" if run["promoted"] else "rejected"}</b>: {html.escape(run["reason"])}.</p>
<p class="pt" lang="pt-BR">Modelo {said}. Acerta {percent}% dos {own["documents"]} documentos de teste, que não viu no
treino.</p>
<div class="cards">{boxes}</div>
<h2>Classes</h2><div class="wide"><table><tr><th>class</th><th>F1</th><th class="n">precision</th>
<th class="n">recall</th><th class="n">documents</th></tr>{bars}</table></div>
<h2>What is taken for what</h2><p>A row is a label; its cells say what percentage of its documents was taken for each
class. Blue is right, red is wrong.{" The 40 commonest labels." if len(own["classes"]) > 40 else ""}</p>
<div class="wide">{confusion_picture(test)}</div>
{table(["label", "taken for", "documents"], own["confusions"][:15], numbers=1)}
<h2>What confidence means</h2><p>Documents by tenths of confidence: how often they were right. On the dashed line a
confidence of .8 is right eight times in ten.</p>{calibration_picture(own["calibration"])}
<h2>Words that speak for a class</h2>{spoken}
<h2>The surest mistakes</h2>{mistakes or "<p>None.</p>"}
<h2>Candidates</h2><p>Chosen by accuracy on {figures["documents"]["validation"]:,} validation documents.</p>{trials}
<h2>Data and how to retrain</h2><p>{html.escape(documents)}. Label: {html.escape(run["label"])}. {len(data["files"])}
parquet files, {size / 2**20:.1f} MiB, each with its SHA-256 in <code>data.json</code> beside this page. The same code
with it gives the same weights:</p><pre>{html.escape(retrain)}</pre>
<p>Run {run["runId"]}, code {run["codeVersion"]}.</p></body></html>
"""


def tracking() -> bool:
    """Whether the run is to be logged to MLflow. Raises TrainingError when that was asked for and MLflow is missing."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    if importlib.util.find_spec("mlflow") is None:
        raise TrainingError("MLFLOW_TRACKING_URI is set, and mlflow is missing: pip install mlflow-skinny, or unset it")
    return True


def track(name: str, run: dict, settings: dict, figures: dict, folder: Path) -> None:
    """Logs the run's parameters, figures, data version and files to MLflow."""
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


# ------------------------------------------------------------------------------------------------------- the run


def load_events(
    spark: SparkSession, path: str, parquet_path: str, quarantine_path: str | None = None
) -> tuple[DataFrame, str]:
    """The events below a path and where their parquet lies: there, or in `parquet_path` once JSON is converted."""
    if spark_sql.holds_files(spark, path, ".parquet"):
        return read_parquet(spark, path), path
    counts = spark_sql.json_into_parquet(spark, path, parquet_path, quarantine_path)
    log.info("converted: %s", counts)
    if not counts["rows"]:
        raise TrainingError(f"expected documents below {path}; none of its {counts['lines']} lines is an event")
    return read_parquet(spark, parquet_path), parquet_path


def counted(events: DataFrame, label_column: str) -> tuple[int, int]:
    """How many events there are, and how many of them have something in the label's column."""
    label = F.col(label_column) if label_column in events.columns else F.lit(None)
    return tuple(events.agg(F.count(F.lit(1)), F.count(label)).first())


def tally(documents: DataFrame) -> dict[str, Counter]:
    """How many documents each part has of each label (None: without one)."""
    rows = documents.groupBy("part", "label").count().limit(4 * (MAX_CLASSES + 2)).collect()
    found: dict[str, Counter] = {}
    for row in rows:
        found.setdefault(row.part, Counter())[row.label] += row["count"]
    return found


def check_enough(parts: dict[str, Counter], total: int, label_column: str) -> None:
    """Raises TrainingError when there is too little, or too much, to learn. `total` are the documents of the input."""
    if total == 0:
        raise TrainingError("expected documents, found none")
    labels = sum((parts.get(name, Counter()) for name in ("train", "validation", "test", "repeated")), Counter())
    if not labels:
        raise TrainingError(f"expected labels in {label_column}, found none on any of {total} documents")
    if len(labels) == 1:
        raise TrainingError(f"expected at least two classes in {label_column}, found only {next(iter(labels))!r}")
    if len(labels) > MAX_CLASSES:
        raise TrainingError(
            f"expected at most {MAX_CLASSES} classes, found more in {label_column}; is it the right column?"
        )
    if labels.total() < MIN_DOCUMENTS:
        raise TrainingError(f"expected at least {MIN_DOCUMENTS} labelled documents, found {labels.total()}")
    for name in ("train", "validation", "test"):
        if not parts.get(name):
            raise TrainingError(f"expected documents to {name} with, found none among {total}; are they all the same?")
    if not parts["train"].keys() & parts["validation"].keys():
        raise TrainingError(f"expected several documents of a class, found hardly any in {label_column}; is it an id?")
    if len(parts["train"]) < 2:
        raise TrainingError(f"expected at least two classes to train with, found only {next(iter(parts['train']))!r}")


@dataclass(frozen=True)
class Options:
    """How a model is to be trained; what data.json keeps of a run beside the files, so that it can be repeated."""

    label_column: str = "superTag01"
    split: str = "random"
    seed: int = 0
    hash_bits: int = 20
    partitions: int | None = None
    ngrams: int | None = None
    idf_power: float | None = None
    alpha: float | None = None

    @property
    def fixed(self) -> dict:
        """The settings that are given, and so not chosen."""
        given = {one.name: getattr(self, one.name) for one in fields(Settings)}
        return {name: value for name, value in given.items() if value is not None}


def sources(
    spark: SparkSession, input_path: str, test_path: str | None, parquet_path: str | None
) -> tuple[DataFrame, str, DataFrame | None, str | None, dict]:
    """The events to train on and where they lie, those to test on (None: a part of the first) and where, and the
    options that a data.json brings along."""
    if input_path.endswith("data.json"):
        if not spark_sql.holds_files(spark, input_path):
            raise TrainingError(f"expected a model's data.json, found no file {input_path}")
        folder, _, name = input_path.rpartition("/")
        try:
            data = json.loads(ModelFolder(spark, folder or ".").read(name))
            events, test, kept = events_of_version(spark, data), data["test"], asdict(Options(**data["options"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"expected a model's data.json in {input_path}, found something else: {error!r}"
            ) from None
        held_out = events_of_version(spark, test) if test else None
        return events, data["parquet"], held_out, test and test["parquet"], kept
    parquet_path = (parquet_path or spark_sql.sibling(input_path, "parquet")).rstrip("/")
    events, source = load_events(spark, input_path, parquet_path)
    if not test_path:
        return events, source, None, None, {}
    quarantine_path = spark_sql.sibling(parquet_path, "quarantine_test")  # the input's own stays as it is
    held_out, test_source = load_events(spark, test_path.rstrip("/"), f"{parquet_path}_test", quarantine_path)
    return events, source, held_out, test_source, {}


def part_documents(events: DataFrame, held_out: DataFrame | None, options: Options, many: bool = False) -> DataFrame:
    """Documents with a label (null: none) and a part: test, validation, train; repeated for those of `events` that a
    fixed test set has too, by text or by eventId."""
    documents = labelled_documents(events, options.label_column, options.seed)
    labelled = documents.where("label IS NOT NULL")
    nowhere = documents.where("label IS NULL").withColumn("part", F.lit("unlabelled"))
    if held_out is None:
        return split(labelled, {"test": 0.1, "validation": 0.1, "train": 0.8}, options.split, many).unionByName(nowhere)
    test = labelled_documents(held_out, options.label_column, options.seed).where("label IS NOT NULL")
    known = [test.select(F.col(name).alias(f"test_{name}")).distinct() for name in ("place", "eventId")]
    for name, frame in zip(("place", "eventId"), known, strict=True):
        labelled = labelled.join(frame, F.col(name) == F.col(f"test_{name}"), "left")
    repeated = F.col("test_place").isNotNull() | F.col("test_eventId").isNotNull()
    own = labelled.where(~repeated).drop("test_place", "test_eventId")
    again = labelled.where(repeated).drop("test_place", "test_eventId").withColumn("part", F.lit("repeated"))
    parts = split(own, {"validation": 0.1, "train": 0.9}, options.split, many).unionByName(again).unionByName(nowhere)
    return parts.unionByName(test.withColumn("part", F.lit("test")))


def parted(
    events: DataFrame, held_out: DataFrame | None, options: Options, many: bool
) -> tuple[DataFrame, dict[str, Counter]]:
    """The documents with their parts, cached, and their tally."""
    documents = part_documents(events, held_out, options, many).persist(StorageLevel.MEMORY_AND_DISK)
    parts = tally(documents)
    if many and not all(parts.get(name) for name in ("train", "validation", "test")):  # a few texts, many times each
        documents.unpersist()
        return parted(events, held_out, options, many=False)
    return documents, parts


def train(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    *,
    test_path: str | None = None,
    day: date | None = None,
    parquet_path: str | None = None,
    tolerance: float = TOLERANCE,
    force: str | None = None,
    **options,
) -> dict:
    """Trains, evaluates, decides and writes a dated model; returns the run's summary.

    options: fields of Options. Raises TrainingError or spark_sql.ConversionError, and then has written no model.
    """
    started, tracked = datetime.now(UTC), tracking()
    spark.sparkContext.addPyFile(__file__)
    events, source, held_out, test_source, kept = sources(spark, input_path.rstrip("/"), test_path, parquet_path)
    options = Options(**kept | options)
    total, labelled = counted(events, options.label_column)
    cores = spark.sparkContext.defaultParallelism
    tasks = max(cores, total // ROWS_A_TASK)
    with spark_sql.settings(spark, {"spark.sql.shuffle.partitions": str(tasks)}):
        documents, parts = parted(events, held_out, options, labelled >= MANY_DOCUMENTS)
        try:
            check_enough(parts, total, options.label_column)
            counts = {name: labels.total() for name, labels in sorted(parts.items())}
            if sum(counts.values()) - (counts["test"] if held_out is not None else 0) != total:
                raise TrainingError(f"the parts {counts} do not add up to {total} documents")
            trained = parts["train"] + parts["validation"]
            log.info("%d documents in %d classes: %s", total, len(trained), counts)
            partitions = min(options.partitions or cores, max(1, trained.total() // DOCUMENTS_A_PARTITION))
            options = replace(options, partitions=partitions)
            own = documents.where("part IN ('train', 'validation')")
            model, trials, validation = fit(own, sorted(parts["train"]), partitions, options)
            rows = documents.where("part = 'test'").select("payload", "label", "place", "eventId")
            held = rows.repartition(cores, "place").rdd
            test = evaluate(held, model)
            folder = ModelFolder(spark, output_path)
            champion = folder.champion()
            champion_test = evaluate(held, champion[1]) if champion else None
            golden = rows.where(F.length("payload") <= 10_000).orderBy("place", "eventId").limit(GOLDEN_DOCUMENTS)
            golden = [row.payload for row in golden.collect()]
            commonest = sorted(sorted(model.classes, key=lambda one: -trained[one])[:50])
            sampled = F.pmod("place", F.lit(max(1, trained.total() // SAMPLED_FOR_WORDS))) == 0
            sample = own.where(sampled).select("payload").coalesce(cores).rdd
            words = learned_words(sample, model, commonest)
        finally:
            documents.unpersist()
    log.info("accuracy %.4f, macro-F1 %.4f on %d test documents", test.accuracy, macro_f1(test), test.documents)
    champion_f1 = macro_f1(champion_test) if champion_test else None
    promoted, reason = decide_promotion(macro_f1(test), champion_f1, tolerance, force)
    log.log(logging.INFO if promoted else logging.WARNING, "%s %s", "promoted:" if promoted else "rejected:", reason)
    data = data_version(spark, events, source) | {"options": asdict(options)}
    data["test"] = data_version(spark, held_out, test_source) if held_out is not None else None
    name = f"{MODEL_PREFIX}{day or started.date()}"
    figures = {
        "test": metrics(test),
        "majority": headlines(majority(test, trained)),
        "champion": {"name": champion[0]} | headlines(champion_test) if champion else None,
        "chosen": trials[0].about() | asdict(model.calibration) | {"features": len(model.places)},
        "candidates": [one.about() for one in trials],
        "validation": {"accuracy": round(validation.accuracy, 4), "macroF1": round(macro_f1(validation), 4)},
        "documents": {"total": total, "trained": trained.total(), "unlabelled": 0, "repeated": 0} | counts,
    }
    run = {
        "formatVersion": document_model.FORMAT_VERSION,
        "runId": f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        "createdAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "promoted": promoted,
        "reason": reason,
        "label": options.label_column,
        "codeVersion": code_version(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch)
        model.save(local)
        (local / "metrics.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1), "utf-8")
        (local / "data.json").write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")
        lines = [{"payload": text, "probabilities": model.probabilities(text).tolist()} for text in golden]
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)
        (local / "golden.jsonl").write_text(lines, "utf-8")
        (local / "report.html").write_text(report(name, run, figures, test, words, data), "utf-8")
        folder.write(name, run, local, promoted)
        if tracked:
            try:
                track(name, run, asdict(options) | figures["chosen"], figures, local)
            except Exception as error:  # whatever its server or its store says; the model is there
                log.warning("the model is written, but MLflow did not take the run: %s", str(error).splitlines()[0])
    return {
        "model": name,
        "runId": run["runId"],
        "path": f"{folder.path}/{name}",
        "promoted": promoted,
        "reason": reason,
        "accuracy": figures["test"]["accuracy"],
        "macroF1": figures["test"]["macroF1"],
        "expectedCalibrationError": figures["test"]["expectedCalibrationError"],
        "documents": total,
        "trained_on": counts["train"],
        "validated_on": counts["validation"],
        "tested_on": counts["test"],
        "unlabelled": figures["documents"]["unlabelled"],
        "repeated": figures["documents"]["repeated"],
        "classes": len(model.classes),
    }


def fit(
    documents: DataFrame, classes: list[str], partitions: int, options: Options
) -> tuple[DocumentModel, list[Trial], Evaluation]:
    """The model of the documents (`payload`, `label`, `part`): its settings and its calibration are chosen on the
    validation part, which it learns too then. With it all trials, and its figures before it had seen that part."""
    features = FeatureParameters(options.hash_bits, options.ngrams or 2)
    index = {name: number for number, name in enumerate(classes)}
    # In the order of the texts' hashes, since classes may come one after the other.
    spread = documents.where(F.col("label").isin(classes)) if len(classes) < 1000 else documents
    spread = spread.repartition(partitions, "place").sortWithinPartitions("place", "label", "eventId")
    rows = spread.select("payload", "label", "part").rdd
    blocks = rows.mapPartitions(
        lambda part: count_features((row for row in part if row.label in index), features, index)
    ).persist(CACHE)
    frequencies = blocks.mapPartitions(lambda part: document_frequencies(part, features)).treeReduce(
        lambda one, other: [a + b for a, b in zip(one, other, strict=True)]
    )
    total = sum(one.documents for one in frequencies)
    log.info("features of %d documents counted", total)
    best, trials = select(blocks, frequencies[0], classes, features, options.fixed, options.seed)
    first, last = rounds_for(best.documents, ROUNDS), rounds_for(best.documents, LAST_ROUNDS)
    best.advance(first - best.rounds)
    log.info("%d rounds, %d to come", best.rounds, last)
    # The last rounds run twice: without the validation documents, to see what scores mean, and with them.
    halfway = best.weights
    best.average_from_here()
    best.advance(last)
    validation, calibration = best.validate(), best.calibrate()
    log.info("chosen: %s, %s, accuracy %.4f", best.settings, calibration, validation.accuracy)
    best.weights, best.rounds = halfway, first
    best.take_all(total)
    best.advance(last)
    model = replace(best.model(), calibration=calibration)
    best.matrices.unpersist()
    blocks.unpersist()
    return model, trials, validation


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train_ml_model.py",
        description="Trains a document classifier and writes it as doc-classification-model-YYYY-MM-DD. What is not "
        "given is chosen on a validation part of the documents.",
        epilog="example:\n  spark-submit --py-files spark_sql.py,cloud_function/document_model.py \\\n"
        "      train_ml_model.py gs://ml_input/input/ gs://ml_output/output/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input_path", metavar="INPUT",
        help="landed JSON lines (converted first), their parquet, or a model's data.json: the same model once more",
    )  # fmt: skip
    parser.add_argument("output_path", metavar="OUTPUT", help="the folder of the dated models, gs:// or local")
    parser.add_argument("--label_column", help="what to learn (default: superTag01)")
    parser.add_argument(
        "--test", metavar="PATH", help="a fixed test set, JSON or parquet (default: a tenth of the input, by text)"
    )
    parser.add_argument("--date", default="today", help="YYYY-MM-DD in the model's name, or today, UTC (the default)")
    parser.add_argument(
        "--parquet_path", metavar="PATH", help="where converted JSON goes (default: parquet beside INPUT)"
    )
    parser.add_argument(
        "--split", choices=["random", "time"], help="time: the newest documents test, not random ones (default: random)"
    )
    gate = parser.add_argument_group("the gate")
    gate.add_argument(
        "--tolerance", type=float, default=TOLERANCE, metavar="X",
        help=f"by how much macro-F1 may be below the serving model's (default: {TOLERANCE})",
    )  # fmt: skip
    gate.add_argument(
        "--force",
        nargs="?",
        const="--force",
        metavar="REASON",
        help="promote whatever the figures say; kept as the reason",
    )
    fixed = parser.add_argument_group("instead of a choice by validation")
    fixed.add_argument("--ngrams", type=int, choices=[1, 2], help="1 for words, 2 for words and pairs")
    fixed.add_argument("--idf_power", type=float, metavar="X", help="how much rare words count for")
    fixed.add_argument("--alpha", type=float, metavar="X", help="regularisation of scikit-learn's SGDClassifier")
    rest = parser.add_argument_group("the computation")
    rest.add_argument("--seed", type=int, metavar="N", help="of the split and the order of learning (default: 0)")
    rest.add_argument("--hash_bits", type=int, help="2 to this power is the number of places, 10 to 24 (default: 20)")
    rest.add_argument(
        "--partitions", type=int, metavar="N",
        help=f"that learn side by side (default: the cores; each has at least {DOCUMENTS_A_PARTITION} documents)",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d|today", arguments.date):
            raise ValueError(arguments.date)
        arguments.date = date.fromisoformat(arguments.date) if arguments.date != "today" else None
    except ValueError:
        parser.error(f"--date: expected YYYY-MM-DD or today, found {arguments.date!r}")
    if arguments.hash_bits is not None and not 10 <= arguments.hash_bits <= 24:
        parser.error(f"--hash_bits: expected 10 to 24, found {arguments.hash_bits}")
    bounds = {"tolerance": (0, 1), "alpha": (1e-9, 1), "idf_power": (0, 3), "partitions": (1, 100_000)}
    for name, (low, high) in bounds.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            parser.error(f"--{name}: expected {low:g} to {high:g}, found {value}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    arguments = parse_arguments(argv)
    started = time.time()
    names = (one.name for one in fields(Options))
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    try:
        summary = train(
            open_session("brigade-train"),
            arguments.input_path,
            arguments.output_path,
            test_path=arguments.test,
            day=arguments.date,
            parquet_path=arguments.parquet_path,
            tolerance=arguments.tolerance,
            force=arguments.force,
            **given,
        )
    except (TrainingError, spark_sql.ConversionError) as problem:
        print(f"train_ml_model.py: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(summary | {"seconds": round(time.time() - started, 1)}), flush=True)
    return 0
