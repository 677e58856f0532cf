"""The promoted model before the one that serves, on the same labelled events: would it serve better now?"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.errors import one_line
from brigade.models.better import is_better
from brigade.models.figures import figures_of_test
from brigade.models.manifest import PassedOver, find_manifest, model_date
from brigade.models.store import ServedModel
from brigade.models.table_model import TableModel
from brigade.models.verification import Model, load_verified
from brigade.monitoring.amounts import size_of
from brigade.monitoring.performance import Figure, of_mean, of_share
from brigade.profiles import counts
from brigade.profiles.measure import rows_of
from brigade.profiles.profile import PREDICTION
from brigade.profiles.watched import Watched
from brigade.storage import Folder

log = logging.getLogger("monitor")

ANSWERS = ("agreement", "error")  # aspects that say how right a model is about an event
LEAST_P = 0.01  # of being as right as its own test said, below which it does not pass
MORE_ERROR = 1.05  # … and of a regression, the most times its test's mean error


@dataclass(frozen=True)
class Former:
    """The model before. now: its figure on these events. serving_better, former_better: how many events the one alone
    is right about, or whose number it is nearer to. passes: whether it is as right as its own test said."""

    name: str
    run_id: str
    now: Figure
    serving_better: int
    former_better: int
    passes: bool

    def about(self) -> dict:
        """The `former` of findings.json."""
        found = {"name": self.name, "runId": self.run_id} | self.now.about()
        better = {"servingBetter": self.serving_better, "formerBetter": self.former_better}
        return found | better | {"isBetter": is_better(self.serving_better, self.former_better), "passes": self.passes}


def former_of(
    spark: SparkSession,
    events: DataFrame,
    models: Folder,
    prefix: str,
    serving: ServedModel,
    watched: Watched,
    sampled: int,
) -> Former | None:
    """The model before, on labelled events; None if there is none that fits, or no event has a label.

    events, watched, sampled: as the serving model's profile was measured. A model that cannot be read is passed over.
    """
    found = model_before(models, prefix, serving)
    if found is None:
        return None
    name, run_id, model = found
    answers = [
        rows_of(spark, events, None, one, watched=watched, sampled=sampled, of_data=False)
        .where((F.col("field") == PREDICTION) & F.col("aspect").isin(*ANSWERS))
        .select("eventId", F.col("bucket").alias(column))
        for one, column in ((serving.model, "serving"), (model, "former"))
    ]
    pairs = answers[0].join(answers[1], "eventId").groupBy("serving", "former").count().collect()
    if not pairs:
        return None
    is_regression = isinstance(model, TableModel) and model.task == "regression"
    figures = figures_of_test(models, name, run_id)
    return compared(name, run_id, [(one.serving, one.former, one["count"]) for one in pairs], is_regression, figures)


def model_before(models: Folder, prefix: str, serving: ServedModel) -> tuple[str, str, Model] | None:
    """The newest promoted model of an earlier date that learned the same label for the same task: name, run, model."""
    names = sorted(
        (name for name in models.folders() if model_date(name, prefix) and name < serving.name), reverse=True
    )
    for name in names:
        try:
            manifest = find_manifest(models, name)
            if not manifest.promoted:
                continue
            model = load_verified(models, name, manifest)
        except PassedOver as reason:
            log.warning("passing over %s: %s", name, one_line(reason))
            continue
        same = manifest.label == serving.manifest.label and task_of(model) == task_of(serving.model)
        return (name, manifest.run_id, model) if same else None
    return None


def task_of(model: Model) -> str:
    return f"{model.kind} {model.task}" if isinstance(model, TableModel) else "text"


def compared(
    name: str, run_id: str, pairs: Iterable[tuple[str, str, int]], is_regression: bool, tested: dict
) -> Former:
    """The former model from how many events got which two answers: (serving's bucket, former's, events).

    tested: the figures of the former model's own test.
    """
    rows = [(mistake_of(one, is_regression), mistake_of(other, is_regression), events) for one, other, events in pairs]
    serving_better = sum(events for one, other, events in rows if one < other)
    former_better = sum(events for one, other, events in rows if other < one)
    whole = sum(events for _, _, events in rows)
    if is_regression:
        sizes, numbers = (np.array([row[place] for row in rows], float) for place in (1, 2))
        now = of_mean(sizes, numbers)
        passes = isinstance(tested.get("mae"), float | int) and now.low <= MORE_ERROR * tested["mae"]
    else:
        wrong = sum(events for _, other, events in rows if other)
        now = of_share(whole - wrong, whole)
        passes = passes_its_test(wrong, whole, tested)
    return Former(name, run_id, now, serving_better, former_better, passes)


def mistake_of(bucket: str, is_regression: bool) -> float:
    """How wrong an answer is: of classes 0 or 1, of numbers how far off. One without a number is never the better."""
    if is_regression:
        return float("inf") if bucket == "missing" else size_of(bucket)
    label, _, guess = bucket.partition(">")
    return float(label != guess)


def passes_its_test(wrong: int, whole: int, tested: dict) -> bool:
    """Whether a classifier is now as right as its own test said, but for chance."""
    accuracy, documents = tested.get("accuracy"), tested.get("documents") or tested.get("rows")
    if not isinstance(accuracy, float | int) or not isinstance(documents, int) or documents < 1:
        return False
    return float(counts.one_sided((1 - accuracy) * documents, documents, wrong, whole)) >= LEAST_P
