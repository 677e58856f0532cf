"""How complete, how fast and how small LAND is, measured on this machine.

    python -m benchmarks.landing burst --messages=10000,100000   every message of a burst lands, once, in few files
    python -m benchmarks.landing burst --messages=10000 --compare    the same, and the usual shape beside it
    python -m benchmarks.landing throughput    events a second, against a plain loop that does the same work
    python -m benchmarks.landing memory        peak memory for 200,000 and for 1,000,000 events

A table for people on standard error, one line of JSON on standard output; nothing stays on the disk. Exit status 1
when a target is missed. Other work on the machine shows in the seconds: run it when there is none.
"""

import argparse
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
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import orjson
from apache_beam.coders import BytesCoder
from apache_beam.io import ReadFromPubSub, ReadFromText
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows

import pubsub_gcs
from local import emulators, guard
from local.business_documents import generate

ROOT = Path(__file__).parent.parent
PROJECT = "brigade-bench"
PUBLISHED = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHAPE = {"max_seconds": 120, "max_lines": 100_000, "max_bytes": 64 << 20, "num_shards": 1}  # the job's defaults
STALLED_SECONDS = 180  # more than a window and an empty pull of the emulator, which takes half a minute


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def events(count: int) -> Iterator[bytes]:
    """Distinct events of about 1.5 kB: made-up business mail in the README's form."""
    texts = [((document.text + " ") * 20)[:1000] for document in generate(200, seed=1)]
    for number in range(count):
        event_id = f"{number:040x}"
        doc = {
            "schemaVersion": "1.0",
            "docId": str(uuid.UUID(int=number)).upper(),
            "metadata": {
                "accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D",
                "superTag01": "A",
                "superTag02": "C",
                "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}],
            },
            "payload": texts[number % len(texts)],
        }
        yield orjson.dumps(
            {
                "eventTimestamp": "2019-04-02T21:55:57Z",
                "eventId": event_id,
                "eventSource": "doc.contract",
                "eventVersion": "1.0",
                "eventType": "DocSchedule",
                "doc": doc,
            }
        )


