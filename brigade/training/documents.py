"""Events → labelled documents, each in one part: train, validation or test.

Documents with the same text are always in the same part, so no test document was seen in training. A document without
a label is `unlabelled`; one that a fixed test set holds too is `repeated`. Neither is learned.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from brigade.training.errors import TrainingError
from brigade.training.options import Options

MIN_DOCUMENTS = 20
MAX_CLASSES = 5000


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
        """How many documents the final model learns, by label: the parts train and validation."""
        return self.tally["train"] + self.tally["validation"]


def count_documents(events: DataFrame, label_column: str) -> tuple[int, int]:
    """The number of events, and of those with a value in the label's column."""
    label = F.col(label_column) if label_column in events.columns else F.lit(None)
    total, labelled = events.agg(F.count(F.lit(1)), F.count(label)).collect()[0]
    return total, labelled


def parted(events: DataFrame, held_out: DataFrame | None, options: Options, many: bool) -> Parts:
    """The documents of the events in their parts. The caller unpersists them.

    held_out: a fixed test set's events, or None. many: see `split`.
    """
    documents = part_documents(events, held_out, options, many).persist(StorageLevel.MEMORY_AND_DISK)
    parts = Parts(documents, tally(documents))
    if many and not all(parts.tally.get(name) for name in ("train", "validation", "test")):  # few texts, often repeated
        documents.unpersist()
        return parted(events, held_out, options, many=False)
    return parts


def labelled_documents(events: DataFrame, label_column: str, seed: int = 0) -> DataFrame:
    """Events → `payload`, `label` (null if there is none), `eventId`, `time`, and `place`, a hash of the text."""
    if label_column not in events.columns:
        raise TrainingError(f"expected a label column, found no {label_column} among {', '.join(events.columns)}")
    if "payload" not in events.columns:
        raise TrainingError(f"expected the texts in a column payload, found {', '.join(events.columns)}")
    label = F.trim(F.col(label_column).cast("string"))
    times = [F.col(name) for name in ("publishTime", "eventTimestamp") if name in events.columns]
    return events.select(
        F.coalesce("payload", F.lit("")).alias("payload"),
        F.when(label != "", label).alias("label"),
        "eventId",
        F.coalesce(*times, F.lit(None).cast("timestamp")).cast("timestamp").alias("time"),
        F.xxhash64(F.coalesce("payload", F.lit("")), F.lit(seed)).alias("place"),
    )


def part_documents(events: DataFrame, held_out: DataFrame | None, options: Options, many: bool = False) -> DataFrame:
    """Documents with their `part`. A document of `events` whose text or eventId a fixed test set has is `repeated`."""
    documents = labelled_documents(events, options.label_column, options.seed)
    labelled = documents.where("label IS NOT NULL")
    nowhere = documents.where("label IS NULL").withColumn("part", F.lit("unlabelled"))
    if held_out is None:
        return split(labelled, {"test": 0.1, "validation": 0.1, "train": 0.8}, options.split, many).unionByName(nowhere)
    test = labelled_documents(held_out, options.label_column, options.seed).where("label IS NOT NULL")
    known = [test.select(F.col(name).alias(f"test_{name}")).distinct() for name in ("place", "eventId")]
    for name, frame in zip(("place", "eventId"), known, strict=True):
        labelled = labelled.join(frame, F.col(name) == F.col(f"test_{name}"), "left")
    repeated = F.col("test_place").isNotNull() | F.col("test_eventId").isNotNull()
    own = labelled.where(~repeated).drop("test_place", "test_eventId")
    again = labelled.where(repeated).drop("test_place", "test_eventId").withColumn("part", F.lit("repeated"))
    parts = split(own, {"validation": 0.1, "train": 0.9}, options.split, many).unionByName(again).unionByName(nowhere)
    return parts.unionByName(test.withColumn("part", F.lit("test")))


def split(documents: DataFrame, fractions: dict[str, float], by: str = "random", many: bool = False) -> DataFrame:
    """Documents with their `part`; each part has about its fraction of them. Equal texts share a part.

    by: "random" cuts at quantiles of the texts' hashes, so that even few documents fill every part. "time" cuts at
    quantiles of the time at which a text first appeared; the newest texts are in the part that is named first.
    many: there are so many documents that their hashes are evenly spread, and the quantiles need not be computed.
    """
    if by == "time":
        first = F.min("time").over(Window.partitionBy("place"))
        documents = documents.withColumn("order", -F.coalesce(F.unix_micros(first), F.lit(0)).cast("double"))
    else:
        documents = documents.withColumn("order", F.col("place").cast("double"))
    names, bounds = list(fractions), np.cumsum(list(fractions.values()))[:-1].tolist()
    if by == "random" and many:
        cuts = [(bound - 0.5) * 2.0**64 for bound in bounds]  # hashes are spread evenly over -2**63 … 2**63
    else:
        cuts = documents.stat.approxQuantile("order", bounds, 0.0005)
    part = F.lit(names[-1])
    for name, cut in reversed(list(zip(names, cuts, strict=False))):
        part = F.when(F.col("order") <= cut, name).otherwise(part)
    return documents.withColumn("part", part).drop("order")


def tally(documents: DataFrame) -> dict[str, Counter]:
    """How many documents each part has of each label (None: no label)."""
    rows = documents.groupBy("part", "label").count().limit(4 * (MAX_CLASSES + 2)).collect()
    found: dict[str, Counter] = {}
    for row in rows:
        found.setdefault(row.part, Counter())[row.label] += row["count"]
    return found


def check_enough(parts: dict[str, Counter], total: int, label_column: str) -> None:
    """Raises TrainingError if the tally shows too little, or too much, to learn. `total`: documents of the input."""
    if total == 0:
        raise TrainingError("expected documents, found none")
    labels = sum((parts.get(name, Counter()) for name in ("train", "validation", "test", "repeated")), Counter())
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
    for name in ("train", "validation", "test"):
        if not parts.get(name):
            raise TrainingError(f"expected documents to {name} with, found none among {total}; are they all the same?")
    if not parts["train"].keys() & parts["validation"].keys():
        raise TrainingError(f"expected several documents of a class, found hardly any in {label_column}; is it an id?")
    if len(parts["train"]) < 2:
        raise TrainingError(f"expected at least two classes to train with, found only {next(iter(parts['train']))!r}")
