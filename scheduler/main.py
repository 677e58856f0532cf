"""WHEN: starts the retraining workflow every four weeks.

Cloud Scheduler's cron has no "every four weeks", and it fires at least once. So it calls `trigger` every
week, and this decides: a period starts on SCHEDULE_ANCHOR (a Monday) and every 28 days after it, at 00:00
UTC, and needs one model. While the period has none, whether promoted or not, a call starts the workflow; so
a run that failed is tried again the week after. Calls on one day share a request id, of which Dataproc starts
one workflow only.

On this machine, touching nothing:
    python scheduler/main.py --dry_run --now=2026-01-12T02:00:00Z
On GCP:
    gcloud functions deploy trigger --gen2 --runtime=python312 --source=scheduler --trigger-http \\
        --entry-point=trigger --set-env-vars=WORKFLOW_TEMPLATE=…,MODELS_URI=…,SCHEDULE_ANCHOR=2026-01-05
    python scheduler/create_job.py --project=P --region=R --trigger_url=URL --service_account=ACCOUNT
"""

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import flask
import functions_framework
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1, storage

log = logging.getLogger("scheduler")

PERIOD = timedelta(days=28)
CALL_SECONDS = 60  # Cloud Scheduler gives up after three minutes, and calls again
TEMPLATE = re.compile(r"projects/[^/\s]+/regions/([a-z0-9-]+)/workflowTemplates/[A-Za-z0-9_-]+")
MODEL_NAME = re.compile(r"doc-classification-model-(\d{4}-\d\d-\d\d)")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


# ------------------------------------------------------------------------------------------------ environment


class SettingError(Exception):
    """An environment variable is missing or wrong; the message says which, what was expected and found."""


@dataclass(frozen=True)
class Environment:
    """What the trigger is told. `endpoint` is `host:port` for gRPC, or an `http://` address for REST."""

    template: str
    models_uri: str
    anchor: date
    endpoint: str


