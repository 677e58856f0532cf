"""Findings as monitor.py writes them."""

import json
from pathlib import Path

from brigade.schedule.findings import Findings, read_findings

SERVING, FORMER = "doc-classification-model-2026-02-02", "doc-classification-model-2026-01-05"
DRIFT = {
    "severity": "error",
    "kind": "drift",
    "field": "payload",
    "aspect": "script",
    "message": "Cyrillic letters: 0 % before, 20 % now, since 2026-02-18",
    "psi": 0.9,
    "distance": 0.3,
    "p": 1e-40,
    "since": "2026-02-18",
    "from": [["Cyrillic", 0.0, 0.2]],
    "to": [["Cyrillic", 0.0, 0.2]],
    "effect": None,
    "lookAt": "the source of the events",
    "examples": ["a"],
}
WORSE = {
    "metric": "accuracy",
    "then": {"value": 0.91, "low": 0.9, "high": 0.92, "events": 2000},
    "now": {"value": 0.82, "low": 0.8, "high": 0.84, "events": 1500},
    "isWorse": True,
    "p": 1e-9,
    "since": "2026-02-18",
}
BETTER = {
    "name": FORMER,
    "runId": "run-1",
    "value": 0.9,
    "low": 0.88,
    "high": 0.92,
    "servingBetter": 40,
    "formerBetter": 160,
    "isBetter": True,
    "passes": True,
}


def document(**changes) -> dict:
    """A findings.json of 2026-02-23 with nothing wrong, but for the changes."""
    found = {
        "formatVersion": 1,
        "pipeline": "doc-classification-model",
        "createdAt": "2026-02-23T02:20:00Z",
        "model": {"name": SERVING, "runId": "run-1"},
        "window": {"since": "2026-02-16", "until": "2026-02-22"},
        "events": 7000,
        "labelled": 1500,
        "verdict": "ok",
        "performance": WORSE | {"now": WORSE["then"], "isWorse": False, "p": 0.4},
        "former": None,
        "validation": {"stops": False, "reasons": []},
        "findings": [],
    }
    return found | changes


DECAYED = {"verdict": "decay", "performance": WORSE}
DRIFTED = {"verdict": "drift", "findings": [DRIFT]}


def findings(**changes) -> Findings:
    return read_findings(json.loads(json.dumps(document(**changes))))


def write_findings(folder: Path, day: str = "2026-02-23", **changes) -> None:
    (folder / day).mkdir(parents=True)
    (folder / day / "findings.json").write_text(json.dumps(document(**changes)))
