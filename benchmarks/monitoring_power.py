"""What MONITOR finds, and what it does not cry about, by simulation on real data sets.

    python -m benchmarks.monitoring_power --data=FOLDER                      all sets
    python -m benchmarks.monitoring_power --data=FOLDER --sets=sms,wine      some of them
    python -m benchmarks.monitoring_power --data=FOLDER --years=10           so many years of weekly looks, each set
    python -m benchmarks.monitoring_power --data=FOLDER --draws=2000         so many draws of each fault

FOLDER holds the public data sets, as for `benchmarks.training` and `benchmarks.tables`. Of each, a part trains a model
with the project's own training, and the others are measured once for each fault, with the project's own code. A draw
takes 1,000 of these as the fresh events and all others as the reference, so where there is no fault nothing differs
but by chance. A fault is found if a finding names its field. Decay: 300 labelled events a day, of which from day 10 on
a tenth of one class has another label; one look on day 17. Of a class with fewer than a sixth of the events this is
told and no target, since fewer than 40 labels go wrong. Beside it stands what the best of all tests would find, one
that knows the class, the day and both distributions. A table for people on standard error, one line of JSON on standard
output. Exit status 1 when a target is missed: 95 of 100 faults and decays found, 1 of 100 false alarms at the most, and
one in ten years of weekly looks.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from pyarrow.parquet import read_table

from benchmarks import sessions
from benchmarks.monitoring_draws import Decays, Looks, Pool
from benchmarks.monitoring_faults import Row, Set, faults_of
from benchmarks.sessions import concluded, say
from benchmarks.tables import wines
from benchmarks.training_data import documents, read_csv
from brigade.monitoring.performance import SHARE
from brigade.profiles.thresholds import Thresholds

FRESH, WEEKS = 1000, 52
LABELLED, FLIPPED, FIRST, LAST = 300, 0.1, 10, 17  # events a day, share of a class's labels, days
RARE = 1 / 6  # of all events: of a rarer class fewer than 40 labels go wrong in these days, which chance explains too
LEAST_FOUND, MOST_A_YEAR = 0.95, 0.1
SOURCES, WEIGHTS = ("doc.contract", "doc.letter", "doc.mail"), (0.6, 0.3, 0.1)
TEXT_SETS = ("20ng", "ag", "r8", "sms")
MOST_MEASURED, MOST_LEARNED = 12_000, 8_000  # events of a set
DOCUMENT = "eventId STRING, dt STRING, eventSource STRING, superTag01 STRING, payload STRING"


@dataclass(frozen=True)
class Sample:
    """A data set, cut in two. learned: rows that train. fresh: rows that looks are drawn from. schema: of both."""

    about: Set
    schema: str
    learned: list[Row]
    fresh: list[Row]
    pipeline: str | None = None
    is_class: bool = True


def in_two(rows: list[Row], part: float) -> tuple[list[Row], list[Row]]:
    """Rows that train, a part of them, and the others."""
    random.Random(1).shuffle(rows)
    at = min(round(part * len(rows)), MOST_LEARNED)
    return rows[:at], rows[at : at + MOST_MEASURED]


def texts_of(data: str, name: str) -> list[tuple[str, str]]:
    """(label, text) of a whole set."""
    if name == "sms":
        return read_csv(data, "sms_spam/sms_spam.csv", ("text",))
    return [*documents(data, name, 0), *documents(data, name, 1)]


def text_sample(data: str, name: str) -> Sample:
    draw = random.Random(name)
    rows = [
        {
            "eventId": f"{name}-{number}",
            "dt": "2026-11-01",
            "eventSource": draw.choices(SOURCES, WEIGHTS)[0],
            "superTag01": label,
            "payload": text,
        }
        for number, (label, text) in enumerate(texts_of(data, name))
        if text.strip()
    ]
    other = tuple(text for _, text in texts_of(data, "ag" if name == "r8" else "r8")[:4000])
    about = Set("superTag01", text="payload", category="eventSource", renamed="doc.mail", other=other)
    return Sample(about, DOCUMENT, *in_two(rows, 0.4))


def wine_sample(data: str) -> Sample:
    names, _ = wines(data, "red")
    own = ["ph" if name == "pH" else name for name in names[:-1]]
    rows = [
        {"eventId": f"{colour}-{number}", "dt": "2026-11-01", "colour": colour, "good": str(row[-1] >= 7).lower()}
        | dict(zip(own, row, strict=False))
        for colour in ("red", "white")
        for number, row in enumerate(wines(data, colour)[1].tolist())
    ]
    schema = "eventId STRING, dt STRING, colour STRING, good STRING, " + ", ".join(f"{name} DOUBLE" for name in own)
    about = Set("good", number="alcohol", category="colour", renamed="red")
    return Sample(about, schema, *in_two(rows, 0.35), pipeline="wine")


def sales_sample(spark, data: str) -> Sample:
    """Weeks of shops: the first ones train, and the rows of the others are drawn from."""
    import csv

    from brigade.pipelines.load import load
    from brigade.training.tables.columns import queried

    schema = "eventId STRING, eventTimestamp TIMESTAMP, dt STRING, store STRING, weekly_sales DOUBLE, holiday_flag INT"
    with open(f"{data}/walmart_sales/walmart.csv", encoding="utf-8", newline="") as file:
        rows = [
            (f"{one['Store']}-{one['Date']}", f"{one['Date']} 00:00:00", one["Date"], one["Store"],
             float(one["Weekly_Sales"]), int(one["Holiday_Flag"]))
            for one in csv.DictReader(file)
        ]  # fmt: skip
    frame = spark.createDataFrame(rows, schema.replace("TIMESTAMP", "STRING")).selectExpr(
        "eventId", "CAST(eventTimestamp AS TIMESTAMP) AS eventTimestamp", "dt", "store", "weekly_sales", "holiday_flag"
    )
    first = sorted({row[2] for row in rows})[90]
    made = queried(frame, load("sales").model).where(f"dt >= '{first}'")
    fresh = [row.asDict() for row in made.collect()]
    learned = [row.asDict() for row in frame.where(f"dt < '{first}'").collect()]
    about = Set("weekly_sales", number="known_sales", category="store", renamed="20")
    wide = ", ".join(f"{one.name} {one.dataType.simpleString()}" for one in made.schema.fields)
    return Sample(about, f"{schema}|{wide}", learned, fresh, pipeline="sales", is_class=False)


# ------------------------------------------------------------------------------------- in a process of its own


def simulated(spark, data: str, name: str, years: int, draws: int, place: str) -> dict:
    """All of one set: which share of the faults and decays is found, and how many looks without one find something."""
    sample = sales_sample(spark, data) if name == "sales" else (
        wine_sample(data) if name == "wine" else text_sample(data, name)
    )  # fmt: skip
    started = time.perf_counter()
    pool, faults = pool_of(spark, sample, place)
    say(f"{name}: {len(sample.learned)} learned, {len(sample.fresh)} measured, {time.perf_counter() - started:.0f} s")
    looks, fields = Looks(pool, FRESH), vars(sample.about)
    found, best = {}, {}
    for fault, about in faults.items():
        found[fault] = share_found(partial(looks.findings, fault, about.share), fields[about.of], draws)
    doubled = doubled_in(pool)
    # Of all faults the nearest to its target: a hundred draws say too little.
    found["label shift"] = share_found(lambda: looks.findings(doubled=doubled), sample.about.label, 10 * draws)
    if sample.is_class:
        decays = Decays(pool)
        for what, shares in {"decay": (RARE, 1.0), "decay of a rare class": (0.0, RARE)}.items():
            if decays.of_share(*shares):
                days = (FLIPPED, LABELLED, FIRST, LAST, *shares)
                found[what], by_class = noticed(decays, pool, days, 10 * draws)
                best[what] = best_of(decays, decays.of_share(*shares))
                say(f"{name}: {what}: {found[what]:g}, not noticed in {by_class}; the best test: {best[what]:.2f}")
    false = Counter()
    for _ in range(years * WEEKS):
        if told := looks.findings():
            false["alarms"] += 1
            false.update(f"{one['field']}/{one['aspect']}" for one in told)
    alarms = false.pop("alarms", 0)
    result = {"found": found, "best": best, "looks": years * WEEKS, "false_alarms": alarms, "about": dict(false)}
    say(f"{name}: {result}, {time.perf_counter() - started:.0f} s")
    return result


def pool_of(spark, sample: Sample, place: str, **options) -> tuple[Pool, dict]:
    """The measured events of a set, and of each fault. options: of training."""
    from brigade.conversion.schema import SCHEMA
    from brigade.models.folder import find_champion
    from brigade.models.manifest import DOCUMENTS_PREFIX
    from brigade.pipelines.load import load
    from brigade.profiles.blocks import Look
    from brigade.profiles.measure import selected
    from brigade.profiles.watched import watched_in
    from brigade.storage import folder_at
    from brigade.training.run import train

    definition = load(sample.pipeline) if sample.pipeline else None
    learned, _, measured = sample.schema.partition("|")
    frame = spark.createDataFrame(sample.learned, learned)
    if definition is None:
        missing = [column for column in SCHEMA.split(",") if column.split()[0] not in frame.columns]
        frame = frame.selectExpr("*", *("CAST(NULL AS {1}) AS {0}".format(*column.split()) for column in missing))
    elif "eventTimestamp" not in frame.columns:
        frame = frame.selectExpr("*", "CAST(NULL AS TIMESTAMP) AS eventTimestamp")
    frame.write.partitionBy("dt").parquet(f"{place}/learned")
    train(spark, f"{place}/learned", f"{place}/models", definition=definition, **options)
    champion = find_champion(folder_at(f"{place}/models"), definition.model_prefix if definition else DOCUMENTS_PREFIX)
    schema = measured or learned
    pool, look = Pool(is_class=sample.is_class), None
    faults = faults_of(sample.about, sample.is_class)
    for version in ("", *faults):
        rows = [faults[version].change(row, sample.about) if version else row for row in sample.fresh]
        events = spark.createDataFrame(rows, schema)
        watched = watched_in(events.schema, definition, champion.model)
        look = look or Look(watched)
        kept = f"{place}/measured/{version or 'own'}"  # files, since Spark 3.5 gives no Arrow
        selected(events, watched, champion.model, 1).write.parquet(kept)
        pool.add(version, read_table(kept).to_batches(), look, champion.model)
    own = [row[sample.about.label] for row in sample.fresh]
    pool.labels = np.array(own) if sample.is_class else np.array(own) > np.quantile(own, 0.8)
    return pool, faults


def doubled_in(pool: Pool) -> object:
    """The commonest class of a third or less; of numbers, those that are high."""
    if not pool.is_class:
        return True
    names, counts = np.unique(pool.labels, return_counts=True)
    fits = counts <= len(pool.labels) / 3
    return names[fits][counts[fits].argmax()]


def noticed(decays: Decays, pool: Pool, days: tuple, draws: int) -> tuple[float, dict]:
    """In which share of the draws a decay is noticed, and how often it is not, by class."""
    missed = Counter[str]()
    for _ in range(draws):
        if not decays.findings(*days):
            missed[pool.names["prediction"].get(decays.wrong, decays.wrong)] += 1
    return 1 - missed.total() / draws, dict(missed)


def best_of(decays: Decays, classes: list[str]) -> float:
    """Which share of these classes' decays the best test finds, each label going to one or two other classes."""
    alpha, events = SHARE * Thresholds().alpha, LABELLED * (LAST - FIRST + 1)
    others = [(one, other) for one in classes for other in [name for name in decays.classes if name != one][:2]]
    return float(np.mean([decays.best(*pair, FLIPPED, events, alpha) for pair in others]))