def get_env() -> Environment:
    """The environment, read and checked. Raises SettingError."""
    read = {name: value.strip() for name, value in os.environ.items()}
    template = read.get("WORKFLOW_TEMPLATE", "")
    match = TEMPLATE.fullmatch(template)
    if not match:
        wanted = "projects/P/regions/R/workflowTemplates/T"
        raise SettingError(f"WORKFLOW_TEMPLATE: expected {wanted}, found {template!r}")
    uri = read.get("MODELS_URI", "")
    if not uri or ("://" in uri and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", uri)):
        raise SettingError(f"MODELS_URI: expected gs://bucket/prefix or a local path, found {uri!r}")
    anchor = read.get("SCHEDULE_ANCHOR", "")
    day = day_of(anchor)
    if day is None:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found {anchor!r}")
    if day.weekday() != 0:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, found {anchor}, a {day:%A}")
    endpoint = read.get("DATAPROC_API_ENDPOINT") or f"{match[1]}-dataproc.googleapis.com:443"
    return Environment(template, uri, day, endpoint)


def day_of(text: str) -> date | None:
    """The date in YYYY-MM-DD; None for any other text."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def moment_of(text: str) -> datetime | None:
    """The moment, in UTC, in an RFC 3339 text; None for any other text."""
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if RFC3339.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


# ----------------------------------------------------------------------------------------------- the decision


@dataclass(frozen=True)
class Decision:
    """Whether to start, the first day of the period that it is about, and why."""

    start: bool
    period_start: date
    reason: str


def decide(now: datetime, anchor: date, model_dates: Collection[date]) -> Decision:
    """Whether the period that `now` lies in still needs a model.

    now: aware. anchor: the first day of the first period. model_dates: the days of all models that there are.
    """
    today = now.astimezone(UTC).date()
    if today < anchor:
        return Decision(False, anchor, f"the first period starts on {anchor}")
    first = anchor + (today - anchor) // PERIOD * PERIOD
    last = first + PERIOD - timedelta(days=1)
    models = sorted(day for day in model_dates if first <= day <= last)
    if models:
        return Decision(False, first, f"the period {first} to {last} has a model, of {models[-1]}")
    return Decision(True, first, f"the period {first} to {last} has no model yet")


def next_period_starts(now: datetime, anchor: date, count: int = 5) -> list[date]:
    """The first days of the next periods after today."""
    following = max(0, (now.astimezone(UTC).date() - anchor) // PERIOD + 1)
    return [anchor + (following + n) * PERIOD for n in range(count)]


def request_id(scheduled: datetime, period_start: date) -> str:
    """The same for all calls of a day, another a week later; at most 40 characters, as Dataproc asks."""
    return f"brigade-{period_start}-{scheduled.astimezone(UTC).date()}"


# ----------------------------------------------------------------------------------------------- the services


def model_dates(uri: str) -> set[date]:
    """The dates of the models under `uri` that have a manifest. Raises what storage raises."""
    if uri.startswith("gs://"):
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        blobs = storage.Client().list_blobs(
            bucket, prefix=prefix, match_glob=f"{prefix}doc-classification-model-*/manifest.json"
        )
        names = [blob.name.removeprefix(prefix).split("/")[0] for blob in blobs]
    else:
        names = [path.parent.name for path in Path(uri).glob("doc-classification-model-*/manifest.json")]
    days = (day_of(match[1]) for name in names if (match := MODEL_NAME.fullmatch(name)))
    return {day for day in days if day}


def start_workflow(environment: Environment, identifier: str) -> str:
    """Starts the template's workflow and returns its operation's name, without waiting for it to end."""
    options: dict = {"client_options": {"api_endpoint": environment.endpoint}}
    if environment.endpoint.startswith("http://"):
        options |= {"transport": "rest", "credentials": AnonymousCredentials()}
    client = dataproc_v1.WorkflowTemplateServiceClient(**options)
    request = {"name": environment.template, "request_id": identifier}
    # A call that is repeated has the same request id, so it may well be.
    retry = Retry(timeout=CALL_SECONDS)
    return client.instantiate_workflow_template(request, retry=retry, timeout=CALL_SECONDS).operation.name


def run(environment: Environment, now: datetime, dry_run: bool = False) -> tuple[Decision, str | None]:
    """Decides, and starts the workflow if it is due; (decision, the operation's name if one was started)."""
    decision = decide(now, environment.anchor, model_dates(environment.models_uri))
    operation = None
    if decision.start and not dry_run:
        operation = start_workflow(environment, request_id(now, decision.period_start))
    log.info("%s: %s", "started" if operation else "not started", decision.reason)
    return decision, operation


# -------------------------------------------------------------------------------------------------- two doors


@functions_framework.http
def trigger(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Cloud Scheduler's call → 200 {"started", "periodStart", "reason", "operation"}.

    Statuses: 405 for anything but POST, 500 for a wrong setting, 503 when storage or Dataproc fails, so that
    Cloud Scheduler calls again.
    """
    if request.method != "POST":
        return {"error": f"expected POST, found {request.method}"}, 405, {"Allow": "POST"}
    now = moment_of(request.headers.get("X-CloudScheduler-ScheduleTime", "")) or datetime.now(UTC)
    try:
        decision, operation = run(get_env(), now)
    except Exception as error:
        status, line = (500 if isinstance(error, SettingError) else 503), failure(error)
        log.error(line)
        return {"error": line}, status
    return {
        "started": operation is not None,
        "periodStart": decision.period_start.isoformat(),
        "reason": decision.reason,
        "operation": operation,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The same by hand; prints one line of JSON and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    now = arguments.now or datetime.now(UTC)
    try:
        environment = get_env()
        decision, operation = run(environment, now, arguments.dry_run)
    except Exception as error:
        log.error(failure(error))
        return 2 if isinstance(error, SettingError) else 1
    starts = [day.isoformat() for day in next_period_starts(now, environment.anchor)]
    log.info("the next periods start on %s", ", ".join(starts))
    summary = {
        "dryRun": arguments.dry_run,
        "due": decision.start,
        "started": operation is not None,
        "periodStart": decision.period_start.isoformat(),
        "reason": decision.reason,
        "operation": operation,
        "nextPeriodStarts": starts,
    }
    print(json.dumps(summary))
    return 0


def failure(error: Exception) -> str:
    """One line about an error."""
    line = " ".join(str(error).split())[:300]
    return line if isinstance(error, SettingError) else f"cannot start the workflow: {type(error).__name__}: {line}"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Starts the retraining workflow if the current four-week period has no model yet. "
        "Reads WORKFLOW_TEMPLATE, MODELS_URI, SCHEDULE_ANCHOR and DATAPROC_API_ENDPOINT.",
    )
    parser.add_argument("--dry_run", action="store_true", help="only print the decision; start nothing")
    parser.add_argument(
        "--now", type=moment_argument, metavar="TIME", help="decide as at 2026-01-12T02:00:00Z; default: now"
    )
    return parser.parse_args(argv)


def moment_argument(text: str) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"expected RFC 3339, such as 2026-01-12T02:00:00Z, found {text!r}")
    return moment


if __name__ == "__main__":
    sys.exit(main())
