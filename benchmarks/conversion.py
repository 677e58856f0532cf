"""Measures on this machine how fast CONVERT is, how much memory it takes, and what an incremental run costs.

    python -m benchmarks.conversion speed          seconds, next to plain Spark and to polars on the same files
    python -m benchmarks.conversion files          20,000 small files against 8 with the same events
    python -m benchmarks.conversion growth         time and peak memory for 400,000 and for 1,600,000 events; Linux
    python -m benchmarks.conversion incremental    a second run with 1 % new files, and a third with none

The events are made up and the same on every machine: mail in lines of 1.7 kB as landing writes them, spread over 28
days; one line in a hundred repeats an earlier event, one in a thousand is bad. The counts and the parquet of each run
are checked against what was made. Prints a table on standard error and one line of JSON on standard output. `growth`
needs about 6 GB of disk and the others 3, and all of it is freed. The exit status is 1 when a target is missed. Other
work on the machine distorts the seconds.
"""

import argparse
import importlib.util
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.landed_mail import land, without_truncated
from benchmarks.sessions import concluded, in_session, over, peak_mib, say
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import EVENT, LANDING
from brigade.conversion.table import read_parquet

MOST_TO_WARM_UP = 20_000  # events


def project(spark: SparkSession, source: str, output: str) -> dict:
    return json_into_parquet(spark, source, output)


def plain_spark(spark: SparkSession, source: str, output: str) -> None:
    """Plain Spark that trusts the lines. It uses try_cast, since Spark 4's cast fails the job at a bad timestamp."""
    schema = f"{EVENT}, {LANDING}"
    columns = ["eventId", "try_cast(eventTimestamp AS TIMESTAMP) AS eventTimestamp", "eventSource", "eventType"]
    columns += ["eventVersion", "doc.docId", *(f"doc.metadata.{name}" for name in ("accountId", "superTag01"))]
    columns += ["doc.metadata.superTag02", "doc.payload", "pubsub.messageId"]
    tags = "transform(doc.metadata.otherTags, tag -> concat(tag.tagName, ':', tag.tagValue))"
    columns += [f"array_join({tags}, '|') AS concatOtherTags"]
    columns += ["try_cast(pubsub.publishTime AS TIMESTAMP) AS publishTime", "to_date(pubsub.publishTime) AS dt"]
    spark.read.schema(schema).json(source).selectExpr(*columns).write.partitionBy("dt").parquet(output)


def polars(spark: SparkSession, source: str, output: str) -> None:
    """The same columns with polars; Spark only waits."""
    import polars as pl

    tags = pl.List(pl.Struct({"tagName": pl.String, "tagValue": pl.String}))
    metadata = dict.fromkeys(("accountId", "superTag01", "superTag02"), pl.String) | {"otherTags": tags}
    schema = dict.fromkeys(("eventId", "eventTimestamp", "eventSource", "eventType", "eventVersion"), pl.String)
    schema["doc"] = pl.Struct({"docId": pl.String, "payload": pl.String, "metadata": pl.Struct(metadata)})
    schema["pubsub"] = pl.Struct({"messageId": pl.String, "publishTime": pl.String})
    doc, about, tag = pl.col("doc").struct, pl.col("pubsub").struct, pl.element().struct
    one_tag = pl.concat_str(tag.field("tagName"), pl.lit(":"), tag.field("tagValue"))
    moment = {"time_unit": "us", "time_zone": "UTC", "strict": False}
    frame = pl.scan_ndjson(sorted(Path(source).glob("dt=*/*")), schema=schema).select(
        "eventId",
        pl.col("eventTimestamp").str.to_datetime(**moment),
        *("eventSource", "eventType", "eventVersion"),
        *(doc.field(name) for name in ("docId", "payload")),
        *(doc.field("metadata").struct.field(name) for name in ("accountId", "superTag01", "superTag02")),
        doc.field("metadata").struct.field("otherTags").list.eval(one_tag).list.join("|").alias("concatOtherTags"),
        about.field("messageId"),
        about.field("publishTime").str.to_datetime(**moment),
        about.field("publishTime").str.slice(0, 10).alias("dt"),
    )
    frame.sink_parquet(pl.PartitionBy(output, key="dt"), compression="snappy", mkdir=True)  # Spark's compression


# ------------------------------------------------------------------------------------- in a process of its own