def share_found(look: Callable[[], list[dict]], field: str, draws: int) -> float:
    """In which share of the draws a finding names the field."""
    return sum(any(one["field"] == field for one in look()) for _ in range(draws)) / draws


# ------------------------------------------------------------------------------------------------------- the door


def missed_in(name: str, result: dict) -> list[str]:
    least = [f"{name}: {fault}: expected {LEAST_FOUND:g} found, found {share:g}"
             for fault, share in result["found"].items() if share < LEAST_FOUND and "rare" not in fault]  # fmt: skip
    most = max(MOST_A_YEAR * result["looks"] / WEEKS, 1)
    if result["false_alarms"] > most:
        least.append(f"{name}: expected at most {most:g} false alarms, found {result['false_alarms']}")
    return least


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="the folder of the public data sets")
    parser.add_argument("--sets", default=",".join((*TEXT_SETS, "wine", "sales")), help="some of them")
    parser.add_argument("--years", type=int, default=100, help="of weekly looks without a change, of each set")
    more = "ten times as many of a doubled class and of a decay"
    parser.add_argument("--draws", type=int, default=100, help=f"of 1,000 events, for each fault; {more}")
    arguments = parser.parse_args(argv)
    results, missed = {}, []
    for name in arguments.sets.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            results[name] = sessions.in_session(
                "monitoring_power", "simulated", scratch, "1500m",
                data=arguments.data, name=name, years=arguments.years, draws=arguments.draws,
                place=f"{scratch}/own",
            )  # fmt: skip
        missed += missed_in(name, results[name])
    return concluded("monitoring_power", {"benchmark": "monitoring_power", "sets": results}, missed)


if __name__ == "__main__":
    sys.exit(main())
