"""Chooses a model's settings on the validation documents, and trains the final model with them.

The best candidate is calibrated, and its settings then train the model on all documents. If the documents are few,
candidates are chosen and calibrated by cross-validation.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np
from pyspark import RDD
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters
from brigade.training.calibration import calibrated
from brigade.training.cross_validation import FOLDS, Training, cross_validate, folds_for, learn_all
from brigade.training.evaluation import Evaluation, evaluate_scores, macro_f1
from brigade.training.features import COUNTED, count_features, document_frequencies
from brigade.training.mixing import CACHE, Trainer
from brigade.training.options import Options, Settings

log = logging.getLogger("train_ml_model")

ALPHA, LEAST_ALPHA = 1 / 3, 3e-5  # alpha: divided by the documents, and at least
WORDS_FIRST = 500  # documents up to which pairs have to be clearly better than words alone, and not the other way
CLEARLY = 1.0  # standard errors of the accuracy by which a later candidate has to be better


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
    features = replace(COUNTED, hash_bits=options.hash_bits, ngrams=options.ngrams or 2)
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
    part is the first fold. Each class is spread evenly over the others: where a fold takes much of a class of few
    documents, the model of the other folds is biased against just that class. Documents of one text stay together.
    """
    index = {name: number for number, name in enumerate(classes)}
    spread = documents.where(F.col("label").isin(classes)) if len(classes) < 1000 else documents
    rank = F.dense_rank().over(Window.partitionBy(F.lit(0)).orderBy("label", "place")) if folds > 2 else F.lit(1)
    fold = F.when(F.col("part") == "validation", 0).otherwise(1 + rank % (folds - 1))
    spread = spread.withColumn("fold", fold.cast("int")).repartition(partitions, "place")
    rows = spread.sortWithinPartitions("place", "label", "eventId").select("payload", "label", "fold").rdd
    return rows.mapPartitions(
        lambda part: count_features((row for row in part if row.label in index), features, index)
    ).persist(CACHE)


def fit_few(
    blocks: RDD, total: int, folds: int, classes: list[str], features: FeatureParameters, options: Options
) -> Fitted:
    """Chooses and calibrates by cross-validation, and trains on all documents at once. blocks: in one partition."""

    def attempt(settings: Settings) -> tuple[tuple[np.ndarray, np.ndarray], Evaluation]:
        training = Training(classes, features, settings, options.seed)
        found = cross_validate(blocks, training, folds)
        return found, evaluate_scores(*found, classes)

    (scores, labels), trials, validation = select(attempt, candidates(total, options.fixed))
    calibration = calibrated(scores, labels)
    log.info("chosen: %s, %s, accuracy %.4f", trials[0].settings, calibration, validation.accuracy)
    model = learn_all(blocks, Training(classes, features, trials[0].settings, options.seed))
    return Fitted(replace(model, calibration=calibration), trials, validation)


def fit_many(blocks: RDD, classes: list[str], features: FeatureParameters, options: Options) -> Fitted:
    """Chooses and calibrates on the validation part, and trains on all documents, whose words are then counted anew."""
    frequencies = blocks.mapPartitions(lambda part: document_frequencies(part, features)).treeReduce(
        lambda one, other: [a + b for a, b in zip(one, other, strict=True)]
    )
    total = sum(one.documents for one in frequencies)
    trainers: dict[tuple, Trainer] = {}

    def attempt(settings: Settings) -> tuple[DocumentModel, Evaluation]:
        key = settings.ngrams, settings.idf_power
        if key not in trainers:
            trainers[key] = Trainer.of(blocks, frequencies[0], classes, features, settings, options.seed)
        model = trainers[key].model(settings.alpha)
        return model, trainers[key].validate(model)

    model, trials, validation = select(attempt, candidates(total, options.fixed))
    chosen = trials[0].settings
    trainer = trainers[chosen.ngrams, chosen.idf_power]
    calibration = trainer.calibrate(model)
    log.info("chosen: %s, %s, accuracy %.4f", chosen, calibration, validation.accuracy)
    for one in trainers.values():
        one.free()
    everything = blocks.map(lambda block: replace(block, fold=1))  # none is kept for validation
    trainer = Trainer.of(everything, frequencies[0] + frequencies[1], classes, features, chosen, options.seed)
    model = replace(trainer.model(chosen.alpha), calibration=calibration)
    trainer.free()
    return Fitted(model, trials, validation)


def candidates(documents: int, fixed: dict) -> list[Settings]:
    """The settings that are tried, in their order. fixed: those that are given.

    alpha is higher for few documents: a sum of few losses is as large beside the regularisation as one of many.
    """
    alpha, order = max(LEAST_ALPHA, ALPHA / documents), (1, 2) if documents <= WORDS_FIRST else (2, 1)
    return list(dict.fromkeys(Settings(**{"ngrams": ngrams, "alpha": alpha} | fixed) for ngrams in order))


Found = TypeVar("Found")


def select(
    attempt: Callable[[Settings], tuple[Found, Evaluation]], candidates: list[Settings]
) -> tuple[Found, list[Trial], Evaluation]:
    """Tries one candidate after the other; an earlier one stays unless a later one is clearly better.

    Returns what the best attempt gave, all trials, the best first, and the best one's evaluation. attempt: trains a
    candidate; gives what it found and its evaluation.
    """
    best: tuple[Found, Trial, Evaluation] | None = None
    trials: list[Trial] = []
    for settings in candidates:
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
            best = result, trial, found
    assert best is not None
    result, chosen, evaluation = best
    return result, sorted(trials, key=lambda trial: trial is not chosen), evaluation


def clearly_better(accuracy: float, other: float, documents: int) -> bool:
    """Whether one accuracy is above another by more than CLEARLY standard errors on so many documents."""
    return accuracy - other > CLEARLY * np.sqrt(other * (1 - other) / documents)
