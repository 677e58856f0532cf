"""The usual shape of a Pub/Sub to Cloud Storage job, to compare with: what `burst --compare` of landing.py runs.

    python -m benchmarks.usual_shape projects/P/subscriptions/S FOLDER WINDOW_SECONDS MESSAGES

Fixed windows, a group for each window and shard with the default trigger, a file for each group. Runs until it has
received so many messages and nothing more can come of them; prints how many it received as a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
from apache_beam.io import ReadFromPubSub
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.transforms.window import FixedWindows

from brigade.landing.emulator import adapt_to_emulator

RECEIVED: list[int] = []  # the size of each message


def keyed(message: PubsubMessage) -> tuple[int, bytes]:
    RECEIVED.append(len(message.data))
    return 0, message.data


def write_window(element: tuple[int, Iterable[bytes]], folder: str, window=beam.DoFn.WindowParam) -> None:
    shard, lines = element
    Path(folder, f"{int(window.start)}-{shard}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def main(argv: list[str]) -> None:
    subscription, folder, window, count = argv[0], argv[1], float(argv[2]), int(argv[3])
    adapt_to_emulator()  # the same emulator for both
    options = PipelineOptions([], streaming=True, project=subscription.split("/")[1])
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=options)
    _ = (
        pipeline
        | ReadFromPubSub(subscription=subscription, with_attributes=True)
        | beam.WindowInto(FixedWindows(window))
        | beam.Map(keyed).with_output_types(tuple[int, bytes])
        | beam.GroupByKey()
        | beam.Map(write_window, folder)
    )
    running = pipeline.run()
    end = time.monotonic() + 600
    while len(RECEIVED) < count and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(2 * window + 40)  # the windows end, and pulls that find nothing let their timers fire
    print(json.dumps({"received": len(RECEIVED), "state": running.state}), flush=True)
    os._exit(0)  # the local runner's threads poll Pub/Sub without end


if __name__ == "__main__":
    # Under its own name, not as `__main__`: what the runner pickles then goes by reference, and finds RECEIVED.
    from benchmarks import usual_shape

    usual_shape.main(sys.argv[1:])
