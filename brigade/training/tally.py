"""In how many documents of each class each feature occurs, and what that tells: scales as in NB-SVM.

Wang and Manning (2012) scale a class's features by their log-count ratios, those of naive Bayes, before a linear SVM
learns them. A word that is as frequent in the class as elsewhere then hardly counts, and one that tells the class apart
counts early. The square roots of the ratios do as well for many documents, and better for few.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from brigade.training.features import ONE, Matrix

SMOOTHING = 1.0  # is added to each number of documents


@dataclass
class Tally:
    """In how many documents of each class each feature occurs, int32 [classes, features]; tallies can be added."""

    documents: np.ndarray

    @classmethod
    def of(cls, matrices: Iterable[Matrix], classes: int, features: int) -> "Tally":
        found = np.zeros(classes * features, np.int32)
        for matrix in matrices:
            rows = np.repeat(matrix.classes * np.int64(features), np.diff(matrix.starts))
            np.add.at(found, rows + matrix.columns, ONE)
        return cls(found.reshape(classes, features))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.documents + other.documents)

    def scales(self) -> np.ndarray:
        """How much each feature tells about each class: √|log-count ratio|, float32 [rows, features].

        There is a row for each class, and a single one if there are two, for both of which the ratios are the same.
        """
        total = self.documents.sum(axis=0, dtype=np.int64)
        rows = self.documents[1:] if len(self.documents) == 2 else self.documents
        found = np.empty(rows.shape, np.float32)
        for scale, own in zip(found, rows, strict=True):
            inside, outside = own + SMOOTHING, total - own + SMOOTHING
            ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
            scale[:] = np.sqrt(np.abs(ratio))
        return found
