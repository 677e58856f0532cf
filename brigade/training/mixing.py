"""Trains one linear classifier on many partitions: linear SVMs with NB features, and the average of their weights.

Each class has a support vector machine of its own against all other documents (liblinear's, squared hinge loss). Its
features are scaled by how much they tell about the class, see `Tally.scales`. Few documents are learned together: each
task learns some of the classes from all of them. Of many each partition learns its own, and the weights are averaged
(parameter mixing: McDonald, Hall, Mann 2010). The same documents give the same weights, bit by bit, in whatever order
the partitions finish.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from pyspark import RDD, StorageLevel

from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.calibration import CALIBRATED_SCORES, calibrated, first_scores
from brigade.training.errors import TrainingError
from brigade.training.evaluation import Evaluation, evaluate_matrices
from brigade.training.features import Frequencies, Matrix, inverse_frequencies, joined, used_places, weigh
from brigade.training.options import Settings
from brigade.training.tally import Tally

# Each training reads the matrices from disk. From memory Spark would read a whole partition at once; what is read again
# soon is in the operating system's page cache anyway.
CACHE = StorageLevel.DISK_ONLY
MAX_WEIGHTS = 1 << 25  # of one model: 128 MiB as float32
TOGETHER = 30_000  # documents that one task learns at once: of more, the average of several models is as good
MAX_CELLS = 1 << 24  # of the matrix that it learns, each of about 40 bytes
DOCUMENTS_A_PARTITION, DOCUMENTS_APART = 2500, 15_000  # at least; the latter if each partition learns its own
TOLERANCE, PASSES = 0.1, 10  # of liblinear: when it stops, at the latest after so many passes; more learn no better
NO_WORDS = "expected documents with words, found none; are the texts empty?"
FIXED_POINT = 2.0**24  # weights are added up as whole numbers, so that the order of adding changes nothing


def partitions_for(documents: int, most: int) -> int:
    """In how many partitions so many documents are to lie: `most` if these are large enough."""
    return min(most, max(1, documents // (DOCUMENTS_A_PARTITION if documents <= TOGETHER else DOCUMENTS_APART)))


@dataclass
class Weights:
    """Coefficients [rows, features] and intercepts [rows]: a row for each class, and a single one if there are two.

    Weights are added up as whole numbers (fixed point), so that partitions may finish in any order: a sum of float32
    values depends on their order.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        return self.coefficients, self.intercepts

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


def learn(matrix: Matrix, scales: np.ndarray, alpha: float, seed: int, rows: Iterable[int] | None = None) -> Weights:
    """The weights of these rows (all, if none are named) for the documents of a matrix; the other rows are 0.

    alpha: the weight of the regularisation beside the mean loss. A class's scales are folded into its weights.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    found = Weights(np.zeros(scales.shape, np.float32), np.zeros(len(scales), np.float32))
    features, first = matrix.sparse(scales.shape[1]).astype(np.float64), len(scales) == 1
    values, documents = features.data.copy(), len(matrix.classes)
    for row in range(len(scales)) if rows is None else rows:
        own = matrix.classes == row + first  # a single row is that of the second class
        if own.all() or not own.any():
            found.intercepts[row] = 1 if own.any() else -1
            continue
        features.data = values * scales[row][features.indices]
        machine = LinearSVC(C=1 / (alpha * documents), tol=TOLERANCE, max_iter=PASSES, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # PASSES are enough in any case
            machine.fit(features, own)
        found.coefficients[row], found.intercepts[row] = machine.coef_[0] * scales[row], machine.intercept_[0]
    return found


def learn_together(
    matrices: Iterable[Matrix], scales: np.ndarray, alpha: float, seed: int, rows: Iterable[int]
) -> Iterator[Weights]:
    """Yields the weights of these rows for all documents, which may come in any order."""
    if kept := sorted(matrices, key=lambda one: one.order):
        yield learn(joined(kept), scales, alpha, seed, rows).fixed()


def learn_apart(
    matrices: Iterable[Matrix], scales: np.ndarray, alpha: float, seed: int, documents: int
) -> Iterator[Weights]:
    """Yields the weights for each piece of a partition, scaled by its share of all documents."""
    for matrix in pieces(matrices):
        yield (learn(matrix, scales, alpha, seed) * (len(matrix.classes) / documents)).fixed()


def pieces(matrices: Iterable[Matrix]) -> Iterator[Matrix]:
    """A partition's matrices joined to as large ones as are learned at once."""
    waiting: list[Matrix] = []
    for matrix in matrices:
        waiting.append(matrix)
        documents, cells = sum(len(one.classes) for one in waiting), sum(len(one.values) for one in waiting)
        if documents >= TOGETHER or cells >= MAX_CELLS:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


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


