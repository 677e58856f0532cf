"""Trains one linear classifier on many partitions: iterative parameter mixing (McDonald, Hall, Mann 2010).

In each round every partition runs some epochs of scikit-learn's SGDClassifier from the shared weights, and the weights
are averaged. A round moves one weight matrix, however many documents there are. The same documents give the same
weights, bit by bit, in whatever order the partitions finish.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from pyspark import RDD, StorageLevel

from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.calibration import CALIBRATED_SCORES, calibrated, first_scores
from brigade.training.errors import TrainingError
from brigade.training.evaluation import Evaluation, evaluate_matrices
from brigade.training.features import BLOCK_ROWS, Frequencies, Matrix, inverse_frequencies, used_places, weigh
from brigade.training.options import Settings

# Each round reads the matrices block by block from disk. From memory Spark would read a whole partition at once; what
# is read again soon is in the operating system's page cache anyway.
CACHE = StorageLevel.DISK_ONLY
KEPT_BLOCKS = 16  # a worker keeps up to so many blocks of a partition for further epochs
MAX_WEIGHTS = 1 << 25  # of one model: 128 MiB as float32
DOCUMENTS_A_PARTITION = 2500  # at least: averaged weights that saw fewer are worse than weights that saw all
EPOCHS = 4  # of each round, in each partition: sending the weights around costs more than an epoch
NO_WORDS = "expected documents with words, found none; are the texts empty?"
FIXED_POINT = 2.0**24  # weights are added up as whole numbers, so that the order of adding changes nothing


@dataclass
class Weights:
    """What a round shares: coefficients [rows, features], intercepts [rows], and the number of updates so far.

    There is one row a class, and a single one if there are two classes. Weights are added up as whole numbers
    (fixed point), so that partitions may finish in any order: a sum of float32 values depends on their order.
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
        """The same as whole numbers, in units of 1 / FIXED_POINT."""
        if self.coefficients.dtype.kind == "i":
            return self
        return Weights(*(whole(np.rint(part * np.float64(FIXED_POINT))) for part in self.parts))

    def floating(self) -> "Weights":
        """The same as float32."""
        if self.coefficients.dtype.kind != "i":
            return self
        return Weights(*((part / FIXED_POINT).astype(np.float32) for part in self.parts))

    def __add__(self, other: "Weights") -> "Weights":
        both = zip(self.fixed().parts, other.fixed().parts, strict=True)
        return Weights(*(whole(np.add(one, two, dtype=np.int64)) for one, two in both))


