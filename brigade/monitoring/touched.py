"""The events that a finding is about: some of their ids, and what the model makes of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.monitoring.findings import Key, Touched
from brigade.profiles import counts
from brigade.profiles.compare import Rows, merged, rows_of
from brigade.profiles.profile import KINDS, PREDICTION, Buckets, Profile

GUESSES = ("label", "predicted")  # the aspects of PREDICTION that are what the model says
EXAMPLES = 5
ENOUGH = 30  # events, below which nothing is said of their predictions
MARKS = "number INT, field STRING, aspect STRING, bucket STRING, since STRING"


@dataclass(frozen=True)
class Marked:
    """What makes an event one of a finding: it is in one of these buckets of an aspect, since a day."""

    field: str
    aspect: str
    buckets: tuple[str, ...]
    since: str


def touched_by(rows: DataFrame, wanted: Sequence[Marked], reference: Profile) -> dict[Key, Touched]:
    """(field, aspect, buckets) → what is known of these events.

    rows: see `measure.rows_of`, with the predictions. reference: of what the model predicted in its test.
    """
    marks = [
        (number, one.field, one.aspect, bucket, one.since)
        for number, one in enumerate(wanted)
        for bucket in one.buckets
    ]
    if not marks:
        return {}
    known = F.broadcast(rows.sparkSession.createDataFrame(marks, MARKS))
    is_guess = (F.col("field") == PREDICTION) & F.col("aspect").isin(*GUESSES)
    marked = rows.join(known, ["field", "aspect", "bucket"], "left").where((F.col("day") >= F.col("since")) | is_guess)
    number = F.when(F.col("day") >= F.col("since"), F.col("number"))
    events = marked.groupBy("eventId").agg(
        F.collect_set(number).alias("numbers"), F.max(F.when(is_guess, F.col("bucket"))).alias("guess")
    )
    ids = F.expr(f"slice(array_sort(collect_set(eventId)), 1, {EXAMPLES}) AS ids")
    found = events.select("eventId", "guess", F.explode("numbers").alias("number")).groupBy("number", "guess")
    guesses: dict[int, Buckets] = {}
    examples: dict[int, list[str]] = {}
    for row in found.agg(F.count("*").alias("events"), ids).collect():
        examples.setdefault(row.number, []).extend(row.ids)
        if row.guess is not None:
            guesses.setdefault(row.number, Counter())[row.guess] += row.events
    return {
        (one.field, one.aspect, one.buckets): Touched(
            tuple(sorted(examples[number])[:EXAMPLES]), effect_of(guesses.get(number, Counter()), reference)
        )
        for number, one in enumerate(wanted)
        if number in examples
    }


def effect_of(guesses: Buckets, reference: Profile) -> float | None:
    """How far these predictions lie from those of the test set: the Jensen-Shannon distance, less what so few events
    come to by chance. None if there are few, or none to compare with."""
    own = reference.total().get(PREDICTION, {})
    aspect = next((one for one in GUESSES if own.get(one)), None)
    if aspect is None or guesses.total() < ENOUGH:
        return None
    rows: Rows = rows_of(KINDS.get(aspect, "values"), own[aspect], guesses, {})
    before, now = merged(rows)
    chance = (len(before) - 1) / 8 * (1 / max(before.sum(), 1) + 1 / now.sum())
    return round(sqrt(max(float(counts.distance(before, now)) ** 2 - chance, 0)), 4)