def child(function: str, *arguments) -> subprocess.Popen:
    """Runs a function of this file in a process of its own, which ends with this one."""
    code = f"from benchmarks import landing; landing.{function}(*{arguments!r})"
    return guard.start([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)


# ------------------------------------------------------------------------------------------------------- burst


class Files:
    """The files that have landed below a folder, each read once, in the order of their writing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lines: dict[Path, int] = {}

    def look(self) -> int:
        """How many lines there are by now."""
        for path in self.folder.glob("dt=*/*"):
            if path not in self.lines and not path.name.startswith("."):
                self.lines[path] = path.read_bytes().count(b"\n")
        return sum(self.lines.values())

    def in_order(self) -> list[tuple[float, int]]:
        """When each was written, and its lines."""
        return sorted((path.stat().st_mtime, lines) for path, lines in self.lines.items())


@contextmanager
def pubsub_emulator(folder: Path) -> Iterator[None]:
    port = emulators.free_port()
    with open(folder / "emulator.log", "wb") as output:
        process = guard.start(emulators.pubsub_command(port), stdout=output, stderr=subprocess.STDOUT)
    try:
        emulators.wait_for_port(port, process)
        os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{port}"
        yield
    finally:
        guard.stop(process)


def publish_burst(name: str, count: int) -> str:
    """Publishes the events as fast as the emulator takes them; returns the subscription that has them."""
    from google.cloud import pubsub
    from google.cloud.pubsub_v1 import types

    topic, subscription = f"projects/{PROJECT}/topics/{name}", f"projects/{PROJECT}/subscriptions/{name}"
    with pubsub.SubscriberClient() as subscriber:
        client = pubsub.PublisherClient(types.BatchSettings(max_messages=500, max_bytes=5_000_000))
        client.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
    started = time.monotonic()
    for future in [client.publish(topic, data) for data in events(count)]:
        future.result(timeout=300)
    client.stop()
    say(f"{count} messages published in {time.monotonic() - started:.1f} s")
    return subscription


def land_burst(count: int, minutes: float, folder: Path) -> dict:
    """Lands a burst with the real job, started after it was published; what is in the files at the end."""
    subscription = publish_burst(f"burst-{count}", count)
    command = [sys.executable, "pubsub_gcs.py", f"--project={PROJECT}", f"--window_size={minutes:g}"]
    command += [f"--input_subscription={subscription}", f"--output_path={folder}/input", "--num_shards=1"]
    started = time.time()
    with open(folder / "job.log", "wb") as output:
        job = guard.start([*command, "--runner=DirectRunner"], cwd=ROOT, stdout=subprocess.PIPE, stderr=output)
    files, landed, changed, told = Files(folder / "input"), 0, time.time(), time.time()
    while landed < count and time.time() < changed + minutes * 60 + STALLED_SECONDS and job.poll() is None:
        time.sleep(0.2)
        before, landed = landed, files.look()
        changed = time.time() if landed > before else changed
        if time.time() > told + 15:
            told = time.time()
            say(f"  {told - started:4.0f} s: {landed} landed in {len(files.lines)} files")
    time.sleep(2)  # whatever comes twice has a moment to come
    job.stdin.close()  # the guard ends the job, which then prints its summary
    summary = json.loads(job.stdout.read() or "{}")
    job.wait()
    files.look()
    told = {"messages": count, "window_seconds": minutes * 60, "received": summary.get("received")}
    return told | what_landed(files, count, minutes * 60, started)


def what_landed(files: Files, count: int, window: float, started: float) -> dict:
    sent, contents, identities, lines = set(map(hash, events(count))), set(), set(), 0
    for path in files.lines:
        for line in path.open("rb"):
            own, _, about = line.rpartition(b', "pubsub": ')
            contents.add(hash(own + b"}"))
            identities.add(orjson.loads(about.rstrip()[:-1])["messageId"])
            lines += 1
    written = files.in_order()
    per_window = [sum(at <= other < at + window for other, _ in written) for at, _ in written]
    # Between the first and the last but one, files hold all that was taken between their writings.
    full = written[1:-1]
    rate = sum(lines for _, lines in full) / (full[-1][0] - written[0][0]) if full else None
    seconds = written[-1][0] - started if written else None
    return {
        "landed_lines": lines,
        "distinct_contents_as_published": len(contents & sent),
        "distinct_message_ids": len(identities),
        "duplicates": lines - len(identities),
        "files": len(written),
        "most_files_in_a_window": max(per_window, default=0),
        "seconds": seconds and round(seconds, 1),
        "messages_per_second": seconds and round(lines / seconds),
        "messages_per_second_between_files": rate and round(rate),
    }


RECEIVED: list[int] = []  # in the process of the usual job: the size of each message


def keyed(message: PubsubMessage) -> tuple[int, bytes]:
    RECEIVED.append(len(message.data))
    return 0, message.data


def write_window(element: tuple[int, list[bytes]], folder: str, window=beam.DoFn.WindowParam) -> None:
    shard, lines = element
    name = f"{int(window.start)}-{shard}.jsonl"
    Path(folder, name).write_bytes(b"".join(line + b"\n" for line in lines))


def usual_job(subscription: str, folder: str, window: float, count: int) -> None:
    """The usual shape, run until nothing more can come of it: fixed windows, a file for each window and shard."""
    pubsub_gcs.lift_emulator_limit()
    options = PipelineOptions(streaming=True, project=PROJECT)
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=options)
    _ = (
        pipeline
        | ReadFromPubSub(subscription=subscription, with_attributes=True)
        | beam.WindowInto(FixedWindows(window))
        | beam.Map(keyed).with_output_types(tuple[int, bytes])
        | beam.GroupByKey()
        | beam.Map(write_window, folder)
    )
    pipeline.run()
    end = time.monotonic() + 600
    while len(RECEIVED) < count and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(2 * window + 40)  # windows end, and the pull that finds nothing lets their timers fire
    print(len(RECEIVED), flush=True)
    os._exit(0)  # the local runner's threads poll Pub/Sub without end


def land_usual(count: int, minutes: float, folder: Path) -> dict:
    subscription = publish_burst(f"usual-{count}", count)
    job = child("usual_job", subscription, str(folder), minutes * 60, count)
    received = int(job.stdout.read() or 0)
    job.wait()
    files = list(folder.glob("*.jsonl"))
    landed = sum(path.read_bytes().count(b"\n") for path in files)
    return {"messages": count, "received": received, "landed_lines": landed, "files": len(files)}


def burst(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: all landed, each once, in at most 5 files for a shard and window."""
    runs, missed, usual = [], [], None
    with tempfile.TemporaryDirectory() as scratch, pubsub_emulator(Path(scratch)):
        for count in arguments.messages:
            # A window a fifth of the time or so that the local runner needs: several files, none of them small.
            minutes = arguments.window_size or max(0.1, count / 50_000)
            folder = Path(scratch, f"burst-{count}")
            folder.mkdir()
            say(f"burst of {count}, --window_size={minutes:g} minutes, --num_shards=1")
            run = land_burst(count, minutes, folder)
            runs.append(run)
            for name in ("landed_lines", "distinct_contents_as_published", "distinct_message_ids"):
                if run[name] != count:
                    missed.append(f"{name}: expected {count}, found {run[name]}")
            if run["most_files_in_a_window"] > 5:
                missed.append(f"most_files_in_a_window: expected 5 or less, found {run['most_files_in_a_window']}")
            for name, value in run.items():
                say(f"  {name:<36}{value}")
        if arguments.compare:
            folder = Path(scratch, "usual")
            folder.mkdir()
            say("the usual shape: FixedWindows, GroupByKey with the default trigger, a file a window and shard")
            usual = land_usual(10_000, 0.2, folder)
            for name, value in usual.items():
                say(f"  {name:<36}{value}")
    return {"burst": runs} | ({"usual_shape": usual} if usual else {}), missed


# -------------------------------------------------------------------------------------------------- throughput


class AsMessages(beam.PTransform):
    """The lines of a file as Pub/Sub's messages."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def expand(self, start):
        return start | ReadFromText(self.path, coder=BytesCoder()) | beam.Map(as_message)


def as_message(line: bytes) -> PubsubMessage:
    return PubsubMessage(line, {}, line[-60:].hex()[:16], PUBLISHED)


def read_and_map(source: str, folder: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | AsMessages(source)


def landing_steps(source: str, folder: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        paths = {"output_path": f"{folder}/input", "dead_letter_path": f"{folder}/dead_letter"}
        pubsub_gcs.build(pipeline, AsMessages(source), **paths, **SHAPE)


def plain_loop(source: str, folder: Path) -> None:
    """What one would write without Beam and without checks: parse, add the member, write to one open file."""
    time_text = pubsub_gcs.rfc3339(PUBLISHED)
    with open(source, "rb") as lines, open(folder / "plain.jsonl", "wb") as file:
        for number, line in enumerate(lines):
            event = orjson.loads(line)
            event["pubsub"] = {"messageId": str(number), "publishTime": time_text, "attributes": {}}
            file.write(orjson.dumps(event) + b"\n")


def checking_loop(source: str, folder: Path) -> None:
    """The same loop with the project's own checks and lines, which keep the event's bytes."""
    time_text = pubsub_gcs.rfc3339(PUBLISHED)
    with open(source, "rb") as lines, open(folder / "checked.jsonl", "wb") as file:
        for number, line in enumerate(lines):
            about = {"messageId": str(number), "publishTime": time_text, "attributes": {}}
            file.write(pubsub_gcs.landed_line(line, pubsub_gcs.read_event(line), about))


def throughput(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: the landing steps take at most 4 times the plain loop's time. Nothing is subtracted."""
    ways = (plain_loop, checking_loop, read_and_map, landing_steps)
    seconds: dict[str, list] = {way.__name__: [] for way in ways}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "events.jsonl")
        with open(source, "wb") as file:
            file.writelines(line + b"\n" for line in events(arguments.events))
        size = source.stat().st_size / arguments.events
        for number in range(arguments.rounds):
            for way in ways:
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    wall, cpu = time.perf_counter(), time.process_time()
                    way(str(source), Path(folder))
                    spent = time.perf_counter() - wall, time.process_time() - cpu
                    seconds[way.__name__].append(spent)
                    found = sum(path.read_bytes().count(b"\n") for path in Path(folder).rglob("*.jsonl"))
                    if way is not read_and_map and found != arguments.events:
                        raise RuntimeError(f"{way.__name__} wrote {found} lines of {arguments.events}")
                say(f"round {number + 1}: {way.__name__:<14} {spent[0]:6.2f} s, {spent[1]:6.2f} s of CPU")
    numbers = {"events": arguments.events, "bytes_an_event": round(size), "rounds": arguments.rounds}
    say(f"{'medians':<14} {'seconds':>9} {'CPU':>7} {'events/s':>10} {'a CPU second':>13} {'times the plain loop':>21}")
    for name, spent in seconds.items():
        wall, cpu = (statistics.median(one) for one in zip(*spent, strict=True))
        loop = statistics.median(one for one, _ in seconds["plain_loop"])
        row = {"seconds": wall, "cpu_seconds": cpu, "per_second": arguments.events / wall}
        row |= {"per_cpu_second": arguments.events / cpu, "times_the_plain_loop": wall / loop}
        numbers[name] = {key: round(value, 2) for key, value in row.items()}
        say(
            f"{name:<14} {wall:9.2f} {cpu:7.2f} {arguments.events / wall:10,.0f} {arguments.events / cpu:13,.0f} "
            f"{wall / loop:21.2f}"
        )
    ratio = numbers["landing_steps"]["times_the_plain_loop"]
    missed = [f"times_the_plain_loop: expected 4 or less, found {ratio}"] if ratio > 4 else []
    return {"throughput": numbers}, missed


