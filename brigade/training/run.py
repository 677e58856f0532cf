"""A training run: events → documents in parts → a fitted model → its test → the gate → a dated model.

A run writes its model at its very end, so a run that fails has written none. Training in one process and on a cluster
gives the same weights.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.models.document_model import DocumentModel
from brigade.models.folder import write_run
from brigade.models.manifest import MODEL_PREFIX
from brigade.spark import ROWS_A_TASK, settings
from brigade.storage import Folder, folder_at
from brigade.training.documents import Parts, check_enough, count_documents, parted
from brigade.training.errors import TrainingError
from brigade.training.evaluation import evaluate, macro_f1
from brigade.training.gate import TOLERANCE, decide_promotion, evaluate_champion
from brigade.training.mixing import DOCUMENTS_A_PARTITION
from brigade.training.options import Options
from brigade.training.outcome import Outcome, describe_run, save_files, summary_of
from brigade.training.selection import fit
from brigade.training.sources import Sources, read_sources
from brigade.training.tracking import is_tracked, track
from brigade.training.words import learned_words

log = logging.getLogger("train_ml_model")

MANY_DOCUMENTS = 10_000  # with so many a random split has its fractions within a few per cent, see `split`
GOLDEN_DOCUMENTS = 20
SAMPLED_FOR_WORDS = 2000  # documents, about, in which the words behind the weights are looked up
COMMONEST_CLASSES = 50  # whose words are looked up


def train(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    *,
    test_path: str | None = None,
    day: date | None = None,
    parquet_path: str | None = None,
    tolerance: float = TOLERANCE,
    force: str | None = None,
    **options: Any,
) -> dict:
    """Trains, tests, decides and writes a dated model; returns the run's summary.

    options: fields of Options. Raises a BrigadeError if no model can be trained.
    """
    started, tracked = datetime.now(UTC), is_tracked()
    models, name = folder_at(output_path), f"{MODEL_PREFIX}{day or started.date()}"
    sources = read_sources(spark, input_path.rstrip("/"), output_path, test_path, parquet_path)
    outcome = learn_and_test(spark, sources, models, Options(**sources.options | options))
    promoted, reason = judge(outcome, tolerance, force)
    data = sources.version(spark, outcome.options)
    run = describe_run(started, promoted, reason, outcome.options)
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        save_files(files, name, run, outcome, data)
        write_run(models, name, run, {path.name: path.read_bytes() for path in sorted(files.iterdir())})
        if tracked:
            track_if_possible(name, run, outcome, files)
    return summary_of(f"{output_path.rstrip('/')}/{name}", run, outcome)


def learn_and_test(spark: SparkSession, sources: Sources, models: Folder, options: Options) -> Outcome:
    """Fits a model to the documents and tests it, beside the champion, on documents that it has not learned."""
    events, cores = sources.learned.events, spark.sparkContext.defaultParallelism
    held_out = sources.held_out.events if sources.held_out else None
    total, labelled = count_documents(events, options.label_column)
    with (
        settings(spark, {"spark.sql.shuffle.partitions": str(max(cores, total // ROWS_A_TASK))}),
        cached(parted(events, held_out, options, many=labelled >= MANY_DOCUMENTS)) as parts,
    ):
        check_enough(parts.tally, total, options.label_column)
        if sum(parts.counts.values()) - (parts.counts["test"] if held_out is not None else 0) != total:
            raise TrainingError(f"the parts {parts.counts} do not add up to {total} documents")
        log.info("%d documents in %d classes: %s", total, len(parts.learned), parts.counts)
        partitions = min(options.partitions or cores, max(1, parts.learned.total() // DOCUMENTS_A_PARTITION))
        own = parts.documents.where("part IN ('train', 'validation')")
        fitted = fit(own, sorted(parts.tally["train"]), partitions, options)
        test = parts.documents.where("part = 'test'").select("payload", "label", "place", "eventId")
        held = test.repartition(cores, "place").rdd
        return Outcome(
            total=total,
            parts=parts,
            options=replace(options, partitions=partitions),
            fitted=fitted,
            test=evaluate(held, fitted.model),
            champion=evaluate_champion(models, held),
            golden=golden_texts(test),
            words=words_of_classes(own, fitted.model, parts, cores),
        )


@contextmanager
def cached(parts: Parts) -> Iterator[Parts]:
    """The parts, whose cache is freed in the end."""
    try:
        yield parts
    finally:
        parts.documents.unpersist()


def golden_texts(test: DataFrame) -> list[str]:
    """The texts of up to GOLDEN_DOCUMENTS test documents; the same documents give the same ones."""
    golden = test.where(F.length("payload") <= 10_000).orderBy("place", "eventId").limit(GOLDEN_DOCUMENTS)
    return [row.payload for row in golden.collect()]


def words_of_classes(documents: DataFrame, model: DocumentModel, parts: Parts, cores: int) -> dict[str, list[str]]:
    """The words that speak for each of the commonest classes, from a sample of the documents."""
    commonest = sorted(sorted(model.classes, key=lambda one: -parts.learned[one])[:COMMONEST_CLASSES])
    sampled = F.pmod("place", F.lit(max(1, parts.learned.total() // SAMPLED_FOR_WORDS))) == 0
    return learned_words(documents.where(sampled).select("payload").coalesce(cores).rdd, model, commonest)


def judge(outcome: Outcome, tolerance: float, force: str | None) -> tuple[bool, str]:
    """Whether the new model is promoted, and why; see `decide_promotion`."""
    own, champion = macro_f1(outcome.test), outcome.champion
    log.info("accuracy %.4f, macro-F1 %.4f on %d test documents", outcome.test.accuracy, own, outcome.test.documents)
    promoted, reason = decide_promotion(own, macro_f1(champion.test) if champion else None, tolerance, force)
    log.log(logging.INFO if promoted else logging.WARNING, "%s %s", "promoted:" if promoted else "rejected:", reason)
    return promoted, reason


def track_if_possible(name: str, run: dict, outcome: Outcome, files: Path) -> None:
    """Logs the run to MLflow. A failure is only a warning: the model is written already."""
    try:
        track(name, run, asdict(outcome.options) | outcome.chosen, outcome.figures, files)
    except Exception as error:  # whatever MLflow's server or store says
        log.warning("the model is written, but MLflow did not take the run: %s", str(error).splitlines()[0])
