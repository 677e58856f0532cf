"""WHEN: starts the retraining workflow every four weeks.

Cloud Scheduler's cron has no "every four weeks", and it fires at least once. So it calls `trigger` every
week, and this decides: a period starts on SCHEDULE_ANCHOR (a Monday) and every 28 days after it, at 00:00
UTC, and needs one model. While the period has none, whether promoted or not, and no workflow of the template
runs, a call starts one: a run that failed is tried again the week after, a week that was missed is caught up.
The model is dated by the day of the decision, so it belongs to the period for which it was started.

On this machine, after `make up` and the lines that it prints:
    SCHEDULE_ANCHOR=2026-01-05 python scheduler/main.py --dry_run
    SCHEDULE_ANCHOR=2026-01-05 python scheduler/main.py --next 3
On GCP:
    gcloud functions deploy retrain-trigger --gen2 --runtime=python312 --source=scheduler --trigger-http \\
        --timeout=180s --entry-point=trigger --set-env-vars=WORKFLOW_TEMPLATE=…,MODELS_URI=…,SCHEDULE_ANCHOR=2026-01-05
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
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import flask
import functions_framework
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from brigade.schedule.workflow_client import (
    CALL_SECONDS,
    RETRY,
    TEMPLATE,
    TEMPLATE_FORM,
    TemplateError,
    connect,
    get_template,
    running_workflow,
)

log = logging.getLogger("scheduler")

PERIOD = timedelta(days=28)
LAST_YEAR = 9000  # of what people may ask for: far enough from the last date that Python knows
CLOCK_ERROR = timedelta(minutes=1)  # by which the clocks of Cloud Scheduler and of this machine may differ
SERVICE_ERRORS = (GoogleAPIError, GoogleAuthError, OSError)  # OSError: no network, no project, no such folder
MODEL_NAME = re.compile(r"doc-classification-model-(\d{4}-\d\d-\d\d)")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


# ------------------------------------------------------------------------------------------------ environment


class SettingError(Exception):
    """An environment variable is missing or wrong; the message says which, what was expected and found."""


SETTING_ERRORS = (SettingError, TemplateError)


@dataclass(frozen=True)
class Environment:
    """What the trigger is told. `endpoint` is Dataproc's, if it is not that of the template's region."""

    template: str
    models_uri: str
    anchor: date
    endpoint: str


def get_env(preview: bool = False) -> Environment:
    """The environment, read and checked. Raises SettingError.

    A preview needs no WORKFLOW_TEMPLATE, and may do without MODELS_URI; what is missing is "".
    """
    names = ("WORKFLOW_TEMPLATE", "MODELS_URI", "SCHEDULE_ANCHOR", "DATAPROC_API_ENDPOINT")
    template, uri, anchor, endpoint = (os.environ.get(name, "").strip() for name in names)
    if not TEMPLATE.fullmatch(template) and not preview:
        raise SettingError(f"WORKFLOW_TEMPLATE: expected {TEMPLATE_FORM}, found {template!r}")
    if not (uri or preview) or ("://" in uri and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", uri)):
        raise SettingError(f"MODELS_URI: expected gs://bucket/prefix or a local path, found {uri!r}")
    day = day_of(anchor)
    if day is None or day.year > LAST_YEAR:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found {anchor!r}")
    if day.weekday() != 0:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, found {anchor}, a {day:%A}")
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


def clock() -> datetime:
    return datetime.now(UTC)


# ----------------------------------------------------------------------------------------------- the decision


@dataclass(frozen=True)
class Period:
    """28 days from `start` on; `number` counts from 1, the anchor's."""

    start: date
    number: int

    @property
    def end(self) -> date:
        """The last day."""
        return self.start + PERIOD - timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    """Whether to start, the day in UTC on which it was decided, the period that it is about, and why."""

    start: bool
    day: date
    period: Period
    reason: str

    def about(self) -> dict:
        period = {"start": f"{self.period.start}", "end": f"{self.period.end}", "number": self.period.number}
        return {"decision": "start" if self.start else "skip", "reason": self.reason, "period": period}


