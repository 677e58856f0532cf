"""What the benchmarks of landing share: the events, the job's shape, and how a run is told."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from brigade.publishing.generated import generate

ROOT = Path(__file__).parent.parent
PROJECT = "brigade-bench"
PUBLISHED = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHAPE = {"max_seconds": 120, "max_lines": 100_000, "max_bytes": 64 << 20, "num_shards": 1}  # the job's defaults


def events(count: int) -> Iterator[bytes]:
    """Distinct events of about 1.4 kB: made-up business mail in the README's form."""
    texts = [((document.text + " ") * 20)[:1000] for document in generate(200, seed=1)]
    metadata = {"superTag01": "A", "superTag02": "C", "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]}
    event = {"eventTimestamp": "2019-04-02T21:55:57Z", "eventSource": "doc.contract", "eventVersion": "1.0"}
    for number in range(count):
        doc = {"schemaVersion": "1.0", "docId": str(uuid.UUID(int=number)).upper(), "metadata": metadata}
        doc["payload"] = texts[number % len(texts)]
        yield orjson.dumps(event | {"eventId": f"{number:040x}", "eventType": "DocSchedule", "doc": doc})


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tell(run: dict) -> None:
    say("\n".join(f"  {name:<36}{value}" for name, value in run.items()))


def answer(process: subprocess.Popen) -> dict:
    """The line of JSON that a process prints at its end. Raises RuntimeError when it says nothing."""
    output = process.stdout.read()
    if process.wait() and not output:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    return json.loads(output)
