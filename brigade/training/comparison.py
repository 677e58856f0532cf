"""What champion and challenger are compared on: test documents that neither has learned.

A model that has learned a document knows its label by heart, so such a document says nothing of how good it is. If too
few others are left, each model's own test counts, whose documents that model has not learned. The tests differ then,
and small ones say little, so the tolerance grows with the uncertainty of both.
"""

from collections.abc import Collection
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from brigade.models.document_model import DocumentModel
from brigade.training.cautions import quoted
from brigade.training.champion import Champion
from brigade.training.evaluation import HEADLINES, Evaluation, evaluate, headlines, macro_f1, metrics, variance
from brigade.training.memory import Memory, memory_of

MIN_DOCUMENTS = 50  # that a comparison needs; with fewer, one document moves macro-F1 by more than the tolerance
ONE_SIDED = 1.645  # standard errors: a model that is no worse is taken for worse once in twenty times


@dataclass(frozen=True)
class Comparison:
    """The champion's figures beside the challenger's.

    challenger_score, champion_score: macro-F1; the champion's is None if there is no figure of it. champion: its name
    and headline figures. tested: the challenger's test documents. unlearned: how many of them neither has learned.
    memory: how it is known what the champion has learned. on, basis: what the figures come from, in a few words and in
    a sentence. margin: what is added to the tolerance.
    """

    challenger_score: float
    champion_score: float | None
    champion: dict
    tested: int
    unlearned: int
    memory: str
    on: str
    basis: str
    margin: float = 0.0

    def about(self) -> dict:
        """The comparison in metrics.json."""
        return {
            "champion": self.champion["name"],
            "on": self.on,
            "testDocuments": self.tested,
            "neitherLearned": self.unlearned,
            "basis": self.basis,
            "memory": self.memory,
            "macroF1": round(self.challenger_score, 4),
            "championMacroF1": self.champion_score and round(self.champion_score, 4),
            "addedTolerance": self.margin,
        }


def compare(
    spark: SparkSession, champion: Champion, documents: DataFrame, model: DocumentModel, test: Evaluation
) -> Comparison:
    """Compares the champion with a new model.

    documents: all of the run, in their parts. model, test: the new one, and its evaluation on all test documents.
    """
    cores, memory = spark.sparkContext.defaultParallelism, memory_of(spark, champion)
    fair = memory.without_learned(documents).select("payload", "label", "place").repartition(cores, "place").persist()
    try:
        own = evaluate(fair.rdd, model)
        counted = f"neither model has learned {own.documents:,} of the {test.documents:,} test documents"
        lack = what_lacks(own, test, set(model.classes) & set(champion.model.classes))
        if lack:
            return by_own_tests(champion, memory, test, own.documents, f"{counted}, {lack}")
        theirs = evaluate(fair.rdd, champion.model)
    finally:
        fair.unpersist()
        memory.forget()
    return Comparison(
        macro_f1(own),
        macro_f1(theirs),
        {"name": champion.name} | headlines(theirs),
        test.documents,
        own.documents,
        memory.how,
        "on the same documents",
        f"{counted}, and these decide",
    )


def what_lacks(fair: Evaluation, test: Evaluation, known: Collection[str]) -> str:
    """What the documents that neither model has learned lack for a comparison; "" if they are enough.

    known: the classes that both models know. A class without any test document cannot be compared at all and is not
    asked for.
    """
    if fair.documents < MIN_DOCUMENTS:
        return f"fewer than the {MIN_DOCUMENTS} that a comparison needs"
    missing = sorted((labels_of(test) & set(known)) - labels_of(fair))
    more = f" and {len(missing) - 1} more" if missing[1:] else ""
    return f"but none of class {quoted(missing[0])}{more}" if missing else ""


def labels_of(evaluation: Evaluation) -> set[str]:
    return {label for label, _ in evaluation.pairs}


def by_own_tests(champion: Champion, memory: Memory, test: Evaluation, unlearned: int, counted: str) -> Comparison:
    """The comparison of each model's own test. counted: why it is not that of the same documents."""
    try:
        theirs = champion.metrics["test"]
        champion_score = float(theirs["macroF1"])
        documents, error = int(theirs["documents"]), variance(theirs["classes"])
    except (ValueError, LookupError, TypeError, AttributeError):
        basis = f"{counted}, and the serving model's own test figures are missing; --force promotes it all the same"
        return Comparison(
            macro_f1(test), None, {"name": champion.name}, test.documents, unlearned, memory.how, "", basis
        )
    margin = round(ONE_SIDED * (error + variance(metrics(test)["classes"])) ** 0.5, 4)
    return Comparison(
        macro_f1(test),
        champion_score,
        {"name": champion.name} | {key: theirs.get(key) for key in HEADLINES},
        test.documents,
        unlearned,
        memory.how,
        "each on its own test documents",
        f"{counted}, so each model's own test decides ({test.documents:,} and {documents:,} documents, so "
        f"{margin:g} more tolerance)",
        margin,
    )
