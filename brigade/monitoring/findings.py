"""Findings: what the look found, ranked, each in one line that says what changed, how much, since when, and where to
look first.

`findings.json` is what the loop reads (`brigade/schedule/`); the report shows the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brigade.monitoring.performance import Performance, Worse
from brigade.monitoring.volume import Volume
from brigade.profiles.compare import Difference
from brigade.profiles.profile import EVENTS, PREDICTION

FORMAT_VERSION = 1
FINDINGS_FILE = "findings.json"
DRIFT, DECAY, VOLUME = "drift", "decay", "volume"
KINDS = (DECAY, DRIFT, VOLUME)  # in the order of the report
OK = "ok"
ERROR, WARNING = "error", "warning"
LOOK_AT = {
    "presence": "whatever writes the field: a new version that leaves it out, or a source without it",
    "value": "which source sends the new values, and whether the model may ever know them",
    "number": "the unit of the field, and its source's last change",
    "length": "whether texts are cut, or put together, on their way here",
    "words": "whether texts are cut, or put together, on their way here",
    "script": "the language of the new texts: the model has learned none of it",
    "accents": "the language of the new texts, or their encoding",
    "markup": "whether the step that took the tags away still runs",
    "damage": "the encoding of the source: UTF-8 is read as something else",
    "word": "the vocabulary of the examples: a new source, template or subject",
    "unknown": "the words of the examples, which the model does not know: a new source or subject",
    "label": "which classes are predicted more often, and whether they are the right ones",
    "confidence": "what the model is less sure of than it was, in the examples",
    "predicted": "what the predictions follow, in the features that changed too",
    "agreement": "who labels these events, and whether the labels or the predictions are wrong",
    "error": "the features that changed too, and whether the labels are in their unit",
    "covered": "the features that changed too, and whether the labels are in their unit",
    "hour": "whatever publishes the events, and whether all of its days have landed",
}
Key = tuple[str, str, tuple[str, ...]]  # field, aspect, the buckets of which there are more: what a finding is about
UNITS = {"accents": " ‰", "markup": " ‰", "unknown": " ‰", "length": " characters", "words": " words"}


@dataclass(frozen=True)
class Touched:
    """The events that a finding is about. examples: the ids of some. effect: how far from all others' in the reference
    their predictions lie, Jensen-Shannon; None if they are few or nothing predicts."""

    examples: tuple[str, ...] = ()
    effect: float | None = None


def findings_of(
    drifted: Sequence[Difference],
    performance: Performance | None,
    amount: Volume | None,
    touched: Mapping[Key, Touched],
) -> list[dict]:
    """All findings, ranked: decay first, errors before warnings, then what does most to the predictions."""
    found = [of_drift(one, touched.get((one.field, one.aspect, one.grown), Touched())) for one in drifted]
    found += (
        [of_decay(one, touched.get((PREDICTION, one.aspect, one.grown), Touched())) for one in performance.worse]
        if performance
        else []
    )
    found += [of_volume(amount)] if amount else []
    return sorted(found, key=rank)


def rank(finding: dict) -> tuple:
    return (
        KINDS.index(finding["kind"]),
        finding["severity"] != ERROR,
        -(finding["effect"] or 0),
        -(finding["distance"] or 0),
    )


def verdict(findings: Sequence[dict]) -> str:
    """`decay`, `drift` or `ok`: what the errors among the findings come to."""
    kinds = {one["kind"] for one in findings if one["severity"] == ERROR}
    return DECAY if DECAY in kinds else DRIFT if DRIFT in kinds else OK


def of_drift(one: Difference, touched: Touched) -> dict:
    named = [
        (f"{named_bucket(one.aspect, what)}", round(before, 5), round(now, 5)) for what, before, now in one.changes
    ]
    grown = [change for change in named if change[2] > change[1]]
    what, before, now = max(grown or named, key=lambda change: abs(change[2] - change[1]), default=("", 0.0, 0.0))
    is_of_predictions = one.field == PREDICTION
    place = one.aspect if is_of_predictions else f"{one.field}, {one.aspect}"
    message = f"{place}: {what} {percent(before)} → {percent(now)} of {one.events:,} events"
    return {
        "severity": one.severity,
        "kind": DRIFT,
        "field": one.field,
        "aspect": one.aspect,
        "message": f"{message}, since {one.since}",
        "psi": one.psi,
        "distance": one.distance,
        "p": one.p,
        "since": one.since,
        "from": [list(change) for change in named if change[2] < change[1]],
        "to": [list(change) for change in named if change[2] > change[1]],
        "effect": touched.effect,
        "lookAt": LOOK_AT.get(one.aspect, ""),
        "examples": list(touched.examples),
    }


def of_decay(one: Worse, touched: Touched) -> dict:
    if one.aspect == "error":
        figures = f"{one.before:.4g} → {one.now:.4g}"
    else:
        both = (1 - one.before, 1 - one.now) if one.of_right else (one.before, one.now)
        figures = " → ".join(map(percent, both))
    return {
        "severity": ERROR if one.is_grave else WARNING,
        "kind": DECAY,
        "field": PREDICTION,
        "aspect": one.aspect,
        "message": f"{one.what}: {figures}, since {one.since}",
        "psi": None,
        "distance": None,
        "p": one.p,
        "since": one.since,
        "from": [[one.what, one.before, one.now]],
        "to": [[one.what, one.before, one.now]],
        "effect": None,
        "lookAt": LOOK_AT[one.aspect],
        "examples": list(touched.examples),
    }


def of_volume(amount: Volume) -> dict:
    return {
        "severity": WARNING,
        "kind": VOLUME,
        "field": EVENTS,
        "aspect": "hour",
        "message": f"events a day: {amount.before:,.0f} → {amount.now:,.0f} by the median, since {amount.since}",
        "psi": None,
        "distance": None,
        "p": amount.p,
        "since": amount.since,
        "from": [["events a day", amount.before, amount.now]],
        "to": [["events a day", amount.before, amount.now]],
        "effect": None,
        "lookAt": LOOK_AT["hour"],
        "examples": [],
    }


def named_bucket(aspect: str, what: str) -> str:
    """A bucket for people: words by their number, confidences as a range, numbers with their unit."""
    if aspect == "word":
        return f"words of bucket {what}"
    if aspect == "confidence":
        return f"{int(what) / 20:.2f} – {(int(what) + 1) / 20:.2f}"
    return f"{what}{UNITS.get(aspect, '')}" if what not in ("missing", "zero") else what


def percent(share: float) -> str:
    """A share for people: 12.3 %, and never 0 % of something."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"