def period_of(day: date, anchor: date) -> Period:
    """The period in which a day lies; the first one for a day before it."""
    passed = max(0, (day - anchor) // PERIOD)
    return Period(anchor + passed * PERIOD, passed + 1)


def decide(
    now: datetime, anchor: date, model_dates: Collection[date], running: str | None = None, force: bool = False
) -> Decision:
    """Whether to start a workflow: if the period of `now` has no model yet, and never beside another one.

    now: aware. anchor: the first day of the first period. model_dates: the days of all models, promoted or
    not. running: the operation of a workflow that runs. force: whatever the period has.
    """
    today = now.astimezone(UTC).date()
    period = period_of(today, anchor)
    text = f"the period {period.start} to {period.end}"
    models = sorted(day for day in model_dates if period.start <= day <= period.end)
    if running:
        return Decision(False, today, period, f"{text} waits: a workflow is running")
    if force:
        return Decision(True, today, period, f"forced, whatever {text} has")
    if today < anchor:
        return Decision(False, today, period, f"the first period starts on {anchor}")
    if models:
        return Decision(False, today, period, f"{text} has a model, of {models[-1]}")
    return Decision(True, today, period, f"{text} has no model yet")


def next_period_starts(now: datetime, anchor: date, count: int) -> list[date]:
    """The first days of the next periods after today."""
    following = max(0, (now.astimezone(UTC).date() - anchor) // PERIOD + 1)
    return [anchor + (following + n) * PERIOD for n in range(count)]


def request_id(decision: Decision) -> str:
    """The tag under which Dataproc runs one workflow at a time: at most 40 letters, digits, _ and -.

    Calls that decide at the same moment have the same one. Its day lets the next week's call start another
    even if Dataproc should remember a tag for longer than its workflow runs.
    """
    return f"brigade-{decision.period.start}-{decision.day}"


# ----------------------------------------------------------------------------------------------- the services


def model_dates(uri: str) -> set[date]:
    """The dates of the models under `uri` that have a manifest. Raises one of SERVICE_ERRORS."""
    if uri.startswith("gs://"):
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        options = {"retry": DEFAULT_RETRY.with_timeout(CALL_SECONDS), "timeout": CALL_SECONDS}
        glob = f"{prefix}doc-classification-model-*/manifest.json"
        blobs = storage.Client().list_blobs(bucket, prefix=prefix, match_glob=glob, **options)
        names = [blob.name.removeprefix(prefix).split("/")[0] for blob in blobs]
    else:
        names = [path.parent.name for path in Path(uri).glob("doc-classification-model-*/manifest.json")]
    days = (day_of(match[1]) for name in names if (match := MODEL_NAME.fullmatch(name)))
    return {day for day in days if day}


def run(environment: Environment, now: datetime, dry_run: bool = False, force: bool = False) -> dict:
    """Decides, and starts the workflow if it is due and this is no dry run, without waiting for its end.

    Returns {"decision": "start" or "skip", "reason", "period": {"start", "end", "number"}, "dryRun", "nextDue":
    the first day of the next period, "parameters": the workflow's, "operation": of what was started or runs}.
    Raises TemplateError and SERVICE_ERRORS.
    """
    template = environment.template
    client = connect(template, environment.endpoint)
    # In this order: a workflow that ends in between has left its model before the models are listed.
    operation = running_workflow(client, template)
    decision = decide(now, environment.anchor, model_dates(environment.models_uri), operation, force)
    parameters = {}
    if decision.start:
        version, parameters = get_template(client, template)
        if "DATE" in parameters:
            parameters["DATE"] = f"{decision.day}"
        if not dry_run:
            # The version: of the values. A call that is repeated has the same request id, so it may well be.
            request = {"name": template, "version": version, "parameters": parameters}
            request["request_id"] = request_id(decision)
            started = client.instantiate_workflow_template(request, retry=RETRY, timeout=CALL_SECONDS)
            operation = started.operation.name
    answer = decision.about() | {
        "dryRun": dry_run,
        "nextDue": f"{next_period_starts(now, environment.anchor, 1)[0]}",
        "parameters": parameters,
        "operation": operation,
    }
    log.info("%s%s: %s", "dry run, " if dry_run else "", answer["decision"], decision.reason)
    return answer


def preview(environment: Environment, now: datetime, count: int) -> dict:
    """What happens today and on the first days of the next `count` periods, if nothing else changes; people get
    it as a table on standard error. "today" is None if the models are not known."""
    try:
        models = model_dates(environment.models_uri) if environment.models_uri else None
    except SERVICE_ERRORS as error:
        log.warning("MODELS_URI: %s", failure(error))
        models = None
    moments = [datetime.combine(day, time(), UTC) for day in next_period_starts(now, environment.anchor, count)]
    if models is not None:
        moments.insert(0, now)
    rows = []
    for moment in moments:
        decision = decide(moment, environment.anchor, models or ())
        rows.append({"date": f"{decision.day}"} | decision.about())
        when = "today" if moment == now else ""
        print(f"{decision.day}  {when:5}  {rows[-1]['decision']:5}  {decision.reason}", file=sys.stderr)
    return {"today": rows[0] if models is not None else None, "next": rows[-count:]}


# -------------------------------------------------------------------------------------------------- two doors


@functions_framework.http
def trigger(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Cloud Scheduler's call → 200 and what `run` returns.

    `?dry_run=1` starts nothing and may come as GET; `?force=1` starts a workflow whatever the period has.
    Statuses: 400 for any other query, 405 for any other method than POST, 500 for a wrong setting, 503 when
    storage or Dataproc fails, so that Cloud Scheduler calls again.
    """
    answer, status = answer_to(request)
    # One line of JSON, as Cloud Logging reads it: its level and fields are what alarms and a look back need.
    severity = "INFO" if status < 400 else "WARNING" if status < 500 else "ERROR"
    message = answer.get("error") or f"{answer['decision']}: {answer['reason']}"
    line = {"severity": severity, "message": message, "logger": log.name, "status": status}
    print(json.dumps(line | answer), file=sys.stderr, flush=True)
    return answer, status, {"Allow": "POST"} if status == 405 else {}


def answer_to(request: flask.Request) -> tuple[dict, int]:
    """The answer to a call, and its status."""
    try:
        flags = flags_of(request)
    except ValueError as error:
        return {"error": str(error)}, 400
    if request.method != "POST" and not (request.method == "GET" and flags["dry_run"]):
        return {"error": f"expected POST, or GET with dry_run=1, found {request.method}"}, 405
    try:
        now = moment_of_call(request.headers.get("X-CloudScheduler-ScheduleTime", ""))
        return run(get_env(), now, **flags), 200
    except (*SETTING_ERRORS, *SERVICE_ERRORS) as error:
        return {"error": failure(error)}, 500 if isinstance(error, SETTING_ERRORS) else 503


def flags_of(request: flask.Request) -> dict[str, bool]:
    """The query's flags. Raises ValueError, with one line, for what is none of them."""
    flags = {"dry_run": False, "force": False}
    for name, values in request.args.lists():
        if name not in flags:
            raise ValueError(f"query: expected dry_run or force, found {name[:50]!r}")
        if len(values) > 1:
            raise ValueError(f"{name}: expected it once, found it {len(values)} times")
        if values[0] not in ("0", "1"):
            raise ValueError(f"{name}: expected 0 or 1, found {values[0][:50]!r}")
        flags[name] = values[0] == "1"
    return flags


def moment_of_call(scheduled: str) -> datetime:
    """Now, but not before the moment for which Cloud Scheduler meant the call: with a clock that is a little
    behind, the first call of a period would fall into the period before."""
    now, meant = clock(), moment_of(scheduled)
    return meant if meant and now < meant <= now + CLOCK_ERROR else now


def main(argv: Sequence[str] | None = None) -> int:
    """The same by hand; prints one line of JSON and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    now = arguments.now or clock()
    try:
        if arguments.next:
            summary = preview(get_env(preview=True), now, arguments.next)
        else:
            summary = run(get_env(), now, arguments.dry_run, arguments.force)
    except (*SETTING_ERRORS, *SERVICE_ERRORS) as error:
        log.error(failure(error))
        return 2 if isinstance(error, SETTING_ERRORS) else 1
    print(json.dumps(summary))
    return 0


def failure(error: Exception) -> str:
    """One line about an error."""
    line = " ".join(str(error).split())[:300]
    return line if isinstance(error, SETTING_ERRORS) else f"{type(error).__name__}: {line}"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Starts the retraining workflow if the current four-week period has no model yet and no other "
        "one runs. Reads WORKFLOW_TEMPLATE, MODELS_URI, SCHEDULE_ANCHOR and DATAPROC_API_ENDPOINT.",
        epilog="Exit status: 0 done, 1 storage or Dataproc failed, 2 wrong arguments or settings.",
    )
    parser.add_argument("--dry_run", action="store_true", help="only print the decision; start nothing")
    parser.add_argument(
        "--now", type=moment_argument, metavar="TIME", help="decide as at 2026-01-12T02:00:00Z; default: now"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--force", action="store_true", help="whatever the period has, but never beside another one")
    what.add_argument(
        "--next", nargs="?", const=5, type=count_argument, metavar="N",
        help="only print the next N days on which a training is due (default: 5), and what today's call would do; "
        "needs SCHEDULE_ANCHOR, and MODELS_URI for today",
    )  # fmt: skip
    return parser.parse_args(argv)


def moment_argument(text: str) -> datetime:
    found = moment_of(text)
    if found is None or found.year > LAST_YEAR:
        raise argparse.ArgumentTypeError(f"expected RFC 3339, such as 2026-01-12T02:00:00Z, found {text!r}")
    return found


def count_argument(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError(f"expected 1 to 999, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
