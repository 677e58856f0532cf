"""Chooses a model's settings on the validation documents, and trains the final model with them.

Each setting that is not given is tried in turn, and the earlier value stays unless a later one is clearly better. The
best candidate is trained further, calibrated, and then learns the validation documents too.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace

import numpy as np
from pyspark import RDD
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.evaluation import Evaluation, macro_f1
from brigade.training.features import Frequencies, count_features, document_frequencies
from brigade.training.mixing import CACHE, Prepared, Trainer
from brigade.training.options import Options, Settings

log = logging.getLogger("train_ml_model")

CHOICES = {"alpha": (1e-4, 1e-5), "ngrams": (2, 1)}  # the values that are tried for each setting, in this order
TRIAL_ROUNDS, ROUNDS, LAST_ROUNDS = 1, 2, 1  # of a candidate, of the best one, and of that with all documents
FEW_DOCUMENTS, MAX_ROUNDS = 5000, 40  # fewer documents are gone through more often, at most so often
CLEARLY = 0.5  # standard errors of the accuracy by which a later candidate has to be better


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


@dataclass(frozen=True)
class Fitted:
    """A trained model, all trials (the chosen one first), and its evaluation before it learned the validation part."""

    model: DocumentModel
    trials: list[Trial]
    validation: Evaluation


def fit(documents: DataFrame, classes: list[str], partitions: int, options: Options) -> Fitted:
    """Trains on the documents (`payload`, `label`, `part`, `place`, `eventId`) of the parts train and validation."""
    features = FeatureParameters(options.hash_bits, options.ngrams or 2)
    blocks = counted_blocks(documents, classes, partitions, features)
    frequencies = blocks.mapPartitions(lambda part: document_frequencies(part, features)).treeReduce(
        lambda one, other: [a + b for a, b in zip(one, other, strict=True)]
    )
    total = sum(one.documents for one in frequencies)
    log.info("features of %d documents counted", total)
    trainer, trials = select(blocks, frequencies[0], classes, features, options.fixed, options.seed)
    fitted = finish(trainer, trials, total)
    trainer.matrices.unpersist()
    blocks.unpersist()
    return fitted


def counted_blocks(documents: DataFrame, classes: list[str], partitions: int, features: FeatureParameters) -> RDD:
    """The documents of these classes as cached blocks of counted features, in the order of their texts' hashes.

    Classes may come one after the other in the input; in this order every partition has some of each.
    """
    index = {name: number for number, name in enumerate(classes)}
    spread = documents.where(F.col("label").isin(classes)) if len(classes) < 1000 else documents
    spread = spread.repartition(partitions, "place").sortWithinPartitions("place", "label", "eventId")
    rows = spread.select("payload", "label", "part").rdd
    return rows.mapPartitions(
        lambda part: count_features((row for row in part if row.label in index), features, index)
    ).persist(CACHE)


def select(
    blocks: RDD, frequencies: Frequencies, classes: list[str], features: FeatureParameters, fixed: dict, seed: int
) -> tuple[Trainer, list[Trial]]:
    """Tries CHOICES, one setting after the other; returns the best candidate's trainer and all trials, the best first.

    fixed: settings that are given and not tried.
    """
    best: tuple[Trainer, Trial] | None = None
    trials: list[Trial] = []
    prepared: dict[tuple, Prepared] = {}
    for name, value in [(name, value) for name, values in CHOICES.items() for value in values]:
        settings = replace(best[1].settings if best else Settings(**fixed), **{name: fixed.get(name, value)})
        if any(settings == trial.settings for trial in trials):
            continue
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
        if best is None or clearly_better(trial.accuracy, best[1].accuracy, found.documents):
            best = trainer, trial
    assert best is not None
    trainer, chosen = best
    for one in prepared.values():
        if one.matrices is not trainer.matrices:
            one.matrices.unpersist()
    return trainer, sorted(trials, key=lambda trial: trial is not chosen)


def finish(trainer: Trainer, trials: list[Trial], total: int) -> Fitted:
    """Trains the best candidate to its end. total: the documents, those for validation included."""
    first, last = rounds_for(trainer.documents, ROUNDS), rounds_for(trainer.documents, LAST_ROUNDS)
    trainer.advance(first - trainer.progress.rounds)
    log.info("%d rounds, %d to come", trainer.progress.rounds, last)
    # The last rounds run twice: without the validation documents, to calibrate the scores, and then with them.
    halfway = trainer.progress
    trainer.average_from_here()
    trainer.advance(last)
    validation, calibration = trainer.validate(), trainer.calibrate()
    log.info("chosen: %s, %s, accuracy %.4f", trainer.settings, calibration, validation.accuracy)
    trainer.progress = halfway
    trainer.take_all(total)
    trainer.advance(last)
    return Fitted(replace(trainer.model(), calibration=calibration), trials, validation)


def rounds_for(documents: int, rounds: int) -> int:
    """The rounds for so many documents, if `rounds` are enough for many."""
    return max(rounds, min(MAX_ROUNDS, rounds * FEW_DOCUMENTS // documents))


def clearly_better(accuracy: float, other: float, documents: int) -> bool:
    """Whether one accuracy is above another by more than CLEARLY standard errors on so many documents."""
    return accuracy - other > CLEARLY * np.sqrt(other * (1 - other) / documents)
