"""What the demo's stages have in common: progress lines, a wait that ends, the publisher, and what a job has said."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

from local.services import ROOT, TOPIC, Services

STALLED_SECONDS = 120  # a stage that makes no progress for so long has failed


class Failed(Exception):
    """A stage failed, or a number is off; the message says which and where to look."""


class Clock:
    """Seconds by stage, and the progress lines."""

    def __init__(self):
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.stage_name = ""

    @contextmanager
    def stage(self, name: str):
        began, self.stage_name = time.monotonic(), name
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.say(f"done in {self.seconds[name]} s")

    def say(self, text: str) -> None:
        print(
            f"[{time.monotonic() - self.started:6.1f} s] {self.stage_name:<8} {text}",
            file=sys.stderr,
            flush=True,
        )


def wait_for(clock: Clock, wanted: int, count: Callable[[], int], what: str, services: Services, process: str) -> int:
    """Waits until `count()` reaches what is wanted. Raises Failed when it stalls or the working process ends."""
    found, moved, said = -1, time.monotonic(), 0.0
    while True:
        now = count()
        if now != found:
            found, moved = now, time.monotonic()
        if found >= wanted:
            clock.say(f"{found:,} of {wanted:,} {what}")
            return found
        if services.processes[process].poll() is not None:
            raise Failed(f"{process} ended after {found:,} of {wanted:,} {what}; see {services.log(process)}")
        if time.monotonic() - moved > STALLED_SECONDS:
            raise Failed(f"no progress for {STALLED_SECONDS} s: {found:,} of {wanted:,} {what}; see {services.logs}")
        if time.monotonic() - said > 5:
            clock.say(f"{found:,} of {wanted:,} {what}")
            said = time.monotonic()
        time.sleep(0.25)


def publish(services: Services, *arguments: str) -> dict:
    """Runs publisher.py to its end; gives its summary."""
    with open(services.log("publisher"), "ab") as errors:
        done = subprocess.run(
            [sys.executable, "publisher.py", *arguments, f"--topic={TOPIC}"],
            env=services.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    if done.returncode:
        last = services.log("publisher").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise Failed(f"publisher.py ended with status {done.returncode}: {''.join(last)}")
    return json.loads(done.stdout.splitlines()[-1])


def driver_output(client, uri: str) -> dict:
    """The summary that a job printed, or {"output": its lines} when there is none."""
    bucket, prefix = uri.removeprefix("gs://").split("/", 1)
    blobs = sorted(client.list_blobs(bucket, prefix=prefix), key=lambda blob: blob.name)
    lines = b"".join(blob.download_as_bytes() for blob in blobs).decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if line.startswith("{"):
            return json.loads(line)
    return {"output": [line for line in lines if line.strip()]}
