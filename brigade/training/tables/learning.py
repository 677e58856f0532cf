"""A training run of a table: its rows in parts → a fitted model → its test → the comparison with the champion."""

import logging
from collections import Counter
from dataclasses import replace

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.models.table_model import TableModel
from brigade.pipelines.definition import Definition
from brigade.profiles.rules import rules_of
from brigade.spark import settings, shuffle_for
from brigade.storage import folder_at
from brigade.training.champion import read_champion
from brigade.training.data_check import DataCheck, repeated_in
from brigade.training.errors import TrainingError
from brigade.training.options import Options
from brigade.training.profiling import profile_of_rows, with_tested
from brigade.training.sources import Sources
from brigade.training.tables.boosting import check_barrier, workers_for
from brigade.training.tables.columns import Columns, columns_of, learned_features, queried
from brigade.training.tables.comparison import compare
from brigade.training.tables.evaluation import Frame, evaluated
from brigade.training.tables.matrices import laid_out
from brigade.training.tables.outcome import TableOutcome
from brigade.training.tables.parts import Split, check_enough, in_parts, labelled, split_of, tally
from brigade.training.tables.selection import fit, planned

log = logging.getLogger("train_ml_model")

GOLDEN_ROWS = 20


def learn_table(
    spark: SparkSession,
    sources: Sources,
    output_path: str,
    options: Options,
    definition: Definition,
    check: DataCheck,
) -> TableOutcome:
    """Fits a model to a table, tests it on rows that it has not learned, and compares it with the champion.

    output_path: the folder of the dated models, in which the champion is looked for after the training. check: that the
    data must pass.
    """
    check_barrier(spark)
    if sources.held_out:
        raise TrainingError("expected no --test with a table, found one; its definition's split says what is tested")
    section = replace(definition.model, label=options.label_column, split=options.split)
    events = sources.learned.events
    with settings(spark, shuffle_for(spark, events.count())):
        rows = queried(events, section)
        columns = columns_of(rows, section)
        all_columns = labelled(rows, columns, options.seed)
        own = laid_out(all_columns, columns.unlearned, columns.baseline).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            split = split_of(own, options.split, options.seed)
            parts = in_parts(all_columns, split)
            return learned(spark, in_parts(own, split), parts, columns, split, output_path, options, definition, check)
        finally:
            own.unpersist()


def learned(
    spark: SparkSession,
    laid: DataFrame,
    parts: DataFrame,
    columns: Columns,
    split: Split,
    output_path: str,
    options: Options,
    definition: Definition,
    check: DataCheck,
) -> TableOutcome:
    """What the rows, laid out and cached, make a model learn. parts: the same rows with all of their columns."""
    counts = tally(laid, columns)
    check_enough(counts, columns)
    log.info("%d rows: %s", sum(map(Counter.total, counts.values())), {k: v.total() for k, v in counts.items()})
    profile = profile_of_rows(spark, laid, sum(map(Counter.total, counts.values())), columns, options, definition)
    rules = rules_of(definition, columns.label)
    checked = check.check(profile, rules, repeated_rows(laid, columns) if rules.most_repeated < 1 else None)
    features = learned_features(laid, columns.unlearned)
    classes = sorted(counts["train"]) if columns.task == "classification" else []
    known = counts["train"].total() + counts["validation"].total()
    workers = workers_for(known, len(features), options.partitions, spark.sparkContext.defaultParallelism)
    plan = planned(columns.task, features, classes, definition.about())
    fitted = fit(laid, plan, workers, options.seed)
    test = laid.where("part = 'test'")
    frame = frame_of(laid, columns)
    tested = evaluated(test, fitted.model, frame)
    champion = read_champion(folder_at(output_path), output_path, definition.model_prefix)
    return TableOutcome(
        definition=definition,
        options=replace(options, partitions=workers),
        counts=counts,
        split=split,
        fitted=fitted,
        test=tested,
        frame=frame,
        comparison=compare(champion, parts, split, fitted.model, tested, frame) if champion else None,
        golden=golden_rows(test, fitted.model),
        checked=checked,
        profile=with_tested(profile, tested.profile),
    )


def repeated_rows(laid: DataFrame, columns: Columns) -> float | None:
    """The share of rows that repeat another one's features and label, about."""
    return repeated_in(
        laid.select(F.xxhash64("label", *(f"f{n}" for n in range(len(columns.features)))).alias("words"))
    )


def frame_of(laid: DataFrame, columns: Columns) -> Frame:
    """What a regression's errors are set against."""
    label = F.col("label").cast("double") if columns.task == "regression" else F.lit(None).cast("double")
    learned = F.avg(F.when(F.col("part") != "test", label)).alias("mean")
    moment = F.when(F.col("part") == "test", F.col("moment"))
    row = (
        laid.where("label IS NOT NULL").agg(learned, F.min(moment).alias("first"), F.max(moment).alias("last")).first()
    )
    return Frame(row.mean or 0.0, row["first"] or 0, row["last"] or 0)  # type: ignore[union-attr, index]


def golden_rows(test: DataFrame, model: TableModel) -> list[dict]:
    """Up to GOLDEN_ROWS test rows as they are sent to be predicted; the same table gives the same ones."""
    found = []
    for row in test.orderBy("place", "id").limit(GOLDEN_ROWS).collect():
        values = {one.name: row[f"f{number}"] for number, one in enumerate(model.features)}
        found.append({name: value if value == value else None for name, value in values.items()})
    return found