# ------------------------------------------------------------------------------------------------------ memory


class MadeUpPubSub:
    """Pub/Sub's client as the local runner uses it, for messages that are made when they are pulled.

    The emulator would need an hour for a million, and holds them all in memory. A pull gives a thousand, as Dataflow's
    bundles do and the local runner's ten do not.
    """

    subscription_path = staticmethod(lambda project, name: f"projects/{project}/subscriptions/{name}")

    def __init__(self):
        self.left = enumerate(events(MadeUpPubSub.count))

    def pull(self, **request) -> SimpleNamespace:
        pulled = [
            SimpleNamespace(
                ack_id=str(number),
                message=SimpleNamespace(
                    data=data, attributes={}, message_id=str(number), publish_time=PUBLISHED, ordering_key=""
                ),
            )
            for number, data in islice(self.left, 1000)
        ]
        if not pulled:
            time.sleep(0.1)
        return SimpleNamespace(received_messages=pulled)

    def acknowledge(self, **request) -> None:
        pass


def memory_job(count: int, folder: str) -> None:
    """Lands the messages with the project's graph on the streaming local runner; prints this process's peak."""
    from google.cloud import pubsub

    MadeUpPubSub.count, pubsub.SubscriberClient = count, MadeUpPubSub
    source = ReadFromPubSub(subscription=f"projects/{PROJECT}/subscriptions/made-up", with_attributes=True)
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(streaming=True, project=PROJECT))
    paths = {"output_path": f"{folder}/input", "dead_letter_path": f"{folder}/dead_letter"}
    pubsub_gcs.build(pipeline, source, **paths, **SHAPE | {"max_seconds": 20})
    at_rest = peak_mib()
    started = time.monotonic()
    pipeline.run()
    while pubsub_gcs.COUNTED["landed"] < count and time.monotonic() < started + 1800:
        time.sleep(0.5)
    landed, files = pubsub_gcs.COUNTED["landed"], pubsub_gcs.COUNTED["files_landed"]
    seconds = round(time.monotonic() - started, 1)
    print(
        json.dumps(
            {"landed": landed, "files": files, "seconds": seconds, "mib_before": at_rest, "peak_mib": peak_mib()}
        )
    )
    sys.stdout.flush()
    os._exit(0)  # the local runner's threads poll Pub/Sub without end


