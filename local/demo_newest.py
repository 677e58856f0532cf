"""The demo of a pipeline whose features look back: its newest events are the unseen ones, and PREDICT predicts them.

The function sees one event at a time, so it lacks what a query computes of many. PREDICT has the query.
"""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from brigade.events.event import value_at
from local import predict
from local.demo_progress import Clock, Failed
from local.demo_serving import Known
from local.services import INPUT_BUCKET, OUTPUT_BUCKET, ROOT, Services


def hold_out_newest(services: Services, source: list[str], known: Known, share: float, unseen: Path) -> Path:
    """Writes the events of the newest moments, about that share of all, to `unseen`, and returns a file of the others.

    source: the publisher's flags. Raises Failed if it does not end well.
    """
    with open(services.log("publisher"), "ab") as errors:
        command = [sys.executable, "publisher.py", *source, "--dry_run"]
        done = subprocess.run(command, env=services.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
    if done.returncode:
        raise Failed(f"publisher.py ended with status {done.returncode}; see {services.log('publisher')}")
    lines = [line for line in done.stdout.splitlines() if line.startswith(b"{")]
    times = [time_of(line, known) for line in lines]
    first = sorted(times)[max(0, len(times) - 1 - round(share * len(times)))]  # its moment is still published
    published = unseen.with_name("published.jsonl")
    published.write_bytes(b"".join(line + b"\n" for line, time in zip(lines, times, strict=True) if time <= first))
    unseen.write_bytes(b"".join(line + b"\n" for line, time in zip(lines, times, strict=True) if time > first))
    return published


def time_of(line: bytes, known: Known) -> datetime:
    return datetime.fromisoformat(value_at(json.loads(line), tuple(known.contract.time.split("."))))
