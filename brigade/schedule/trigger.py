"""The trigger over HTTP: reads a call, answers it, and logs one line of JSON for it, as Cloud Logging reads it."""

import json
import sys
from datetime import UTC, datetime, timedelta

import flask

from brigade.errors import WrongInput
from brigade.events.event import is_timestamp
from brigade.schedule.retraining import SERVICE_ERRORS, failure, log, run
from brigade.schedule.settings import get_env

CLOCK_ERROR = timedelta(minutes=1)  # by which the clocks of Cloud Scheduler and of this machine may differ


def respond(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Answers a call and logs it."""
    answer, status = answer_to(request)
    # Alarms, and people who look back, read the severity and the fields.
    severity = "INFO" if status < 400 else "WARNING" if status < 500 else "ERROR"
    message = answer.get("error") or f"{answer['decision']}: {answer['reason']}"
    line = {"severity": severity, "message": message, "logger": log.name, "status": status}
    print(json.dumps(line | answer), file=sys.stderr, flush=True)
    for one in findings_of(answer):
        print(json.dumps(one), file=sys.stderr, flush=True)
    return answer, status, {"Allow": "POST"} if status == 405 else {}


def findings_of(answer: dict) -> list[dict]:
    """A log line for each finding about the model that serves, for alarms and metrics."""
    found = answer.get("findings") or {}
    lines = found.get("found", ()) if found.get("isCurrent") else ()
    severity = {"error": "WARNING"}  # the call itself went well: an ERROR is one of the trigger
    about = {"logger": "monitoring", "model": found.get("model"), "findingsCreatedAt": found.get("findingsCreatedAt")}
    return [{"severity": severity.get(one["findingSeverity"], "NOTICE")} | about | one for one in lines]


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
    except (WrongInput, *SERVICE_ERRORS) as error:
        return {"error": failure(error)}, 500 if isinstance(error, WrongInput) else 503


def flags_of(request: flask.Request) -> dict[str, bool]:
    """The query's flags. Raises ValueError, with one line, for anything else in the query."""
    flags = {"dry_run": False, "force": False, "look": False}
    for name, values in request.args.lists():
        if name not in flags:
            raise ValueError(f"query: expected dry_run, force or look, found {name[:50]!r}")
        if len(values) > 1:
            raise ValueError(f"{name}: expected it once, found it {len(values)} times")
        if values[0] not in ("0", "1"):
            raise ValueError(f"{name}: expected 0 or 1, found {values[0][:50]!r}")
        flags[name] = values[0] == "1"
    if flags["force"] and flags["look"]:
        raise ValueError("query: expected force or look, found both")
    return flags


def moment_of_call(scheduled: str) -> datetime:
    """Now, but not before the time for which Cloud Scheduler meant the call.

    With a clock that is a little behind, the first call of a period would otherwise fall into the period before.
    """
    now, meant = clock(), moment_of(scheduled)
    return meant if meant and now < meant <= now + CLOCK_ERROR else now


def moment_of(text: str) -> datetime | None:
    """The time, in UTC, in an RFC 3339 text; None for any other text."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC) if is_timestamp(text) else None


def clock() -> datetime:
    return datetime.now(UTC)
