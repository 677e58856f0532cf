"""Events → labelled documents, each in one part: train, validation or test.

Documents with the same words are always in the same part, see `splits`. A document without a label is `unlabelled`; one
that a fixed test set holds too is `repeated`. Neither is learned.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import mmh3
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType

from brigade.events.labels import alike, clean_label
from brigade.models.text_features import FeatureParameters, words_of
from brigade.spark import caching
from brigade.training.errors import TrainingError
from brigade.training.options import Options
from brigade.training.splits import MAX_CLASSES, split

SPLIT_RULE = 2  # what decides a document's part, see `part_documents`; data.json has it. Another rule, another number
MIN_DOCUMENTS = 20
MOST_SHOWN = 20  # labels in a message
FRACTIONS = {"test": 0.1, "validation": 0.1, "train": 0.8}
FRACTIONS_BESIDE_A_TEST_SET = {"validation": 0.1, "train": 0.9}


@dataclass(frozen=True)
class Parts:
    """The documents with their `part`, cached, and how many of them each part has of each label (None: no label)."""

    documents: DataFrame
    tally: dict[str, Counter]

    @property
    def counts(self) -> dict[str, int]:
        """Documents by part."""
        return {name: labels.total() for name, labels in sorted(self.tally.items())}

    @property
    def learned(self) -> Counter:
        """How many documents the final model learns, by label: of the parts train and validation, if train has it."""
        both = self.tally["train"] + self.tally["validation"]
        return Counter({label: count for label, count in both.items() if label in self.tally["train"]})

    @property
    def left_out(self) -> Counter:
        """How many documents there are of the labels that the model does not learn: train has none of them."""
        return left_out(self.tally)

    @property
    def alike(self) -> list[list[str]]:
        """Labels that differ by case, width or blanks alone, together."""
        return alike(labels_in(self.tally))


def parted(events: DataFrame, held_out: DataFrame | None, options: Options) -> Parts:
    """The documents of the events in their parts. The caller unpersists them. held_out: a fixed test set's events."""
    with caching() as cache:
        documents = part_documents(events, held_out, options, cache).persist(StorageLevel.MEMORY_AND_DISK)
        return Parts(documents, tally(documents))


@F.udf(returnType=LongType(), useArrow=False)
def words_hash(text: str) -> int:
    """A hash of a text's words of two characters or more.

    The same in every release: an earlier run's parts rest on it. Texts that differ in single letters share a part.
    """
    return mmh3.hash64(" ".join(words_of(text, FeatureParameters(shortest=2))))[0]


label_in = F.udf(clean_label, StringType(), useArrow=False)


def labelled_documents(events: DataFrame, label_column: str, seed: int = 0) -> DataFrame:
    """Events → `payload`, `label` (null if there is none), `eventId`, `time`, `published`, `words`, `place`.

    time: the event's own, or when it was published. published: that alone, or null. words: a hash of the text's words,
    so near copies share it; case, blanks and line breaks do not count. place: a hash of that and of the seed.
    """
    if label_column not in events.columns:
        raise TrainingError(f"expected a label column, found no {label_column} among {', '.join(events.columns)}")
    if "payload" not in events.columns:
        raise TrainingError(f"expected the texts in a column payload, found {', '.join(events.columns)}")
    times = [F.col(name) for name in ("eventTimestamp", "publishTime") if name in events.columns]
    documents = events.select(
        F.coalesce("payload", F.lit("")).alias("payload"),
        label_in(F.col(label_column).cast("string")).alias("label"),
        "eventId",
        F.coalesce(*times, F.lit(None).cast("timestamp")).cast("timestamp").alias("time"),
        (F.col("publishTime") if "publishTime" in events.columns else F.lit(None)).cast("timestamp").alias("published"),
        words_hash(F.coalesce("payload", F.lit(""))).alias("words"),
    )
    return documents.withColumn("place", F.xxhash64("words", F.lit(seed)))


