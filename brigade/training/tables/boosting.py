"""Boosted trees on Spark: XGBoost's own estimators, told so that the same rows give the same trees, bit for bit.

XGBoost reads rows in the order in which Spark has them, and its trees depend on that order. So rows are spread over the
workers by the hash of their id, and sorted there (https://github.com/dmlc/xgboost/issues/10446). Trees depend on the
number of workers too, which follows from the table's size, or from --partitions.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from brigade.models.matrices import named
from brigade.models.table_model import Feature
from brigade.training.errors import TrainingError

if TYPE_CHECKING:
    from xgboost import Booster

CELLS_A_WORKER = 5_000_000  # of the matrix: with fewer, workers wait for one another longer than they compute
MOST_TREES = 200  # more cost more than the millisecond in which one row is to be served
# The name of the first feature's column: whatever the columns are called, XGBoost 3.2 looks this one up in a batch of
# which no row is for validation, or none is to be learned.
FIRST = "values"
PATIENCE = 25  # trees without a better validation, after which no more are added


@dataclass(frozen=True)
class TreeSettings:
    """What one candidate is trained with; the names are XGBoost's."""

    max_depth: int
    max_leaves: int
    learning_rate: float
    subsample: float = 0.8
    colsample_bynode: float = 0.5
    min_child_weight: float = 1.0


@dataclass(frozen=True)
class Grown:
    """Trees as they were fitted: their number up to the best validation, and what that was (of lower is better)."""

    booster: "Booster"
    trees: int
    loss: float


def workers_for(rows: int, features: int, given: int | None, cores: int) -> int:
    """How many workers train on so many rows: as many as are given, else one, or all cores if the table is large."""
    return given or (cores if rows * features >= CELLS_A_WORKER else 1)


def check_barrier(spark: SparkSession) -> None:
    """Raises TrainingError if Spark cannot start all workers at once, which XGBoost needs."""
    if spark.sparkContext.getConf().get("spark.dynamicAllocation.enabled", "false").lower() == "true":
        raise TrainingError(
            "expected Spark with a fixed number of executors to train trees, found dynamic allocation: start with "
            "--conf spark.dynamicAllocation.enabled=false (--properties=… on Dataproc)"
        )


def spread(rows: DataFrame, workers: int) -> DataFrame:
    """Encoded rows as each worker reads them, cached on disk: in the order of their ids' hashes."""
    ordered = rows.repartition(workers, "place").sortWithinPartitions("place", "id")
    return ordered.drop("id", "place").withColumnRenamed("f0", FIRST).persist(StorageLevel.MEMORY_AND_DISK)


def grow(
    rows: DataFrame,
    features: Sequence[Feature],
    settings: TreeSettings,
    task: str,
    classes: int,
    workers: int,
    seed: int,
) -> Grown:
    """Trees that learn the rows that are not for validation, until these are no longer told better."""
    estimator = estimator_for(features, settings, task, workers, seed, MOST_TREES)
    estimator.setParams(
        validation_indicator_col="validation",
        early_stopping_rounds=PATIENCE,
        eval_metric="mae" if task == "regression" else "mlogloss" if classes > 2 else "logloss",
    )
    fitted = estimator.fit(rows)
    booster = nameless(fitted.get_booster())
    history = next(iter(fitted.training_summary.validation_objective_history.values()))
    best = int(booster.best_iteration)
    return Grown(booster[: best + 1], best + 1, float(history[best]))


def grow_all(
    rows: DataFrame, features: Sequence[Feature], settings: TreeSettings, task: str, workers: int, seed: int, trees: int
) -> "Booster":
    """So many trees that learn all rows."""
    return nameless(estimator_for(features, settings, task, workers, seed, trees).fit(rows).get_booster())


def nameless(booster: "Booster") -> "Booster":
    """The trees without their columns' names: they go by a feature's number, and model.json has the names."""
    booster.feature_names = None
    return booster


def estimator_for(
    features: Sequence[Feature], settings: TreeSettings, task: str, workers: int, seed: int, trees: int
) -> Any:
    """XGBoost's estimator for Spark."""
    from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    kind: Any = SparkXGBRegressor if task == "regression" else SparkXGBClassifier
    categorical = any(one.type == "category" for one in features)
    columns = [name for name, _ in named(features)]
    types = ["c" if one.type == "category" else "q" for one in features]
    return kind(
        features_col=[FIRST, *columns[1:]],  # single ones: an array takes longer on its way to Python
        label_col="label",
        num_workers=workers,
        n_estimators=trees,
        random_state=seed,
        tree_method="hist",
        verbose=False,
        verbosity=0,
        **({"feature_types": types} if categorical else {}),
        **({"objective": "reg:squarederror"} if task == "regression" else {}),
        **asdict(settings),
    )
