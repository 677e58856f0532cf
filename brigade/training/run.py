"""A training run: events → documents in parts → a fitted model → its test → the gate → a dated model.

A run writes its model at its very end, so a run that fails has written none. Training in one process and on a cluster
gives the same weights.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.schema import OWN, reading_of
from brigade.errors import one_line
from brigade.models.document_model import DocumentModel
from brigade.models.folder import write_run
from brigade.models.manifest import DOCUMENTS_PREFIX, model_name
from brigade.pipelines.definition import Definition
from brigade.profiles.rules import rules_of
from brigade.spark import ROWS_A_TASK, settings
from brigade.storage import folder_at, storage_errors
from brigade.tracking.client import is_asked_for
from brigade.tracking.sync import sync_if_asked
from brigade.training.champion import read_champion
from brigade.training.comparison import compare
from brigade.training.data_check import DataCheck, repeated_in
from brigade.training.documents import MOST_SHOWN, Parts, check_enough, parted, some
from brigade.training.errors import TrainingError
from brigade.training.evaluation import evaluate
from brigade.training.gate import keeps_serving
from brigade.training.mixing import partitions_for
from brigade.training.options import Options
from brigade.training.outcome import Outcome, describe_run
from brigade.training.profiling import profile_of_documents, text_column, with_tested
from brigade.training.selection import fit
from brigade.training.sources import Sources, read_sources
from brigade.training.tables.learning import learn_table
from brigade.training.tables.outcome import TableOutcome
from brigade.training.words import learned_words

log = logging.getLogger("train_ml_model")

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
    tolerance: float | None = None,
    force: str | None = None,
    accept_data: str | None = None,
    definition: Definition | None = None,
    **options: Any,
) -> dict:
    """Trains, tests, decides and writes a dated model; returns the run's summary.

    definition: of the pipeline; None: documents. tolerance: of the gate; None: the definition's. accept_data: why data
    are learned that do not pass the check. options: fields of Options. Raises a BrigadeError if no model can be
    trained.
    """
    is_asked_for()  # before the long work, if MLflow is asked for and missing
    started = datetime.now(UTC)
    prefix = definition.model_prefix if definition else DOCUMENTS_PREFIX
    models, name = folder_at(output_path), model_name(prefix, day or started.date())
    champion = read_champion(models, output_path, prefix)  # before the long work: without it there is no gate
    reading = reading_of(definition.query, definition.contract) if definition else OWN
    sources = read_sources(spark, input_path.rstrip("/"), output_path, test_path, parquet_path, reading)
    check = DataCheck(champion.profile if champion else None, accept_data)
    outcome = learned(spark, sources, output_path, options, definition, check)
    if tolerance is None and definition:
        tolerance = definition.model.tolerance
    promoted, reason = decided(name, outcome, tolerance, force)
    data = sources.version(spark, outcome.options) | outcome.version()
    run = describe_run(started, promoted, reason, outcome.options) | outcome.checked.in_manifest()
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        outcome.save(files, name, run, data)
        try:
            write_run(models, name, run, {path.name: path.read_bytes() for path in sorted(files.iterdir())})
        except storage_errors() as error:
            raise TrainingError(
                f"expected to write the model to {output_path}, found {type(error).__name__}: {one_line(error)}; no "
                "new model serves"
            ) from error
    sync_if_asked(output_path, prefix)
    return outcome.summary(f"{output_path.rstrip('/')}/{name}", run)


def learned(
    spark: SparkSession,
    sources: Sources,
    output_path: str,
    given: dict[str, Any],
    definition: Definition | None,
    check: DataCheck,
) -> Outcome | TableOutcome:
    """What a run with these sources finds out. given: the options of the command line, which count most. check: that
    the data must pass."""
    said = {} if definition is None else {"label_column": definition.model.label, "split": definition.model.split}
    options = Options(**said | sources.options | given)
    if definition and definition.model.kind == "table":
        return learn_table(spark, sources, output_path, options, definition, check)
    if definition and definition.model.features != ("payload",):
        sources = sources.renamed({definition.model.features[0]: "payload"})
    return learn_and_test(spark, sources, output_path, options, definition, check)


def learn_and_test(
    spark: SparkSession,
    sources: Sources,
    output_path: str,
    options: Options,
    definition: Definition | None,
    check: DataCheck,
) -> Outcome:
    """Fits a model to the documents, tests it on documents that it has not learned, and compares it with the champion.

    output_path: the folder of the dated models, in which the champion is looked for after the training. definition: of
    the pipeline, whose texts are in the column payload.
    """
    prefix = definition.model_prefix if definition else DOCUMENTS_PREFIX
    events, cores = sources.learned.events, spark.sparkContext.defaultParallelism
    held_out = sources.held_out.events if sources.held_out else None
    total = events.count()
    with (
        settings(spark, {"spark.sql.shuffle.partitions": str(max(cores, total // ROWS_A_TASK))}),
        cached(parted(events, held_out, options)) as parts,
    ):
        check_enough(parts.tally, total, options.label_column)
        if sum(parts.counts.values()) - (parts.counts["test"] if held_out is not None else 0) != total:
            raise TrainingError(f"the parts {parts.counts} do not add up to {total} documents")
        log.info("%d documents in %d classes: %s", total, len(parts.learned), parts.counts)
        warn_about_labels(parts)
        profile = profile_of_documents(spark, events, total, options, definition)
        checked = check.check(profile, rules_of(definition, options.label_column), repeated_in(parts.documents))
        partitions = partitions_for(parts.learned.total(), options.partitions or cores)
        own = parts.documents.where("part IN ('train', 'validation')")
        fitted = fit(own, sorted(parts.tally["train"]), partitions, options)
        test = parts.documents.where("part = 'test'").select("payload", "label", "place", "eventId")
        tested = evaluate(test.repartition(cores, "place").rdd, fitted.model, text_column(definition))
        champion = read_champion(folder_at(output_path), output_path, prefix)
        return Outcome(
            total=total,
            parts=parts,
            options=replace(options, partitions=partitions),
            fitted=fitted,
            test=tested,
            comparison=compare(spark, champion, parts.documents, fitted.model, tested) if champion else None,
            golden=golden_texts(test),
            words=words_of_classes(own, fitted.model, parts, cores),
            checked=checked,
            profile=with_tested(profile, tested.profile),
        )


def warn_about_labels(parts: Parts) -> None:
    """Logs which labels are not learned, and which look alike."""
    if parts.left_out:
        log.warning("not learned, because no document in train has it: %s", some(parts.left_out))
    if parts.alike:
        groups = [" and ".join(map(repr, group)) for group in parts.alike[:MOST_SHOWN]]
        more = f" and {len(parts.alike) - MOST_SHOWN} more" if len(parts.alike) > MOST_SHOWN else ""
        log.warning("classes of their own, though case, width or blanks alone differ: %s%s", "; ".join(groups), more)


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


def decided(name: str, outcome: Outcome | TableOutcome, tolerance: float | None, force: str | None) -> tuple[bool, str]:
    """Whether the new model is promoted, and why; see `judge`. The reason says too if another one goes on serving."""
    log.info("%s", outcome.headline)
    for warning in outcome.figures["warnings"]:
        log.warning("%s", warning)
    promoted, reason = outcome.judged(tolerance, force)
    reason += outcome.checked.remark
    champion = outcome.champion_name
    if promoted and keeps_serving(champion, name):
        reason += f"; but {champion} goes on serving, since its date is later: withdraw it to let this one serve"
        log.warning("passed the gate: %s", reason)
    else:
        log.log(
            logging.INFO if promoted else logging.WARNING, "%s %s", "promoted:" if promoted else "rejected:", reason
        )
    return promoted, reason
