"""Scores → probabilities that mean what they say: the calibration is fitted on documents that were not learned.

The result is a little more cautious than the best fit. Documents to come differ more from the training documents than
a random tenth of these does, so a model is right less often than validation says.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from brigade.models.document_model import Calibration, DocumentModel
from brigade.training.features import Matrix, scores_of

CAUTION = 0.1  # standard errors of the log loss by which a more cautious calibration may be worse
FEW = 150  # documents up to which one parameter is fitted: three follow the accidents of so few
NEARLY_LINEAR = 0.05  # a slope with which tanh bends nothing
CALIBRATED_SCORES = 1_000_000  # at most, and a document of each partition


def first_scores(
    matrices: Iterable[Matrix], model: DocumentModel, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The scores [n, C] and classes [n] of a partition's first documents, `most` of them at most."""
    for matrix in matrices:
        if most > 0:
            yield scores_of(matrix, model)[:most], matrix.classes[:most]
            most -= len(matrix.classes)


def calibrated(scores: np.ndarray, classes: np.ndarray) -> Calibration:
    """The calibration of least log loss for these scores [n, C] and classes [n], made more cautious.

    Its scale is lowered while the log loss stays within CAUTION standard errors of the least one. If all of n documents
    were classified rightly, the next one is so with a probability of 1 - 1 / (n + 2), by Laplace's rule of succession,
    and not with 1. Of few documents the temperature alone is fitted (Guo et al. 2017), and caution is there already:
    the models that gave the scores have learned less than the final one.
    """
    from scipy.optimize import minimize

    documents = np.arange(len(classes))

    def losses(one: Calibration) -> np.ndarray:
        return -np.log(np.maximum(one.probabilities(scores)[documents, classes], 1e-12))

    def calibration(found: np.ndarray | tuple[float, ...]) -> Calibration:
        return Calibration(float(np.exp(found[0])), float(np.exp(found[1])), float(found[2]))

    grid = [(k, a, c) for k in np.log([1, 2, 4, 8, 16]) for a in np.log([0.1, 0.4, 1.6]) for c in (-1.5, -0.75, 0)]
    bounds = [(np.log(0.05), np.log(500)), (np.log(NEARLY_LINEAR), np.log(8)), (-4, 4)]
    caution = CAUTION
    if len(classes) <= FEW:
        caution = 0.0
        slope = float(np.log(NEARLY_LINEAR))
        grid = [(k, slope, 0.0) for k in np.log([5, 10, 20, 40, 80, 160])]
        bounds[1:] = [(slope, slope), (0, 0)]
    start = min(grid, key=lambda one: losses(calibration(one)).mean())
    found = minimize(
        lambda one: losses(calibration(one)).mean(), start, method="Nelder-Mead", bounds=bounds, options={"maxfev": 300}
    )
    best = calibration(found.x)
    own = losses(best)
    most = max(own.mean() + caution * own.std() / np.sqrt(len(own)), 1 / (len(own) + 2))
    cautious = (replace(best, scale=best.scale * 0.98**n) for n in range(1, 400))
    return [best, *itertools.takewhile(lambda one: losses(one).mean() <= most, cautious)][-1]
