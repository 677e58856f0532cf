"""How fast a profile is measured on this machine: next to a plain count of words by Spark.

    python -m benchmarks.monitoring                       1,000,000 documents of 1.5 kB: 2 GB of disk, some minutes
    python -m benchmarks.monitoring --documents=100000    fewer, of which more are looked at closely

The documents are made up and the same on every machine: parquet over 28 days, as a conversion leaves it. *Plain* is
`SELECT word, count(*)` over the words of all texts, in the same session on the same files. The profile looks at all
columns, and at one text in so many closely, with a model of 20 classes. `local[2]`; each side runs once on a few
documents, which warms Spark up, and then in turn --runs times, of which the medians count. Prints a table on standard
error and one line of JSON on standard output. The exit status is 1 when a target is missed: at most 1.5 times the time
of the count, profiles of two halves that add up to the whole's, and at most 4 MiB of JSON.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.prediction import CLASSES, DAYS, cpu_seconds, text, write_model
from benchmarks.sessions import concluded, in_session, over, peak_mib, say
from brigade.conversion.schema import COLUMNS

MOST_TIMES, MOST_BYTES = 1.5, 4 << 20
WORDS = r"""SELECT word, count(*) AS times FROM (SELECT explode(split(lower(payload), '\\W+')) AS word FROM texts)
    GROUP BY word ORDER BY times DESC LIMIT 100"""


def write_documents(path: str, number: int) -> None:
    """Parquet of so many documents, spread over DAYS, with all of a conversion's columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for day in range(DAYS):
        own = range(day, number, DAYS)
        moment = pa.array([1_790_812_800_000_000 + (day * 86_400 + one % 86_400) * 1_000_000 for one in own])
        columns = {name: pa.nulls(len(own), pa.string()) for name in COLUMNS if name != "dt"}
        columns |= dict.fromkeys(("eventTimestamp", "publishTime"), moment.cast(pa.timestamp("us", "UTC")))
        columns |= {"eventId": pa.array([f"event-{one:09}" for one in own]), "payload": pa.array(map(text, own))}
        columns |= {"eventSource": pa.array([f"source {one % 7}" for one in own])}
        columns |= {"superTag01": pa.array([f"class {one % CLASSES}" for one in own])}
        columns |= {"superTag02": pa.array([f"group {one % 50}" for one in own])}
        (folder := Path(path, f"dt=2026-10-{day + 1:02}")).mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / "documents.parquet")


def profiling(spark, warm_up: str, path: str, models: str, runs: int) -> dict:
    """Counts words and measures profiles, in turn; then the profiles of two halves."""
    from brigade.models.manifest import DOCUMENTS_PREFIX
    from brigade.prediction.model import choose
    from brigade.profiles.measure import profile_of
    from brigade.profiles.profile import Profile

    model = choose(spark, models, DOCUMENTS_PREFIX, None).served.model

    def events(folder: str):
        return spark.read.schema(", ".join(f"{name} {kind_of(name)}" for name in COLUMNS)).parquet(folder)

    def plain(folder: str) -> int:
        events(folder).createOrReplaceTempView("texts")
        return len(spark.sql(WORDS).collect())

    def profile(folder: str) -> Profile:
        return profile_of(spark, events(folder), model=model)

    def timed(side, folder: str) -> tuple[float, float, Profile | int]:
        started, worked = time.perf_counter(), cpu_seconds()
        found = side(folder)
        seconds, worked = time.perf_counter() - started, cpu_seconds() - worked
        say(f"{side.__name__}: {seconds:.1f} s, {worked:.1f} CPU s")
        return seconds, worked, found

    for side in (plain, profile):
        side(warm_up)
    measured: dict = {"plain": [], "profile": []}
    for _ in range(runs):
        for name, side in (("plain", plain), ("profile", profile)):
            measured[name].append(timed(side, path))
    whole = measured["profile"][0][2]
    found = {"events": whole.events, "bytes": len(whole.folded().text()), "sampled": whole.sampled}
    for name, several in measured.items():
        found[name] = round(statistics.median(seconds for seconds, _, _ in several), 1)
        found[f"{name}_cpu"] = round(statistics.median(cpu for _, cpu, _ in several), 1)
        found[f"{name}_runs"] = [round(seconds, 1) for seconds, _, _ in several]
    halves = [events(path).where(f"dt {side} '2026-10-13'") for side in ("<", ">=")]
    parts = [profile_of(spark, half, model=model, sampled=whole.sampled) for half in halves]
    found["halves_add_up"] = (parts[0] + parts[1]).text() == whole.text()
    return found | {"java_peak_mib": peak_mib(spark.sparkContext._gateway.proc.pid)}


def kind_of(column: str) -> str:
    return "TIMESTAMP" if column in ("eventTimestamp", "publishTime") else "STRING"


def measured(documents: int, runs: int, memory: str) -> tuple[dict, list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        write_model(f"{scratch}/models")
        for name, size in (("few", 2000), ("many", documents)):
            write_documents(f"{scratch}/{name}", size)
        values = {"warm_up": f"{scratch}/few", "path": f"{scratch}/many", "models": f"{scratch}/models", "runs": runs}
        found = in_session("monitoring", "profiling", scratch, memory, **values)
    for name, what in (("plain", "words counted"), ("profile", "profiled")):
        say(f"{documents:>10,} documents {what}: {found[name]:8.1f} s, {found[f'{name}_cpu']:8.1f} CPU s")
    times = round(found["profile"] / found["plain"], 2)
    say(f"1 text in {found['sampled']} looked at closely; {times} times the count's time; {found['bytes']:,} bytes")
    missed = over("times the count's time", times, MOST_TIMES) + over("bytes", found["bytes"], MOST_BYTES)
    missed += [] if found["halves_add_up"] else ["halves: expected profiles that add up to the whole's, found others"]
    missed += over("events that are not counted", documents - found["events"], 0)
    return {"documents": documents, "times_the_count": times} | found, missed


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--documents", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each side (default: %(default)s)")
    parser.add_argument("--driver_memory", default="2g", metavar="SIZE", help="Java's heap (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    return concluded("monitoring", *measured(arguments.documents, arguments.runs, arguments.driver_memory))


if __name__ == "__main__":
    sys.exit(main())
