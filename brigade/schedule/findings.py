"""The newest findings of the monitoring, as far as a decision needs them.

    <FINDINGS_URI>/2026-11-23/findings.json    written last by monitor.py, into `monitor/` below its --output

Findings are read with care, since a decision follows: what has not the form of docs/monitoring.md is a WrongFindings.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any

from brigade.errors import CannotGoOn, one_line
from brigade.models.history import parse_time
from brigade.storage import Folder, TooLarge

FINDINGS_FILE = "findings.json"
FORMAT_VERSION = 1
MAX_BYTES = 4 << 20
MAX_AGE = timedelta(days=8)  # of findings that somebody acts on: one weekly look may be a day late
CLOCK_ERROR = timedelta(hours=1)
MOST = 50  # findings that are told
VERDICTS = ("ok", "drift", "decay")


class WrongFindings(CannotGoOn):
    """A findings.json cannot be used. The message is one line: what was expected and what was found."""


@dataclass(frozen=True)
class Finding:
    """What monitoring found in one aspect of a field; `message` is one line without a document's text."""

    severity: str
    kind: str
    field: str
    aspect: str
    message: str

    def about(self) -> dict[str, str]:
        """In JSON's types. Its severity is not that of a log line."""
        return {"kind": self.kind, "field": self.field, "aspect": self.aspect,
                "findingSeverity": self.severity, "message": self.message}  # fmt: skip


@dataclass(frozen=True)
class Performance:
    """How right the model is on labelled events: `then` in its test, `now` since. p: of that by chance."""

    metric: str
    then: float
    now: float
    is_worse: bool
    p: float


@dataclass(frozen=True)
class Former:
    """The promoted model before the one that serves, on the same events. serving_better, former_better: how many events
    the one alone answered right, or better. passes: whether it is as right as its own test said."""

    run: tuple[str, str]
    serving_better: int
    former_better: int
    is_better: bool
    passes: bool


@dataclass(frozen=True)
class Findings:
    """What one look of the monitoring found about the model `run`, (name, run id). stopped_by: why the check before a
    training would stop it now."""

    created_at: datetime
    run: tuple[str, str]
    events: int
    labelled: int
    verdict: str
    performance: Performance | None
    former: Former | None
    stopped_by: tuple[str, ...]
    findings: tuple[Finding, ...]

    def figures(self) -> dict:
        """What a decision rests on, in JSON's types."""
        found: dict = {"findingsCreatedAt": self.created_at.isoformat().replace("+00:00", "Z"),
                       "verdict": self.verdict, "events": self.events, "labelled": self.labelled}  # fmt: skip
        if self.performance:
            about = self.performance
            found |= {"metric": about.metric, "then": about.then, "now": about.now, "p": about.p}
        if self.former:
            found |= {"servingBetter": self.former.serving_better, "formerBetter": self.former.former_better}
        return found


def newest_findings(folder: Folder, prefix: str, now: datetime) -> Findings | None:
    """The findings of the newest look at the models of a prefix; None if there is none within MAX_AGE.

    Raises WrongFindings if the newest cannot be used: older ones do not know what it says.
    """
    first, last = (now - MAX_AGE).astimezone(UTC).date(), (now + CLOCK_ERROR).astimezone(UTC).date()
    days = sorted((name for name in folder.folders() if (day := day_of(name)) and first <= day <= last), reverse=True)
    for name in days:
        if FINDINGS_FILE not in folder.files(name):
            continue  # a look that did not end
        try:
            content, _ = folder.read(f"{name}/{FINDINGS_FILE}", MAX_BYTES)
            document = json.loads(content)
            if isinstance(document, dict) and document.get("pipeline") not in (prefix, None):
                continue
            return read_findings(document)
        except FileNotFoundError:
            continue
        except TooLarge as problem:
            raise WrongFindings(f"{name}/{FINDINGS_FILE}: {problem}") from problem
        except (ValueError, TypeError, LookupError, RecursionError) as problem:
            raise WrongFindings(f"{name}/{FINDINGS_FILE}: {type(problem).__name__}: {one_line(problem)}") from problem
    return None


def day_of(name: str) -> date | None:
    """The date that is the name of a folder; None for any other name."""
    try:
        return date.fromisoformat(name) if len(name) == len("YYYY-MM-DD") else None
    except ValueError:
        return None


def read_findings(document: object) -> Findings:
    """The findings in a parsed findings.json. Raises ValueError, TypeError and LookupError."""
    found = typed(document, dict)
    if found["formatVersion"] != FORMAT_VERSION:
        raise ValueError(f"expected formatVersion {FORMAT_VERSION}, found {str(found['formatVersion'])[:40]}")
    if found["verdict"] not in VERDICTS:
        raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}, found {str(found['verdict'])[:40]!r}")
    stops = found.get("validation") or {"stops": False, "reasons": []}
    reasons = [one_line(one) for one in typed(stops["reasons"], list)] or ["no reason given"]
    return Findings(
        created_at=parse_time(typed(found["createdAt"], str)),
        run=run_of(found["model"]),
        events=typed(found["events"], int),
        labelled=typed(found["labelled"], int),
        verdict=found["verdict"],
        performance=optional(found.get("performance"), read_performance),
        former=optional(found.get("former"), read_former),
        stopped_by=tuple(reasons) if typed(stops["stops"], bool) else (),
        findings=tuple(read_finding(one) for one in typed(found["findings"], list)[:MOST]),
    )


def read_performance(found: dict) -> Performance:
    then, now = (number(found[name]["value"]) for name in ("then", "now"))
    p = 1.0 if found["p"] is None else number(found["p"])
    return Performance(typed(found["metric"], str), then, now, typed(found["isWorse"], bool), p)


def read_former(found: dict) -> Former:
    counts = typed(found["servingBetter"], int), typed(found["formerBetter"], int)
    if min(counts) < 0:
        raise ValueError(f"former: expected counts of events, found {counts[0]} and {counts[1]}")
    return Former(run_of(found), *counts, typed(found["isBetter"], bool), typed(found["passes"], bool))


def read_finding(found: dict) -> Finding:
    names = ("severity", "kind", "field", "aspect", "message")
    return Finding(*(one_line(typed(found[name], str)) if found[name] is not None else "" for name in names))


def run_of(found: dict) -> tuple[str, str]:
    return typed(found["name"], str), typed(found["runId"], str)


def optional(found: object, read: Callable[[dict], Any]) -> Any:
    return None if found is None else read(typed(found, dict))


def typed(value: Any, kind: type) -> Any:
    """The value, if it is of the type; a boolean is no number. Raises TypeError."""
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def number(value: Any) -> float:
    """The value, if it is a finite number. Raises TypeError and ValueError."""
    found = float(value if isinstance(value, float) else typed(value, int))
    if not isfinite(found):
        raise ValueError(f"expected a number, found {found}")
    return found
