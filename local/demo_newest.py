"""The demo of a pipeline whose features look back: its newest events are the unseen ones, and PREDICT predicts them.

The function sees one event at a time, so it lacks what a query computes of many. PREDICT has the query.
"""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from brigade.events.event import NotAnEvent, read_event, value_at
from local import predict
from local.demo_progress import Clock, Failed
from local.demo_serving import Known
from local.services import INPUT_BUCKET, ROOT, Services


def hold_out_newest(services: Services, source: list[str], known: Known, share: float, unseen: Path) -> Path:
    """Writes the events of the newest moments, about that share of all, to `unseen`, and returns a file of the others.

    source: the publisher's flags. Raises Failed if it does not end well.
    """
    with open(services.log("publisher"), "ab") as errors:
        command = [sys.executable, "publisher.py", *source, "--dry_run"]
        done = subprocess.run(command, env=services.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
    if done.returncode:
        raise Failed(f"publisher.py ended with status {done.returncode}; see {services.log('publisher')}")
    events = [(time_of(line, known), line) for line in done.stdout.splitlines()]
    times = sorted(time for time, _ in events if time)
    last = times[-1 - round(share * len(times))] if times else None  # of those that are published
    published = unseen.with_name("published.jsonl")
    for file, is_newest in ((published, False), (unseen, True)):
        file.write_bytes(b"".join(line + b"\n" for time, line in events if bool(time and time > last) == is_newest))
    return published


def time_of(line: bytes, known: Known) -> datetime | None:
    """The time of an event; None if the line is none, which is published as it is."""
    try:
        event = read_event(line, contract=known.contract)
    except NotAnEvent:
        return None
    return datetime.fromisoformat(value_at(event, tuple(known.contract.time.split("."))))


def predict_newest(clock: Clock, services: Services, unseen: Path, client, known: Known, pipeline: str) -> dict:
    """Lands the unseen events and predicts them by PREDICT; compares its answers with what is known of them.

    pipeline: a name or the definition's URI. Raises Failed if an event has no prediction.
    """
    import pyarrow.parquet

    client.bucket(INPUT_BUCKET).blob("input/newest.jsonl").upload_from_filename(unseen)
    done = predict.predict([f"--pipeline={pipeline}"])
    if "output" in done:
        raise Failed(f"predict failed: {''.join(done['output'][-1:])}; see {services.folder}/jobs")
    clock.say(f"{done['predicted']:,} rows are predicted with the features that model.query computes")
    folder = services.folder / ".cloudstorage" / done["predictions"].removeprefix("gs://")
    key = "value" if known.is_regression else "label"
    found = pyarrow.parquet.read_table(folder, columns=["eventId", key]).to_pydict()
    answers = dict(zip(found["eventId"], found[key], strict=True))
    events = [json.loads(line) for line in unseen.read_text("utf-8").splitlines()]
    if missing := [one for one in events if known.id_of(one) not in answers]:
        raise Failed(f"{len(missing)} of {len(events)} unseen events have no prediction: {done}")
    pairs = [(answers[known.id_of(one)], known.answer_of(one)) for one in events]
    return {"in_bulk": [done]} | {f"queried_{name}": value for name, value in known.compared(pairs).items()}