def whole(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers as int32 if they fit, which is half the bytes to send, otherwise as int64."""
    small = np.abs(numbers).max(initial=0) <= np.iinfo(np.int32).max
    return np.asarray(numbers).astype(np.int32 if small else np.int64)


def epoch(
    matrices: Iterable[Matrix], start: Weights, classes: int, alpha: float, seed: int, documents: int
) -> Iterator[Weights]:
    """One partition's EPOCHS from the shared weights: yields its weights, scaled by its share of the documents.

    Yields nothing for a partition without documents.
    """
    from sklearn.linear_model import SGDClassifier

    learner, seen, blocks, kept = None, 0, 0, []
    for matrix in matrices:
        features = matrix.sparse(start.coefficients.shape[1])
        if learner is None:
            learner = SGDClassifier(loss="hinge", alpha=alpha, random_state=seed)
            # A first call allocates the weights; the shared ones then replace their values.
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
    if blocks == len(kept):  # a larger partition is read once a round: it makes enough updates
        for number in range(1, EPOCHS):
            learner.random_state = seed + number
            for features, own in kept:
                learner.partial_fit(features, own)
    found = Weights(learner.coef_, learner.intercept_, np.asarray(learner.t_, np.float32))
    yield (found * (seen / documents)).fixed()


@dataclass(frozen=True)
class Progress:
    """How far a training is: its weights, its rounds, and the sum of those rounds that count for the average."""

    weights: Weights
    rounds: int = 0
    sums: Weights | None = None
    summed: int = 0

    def after(self, weights: Weights) -> "Progress":
        """One round later. The first round does not count for the average: its weights are still far off."""
        if self.rounds == 0:
            return replace(self, weights=weights, rounds=1)
        sums = weights if self.sums is None else (self.sums + weights).floating()
        return Progress(weights, self.rounds + 1, sums, self.summed + 1)


def rounds_alone(
    matrices: Iterable[Matrix], start: Progress, rounds: int, classes: int, alpha: float, seed: int, documents: int
) -> Iterator[Progress]:
    """So many rounds of the only partition. It has no other's weights to wait for, so its worker does them in a row."""
    kept, progress = list(matrices), start
    for _ in range(rounds):
        learned = epoch(kept, progress.weights, classes, alpha, seed + EPOCHS * progress.rounds, documents)
        progress = progress.after(next(learned).floating())
    yield progress


def plan_of(
    frequencies: Frequencies, classes: list[str], features: FeatureParameters, settings: Settings
) -> DocumentModel:
    """A model without weights: its places and their inverse document frequencies for these settings."""
    counted = frequencies.places[settings.ngrams - 1]
    places = used_places(frequencies, settings.ngrams, MAX_WEIGHTS // len(classes))
    idf = inverse_frequencies(counted[places], frequencies.documents, settings.idf_power)
    parameters = replace(features, ngrams=settings.ngrams)
    nothing = np.zeros((0, len(classes)), np.float32)
    return DocumentModel(classes, parameters, places, idf, nothing, np.zeros(len(classes), np.float32))


def beginning(plan: DocumentModel) -> Progress:
    """The progress before the first round."""
    rows = 1 if len(plan.classes) == 2 else len(plan.classes)
    nothing = np.zeros((rows, len(plan.places)), np.float32), np.zeros(rows, np.float32), np.ones((), np.float32)
    return Progress(Weights(*nothing))


def averaged(plan: DocumentModel, progress: Progress) -> DocumentModel:
    """The plan with the average of the rounds (without the first) as its weights, not calibrated."""
    found, count = progress.weights, 1
    if progress.sums is not None:
        found, count = progress.sums, progress.summed
    coefficients, intercepts = found.coefficients / count, found.intercepts / count
    if len(coefficients) == 1:  # two classes: one row has the second class's scores; the first's are the opposite
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.hstack([-intercepts, intercepts])
    weights = np.ascontiguousarray(coefficients.T, np.float32)
    return replace(plan, weights=weights, intercept=intercepts.astype(np.float32))


@dataclass
class Prepared:
    """All documents' features for some ngrams and idf_power: a model without weights, and the cached matrices.

    documents: the number of those that are not for validation.
    """

    plan: DocumentModel
    matrices: RDD
    documents: int

    @classmethod
    def of(
        cls, blocks: RDD, frequencies: Frequencies, classes: list[str], features: FeatureParameters, settings: Settings
    ) -> "Prepared":
        plan = plan_of(frequencies, classes, features, settings)
        if not len(plan.places):
            raise TrainingError(NO_WORDS)
        shared = blocks.context.broadcast(plan)
        matrices = blocks.map(lambda block: weigh(block, shared.value)).persist(CACHE)
        return cls(plan, matrices, frequencies.documents)


class Trainer:
    """Trains one model, round by round: first without the validation documents, in the end with all documents."""

    def __init__(self, prepared: Prepared, settings: Settings, seed: int):
        self.context, self.settings, self.seed = prepared.matrices.context, settings, seed
        self.plan, self.matrices, self.documents = prepared.plan, prepared.matrices, prepared.documents
        self.own = self.matrices.filter(lambda matrix: not matrix.validation)
        self.validation = self.matrices.filter(lambda matrix: matrix.validation)
        self.progress = beginning(self.plan)

    def advance(self, rounds: int) -> None:
        """Runs so many rounds more: one Spark job a round, or one job in all for few documents in one partition."""
        if self.own.getNumPartitions() == 1 and self.documents <= KEPT_BLOCKS * BLOCK_ROWS:
            self.progress = self.advanced_alone(rounds)
        else:
            for _ in range(rounds):
                self.progress = self.progress.after(self.mixed())

    def advanced_alone(self, rounds: int) -> Progress:
        """The progress after so many rounds of the only partition."""
        classes, alpha, seed, documents = len(self.plan.classes), self.settings.alpha, self.seed, self.documents
        shared = self.context.broadcast(self.progress)
        learned = self.own.mapPartitions(
            lambda part: rounds_alone(part, shared.value, rounds, classes, alpha, seed, documents)
        )
        (found,) = learned.collect()
        shared.destroy()
        return found

    def mixed(self) -> Weights:
        """The weights after one more round: the partitions' average."""
        classes, alpha, documents = len(self.plan.classes), self.settings.alpha, self.documents
        shared, seed = self.context.broadcast(self.progress.weights), self.seed + EPOCHS * self.progress.rounds
        learned = self.own.mapPartitions(lambda part: epoch(part, shared.value, classes, alpha, seed, documents))
        found = learned.treeReduce(lambda one, other: one + other).floating()
        shared.destroy()
        return found

    def average_from_here(self) -> None:
        """Earlier rounds no longer count for the average."""
        self.progress = replace(self.progress, sums=None, summed=0)

    def take_all(self, documents: int) -> None:
        """From here on the validation documents are learned too. documents: how many there are then."""
        self.own, self.documents = self.matrices, documents
        self.average_from_here()

    def model(self) -> DocumentModel:
        """The average of the rounds so far, not calibrated."""
        return averaged(self.plan, self.progress)

    def validate(self) -> Evaluation:
        """Evaluates the model on the validation documents."""
        shared = self.context.broadcast(self.model())
        evaluated = self.validation.mapPartitions(lambda part: evaluate_matrices(part, shared.value))
        found = evaluated.treeReduce(lambda one, other: one + other)
        shared.destroy()
        return found

    def calibrate(self) -> Calibration:
        """Calibrates the model on the validation documents; CALIBRATED_SCORES of their scores are enough."""
        shared = self.context.broadcast(self.model())
        most = CALIBRATED_SCORES // len(self.plan.classes) // self.validation.getNumPartitions() + 1
        found = self.validation.mapPartitions(lambda part: first_scores(part, shared.value, most)).collect()
        shared.destroy()
        scores, classes = zip(*found, strict=True)
        return calibrated(np.concatenate(scores), np.concatenate(classes))
