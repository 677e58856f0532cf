"""Which documents the champion has learned. That follows from its data.json, which does not list them.

The data.json names its files, with checksums, and the options; the same split of the same events gives the same parts.
If it cannot be computed so, more documents than it has learned count as learned, never fewer: all of its files, or all
that was published before it was made.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.errors import one_line
from brigade.training.champion import Champion
from brigade.training.data_version import events_of_version
from brigade.training.documents import SPLIT_RULE, part_documents, words_hash
from brigade.training.errors import TrainingError
from brigade.training.options import Options

log = logging.getLogger("train_ml_model")


@dataclass(frozen=True)
class Memory:
    """What the champion has learned.

    how: how that is known, in a sentence. words: the hashes of the words of all documents that it may have learned;
    None if they are not known. since: then only words that were first published after this are certainly new to it;
    None if nothing is.
    """

    how: str
    words: DataFrame | None = None
    since: datetime | None = None

    def forget(self) -> None:
        """Frees the words."""
        if self.words is not None:
            self.words.unpersist()

    def without_learned(self, documents: DataFrame) -> DataFrame:
        """Those of the test documents that it has certainly not learned. documents: all of a run, in their parts."""
        test = documents.where("part = 'test'")
        if self.words is not None:
            return test.join(self.words, "words", "left_anti")
        if self.since is None:
            return test.where("false")
        later = F.coalesce(F.col("published") > F.lit(self.since), F.lit(False))
        new = documents.groupBy("words").agg(F.bool_and(later).alias("new")).where("new")
        return test.join(new, "words", "left_semi")


def memory_of(spark: SparkSession, champion: Champion) -> Memory:
    """What the champion has learned, its words kept. If its data cannot be read, only what is newer is new."""
    problem = ""
    for attempt in (parts_of_data, files_of_data):
        try:
            memory = attempt(spark, champion.data)
            if memory.words is not None:
                memory.words.persist().count()
            return memory
        except Exception as error:  # gone, changed, of another form, out of reach: more counts as learned, never less
            problem = f"{type(error).__name__}: {one_line(error)}"
            log.warning("cannot tell by %s what %s has learned: %s", attempt.__name__, champion.name, problem)
    since = moment(champion.created_at)
    learned = f"all that was published before {since:%Y-%m-%dT%H:%M:%S%z}" if since else "every document"
    return Memory(f"its data cannot be read ({problem}), so {learned} counts as learned", None, since)


def parts_of_data(spark: SparkSession, data: dict) -> Memory:
    """What a model with this data.json has learned. Raises TrainingError if it cannot be computed."""
    if data.get("splitRule") != SPLIT_RULE:
        raise TrainingError(f"expected splitRule {SPLIT_RULE}, found {str(data.get('splitRule'))[:40]}")
    learned = events_of_version(spark, data)
    held_out = events_of_version(spark, data["test"]) if data["test"] else None
    parts = part_documents(learned, held_out, Options(**data["options"]))
    own = parts.where("part IN ('train', 'validation')")
    return Memory("data.json says which documents it has learned", own.select("words").distinct())


def files_of_data(spark: SparkSession, data: dict) -> Memory:
    """All documents in the files of this data.json. Raises TrainingError if they have changed or are gone."""
    words = words_hash(F.coalesce("payload", F.lit(""))).alias("words")
    how = "which of its documents it has learned cannot be computed, so all of them count as learned"
    return Memory(how, events_of_version(spark, data).select(words).distinct())


def moment(text: str) -> datetime | None:
    """The time in RFC 3339; None for any other text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
