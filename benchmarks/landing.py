"""How complete, how fast and how small LAND is, measured on this machine.

    python -m benchmarks.landing burst --messages=10000,100000       every message of a burst lands, once, in few files
    python -m benchmarks.landing burst --messages=10000 --compare    the same, and the usual shape beside it
    python -m benchmarks.landing throughput    events a second, against a plain loop that does the same work
    python -m benchmarks.landing memory        peak memory for 200,000 and for 1,000,000 events

A table for people on standard error, one line of JSON on standard output; nothing stays on the disk. Exit status 1 when
a target is missed. Other work on the machine shows in the seconds: run it when there is none.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import orjson
from apache_beam.coders import BytesCoder
from apache_beam.io import ReadFromPubSub, ReadFromText
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from brigade.landing import pipeline as pubsub_gcs
from brigade.publishing.generated import generate
from local import emulators, guard

ROOT = Path(__file__).parent.parent
PROJECT = "brigade-bench"
PUBLISHED = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHAPE = {"max_seconds": 120, "max_lines": 100_000, "max_bytes": 64 << 20, "num_shards": 1}  # the job's defaults
PATIENCE_SECONDS = 120  # beyond a window without a new file, a burst has stalled


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tell(run: dict) -> None:
    say("\n".join(f"  {name:<36}{value}" for name, value in run.items()))


def events(count: int) -> Iterator[bytes]:
    """Distinct events of about 1.4 kB: made-up business mail in the README's form."""
    texts = [((document.text + " ") * 20)[:1000] for document in generate(200, seed=1)]
    metadata = {"superTag01": "A", "superTag02": "C", "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]}
    event = {"eventTimestamp": "2019-04-02T21:55:57Z", "eventSource": "doc.contract", "eventVersion": "1.0"}
    for number in range(count):
        doc = {"schemaVersion": "1.0", "docId": str(uuid.UUID(int=number)).upper(), "metadata": metadata}
        doc["payload"] = texts[number % len(texts)]
        yield orjson.dumps(event | {"eventId": f"{number:040x}", "eventType": "DocSchedule", "doc": doc})


def answer(process: subprocess.Popen) -> dict:
    """The line of JSON that a process prints at its end. Raises RuntimeError when it says nothing."""
    output = process.stdout.read()
    if process.wait() and not output:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    return json.loads(output)


# ------------------------------------------------------------------------------------------------------- burst


class Files(dict):
    """The files that have landed below a folder, each read once, and their lines."""

    def look(self, folder: Path) -> int:
        """How many lines there are by now."""
        for path in folder.glob("dt=*/*"):
            if path not in self and not path.name.startswith("."):
                self[path] = path.read_bytes().count(b"\n")
        return sum(self.values())


@contextmanager
def pubsub_emulator(folder: Path) -> Iterator[None]:
    server = emulators.start_pubsub(folder / "pubsub.log")
    try:
        os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{server.port}"
        yield
    finally:
        guard.stop(server.process)


def publish_burst(name: str, count: int) -> str:
    """Publishes the events as fast as the emulator takes them; returns the subscription that has them."""
    from google.cloud import pubsub
    from google.cloud.pubsub_v1 import types

    topic, subscription = f"projects/{PROJECT}/topics/{name}", f"projects/{PROJECT}/subscriptions/{name}"
    publisher = pubsub.PublisherClient(types.BatchSettings(max_messages=500, max_bytes=5_000_000))
    publisher.create_topic(name=topic)
    with pubsub.SubscriberClient() as subscriber:
        subscriber.create_subscription(name=subscription, topic=topic)
    started = time.monotonic()
    for future in [publisher.publish(topic, data) for data in events(count)]:
        future.result(timeout=300)
    publisher.stop()
    say(f"{count} messages published in {time.monotonic() - started:.1f} s")
    return subscription


def land_burst(count: int, minutes: float, folder: Path) -> dict:
    """Lands a burst with the real job, started when all of it is published; what is in the files at the end."""
    subscription = publish_burst(f"burst-{count}", count)
    command = [sys.executable, "pubsub_gcs.py", f"--project={PROJECT}", f"--window_size={minutes:g}", "--num_shards=1"]
    command += [f"--input_subscription={subscription}", f"--output_path={folder}/input", "--runner=DirectRunner"]
    started = changed = told = time.time()
    job = guard.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    files, landed = Files(), 0
    while landed < count and time.time() < changed + minutes * 60 + PATIENCE_SECONDS and job.poll() is None:
        time.sleep(0.2)
        before, landed = landed, files.look(folder / "input")
        changed = time.time() if landed > before else changed
        if time.time() > told + 15:
            told = time.time()
            say(f"  {told - started:4.0f} s: {landed} landed in {len(files)} files")
    time.sleep(3)  # what comes twice has a moment to come
    job.stdin.close()  # the guard ends the job, which then prints its summary
    run = {"messages": count, "window_seconds": minutes * 60, "received": answer(job)["received"]}
    files.look(folder / "input")
    return run | what_landed(files, count, minutes * 60, started)


def what_landed(files: Files, count: int, window: float, started: float) -> dict:
    sent, contents, identities, lines = set(map(hash, events(count))), set(), set(), 0
    for path in files:
        for line in path.open("rb"):
            own, _, about = line.rpartition(b', "pubsub": ')
            contents.add(hash(own + b"}"))
            identities.add(orjson.loads(about.rstrip()[:-1])["messageId"])
            lines += 1
    written = sorted((path.stat().st_mtime, lines) for path, lines in files.items())
    seconds = written[-1][0] - started if written else None
    # All that was taken between the writing of the first file and that of the last but one is in those after the first.
    inner = written[1:-1]
    rate = sum(lines for _, lines in inner) / (inner[-1][0] - written[0][0]) if inner else None
    return {
        "landed_lines": lines,
        "distinct_contents_as_published": len(contents & sent),
        "distinct_message_ids": len(identities),
        "duplicates": lines - len(identities),
        "files": len(written),
        "most_files_in_a_window": max((sum(a <= b < a + window for b, _ in written) for a, _ in written), default=0),
        "seconds": seconds and round(seconds, 1),
        "messages_per_second": seconds and round(lines / seconds),
        "messages_per_second_between_files": rate and round(rate),
    }


def land_usual(count: int, seconds: int, folder: Path) -> dict:
    arguments = [publish_burst(f"usual-{count}", count), str(folder), str(seconds), str(count)]
    job = guard.start([sys.executable, "-m", "benchmarks.usual_shape", *arguments], cwd=ROOT, stdout=subprocess.PIPE)
    received = answer(job)["received"]
    contents = [path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl")]
    return {"messages": count, "received": received, "landed_lines": sum(contents), "files": len(contents)}


def burst(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: all land, each once, in at most 5 files for a shard and window."""
    result, missed = {"burst": []}, []
    with tempfile.TemporaryDirectory() as scratch, pubsub_emulator(Path(scratch)):
        for count in arguments.messages:
            # 12 s for 10,000 and 2 minutes for 100,000: the local runner needs several windows, and no file is small.
            minutes = arguments.window_size or max(0.1, count / 50_000)
            say(f"a burst of {count} into pubsub_gcs.py --window_size={minutes:g} --num_shards=1")
            result["burst"].append(run := land_burst(count, minutes, Path(scratch, f"burst-{count}")))
            tell(run)
            for name in ("landed_lines", "distinct_contents_as_published", "distinct_message_ids"):
                if run[name] != count:
                    missed.append(f"{name}: expected {count}, found {run[name]}")
            if (most := run["most_files_in_a_window"]) > 5:
                missed.append(f"most_files_in_a_window: expected at most 5, found {most}")
        if arguments.compare:
            say("the usual shape: FixedWindows of 12 s, GroupByKey with the default trigger, a file a window and shard")
            Path(scratch, "usual").mkdir()
            result["usual_shape"] = land_usual(10_000, 12, Path(scratch, "usual"))
            tell(result["usual_shape"])
    return result, missed


# -------------------------------------------------------------------------------------------------- throughput

NUMBERS = itertools.count()
TIMES = [PUBLISHED + timedelta(milliseconds=number) for number in range(10_000)]  # a thousand messages a second


class AsMessages(beam.PTransform):
    """The lines of a file as Pub/Sub's messages."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def expand(self, start):
        return start | ReadFromText(self.path, coder=BytesCoder()) | beam.Map(as_message)


def as_message(line: bytes) -> PubsubMessage:
    number = next(NUMBERS)
    return PubsubMessage(line, {}, str(number), TIMES[number % len(TIMES)])


def read_and_map(source: str, folder: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | AsMessages(source)


def landing_steps(source: str, folder: Path) -> None:
    paths = {"output_path": f"{folder}/input", "dead_letter_path": f"{folder}/dead_letter"}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pubsub_gcs.build(pipeline, AsMessages(source), **paths, **SHAPE)


def plain_loop(source: str, folder: Path) -> None:
    """What one would write without Beam and without checks: parse, add the member, write to one open file."""
    with open(source, "rb") as lines, open(folder / "plain.jsonl", "wb") as file:
        for number, line in enumerate(lines):
            event = orjson.loads(line)
            published = TIMES[number % len(TIMES)]
            event["pubsub"] = {"messageId": str(number), "publishTime": published, "attributes": {}}
            file.write(orjson.dumps(event) + b"\n")


def checking_loop(source: str, folder: Path) -> None:
    """The same loop with the project's own checks and lines, which keep the event's bytes."""
    with open(source, "rb") as lines, open(folder / "checked.jsonl", "wb") as file:
        for number, line in enumerate(lines):
            about = {"messageId": str(number), "publishTime": TIMES[number % len(TIMES)], "attributes": {}}
            file.write(pubsub_gcs.landed_line(line, pubsub_gcs.read_event(line), about))


WAYS = (plain_loop, checking_loop, read_and_map, landing_steps)


def throughput(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: the landing steps take at most 4 times the plain loop's time. Nothing is subtracted."""
    count, spent = arguments.events, {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "events.jsonl")
        with open(source, "wb") as file:
            file.writelines(line + b"\n" for line in events(count))
        result = {"events": count, "bytes_an_event": source.stat().st_size // count, "rounds": arguments.rounds}
        for number, way in ((number, way) for number in range(arguments.rounds) for way in WAYS):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                way(str(source), Path(folder))
                spent[way].append((time.perf_counter() - wall, time.process_time() - cpu))
                found = sum(path.read_bytes().count(b"\n") for path in Path(folder).rglob("*.jsonl"))
            if way is not read_and_map and found != count:
                raise RuntimeError(f"{way.__name__} wrote {found} lines of {count}")
            say("round {}: {:<14} {:6.2f} s, {:6.2f} s of CPU".format(number + 1, way.__name__, *spent[way][-1]))
    medians = {way: [statistics.median(kind) for kind in zip(*spent[way], strict=True)] for way in WAYS}
    loop = medians[plain_loop]
    say("medians        seconds     CPU   events/s   a CPU second   times the plain loop   by CPU")
    for way, (wall, cpu) in medians.items():
        row = {"seconds": wall, "cpu_seconds": cpu, "per_second": count / wall, "per_cpu_second": count / cpu}
        row |= {"times_the_plain_loop": wall / loop[0], "times_by_cpu": cpu / loop[1]}
        say("{:<13} {:8.2f} {:7.2f} {:10,.0f} {:14,.0f} {:22.2f} {:8.2f}".format(way.__name__, *row.values()))
        result[way.__name__] = {name: round(value, 2) for name, value in row.items()}
    ratio = result["landing_steps"]["times_the_plain_loop"]
    return {"throughput": result}, [f"times_the_plain_loop: expected at most 4, found {ratio}"] if ratio > 4 else []


# ------------------------------------------------------------------------------------------------------ memory


class MadeUpPubSub:
    """Pub/Sub's client as the local runner uses it, with messages that are made when they are pulled.

    The emulator would take an hour for a million, and hold them all in its own memory. A pull gives a thousand, where
    the local runner asks for ten, so that the steps are busy and not the runner.
    """

    count = 0
    subscription_path = staticmethod("projects/{}/subscriptions/{}".format)

    def __init__(self):
        self.left = enumerate(events(self.count))

    def pull(self, **request) -> SimpleNamespace:
        fixed = {"attributes": {}, "publish_time": PUBLISHED, "ordering_key": ""}
        pulled = [
            SimpleNamespace(ack_id="", message=SimpleNamespace(data=data, message_id=str(number), **fixed))
            for number, data in itertools.islice(self.left, 1000)
        ]
        if not pulled:
            time.sleep(0.1)
        return SimpleNamespace(received_messages=pulled)

    def acknowledge(self, **request) -> None:
        pass


def peak_mib() -> float:
    """The most memory this process has held; getrusage tells kilobytes on Linux and bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def memory_job(count: int, folder: str) -> None:
    """Lands the messages with the project's graph on the streaming local runner; prints this process's peak."""
    from google.cloud import pubsub

    MadeUpPubSub.count, pubsub.SubscriberClient = count, MadeUpPubSub
    pipeline = beam.Pipeline("BundleBasedDirectRunner", PipelineOptions([], streaming=True, project=PROJECT))
    source = ReadFromPubSub(subscription=f"projects/{PROJECT}/subscriptions/made-up", with_attributes=True)
    paths = {"output_path": f"{folder}/input", "dead_letter_path": f"{folder}/dead_letter"}
    # Files close by size as in the job; only the last one waits for its age, here 20 s.
    pubsub_gcs.build(pipeline, source, **paths, **SHAPE | {"max_seconds": 20})
    at_rest, started = peak_mib(), time.monotonic()
    running = pipeline.run()
    while pubsub_gcs.COUNTED["landed"] < count and time.monotonic() < started + 1800:
        time.sleep(0.2)
    run = {"landed": pubsub_gcs.COUNTED["landed"], "files": pubsub_gcs.COUNTED["files_landed"]}
    run |= {"seconds": round(time.monotonic() - started, 1), "mib_at_rest": at_rest, "peak_mib": peak_mib()}
    print(json.dumps(run | {"state": running.state}), flush=True)
    os._exit(0)  # the local runner's threads poll Pub/Sub without end


def memory(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: the peaks differ by less than 20 %.

    Measured is a whole process: Python, Beam, its streaming local runner, the job's graph and default shape, and
    messages that are made up as they are pulled. The batch runner of `throughput` would not do: it keeps all that
    passes between two stages, whatever the stages do.
    """
    runs, missed = [], []
    for count in arguments.events:
        with tempfile.TemporaryDirectory() as folder:
            code = f"from benchmarks import landing; landing.memory_job({count}, {folder!r})"
            job = guard.start([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
            runs.append({"events": count} | answer(job))
        tell(runs[-1])
        if runs[-1]["landed"] != count:
            missed.append(f"landed: expected {count}, found {runs[-1]['landed']}")
    peaks = [run["peak_mib"] for run in runs]
    difference = round(100 * (max(peaks) / min(peaks) - 1), 1)
    say(f"the peaks differ by {difference} %")
    missed += [] if difference < 20 else [f"difference: expected less than 20 %, found {difference} %"]
    return {"memory": runs, "difference_percent": difference}, missed


# ------------------------------------------------------------------------------------------------ the three moves

RUNS = (burst, throughput, memory)


def counts(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    plain = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landing", description=__doc__, **plain)
    commands = parser.add_subparsers(required=True, metavar="burst | throughput | memory")
    subs = {run: commands.add_parser(run.__name__, description=run.__doc__, **plain) for run in RUNS}
    for run, sub in subs.items():
        sub.set_defaults(run=run)
    subs[burst].add_argument("--messages", type=counts, default=[10_000, 100_000], metavar="N,N")
    subs[burst].add_argument("--window_size", type=float, metavar="MINUTES", help="default: grows with the messages")
    subs[burst].add_argument("--compare", action="store_true", help="the usual shape gets 10,000 messages too")
    subs[throughput].add_argument("--events", type=int, default=200_000, metavar="N")
    subs[throughput].add_argument("--rounds", type=int, default=3, metavar="N")
    subs[memory].add_argument("--events", type=counts, default=[200_000, 1_000_000], metavar="N,N")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        result, missed = arguments.run(arguments)
    except emulators.Missing as missing:
        say(f"landing: {missing}")
        return 1
    for line in missed:
        say(f"landing: target missed: {line}")
    print(json.dumps(result | {"targets_met": not missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    # Under its own name, not as `__main__`: what the runners pickle then goes by reference.
    from benchmarks import landing

    sys.exit(landing.main())
