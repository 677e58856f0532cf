"""Events a second through the graph of landing, against a plain loop that does the same work."""

import argparse
import itertools
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import apache_beam as beam
import orjson
from apache_beam.coders import BytesCoder
from apache_beam.io import ReadFromText
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.landing_events import PUBLISHED, SHAPE, events, say
from brigade.events.event import read_event
from brigade.events.members import landed_line
from brigade.landing.pipeline import build

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
        build(pipeline, AsMessages(source), **paths, **SHAPE)


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
            file.write(landed_line(line, read_event(line), about))


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