def timed(spark: SparkSession, way: Callable, source: str, output: str) -> tuple[dict[str, float], dict | None]:
    """How long a way took, in seconds and in CPU seconds of Spark's tasks, and the counts that it returned."""
    spark._jvm.System.gc()  # nobody pays for the garbage of the one before
    worked, started = executor_cpu_seconds(spark), time.perf_counter()
    counts = way(spark, source, output)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "executor_cpu_seconds": executor_cpu_seconds(spark) - worked}, counts


def executor_cpu_seconds(spark: SparkSession) -> float:
    """The CPU time of all tasks so far, from the store behind Spark's web pages, which exists without them."""
    context, gateway = spark.sparkContext._jsc.sc(), spark.sparkContext._gateway
    context.listenerBus().waitUntilEmpty()
    nothing = gateway.new_array(gateway.jvm.double, 0), gateway.jvm.java.util.ArrayList()
    stages = context.statusStore().stageList(None, False, False, *nothing)
    return sum(stages.apply(number).executorCpuTime() for number in range(stages.size())) / 1e9


def wrong(spark: SparkSession, counts: dict, output: str, expected: dict, rows: int) -> list[str]:
    """The differences between what was expected and a conversion's counts and parquet, one line each."""
    parquet = read_parquet(spark, output)
    found = counts | {"rows": parquet.count(), "distinct_event_ids": parquet.select("eventId").distinct().count()}
    expected = expected | {"rows": rows, "distinct_event_ids": rows}
    return [f"{name}: expected {it}, found {found.get(name)}" for name, it in expected.items() if found.get(name) != it]


def files_of(output: str) -> dict:
    sizes = sorted(path.stat().st_size for path in Path(output).rglob("*.parquet"))
    kib = [round(size / 1024) for size in (sizes[0], statistics.median(sizes), sizes[-1])]
    return {"files": len(sizes), "mib": round(sum(sizes) / 2**20, 1), "smallest_median_largest_kib": kib}


WAYS = {way.__name__: way for way in (plain_spark, project, polars)}


def contest(spark: SparkSession, entries: dict, rounds: int, expected: list[dict]) -> dict:
    """Converts by each entry (way, small input, input) in turn. The first round, with the small inputs, is no race."""
    taken, written, missed = {name: [] for name in entries}, {}, []
    for number, name in itertools.product(range(rounds + 1), entries):
        (way, *sources), race = entries[name], number > 0
        source, due = sources[race], expected[race]
        with tempfile.TemporaryDirectory() as folder:
            took, counts = timed(spark, WAYS[way], source, output := f"{folder}/parquet")
            written[name] = files_of(output)
            if way == "project":
                missed += [f"{name}: {line}" for line in wrong(spark, counts, output, due, due["converted"])]
            elif (found := spark.read.parquet(output).count()) < due["lines"] - due["quarantined"]:
                raise RuntimeError(f"{name} wrote {found} rows of {due['lines']} lines")
        if race:
            taken[name].append(took)
            say(f"round {number}: {name:<14} {took['seconds']:7.2f} s")
    median = {
        name: {kind: round(statistics.median(took[kind] for took in taken[name]), 2) for kind in taken[name][0]}
        for name in entries
    }
    return {"runs": {name: median[name] | written[name] for name in entries}, "missed": list(dict.fromkeys(missed))}


def ratio(result: dict, name: str, other: str, most: float) -> list[str]:
    """Adds how many times the other's seconds one took; a line when that is more than `most`."""
    found = round(result["runs"][name]["seconds"] / result["runs"][other]["seconds"], 2)
    result[about := f"{name}_times_{other}"] = found
    say(f"{about}: {found} (target: at most {most})")
    return [f"{about}: expected at most {most}, found {found}"] if found > most else []


# ------------------------------------------------------------------------------------------- speed and files


def input_sizes(arguments: argparse.Namespace) -> tuple[int, int]:
    """How many events are in the input to warm up with, and how many in the real one."""
    return min(MOST_TO_WARM_UP, arguments.events), arguments.events