def with_weights(plan: DocumentModel, found: Weights) -> DocumentModel:
    """The plan with these weights, not calibrated."""
    coefficients, intercepts = found.parts
    if len(coefficients) == 1:  # two classes: one row has the second class's scores; the first's are the opposite
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.hstack([-intercepts, intercepts])
    weights = np.ascontiguousarray(coefficients.T, np.float32)
    return replace(plan, weights=weights, intercept=intercepts.astype(np.float32))


def weigh_all(number: int, blocks: Iterable, plan: DocumentModel) -> Iterator[Matrix]:
    """The matrices of a partition's blocks. number: of the partition."""
    for at, block in enumerate(blocks):
        yield replace(weigh(block, plan), order=(number, at))


class Trainer:
    """Trains models with some ngrams and idf_power: a model without weights, the classes' scales, cached matrices.

    documents: the number of those that are not for validation.
    """

    def __init__(self, plan: DocumentModel, matrices: RDD, documents: int, seed: int):
        self.plan, self.matrices, self.documents, self.seed = plan, matrices, documents, seed
        self.validation = matrices.filter(lambda matrix: matrix.validation)
        classes, features = len(plan.classes), len(plan.places)
        self.own = matrices.filter(lambda matrix: not matrix.validation)
        tally = self.own.mapPartitions(lambda part: [Tally.of(part, classes, features)]).treeReduce(
            lambda one, other: one + other
        )
        self.scales = matrices.context.broadcast(tally.scales())
        self.large = int(tally.documents.sum(dtype=np.int64)) > MAX_CELLS

    @classmethod
    def of(
        cls,
        blocks: RDD,
        frequencies: Frequencies,
        classes: list[str],
        features: FeatureParameters,
        settings: Settings,
        seed: int,
    ) -> "Trainer":
        """A trainer with the ngrams and the idf_power of these settings. Raises TrainingError if there are no words."""
        plan = plan_of(frequencies, classes, features, settings)
        if not len(plan.places):
            raise TrainingError(NO_WORDS)
        shared = blocks.context.broadcast(plan)
        matrices = blocks.mapPartitionsWithIndex(lambda number, part: weigh_all(number, part, shared.value))
        return cls(plan, matrices.persist(CACHE), frequencies.documents, seed)

    def model(self, alpha: float) -> DocumentModel:
        """The model that has learned the documents that are not for validation; not calibrated."""
        scales, seed, documents = self.scales, self.seed, self.documents
        if documents <= TOGETHER and not self.large:
            learned = self.learned_together(alpha)
        else:
            learned = self.own.mapPartitions(lambda part: learn_apart(part, scales.value, alpha, seed, documents))
        return with_weights(self.plan, learned.treeReduce(lambda one, other: one + other).floating())

    def learned_together(self, alpha: float) -> RDD:
        """As many tasks as there are partitions; each reads all of these, and learns its share of the classes."""
        scales, seed, rows = self.scales, self.seed, len(self.scales.value)
        everything = self.own.coalesce(1)
        tasks = min(rows, self.matrices.getNumPartitions())

        def task(own: range) -> RDD:
            return everything.mapPartitions(lambda part: learn_together(part, scales.value, alpha, seed, own))

        return self.matrices.context.union([task(range(first, rows, tasks)) for first in range(tasks)])

    def validate(self, model: DocumentModel) -> Evaluation:
        """Evaluates a model on the validation documents."""
        shared = self.matrices.context.broadcast(model)
        evaluated = self.validation.mapPartitions(lambda part: evaluate_matrices(part, shared.value))
        found = evaluated.treeReduce(lambda one, other: one + other)
        shared.destroy()
        return found

    def calibrate(self, model: DocumentModel) -> Calibration:
        """Calibrates a model on the validation documents; CALIBRATED_SCORES of their scores are enough."""
        shared = self.matrices.context.broadcast(model)
        most = CALIBRATED_SCORES // len(self.plan.classes) // self.validation.getNumPartitions() + 1
        found = self.validation.mapPartitions(lambda part: first_scores(part, shared.value, most)).collect()
        shared.destroy()
        scores, classes = zip(*found, strict=True)
        return calibrated(np.concatenate(scores), np.concatenate(classes))

    def free(self) -> None:
        """Frees the cached matrices."""
        self.matrices.unpersist()
