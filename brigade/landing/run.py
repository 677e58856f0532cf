"""Runs the landing job: on Dataflow, where it goes on by itself, or on this machine, until it is told to stop.

Nothing is read before the surroundings are checked. A local job that reads a topic removes its own subscription.
"""

import logging
import os
import signal
import time
import uuid
from types import FrameType
from typing import Any

import apache_beam as beam
from apache_beam.internal.cloudpickle.cloudpickle import register_pickle_by_value
from apache_beam.io import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from google.api_core import exceptions

import brigade
from brigade import storage
from brigade.errors import one_line
from brigade.landing.checks import check_surroundings
from brigade.landing.counters import counted
from brigade.landing.emulator import adapt_to_emulator
from brigade.landing.pipeline import build
from brigade.landing.watch import Watch

log = logging.getLogger(__name__)


class Stopped(BaseException):
    """The operator asked the job to stop."""


def land(
    source: str,
    options: PipelineOptions,
    *,
    output_path: str,
    dead_letter_path: str,
    without_topic: bool = False,
    **shape: Any,
) -> tuple[dict, int]:
    """Lands the messages of a topic or subscription; returns the summary and the exit status.

    without_topic: the subscription may have lost its topic. `shape` is that of `build`. Raises CannotGoOn if the source
    or a folder cannot be used.
    """
    if os.environ.get("PUBSUB_EMULATOR_HOST"):
        adapt_to_emulator()
    check_surroundings(source, output_path, dead_letter_path, without_topic=without_topic)
    own = None
    if runs_here(options) and "/topics/" in source:  # the runner's own subscription would stay when the job is stopped
        own = subscribe(source)
    pipeline = beam.Pipeline(options=options)
    build(pipeline, read(own or source), output_path=output_path, dead_letter_path=dead_letter_path, **shape)
    runner = options.view_as(StandardOptions).runner or "DirectRunner"
    summary = {"runner": runner, "output": output_path, "dead_letters": dead_letter_path}
    if not runs_here(options):
        return summary | submit(pipeline), 0
    started = time.time()
    with Watch(own or source, without_topic) as watch:
        status = run_until_stopped(pipeline, output_path)
    if watch.problem:
        log.error("%s", watch.problem)
        status = 1
    if own:
        unsubscribe(own)
    return summary | counted() | {"seconds": round(time.time() - started, 1)}, status


def read(source: str) -> ReadFromPubSub:
    """The messages of a topic or subscription. For a topic, Dataflow makes a subscription by itself."""
    kind = "topic" if "/topics/" in source else "subscription"
    return ReadFromPubSub(**{kind: source}, with_attributes=True)


def runs_here(options: PipelineOptions) -> bool:
    """Whether the job runs in this process."""
    return "Direct" in (options.view_as(StandardOptions).runner or "DirectRunner")


def submit(pipeline: beam.Pipeline) -> dict:
    """Starts the job on its service, where it goes on after this process has ended."""
    send_code_along()
    result: Any = pipeline.run()
    # A Flex Template's launcher has the graph written to a file: that job starts after this process has ended.
    has_job = getattr(result, "has_job", False)
    return {"job": result.job_id() if has_job else None, "state": result.state}


def send_code_along() -> None:
    """Makes the pickled steps carry the package's code, so that workers need Beam and its dependencies alone.

    Global variables travel with the functions that use them. A storage client cannot be pickled, so the one that has
    looked at the buckets is dropped; each worker makes its own.
    """
    register_pickle_by_value(brigade)
    storage.CLIENTS.clear()


def run_until_stopped(pipeline: beam.Pipeline, output_path: str) -> int:
    """Runs the job in this process until a signal stops it (0) or it fails (1)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        result = pipeline.run()
        log.info("landing in %s; stop with Ctrl-C", output_path)
        result.wait_until_finish()
    except Stopped as signal_name:
        log.info("stopped by %s", signal_name)
    except Exception as error:
        log.error("the job failed: %s", one_line(error))
        return 1
    return 0


def stop(signal_number: int, frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(signal_number).name)


def subscribe(topic: str) -> str:
    """Makes a subscription for this run; it gets what is published from now on."""
    from google.cloud.pubsub_v1 import SubscriberClient

    name = f"{topic.rsplit('/topics/', 1)[0]}/subscriptions/landing-{uuid.uuid4().hex}"
    with SubscriberClient() as subscriber:
        subscriber.create_subscription(name=name, topic=topic, timeout=30)
    return name


def unsubscribe(subscription: str) -> None:
    from google.cloud.pubsub_v1 import SubscriberClient

    try:
        with SubscriberClient() as subscriber:
            subscriber.delete_subscription(subscription=subscription, timeout=10)
    except exceptions.GoogleAPICallError as error:
        log.warning("%s is left behind: %s", subscription, one_line(error))
