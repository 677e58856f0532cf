"""The peak memory of a whole landing process, for few events and for many."""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import apache_beam as beam
from apache_beam.io import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.landing_events import PROJECT, PUBLISHED, ROOT, SHAPE, answer, events, say, tell
from brigade.landing.counters import COUNTED
from brigade.landing.pipeline import build
from local import guard


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
    build(pipeline, source, **paths, **SHAPE | {"max_seconds": 20})
    at_rest, started = peak_mib(), time.monotonic()
    running = pipeline.run()
    while COUNTED["landed"] < count and time.monotonic() < started + 1800:
        time.sleep(0.2)
    run = {"landed": COUNTED["landed"], "files": COUNTED["files_landed"]}
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
            code = f"from benchmarks.landing_memory import memory_job; memory_job({count}, {folder!r})"
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
