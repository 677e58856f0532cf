"""What the functions log: one line of JSON for each request, as Cloud Logging reads it. It holds no document's text.

Requests that are refused because the same thing is missing, such as a model, share a line: Pub/Sub brings each message
again and again meanwhile.
"""

import json
import logging
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import flask

from brigade.errors import one_line

log = logging.getLogger("cloud_function")  # alarms look for this name
outage_log = logging.getLogger("cloud_function.outages")  # lines that are not of one request

REMINDER_SECONDS = 600.0  # operators read the last hour

TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")  # W3C Trace Context
CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;.*)?")  # its span is a decimal number


class JsonLines(logging.Formatter):
    """One JSON object a line: severity, message, logger, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        entry = {"severity": record.levelname, "message": message, "logger": record.name}
        return json.dumps(entry | getattr(record, "fields", {}))


def log_json_lines() -> None:
    """Sends all log lines to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@dataclass
class Outage:
    """Something that is missing. refused: the requests that needed it."""

    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"))
    refused: int = 0
    next_line: float = 0.0  # on the monotonic clock


class Outages:
    """What is missing now. Each has a line when it is first missed, one every ten minutes, and one when it is back; the
    requests between are counted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[str, Outage] = {}

    def missed(self, what: str) -> dict[str, object] | None:
        """Counts a request that is refused for it. Returns what its log line says of the outage, None for no line."""
        with self.lock:
            outage = self.running.setdefault(what, Outage())
            outage.refused += 1
            if time.monotonic() < outage.next_line:
                return None
            outage.next_line = time.monotonic() + REMINDER_SECONDS
            return {"missing": what, "since": outage.since, "refused": outage.refused}

    def over(self, what: str) -> None:
        """Logs the end of its outage, if there was one."""
        if what not in self.running:  # as nearly always
            return
        with self.lock:
            outage = self.running.pop(what, None)
        if outage:
            fields = {"missing": what, "since": outage.since, "refused": outage.refused}
            message = f"{what} is there again; requests refused since {outage.since}: {outage.refused}"
            outage_log.info(message, extra={"fields": fields})


class LogEntry:
    """The one log line of a request, which grows while the request is answered.

    project: the project that traces belong to; None for no trace. outages: those of the function.
    """

    def __init__(self, request: flask.Request, project: str | None, outages: Outages):
        self.outages, self.missing = outages, ""
        self.message, self.severity = "", logging.INFO
        self.fields: dict[str, object] = dict(trace_fields(request, project))
        self.milliseconds: dict[str, float] = {}
        self.started = self.step_started = time.perf_counter()

    def step(self, name: str) -> None:
        """Marks the end of a step of the work and notes how long it took."""
        now = time.perf_counter()
        self.milliseconds[name] = round((now - self.step_started) * 1000, 3)
        self.step_started = now

    def found(self, what: str) -> None:
        """Marks the end of a step that needed it."""
        self.outages.over(what)

    def failed(self, problem: Exception, status: int, missing: str = "") -> dict[str, str]:
        """Notes a request that is not answered as asked, for want of what is missing. Returns the answer's body, which
        says the same."""
        self.message, self.missing = one_line(problem), missing
        self.severity = logging.WARNING if status < 500 else logging.ERROR
        return {"error": self.message}

    def write(self, status: int) -> None:
        """Logs the line, unless an outage has it already. `status` is the HTTP status of the answer."""
        outage = self.outages.missed(self.missing) if self.missing else {}
        if outage is None:
            return
        total = round((time.perf_counter() - self.started) * 1000, 3)
        fields = {"status": status} | self.fields | outage | {"milliseconds": self.milliseconds | {"total": total}}
        log.log(self.severity, self.message, extra={"fields": fields})


def trace_fields(request: flask.Request, project: str | None) -> dict[str, str]:
    """Cloud Logging's fields for the trace that a request belongs to; none without a trace or a project."""
    parent = TRACE_PARENT.fullmatch(request.headers.get("traceparent", ""))
    cloud = CLOUD_TRACE.fullmatch(request.headers.get("X-Cloud-Trace-Context", ""))
    trace, span = parent.groups() if parent else cloud.groups() if cloud else (None, None)
    if not trace or not project:
        return {}
    if span and not parent:
        span = f"{int(span) % 2**64:016x}"
    fields = {"logging.googleapis.com/trace": f"projects/{project}/traces/{trace.lower()}"}
    return fields | ({"logging.googleapis.com/spanId": span} if span else {})
