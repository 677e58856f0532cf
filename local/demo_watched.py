"""The demo's last stage: MONITOR looks at the unseen events, as a job, and says whether they have drifted."""

import json
from datetime import date
from pathlib import Path

from local.demo_progress import Failed
from local.services import INPUT_BUCKET, OUTPUT_BUCKET, Services
from local.standing_job import run_job

UNSEEN = "unseen"  # a folder of their own, beside what has landed
MOST_FINDINGS = 5  # that the table shows


def watch(services: Services, unseen: Path, client, pipeline: str | None, since: date) -> dict:
    """Lets MONITOR look at the unseen events since a day. It may run beside SERVE.

    pipeline: a name or the definition's URI; None: documents. Raises Failed if it does not end well.
    """
    client.bucket(INPUT_BUCKET).blob(f"{UNSEEN}/events.jsonl").upload_from_filename(unseen)
    paths = [
        f"gs://{INPUT_BUCKET}/{UNSEEN}/",
        f"--models=gs://{OUTPUT_BUCKET}/output/",
        f"--output=gs://{OUTPUT_BUCKET}/",
    ]
    flags = [f"--parquet_path=gs://{INPUT_BUCKET}/{UNSEEN}_parquet/", f"--since={since}"]
    done = run_job("monitor.py", [*paths, *flags, *([f"--pipeline={pipeline}"] if pipeline else [])])
    if "output" in done:
        raise Failed(f"monitor failed: {''.join(done['output'][-1:])}; see {services.folder}/jobs")
    place = done["path"].removeprefix(f"gs://{OUTPUT_BUCKET}/").strip("/")
    found = json.loads(client.bucket(OUTPUT_BUCKET).blob(f"{place}/findings.json").download_as_bytes())
    messages = [f"{one['severity']}: {one['message']}" for one in found["findings"]]
    return {"watched": {"events": found["events"], "verdict": found["verdict"], "found": messages, "path": place}}


def watched_in_words(result: dict) -> str:
    """What MONITOR has found, in a line."""
    watched = result["watched"]
    return f"{watched['events']:,} unseen: {headline(watched['verdict'], watched['found'])}"


def headline(verdict: str, found: list[str]) -> str:
    """What MONITOR says, in a few words."""
    if not found:
        return "no drift"
    number = "1 finding" if len(found) == 1 else f"{len(found)} findings"
    return f"{'no strong drift' if verdict == 'ok' else verdict}, {number}"
