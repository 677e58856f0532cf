"""Cross-validation for few documents: each fold is scored by a model that has not learned it.

A tenth of few documents is a handful, on which neither a choice nor a calibration can rest. So further tenths are
validated the same way, until VALIDATED documents are, or all. The documents lie in one partition, and its worker trains
the folds' models one after the other, as it trains the final one on all documents.
"""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from pyspark import RDD

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.errors import TrainingError
from brigade.training.features import Block, document_frequencies, joined, scores_of, weigh
from brigade.training.mixing import NO_WORDS, learn, plan_of, with_weights
from brigade.training.options import Settings
from brigade.training.tally import Tally

FOLDS = 10  # into which the documents are cut; each has about as many as the validation part, which is the first
VALIDATED = 500  # documents at least, if there are so many


def folds_for(documents: int) -> int:
    """How many folds are validated: 1, the validation part alone, if that is large enough; at most FOLDS."""
    return min(FOLDS, -(-VALIDATED * FOLDS // documents))


@dataclass(frozen=True)
class Training:
    """How a model is trained on blocks that one worker holds: on which classes, and with what."""

    classes: list[str]
    features: FeatureParameters
    settings: Settings
    seed: int

    def model(self, blocks: list[Block]) -> DocumentModel:
        """The model that has learned these blocks, not calibrated."""
        frequencies = reduce(add, (one for both in document_frequencies(blocks, self.features) for one in both))
        plan = plan_of(frequencies, self.classes, self.features, self.settings)
        if not len(plan.places):  # all that have words are in the fold that is validated
            return plan
        matrix = joined([weigh(block, plan) for block in blocks])
        scales = Tally.of([matrix], len(plan.classes), len(plan.places)).scales()
        return with_weights(plan, learn(matrix, scales, self.settings.alpha, self.seed))

    def scored(self, blocks: list[Block], folds: int) -> tuple[np.ndarray, np.ndarray]:
        """The scores [n, C] and classes [n] of the first folds' documents, by models that have learned the others."""
        found = []
        for fold in sorted({block.fold for block in blocks if block.fold < folds}):
            model = self.model([block for block in blocks if block.fold != fold])
            found += [(scores_of(weigh(block, model), model), block.classes) for block in blocks if block.fold == fold]
        scores, classes = zip(*found, strict=True)
        return np.concatenate(scores), np.concatenate(classes)


def cross_validate(blocks: RDD, training: Training, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """The scores and classes of the first folds' documents, see `Training.scored`. blocks: in one partition.

    Raises TrainingError if no document has a word.
    """
    if not blocks.map(lambda block: len(block.grams[0].places)).sum():
        raise TrainingError(NO_WORDS)
    (found,) = blocks.mapPartitions(lambda part: [training.scored(list(part), folds)]).collect()
    return found


def learn_all(blocks: RDD, training: Training) -> DocumentModel:
    """The model that has learned all blocks, not calibrated. blocks: in one partition."""
    (found,) = blocks.mapPartitions(lambda part: [training.model(list(part))]).collect()
    return found
