"""Chooses a model's settings on the validation documents, and trains the final model with them.

Each setting that is not given is tried in turn, and the earlier value stays unless a later one is clearly better. The
best candidate is trained further, calibrated, and then learns the validation documents too. If the documents are few,
candidates are chosen and calibrated by cross-validation.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np
from pyspark import RDD
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.calibration import calibrated
from brigade.training.cross_validation import FOLDS, Training, cross_validate, folds_for, learn_all
from brigade.training.evaluation import Evaluation, evaluate_scores, macro_f1
from brigade.training.features import count_features, document_frequencies
from brigade.training.mixing import CACHE, Prepared, Trainer
from brigade.training.options import Options, Settings

log = logging.getLogger("train_ml_model")

ALPHAS = (1e-4, 0.1), (1e-4, 1.0), (1e-5, 0.01)  # the values of alpha: at least, and divided by the documents
TRIAL_ROUNDS, ROUNDS, LAST_ROUNDS = 1, 2, 1  # of a candidate, of the best one, and of that with all documents
FEW_DOCUMENTS, MAX_ROUNDS = 5000, 40  # fewer documents are gone through more often, at most so often
MAX_ROUNDS_OF_FEW = 12  # in cross-validation
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
    total = documents.count()
    folds = folds_for(total) if partitions == 1 else 1
    blocks = counted_blocks(documents, classes, partitions, features, FOLDS if folds > 1 else 2)
    log.info("features of %d documents are counted", total)
    if folds > 1:
        fitted = fit_few(blocks, total, folds, classes, features, options)
    else:
        fitted = fit_many(blocks, classes, features, options)
    blocks.unpersist()
    return fitted


def counted_blocks(
    documents: DataFrame, classes: list[str], partitions: int, features: FeatureParameters, folds: int
) -> RDD:
    """The documents of these classes as cached blocks of counted features, in the order of their texts' hashes.

    Classes may come one after the other in the input; in this order every partition has some of each. The validation
    part is the first fold, and the other documents are spread over the others by their texts.
    """
    index = {name: number for number, name in enumerate(classes)}
    spread = documents.where(F.col("label").isin(classes)) if len(classes) < 1000 else documents
    spread = spread.repartition(partitions, "place").sortWithinPartitions("place", "label", "eventId")
    fold = F.when(F.col("part") == "validation", 0).otherwise((1 + F.pmod("place", F.lit(folds - 1))).cast("int"))
    rows = spread.select("payload", "label", fold.alias("fold")).rdd
    return rows.mapPartitions(
        lambda part: count_features((row for row in part if row.label in index), features, index)
    ).persist(CACHE)


def fit_few(
    blocks: RDD, total: int, folds: int, classes: list[str], features: FeatureParameters, options: Options
) -> Fitted:
    """Chooses and calibrates by cross-validation, and trains on all documents at once. blocks: in one partition."""
    rounds = min(MAX_ROUNDS_OF_FEW, rounds_for(total, ROUNDS + LAST_ROUNDS))

    def attempt(settings: Settings) -> tuple[tuple[np.ndarray, np.ndarray], Evaluation]:
        training = Training(classes, features, settings, options.seed, rounds)
        found = cross_validate(blocks, training, folds)
        return found, evaluate_scores(*found, classes)

    (scores, labels), trials = select(attempt, options.fixed, total)
    calibration, validation = calibrated(scores, labels), evaluate_scores(scores, labels, classes)
    log.info("chosen: %s, %s, accuracy %.4f", trials[0].settings, calibration, validation.accuracy)
    model = learn_all(blocks, Training(classes, features, trials[0].settings, options.seed, rounds))
    return Fitted(replace(model, calibration=calibration), trials, validation)


def fit_many(blocks: RDD, classes: list[str], features: FeatureParameters, options: Options) -> Fitted:
    """Chooses and calibrates on the validation part, which the best candidate learns in its last rounds."""
    frequencies = blocks.mapPartitions(lambda part: document_frequencies(part, features)).treeReduce(
        lambda one, other: [a + b for a, b in zip(one, other, strict=True)]
    )
    total = sum(one.documents for one in frequencies)
    prepared: dict[tuple, Prepared] = {}

    def attempt(settings: Settings) -> tuple[Trainer, Evaluation]:
        key = settings.ngrams, settings.idf_power
        if key not in prepared:
            prepared[key] = Prepared.of(blocks, frequencies[0], classes, features, settings)
        trainer = Trainer(prepared[key], settings, options.seed)
        trainer.advance(rounds_for(trainer.documents, TRIAL_ROUNDS))
        return trainer, trainer.validate()

    trainer, trials = select(attempt, options.fixed, total)
    for one in prepared.values():
        if one.matrices is not trainer.matrices:
            one.matrices.unpersist()
    fitted = finish(trainer, trials, total)
    trainer.matrices.unpersist()
    return fitted


def choices(documents: int) -> dict[str, tuple]:
    """The values that are tried for each setting, in their order.

    alpha is higher for few documents: a sum of few losses is as large beside the regularisation as one of many.
    """
    return {"alpha": tuple(max(least, share / documents) for least, share in ALPHAS), "ngrams": (2, 1)}


Found = TypeVar("Found")


def select(
    attempt: Callable[[Settings], tuple[Found, Evaluation]], fixed: dict, documents: int
) -> tuple[Found, list[Trial]]:
    """Tries `choices`, one setting after the other; returns what the best attempt gave, and all trials, the best first.

    attempt: trains a candidate; gives what it found and its evaluation. fixed: settings that are given and not tried.
    """
    best: tuple[Found, Trial] | None = None
    trials: list[Trial] = []
    for name, value in [(name, value) for name, values in choices(documents).items() for value in values]:
        settings = replace(best[1].settings if best else Settings(**fixed), **{name: fixed.get(name, value)})
        if any(settings == trial.settings for trial in trials):
            continue
        started = time.monotonic()
        result, found = attempt(settings)
        trial = Trial(settings, found.accuracy, macro_f1(found), time.monotonic() - started)
        trials.append(trial)
        log.info(
            "candidate %d: %d-grams, idf power %g, alpha %g: accuracy %.4f on %d validation documents, %.1f s",
            len(trials), settings.ngrams, settings.idf_power, settings.alpha, trial.accuracy, found.documents,
            trial.seconds,
        )  # fmt: skip
        if best is None or clearly_better(trial.accuracy, best[1].accuracy, found.documents):
            best = result, trial
    assert best is not None
    result, chosen = best
    return result, sorted(trials, key=lambda trial: trial is not chosen)


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