def part_documents(
    events: DataFrame,
    held_out: DataFrame | None,
    options: Options,
    cache: Callable[[DataFrame], DataFrame] = lambda documents: documents,
) -> DataFrame:
    """Documents with their `part`. A document of `events` whose words or eventId a fixed test set has is `repeated`.

    The same events and options give the same parts, whenever it is called: which documents an earlier run learned
    follows from its data.json, if its `splitRule` is SPLIT_RULE. cache: keeps the documents for the several times that
    they are read.
    """
    documents = cache(labelled_documents(events, options.label_column, options.seed))
    labelled = documents.where("label IS NOT NULL")
    nowhere = documents.where("label IS NULL").withColumn("part", F.lit("unlabelled"))
    if held_out is None:
        return split(labelled, FRACTIONS, options.split, options.seed).unionByName(nowhere)
    test = cache(labelled_documents(held_out, options.label_column, options.seed)).where("label IS NOT NULL")
    known = [test.select(F.col(name).alias(f"test_{name}")).distinct() for name in ("words", "eventId")]
    for name, frame in zip(("words", "eventId"), known, strict=True):
        labelled = labelled.join(frame, F.col(name) == F.col(f"test_{name}"), "left")
    repeated = F.col("test_words").isNotNull() | F.col("test_eventId").isNotNull()
    own = labelled.where(~repeated).drop("test_words", "test_eventId")
    again = labelled.where(repeated).drop("test_words", "test_eventId").withColumn("part", F.lit("repeated"))
    parts = split(own, FRACTIONS_BESIDE_A_TEST_SET, options.split, options.seed).unionByName(again).unionByName(nowhere)
    return parts.unionByName(test.withColumn("part", F.lit("test")))


def tally(documents: DataFrame) -> dict[str, Counter]:
    """How many documents each part has of each label (None: no label)."""
    rows = documents.groupBy("part", "label").count().limit(4 * (MAX_CLASSES + 2)).collect()
    found: dict[str, Counter] = {}
    for row in rows:
        found.setdefault(row.part, Counter())[row.label] += row["count"]
    return found


def labels_in(tally: dict[str, Counter]) -> Counter:
    """How many documents there are of each label."""
    return sum((tally.get(name, Counter()) for name in ("train", "validation", "test", "repeated")), Counter())


def left_out(tally: dict[str, Counter]) -> Counter:
    """How many documents there are of each label that no document in train has."""
    trained = tally.get("train", Counter())
    return Counter({label: count for label, count in labels_in(tally).items() if label not in trained})


def some(labels: Counter) -> str:
    """Labels with their documents, as text for people: the commonest ones, and how many more there are."""
    shown = [f"{label!r} ({count})" for label, count in labels.most_common(MOST_SHOWN)]
    return ", ".join(shown) + (f" and {len(labels) - MOST_SHOWN} more" if len(labels) > MOST_SHOWN else "")


def check_enough(parts: dict[str, Counter], total: int, label_column: str) -> None:
    """Raises TrainingError if the tally shows too little, or too much, to learn. `total`: documents of the input."""
    if total == 0:
        raise TrainingError("expected documents, found none")
    labels = labels_in(parts)
    if not labels:
        raise TrainingError(f"expected labels in {label_column}, found none on any of {total} documents")
    if len(labels) == 1:
        raise TrainingError(f"expected at least two classes in {label_column}, found only {next(iter(labels))!r}")
    if len(labels) > MAX_CLASSES:
        raise TrainingError(
            f"expected at most {MAX_CLASSES} classes, found more in {label_column}; is it the right column?"
        )
    if labels.total() < MIN_DOCUMENTS:
        raise TrainingError(f"expected at least {MIN_DOCUMENTS} labelled documents, found {labels.total()}")
    few = f"expected several documents of a class, found hardly any in {label_column}; is it an id?"
    for name, use in {"train": "train", "validation": "validate", "test": "test"}.items():
        if not parts.get(name) and len(labels) > labels.total() / 2:
            raise TrainingError(few)
        if not parts.get(name):
            raise TrainingError(
                f"expected documents to {use} with, found none among {total}: those with the same words share a part; "
                "are they all the same? are the texts empty?"
            )
    if len(parts["train"]) < 2:
        raise TrainingError(
            f"expected at least two classes to train with, found only {next(iter(parts['train']))!r}; none of these "
            f"is in the training part: {some(left_out(parts))}"
        )
    if not parts["train"].keys() & parts["validation"].keys():
        raise TrainingError(few)
