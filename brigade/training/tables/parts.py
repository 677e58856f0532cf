"""Which part each row is in: train, validation or test. A row without a label is `unlabelled`.

A random split goes by a hash of the row's id alone, so a row is in the same part in every run with the same seed,
however many others come: what one model tests, no other has learned. A split by time cuts between moments, the newest
rows test.
"""

from collections import Counter
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from brigade.events.labels import clean_label
from brigade.training.errors import TrainingError
from brigade.training.splits import counted, cuts, some_moments
from brigade.training.tables.columns import ID, TIME, Columns, column, finite

TABLE_SPLIT_RULE = 1  # what decides a row's part; data.json has it. Another rule, another number
FEW_ROWS = 2000  # up to which the parts validation and test are twice as large
MIN_ROWS = 20
MAX_CLASSES = 200
OLDEST = -(2**60)  # the moment of a row without a time

label_in = F.udf(clean_label, StringType(), useArrow=False)


@dataclass(frozen=True)
class Split:
    """What decides a row's part.

    by: random or time. seed: of the hash. share: of validation, and of test. since: from which moment on (microseconds
    since 1970) rows are for validation, and from which on for test.
    """

    by: str
    seed: int
    share: float
    since: tuple[int, int] | None = None

    def part(self) -> Column:
        """The part of a row with the columns `place` and `moment`."""
        if self.since:
            validation, test = (F.col("moment") >= since for since in self.since)
        else:
            position = F.col("place") / 2.0**64 + 0.5
            validation, test = position < 2 * self.share, position < self.share
        return F.when(test, "test").when(validation, "validation").otherwise("train")

    def about(self) -> dict:
        """The split in data.json."""
        since = {"validationSince": self.since[0], "testSince": self.since[1]} if self.since else {}
        return {"rule": TABLE_SPLIT_RULE, "by": self.by, "seed": self.seed, "share": self.share} | since


def labelled(rows: DataFrame, columns: Columns, seed: int) -> DataFrame:
    """The rows with `label` (null if there is none), `moment` and `place`, a hash of the id and the seed.

    The columns of the query keep their values in a struct `row`, in which nothing can be taken for these.
    """
    given = column(columns.label)
    is_text = isinstance(rows.schema[columns.label].dataType, StringType)
    named = label_in(given) if is_text else given.cast("string")  # numbers and booleans need no cleaning
    label = finite(given) if columns.task == "regression" else named
    moment = F.unix_micros(column(TIME).cast("timestamp"))
    return rows.select(
        F.coalesce(column(ID).cast("string"), F.lit("")).alias("id"),
        F.coalesce(moment, F.lit(OLDEST)).cast("long").alias("moment"),
        F.xxhash64(F.coalesce(column(ID).cast("string"), F.lit("")), F.lit(seed)).alias("place"),
        label.alias("label"),
        F.struct(*(column(field.name).alias(field.name) for field in rows.schema.fields)).alias("row"),
    )


def split_of(rows: DataFrame, by: str, seed: int) -> Split:
    """The split of labelled rows. Raises TrainingError if time is to split rows of one moment."""
    known = rows.where("label IS NOT NULL").select(F.col("moment").cast("double").alias("moment"))
    total = known.count()
    share = 0.2 if total <= FEW_ROWS else 0.1
    if by != "time" or total < MIN_ROWS:  # which ends the run, see `check_enough`
        return Split(by, seed, share)
    newest = some_moments(known)
    if len(newest) < 3:
        raise TrainingError(
            f"expected rows of at least three moments to split by time, found {len(newest)} in {TIME}; "
            "split: random can part them"
        )
    test, validation = (round(newest[end - 1]) for end in cuts(counted(known, newest), [share, share]))
    return Split(by, seed, share, (validation, test))


def in_parts(rows: DataFrame, split: Split) -> DataFrame:
    """Labelled rows with their `part`."""
    return rows.withColumn("part", F.when(F.col("label").isNull(), "unlabelled").otherwise(split.part()))


def tally(parts: DataFrame, columns: Columns) -> dict[str, Counter]:
    """How many rows each part has, by label; of a regression by the label None."""
    label = F.col("label") if columns.task == "classification" else F.lit(None).cast("string")
    counts = parts.groupBy("part", label.alias("label")).count()
    found: dict[str, Counter] = {}
    for row in counts.limit(4 * (MAX_CLASSES + 2)).collect():
        found.setdefault(row.part, Counter())[row.label] += row["count"]
    return found


def check_enough(parts: dict[str, Counter], columns: Columns) -> None:
    """Raises TrainingError if the tally shows too little, or too much, to learn."""
    total = sum(one.total() for one in parts.values())
    if not total:
        raise TrainingError("expected rows, found none; does model.query leave any?")
    own = {name: parts.get(name, Counter()) for name in ("train", "validation", "test")}
    known = sum(own.values(), Counter())
    what = "numbers" if columns.task == "regression" else "labels"
    if not known:
        raise TrainingError(f"expected {what} in {columns.label}, found none on any of {total} rows")
    if columns.task == "classification":
        if len(known) == 1:
            raise TrainingError(f"expected at least two classes in {columns.label}, found only {next(iter(known))!r}")
        if len(known) > MAX_CLASSES:
            raise TrainingError(
                f"expected at most {MAX_CLASSES} classes in {columns.label}, found more; is it the right column, or a "
                "number (task: regression)?"
            )
    if known.total() < MIN_ROWS:
        raise TrainingError(f"expected at least {MIN_ROWS} rows with a label, found {known.total()}")
    for name, found in own.items():
        if not found:
            raise TrainingError(
                f"expected rows for {name}, found none among {known.total()}; have more rows, or another --seed"
            )
    if columns.task == "classification" and len(own["train"]) < 2:
        only = next(iter(own["train"]))
        raise TrainingError(f"expected at least two classes to train with, found only {only!r}; have more rows")
    if columns.task == "classification" and not own["train"].keys() & own["validation"].keys():
        raise TrainingError(f"expected several rows of a class, found hardly any in {columns.label}; is it an id?")
