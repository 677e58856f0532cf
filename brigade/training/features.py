"""Documents → blocks of counted words and pairs → sparse matrices of weighted features.

Words are counted once, with the functions that serving uses; every candidate then weighs the same counts its own way.
Each block holds documents of one fold only, so validation stays apart from training.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters, gram_places, weighted

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK_ROWS = 2000  # documents that a worker holds as one matrix
ONE = np.int32(1)  # numpy adds it at many places twenty times as fast as Python's 1
ENOUGH_PLACES = 100_000  # words and pairs however rare are kept while a model has fewer places
COUNTED = FeatureParameters(shortest=1, beginning=5)  # what training counts in a text, if it is not told otherwise


@dataclass
class Counts:
    """The counted grams of n documents, one row each: starts [n + 1], places int32 [k], counts float32 [k]."""

    starts: np.ndarray
    places: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, documents: list[np.ndarray]) -> "Counts":
        """Counts all documents at once: a number for each gram, the document's above the place's 32 bits."""
        first = np.arange(len(documents) + 1, dtype=np.int64) << 32
        own = np.repeat(first[:-1], [len(places) for places in documents])
        numbers, counts = np.unique(own | np.concatenate(documents), return_counts=True)
        starts = np.searchsorted(numbers, first)
        return cls(starts, (numbers & 0xFFFFFFFF).astype(np.int32), counts.astype(np.float32))


@dataclass
class Block:
    """Some documents of one partition: their classes (int32 [n]), their fold, their grams.

    fold: 0 for the validation part. grams: the counts of words alone, and of words and pairs.
    """

    classes: np.ndarray
    fold: int
    grams: list[Counts]

    @property
    def validation(self) -> bool:
        return self.fold == 0


@dataclass
class Frequencies:
    """Document frequencies: in how many documents each place occurs, and how many documents there are.

    places: int32 [size], for words alone and for words and pairs.
    """

    places: list[np.ndarray]
    documents: int

    def __add__(self, other: "Frequencies") -> "Frequencies":
        both = zip(self.places, other.places, strict=True)
        return Frequencies([one + two for one, two in both], self.documents + other.documents)


@dataclass
class Matrix:
    """Documents as a sparse matrix [n, features], and their classes. order: that of the matrices of all partitions."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    classes: np.ndarray
    validation: bool
    order: tuple[int, int] = (0, 0)

    def sparse(self, features: int) -> "csr_matrix":
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.columns, self.starts), (len(self.classes), features))


def count_features(rows: Iterable, parameters: FeatureParameters, index: dict[str, int]) -> Iterator[Block]:
    """Rows (payload, label, fold) → blocks of up to BLOCK_ROWS documents of one fold. index: label → class."""
    waiting: dict[int, tuple[list, list]] = {}

    def block(fold: int) -> Block:
        classes, grams = waiting.pop(fold)
        longest = range(1, parameters.ngrams + 1)
        counted = [Counts.of([np.concatenate(one[:ngrams]) for one in grams]) for ngrams in longest]
        return Block(np.asarray(classes, np.int32), fold, counted)

    for row in rows:
        classes, grams = waiting.setdefault(row.fold, ([], []))
        classes.append(index[row.label])
        grams.append(gram_places(row.payload, parameters))
        if len(classes) == BLOCK_ROWS:
            yield block(row.fold)
    for fold in sorted(waiting):
        yield block(fold)


def document_frequencies(blocks: Iterable[Block], parameters: FeatureParameters) -> Iterator[list[Frequencies]]:
    """One partition's frequencies: [those of its training documents, those of its validation documents]."""
    both = [Frequencies([np.zeros(parameters.size, np.int32) for _ in range(parameters.ngrams)], 0) for _ in range(2)]
    for block in blocks:
        found = both[block.validation]
        for total, grams in zip(found.places, block.grams, strict=True):
            np.add.at(total, grams.places, ONE)  # a bincount would cost as much for a few documents as for many
        found.documents += len(block.classes)
    yield both


def used_places(frequencies: Frequencies, ngrams: int, most: int) -> np.ndarray:
    """The places that a model keeps, ascending, int32.

    These are the places of words that occur in two documents and of pairs that occur in three. Rarer ones teach little
    where there are many others, and much where there are not: the most frequent of them are kept too, up to
    ENOUGH_PLACES in all. At most `most` are kept, the most frequent ones.
    """
    words, counted = frequencies.places[0], frequencies.places[ngrams - 1]
    common = np.maximum(counted, np.where(words, words + 1, 0))  # a word counts like a pair of one document more
    found = np.flatnonzero(common)
    most = min(most, max(ENOUGH_PLACES, int(np.count_nonzero(common >= 3))))
    if len(found) > most:
        found = np.sort(found[np.argsort(-common[found], kind="stable")[:most]])
    return found.astype(np.int32)


def inverse_frequencies(frequencies: np.ndarray, documents: int, power: float) -> np.ndarray:
    """Inverse document frequencies, (ln((1 + n) / (1 + df)) + 1) ** power, float32, same shape."""
    return ((np.log((1 + documents) / (1 + frequencies)) + 1) ** power).astype(np.float32)


def weigh(block: Block, model: DocumentModel) -> Matrix:
    """A block's features by a model's places and idf, computed as `DocumentModel.features` does it.

    So many places are looked up in a table of all, in place of a search for each.
    """
    counts = block.grams[model.parameters.ngrams - 1]
    table = np.full(model.parameters.size, -1, np.int32)
    table[model.places] = np.arange(len(model.places), dtype=np.int32)
    columns = table[counts.places]
    known = columns >= 0
    columns = columns[known]
    starts = np.concatenate([[0], np.cumsum(known)])[counts.starts].astype(np.int32)
    values = weighted(starts, columns, counts.counts[known], model.idf)
    return Matrix(starts, columns, values, block.classes, block.validation)


def joined(matrices: list[Matrix]) -> Matrix:
    """The matrices' documents as one matrix."""
    ends = np.cumsum([0, *(one.starts[-1] for one in matrices)])
    starts = [one.starts[1:] + end for one, end in zip(matrices, ends, strict=False)]
    return Matrix(
        np.concatenate([[0], *starts]).astype(np.int32),
        np.concatenate([one.columns for one in matrices]),
        np.concatenate([one.values for one in matrices]),
        np.concatenate([one.classes for one in matrices]),
        False,
    )


def scores_of(matrix: Matrix, model: DocumentModel) -> np.ndarray:
    """The model's scores before calibration, float32 [n, C]."""
    return (matrix.sparse(len(model.places)) @ model.weights + model.intercept).astype(np.float32)
