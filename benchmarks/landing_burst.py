"""A burst into the real job: does every message land, once, and in how many files."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks.landing_events import PROJECT, ROOT, answer, events, say, tell
from local import emulators, guard

PATIENCE_SECONDS = 120  # beyond a window without a new file, a burst has stalled


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
