"""What the functions log: one line of JSON for each request, as Cloud Logging reads it. It holds no document's text."""

import json
import logging
import re
import sys
import time

import flask

from brigade.errors import one_line

log = logging.getLogger("cloud_function")  # alarms look for this name

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


class LogEntry:
    """The one log line of a request, which grows while the request is answered.

    project: the project that traces belong to; None for no trace.
    """

    def __init__(self, request: flask.Request, project: str | None):
        self.message, self.severity = "", logging.INFO
        self.fields: dict[str, object] = dict(trace_fields(request, project))
        self.milliseconds: dict[str, float] = {}
        self.started = self.step_started = time.perf_counter()

    def step(self, name: str) -> None:
        """Marks the end of a step of the work and notes how long it took."""
        now = time.perf_counter()
        self.milliseconds[name] = round((now - self.step_started) * 1000, 3)
        self.step_started = now

    def failed(self, problem: Exception, status: int) -> dict[str, str]:
        """Notes a request that is not answered as asked. Returns the answer's body, which says the same."""
        self.message = one_line(problem)
        self.severity = logging.WARNING if status < 500 else logging.ERROR
        return {"error": self.message}

    def write(self, status: int) -> None:
        """Logs the line. `status` is the HTTP status of the answer."""
        total = round((time.perf_counter() - self.started) * 1000, 3)
        fields = {"status": status} | self.fields | {"milliseconds": self.milliseconds | {"total": total}}
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