def speed(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: at most 2.2 times plain Spark's time, and at most 3 times that of polars.

    The others read the same files into the same columns, partitions and compression, and check nothing: they keep
    duplicates and bad lines, and polars does not even get the truncated ones.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sources = [f"{scratch}/warm", f"{scratch}/input"]
        sizes = input_sizes(arguments)
        expected = [land(source, arguments.files, size) for source, size in zip(sources, sizes, strict=True)]
        entries = {way: (way, *sources) for way in ("plain_spark", "project")}
        if polars_is_here := importlib.util.find_spec("polars") is not None:
            entries["polars"] = ("polars", *(f"{source}_whole" for source in sources))
            for source in sources:
                without_truncated(source, f"{source}_whole")
        values = {"entries": entries, "rounds": arguments.rounds, "expected": expected}
        result = in_session("conversion", "contest", scratch, arguments.driver_memory, **values)
    say("medians        seconds   CPU of tasks   events/s   files      MiB   KiB of the smallest, median and largest")
    for way, run in result["runs"].items():
        cpu = run["executor_cpu_seconds"] or "-"  # polars has no tasks
        row = run["seconds"], cpu, arguments.events / run["seconds"], run["files"], run["mib"]
        say("{:<13} {:8.2f} {:>14} {:10,.0f} {:7} {:8.1f}   {}".format(way, *row, run["smallest_median_largest_kib"]))
    missed = result.pop("missed") + ratio(result, "project", "plain_spark", 2.2)
    if polars_is_here:
        missed += ratio(result, "project", "polars", 3)
    else:
        result["polars"] = "not installed; to compare with it: python -m pip install polars (or: uv pip install polars)"
        say(f"polars: {result['polars']}")
    return {"speed": {"expected": expected[1]} | result}, missed


def files(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: the same events in 20,000 files take at most twice the time that they take in 8."""
    entries, many = {}, arguments.files
    with tempfile.TemporaryDirectory() as scratch:
        for name, counts in (("few_files", (8, 8)), ("many_files", (max(8, many // 100), many))):
            sources = [f"{scratch}/{name}_warm", f"{scratch}/{name}"]
            expected = [land(*one) for one in zip(sources, counts, input_sizes(arguments), strict=True)]
            entries[name] = ("project", *sources)
        values = {"entries": entries, "rounds": arguments.rounds, "expected": expected}
        result = in_session("conversion", "contest", scratch, arguments.driver_memory, **values)
    for name, run in result["runs"].items():
        say(f"{name:<12} {run['seconds']:8.2f} s (median)")
    missed = result.pop("missed") + ratio(result, "many_files", "few_files", 2)
    return {"files": {"input_files": [8, many], "expected": expected[1]} | result}, missed


# ------------------------------------------------------------------------------------------------------ growth


def growth_job(spark: SparkSession, warm: str, source: str, expected: dict) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        timed(spark, project, warm, f"{folder}/warm/parquet")
        took, counts = timed(spark, project, source, output := f"{folder}/parquet")
        java, python = peak_mib(spark.sparkContext._gateway.proc.pid), peak_mib("self")  # the whole process tree
        run = {"events": expected["lines"], "seconds": round(took["seconds"], 2), "java_peak_mib": java}
        run |= {"python_peak_mib": python, "peak_mib": round(java + python, 1)}
        return {"run": run, "missed": wrong(spark, counts, output, expected, expected["converted"])}


def growth(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: four times the events take at most 4.4 times the time, and the peaks differ by less than 20 %.

    Java gets 1 GB, Spark's own default: given more, it keeps its garbage while there is room, and the peak says nothing
    of what it needs. Measured is a whole process tree, Python and Java, after a small conversion to warm it up.
    """
    runs, missed = [], []
    for count in (arguments.events, 4 * arguments.events):
        with tempfile.TemporaryDirectory() as scratch:
            warm, source = f"{scratch}/warm", f"{scratch}/input"
            land(warm, 8, input_sizes(arguments)[0])
            values = {"warm": warm, "source": source, "expected": land(source, max(8, count // 50_000), count)}
            answer = in_session("conversion", "growth_job", scratch, arguments.driver_memory, **values)
        runs.append(answer["run"])
        missed += answer["missed"]
        say("\n".join(f"  {name:<20}{value}" for name, value in runs[-1].items()))
    times = round(runs[1]["seconds"] / runs[0]["seconds"], 2)
    peaks = [run["peak_mib"] for run in runs]
    difference = round(100 * (max(peaks) / min(peaks) - 1), 1)
    say(f"4 times the events take {times} times the time; the peaks differ by {difference} %")
    missed += [] if times <= 4.4 else [f"times_the_time: expected at most 4.4, found {times}"]
    missed += [] if difference < 20 else [f"difference: expected less than 20 %, found {difference} %"]
    return {"growth": runs, "times_the_time": times, "difference_percent": difference}, missed


# ------------------------------------------------------------------------------------------------- incremental


def arrivals(spark: SparkSession, inputs: list[tuple]) -> dict:
    """Converts a folder, then again when new files have arrived in it, then once more; the last input counts."""
    for source, new, expected in inputs:
        runs, missed, rows = {}, [], 0
        with tempfile.TemporaryDirectory() as folder:
            for name, due in zip(("full", "new_files", "nothing_new"), expected, strict=True):
                if name == "new_files":
                    shutil.copytree(new, source, dirs_exist_ok=True, copy_function=shutil.copyfile)
                took, counts = timed(spark, project, source, output := f"{folder}/parquet")
                rows += due["converted"] - due["replaced"]
                missed += [f"{name}: {line}" for line in wrong(spark, counts, output, due, rows)]
                runs[name] = {"lines": due["lines"]} | {kind: round(one, 2) for kind, one in took.items()}
                runs[name] |= files_of(output)
    return {"runs": runs, "missed": missed}


def incremental(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: a run in which 1 % of the files are new takes at most 15 % of the full run's time and 10 % of its tasks'
    CPU time; one with nothing new takes at most two seconds.

    The new lines were published after all others, on the last day. One in a hundred repeats an event: as Pub/Sub does
    it, one of the last minutes, or with --spread one of any of the 28 days, all of which are then written again.
    """
    inputs, count = [], arguments.files
    with tempfile.TemporaryDirectory() as scratch:
        for name, size in zip(("warm", "input"), input_sizes(arguments), strict=True):
            within = None if arguments.spread else max(1, size // 100)
            source, new = f"{scratch}/{name}", f"{scratch}/new_{name}"
            expected = land(source, count, size), land(new, max(1, count // 100), max(1, size // 100), size, within)
            inputs.append((source, new, [*expected, dict.fromkeys(expected[0], 0)]))
        result = in_session("conversion", "arrivals", scratch, arguments.driver_memory, inputs=inputs)
    say("run              lines   seconds   executors' CPU seconds   files")
    for run, row in result["runs"].items():
        say("{:<12} {:9} {:9.2f} {:24.2f} {:7}".format(run, *itertools.islice(row.values(), 4)))
    missed, full, second = result.pop("missed"), result["runs"]["full"], result["runs"]["new_files"]
    for measure in ("seconds", "executor_cpu_seconds"):
        result[f"percent_of_{measure}"] = percent = round(100 * second[measure] / full[measure], 1)
        say(f"the run with new files took {percent} % of the full run's {measure}")
    missed += over("percent_of_seconds", result["percent_of_seconds"], 15)
    missed += over("percent_of_executor_cpu_seconds", result["percent_of_executor_cpu_seconds"], 10)
    missed += over("nothing new, seconds", result["runs"]["nothing_new"]["seconds"], 2)
    return {"incremental": result}, missed


# ------------------------------------------------------------------------------------------------ the three moves

RUNS = (speed, files, growth, incremental)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    plain = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversion", description=__doc__, **plain)
    commands = parser.add_subparsers(required=True, metavar="speed | files | growth | incremental")
    subs = {run: commands.add_parser(run.__name__, description=run.__doc__, **plain) for run in RUNS}
    for run, sub in subs.items():
        sub.set_defaults(run=run)
        sub.add_argument("--events", type=int, default=400_000, metavar="N")
        memory = "1g" if run is growth else "4g"
        sub.add_argument("--driver_memory", default=memory, metavar="SIZE", help=f"Java's heap (default: {memory})")
    for run, count in ((speed, 8), (files, 20_000), (incremental, 200)):
        subs[run].add_argument("--files", type=int, default=count, metavar="N", help=f"of input (default: {count})")
    subs[incremental].add_argument(
        "--spread", action="store_true", help="duplicates of any day, not of the last minutes"
    )
    for run in (speed, files):
        subs[run].add_argument("--rounds", type=int, default=3, metavar="N")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    result, missed = arguments.run(arguments)
    return concluded("conversion", result, missed)


if __name__ == "__main__":
    sys.exit(main())
