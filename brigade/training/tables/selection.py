"""Chooses the trees' settings on the validation rows, and grows the final trees on all rows that are not for test."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.models.table_model import UNCALIBRATED, Feature, Interval, TableModel
from brigade.training.calibration import CALIBRATED_SCORES, calibrated
from brigade.training.tables.boosting import Grown, TreeSettings, grow, grow_all, spread
from brigade.training.tables.evaluation import residual_bounds, some_margins
from brigade.training.tables.matrices import encoded

log = logging.getLogger("train_ml_model")

COVERAGE = 0.9  # of the labels that are to lie in a regression's interval
# Deep trees of few leaves each learn much of a small table; flat ones are the safer choice where there is much noise.
CANDIDATES = (TreeSettings(12, 128, 0.1, colsample_bynode=0.4), TreeSettings(6, 0, 0.1, colsample_bynode=0.6))


@dataclass(frozen=True)
class Trial:
    """A candidate, the number of its trees, its loss on the validation rows, and the seconds that it took.

    loss: the mean absolute error of a regression, else the mean logarithmic loss.
    """

    settings: TreeSettings
    trees: int
    loss: float
    seconds: float

    def about(self) -> dict:
        figures = {"trees": self.trees, "loss": float(f"{self.loss:.6g}"), "seconds": round(self.seconds, 1)}
        return asdict(self.settings) | figures


@dataclass(frozen=True)
class Fitted:
    """A trained model, all trials (the chosen one first), and how many rows told them apart."""

    model: TableModel
    trials: list[Trial]
    validated: int


def fit(
    rows: DataFrame, plan: TableModel, workers: int, seed: int, candidates: Sequence[TreeSettings] = CANDIDATES
) -> Fitted:
    """Trains on `laid_out` rows of the parts train and validation. plan: the model without its trees."""
    known = rows.where("part IN ('train', 'validation')")
    if plan.classes:
        known = known.where(
            F.col("label").isin(plan.classes)
        )  # the others are in no training row, and cannot be learned
    own = spread(encoded(known, plan.features, plan.classes), workers)
    try:
        grown, trials = select(own, plan, workers, seed, candidates)
        validation = known.where("part = 'validation'")
        model = fitted_to(validation, replace(plan, booster=grown.booster))
        booster = grow_all(own, plan.features, trials[0].settings, plan.task, workers, seed, grown.trees)
        return Fitted(replace(model, booster=booster), trials, validation.count())
    finally:
        own.unpersist()


def select(
    rows: DataFrame, plan: TableModel, workers: int, seed: int, candidates: Sequence[TreeSettings]
) -> tuple[Grown, list[Trial]]:
    """The trees of least loss, and all trials, theirs first. rows: as `spread` gives them."""
    found: list[tuple[Trial, Grown]] = []
    for settings in candidates:
        started = time.monotonic()
        grown = grow(rows, plan.features, settings, plan.task, len(plan.classes), workers, seed)
        trial = Trial(settings, grown.trees, grown.loss, time.monotonic() - started)
        log.info("candidate %d: %s: loss %.6g, %.1f s", len(found) + 1, settings, trial.loss, trial.seconds)
        found.append((trial, grown))
    best, grown = min(found, key=lambda one: one[0].loss)
    return grown, sorted((trial for trial, _ in found), key=lambda trial: trial is not best)


def fitted_to(validation: DataFrame, model: TableModel) -> TableModel:
    """The model with the calibration, or the interval, that its errors on rows tell that it has not learned."""
    if model.task == "regression":
        values, labels = some_margins(validation, model, CALIBRATED_SCORES)
        return replace(model, interval=Interval(*residual_bounds(values, labels, COVERAGE), COVERAGE))
    margins, labels = some_margins(validation, model, CALIBRATED_SCORES // len(model.classes) + 1)
    index = {name: number for number, name in enumerate(model.classes)}
    return replace(model, calibration=calibrated(margins, np.array([index[label] for label in labels])))


def planned(task: str, features: Sequence[Feature], classes: Sequence[str], pipeline: dict) -> TableModel:
    """A model without trees: what it is to learn, and from what."""
    from xgboost import Booster

    return TableModel(task, list(features), list(classes), UNCALIBRATED, None, pipeline, Booster())
