"""Real data pass the check: a first training, one of more data of the same kind, and a repetition."""

import csv
import random

import pytest
from pyspark.sql import functions as F

from benchmarks.training_data import read_csv
from brigade.conversion.schema import COLUMNS
from brigade.pipelines.load import load
from brigade.profiles.check import check, errors
from brigade.profiles.measure import profile_of
from brigade.profiles.rules import rules_of
from brigade.training.data_check import repeated_in
from brigade.training.documents import words_hash
from brigade.training.tables.columns import queried
from tests.conftest import DATA, real_data

pytestmark = pytest.mark.long

DOCUMENTS = {
    "20newsgroups/20ng_train.csv": ("text",),
    "ag_news/train_subset_balanced.csv": ("text",),
    "reuters_r8/r8_train.csv": ("title", "body"),
    "sms_spam/sms_spam.csv": ("text",),
}


def stopped(spark, rows, definition, repeats) -> dict[str, list[str]]:
    """What stops a training of a third of the rows, of all of them after that, and of all once more, by its name.

    rows: with `dt`, in any order. repeats: rows → the share that repeats others, or None.
    """
    rows = rows.persist()
    first = rows.where(F.xxhash64("eventId") % 3 == 0)
    rules = rules_of(definition)
    less, whole = (profile_of(spark, one, definition) for one in (first, rows))
    found = {
        "first": check(less, None, rules, repeats(first)),
        "more": check(whole, less, rules, repeats(rows)),
        "again": check(whole, whole, rules, repeats(rows)),
        "less": check(less, whole, rules, repeats(first)),
    }
    rows.unpersist()
    return {name: [one.message for one in errors(problems)] for name, problems in found.items() if errors(problems)}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_documents_pass(spark, path):
    real_data(path)
    rows = [
        (f"{number}", text, label) for number, (label, text) in enumerate(read_csv(str(DATA), path, DOCUMENTS[path]))
    ]
    frame = spark.createDataFrame(rows, "eventId string, payload string, superTag01 string")
    others = [F.lit(None).cast("string").alias(name) for name in COLUMNS if name not in (*frame.columns, "dt")]
    frame = frame.select("*", *others, F.lit("2026-11-02").alias("dt"))

    def repeats(documents):
        return repeated_in(documents.select(words_hash("payload").alias("words")))

    assert stopped(spark, frame, None, repeats) == {}


def table(path: str, delimiter: str) -> list[dict[str, str]]:
    with open(real_data(path), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_wines_pass_though_none_has_a_colour(spark):
    wine = load("wine")
    rows = [row for colour in ("red", "white") for row in table(f"wine_quality/winequality-{colour}.csv", ";")]
    random.Random(1).shuffle(rows)
    names = {name.replace(" ", "_").lower(): name for name in rows[0]}
    values = [(f"{number}", *(float(row[column]) for column in names.values())) for number, row in enumerate(rows)]
    frame = spark.createDataFrame(values, "eventId string, " + ", ".join(f"{name} double" for name in names))
    frame = frame.selectExpr("*", "quality >= 7 AS good", "CAST(NULL AS STRING) AS colour", "'2026-11-02' AS dt")
    assert stopped(spark, frame, wine, lambda rows: None) == {}


def test_sales_pass_also_when_only_later_weeks_are_added(spark):
    sales = load("sales")
    rows = [
        (f"{number}", row["Date"], row["Store"], float(row["Weekly_Sales"]), int(row["Holiday_Flag"]))
        for number, row in enumerate(table("walmart_sales/walmart.csv", ","))
    ]
    frame = spark.createDataFrame(
        rows, "eventId string, date string, store string, weekly_sales double, holiday_flag int"
    )
    frame = frame.selectExpr("*", "to_timestamp(date) AS eventTimestamp", "'2026-11-02' AS dt")
    made = queried(frame, sales.model)
    assert stopped(spark, made, sales, lambda rows: None) == {}
    early = made.where("eventTimestamp < '2012-01-01'")
    before, after = (profile_of(spark, one, sales) for one in (early, made))
    assert errors(check(after, before, rules_of(sales))) == []


def test_what_the_workflow_would_learn_after_a_broken_week_stops(spark):
    """A quarter of the texts of a set is empty, where none was."""
    real_data("sms_spam/sms_spam.csv")
    rows = read_csv(str(DATA), "sms_spam/sms_spam.csv", ("text",))
    frame = spark.createDataFrame(
        [(f"{number}", text, label, "2026-11-02") for number, (label, text) in enumerate(rows)],
        "eventId string, payload string, superTag01 string, dt string",
    )
    broken = frame.withColumn("payload", F.when(F.xxhash64("eventId") % 4 == 0, "").otherwise(F.col("payload")))
    before, now = (profile_of(spark, one, None) for one in (frame, broken))
    found = errors(check(now, before, rules_of(None)))
    assert [(one.rule, one.field) for one in found] == [("drift", "payload")]