def peak_mib() -> float:
    """The most memory this process has held; getrusage tells kilobytes on Linux and bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def memory(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: the peaks for few and for many events differ by less than 20 %.

    Measured is a whole process: Python, Beam, its streaming local runner, the job's graph with its default shape, and
    messages made up as they are pulled. The batch runner of `throughput` would not do: it keeps all that passes
    between two stages, whatever the stages do.
    """
    runs, missed = [], []
    for count in arguments.events:
        with tempfile.TemporaryDirectory() as folder:
            job = child("memory_job", count, folder)
            runs.append({"events": count} | json.loads(job.stdout.read() or "{}"))
            job.wait()
        say("  ".join(f"{name} {value}" for name, value in runs[-1].items()))
        if runs[-1].get("landed") != count:
            missed.append(f"landed: expected {count}, found {runs[-1].get('landed')}")
    peaks = [run.get("peak_mib", 0) for run in runs]
    difference = round(100 * (max(peaks) / min(peaks) - 1), 1) if all(peaks) else None
    say(f"peaks differ by {difference} %")
    if difference is None or difference >= 20:
        missed.append(f"difference: expected less than 20 %, found {difference} %")
    return {"memory": runs, "difference_percent": difference}, missed


# --------------------------------------------------------------------------------------------- the three moves


def nowrite(path, data):
    return True


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.landing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="burst | throughput | memory")
    add = commands.add_parser("burst", help=burst.__doc__, allow_abbrev=False)
    add.add_argument("--messages", type=numbers, default=[10_000, 100_000], metavar="N,N")
    add.add_argument(
        "--window_size", type=float, metavar="MINUTES", help="default: 0.2 for 10,000 and 2 for 100,000 messages"
    )
    add.add_argument("--compare", action="store_true", help="the usual shape lands 10,000 too")
    add.set_defaults(run=burst)
    add = commands.add_parser("throughput", help=throughput.__doc__, allow_abbrev=False)
    add.add_argument("--events", type=int, default=200_000, metavar="N")
    add.add_argument("--rounds", type=int, default=3, metavar="N")
    add.set_defaults(run=throughput)
    add = commands.add_parser("memory", help=memory.__doc__.splitlines()[0], allow_abbrev=False)
    add.add_argument("--events", type=numbers, default=[200_000, 1_000_000], metavar="N,N")
    add.set_defaults(run=memory)
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
    # Under its own name, not as `__main__`: what the local runner pickles with each bundle then goes by reference.
    from benchmarks import landing

    sys.exit(landing.main())
