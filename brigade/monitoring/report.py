"""The look as one HTML page that needs nothing beside it: first how right the model is, then what drifted.

The page is `report.html.j2`; everything that comes from the data is escaped there or in `pictures.py`. It holds no text
of a document.
"""

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from brigade.monitoring.findings import DECAY
from brigade.monitoring.performance import Performance
from brigade.monitoring.pictures import by_day, pairs, share_by_day
from brigade.profiles.compare import Difference
from brigade.profiles.profile import ALL, KINDS, Buckets, Profile

REPORT_FILE = "report.html"
MOST_CLASSES = 100
MOST_PICTURES = 30  # findings with pictures; the table has all
RESULTS = {
    "ok": (
        "yes",
        "no drift",
        "The events are like those that the model has learned, and it is as right as in its test.",
    ),
    "drift": ("but", "drift", "The events differ strongly from those that the model has learned."),
    "decay": ("no", "decay", "The model is less right about labelled events than in its test."),
}
NOT_SURE = ("yes", "no strong drift", "Something differs, but not strongly; see below.")
UNKNOWN = ("but", "nothing to compare with", "The model has no profile of its data. One that is trained now has it.")


def report(
    found: dict,
    decayed: Performance | None,
    drifted: Sequence[Difference],
    reference: Profile | None,
    current: Profile,
) -> str:
    """The page. found: the content of findings.json."""
    verdict = RESULTS[found["verdict"]]
    if reference is None and not found["findings"]:
        verdict = UNKNOWN
    elif found["verdict"] == "ok" and found["findings"]:
        verdict = NOT_SURE
    by_aspect = {(one.field, one.aspect): one for one in drifted}
    shown: list[tuple[dict, list[Markup]]] = []
    for one in found["findings"]:
        difference, pictures = by_aspect.get((one["field"], one["aspect"])), []
        if difference and reference and len(shown) < MOST_PICTURES:
            pictures = pictures_of(one, difference, reference, current)
        shown.append((one, pictures))
    return page().render(
        found=found,
        result=verdict,
        performance=decayed,
        line=by_day(decayed.days, decayed.then, decayed.since) if decayed else "",
        decay=[one for one, _ in shown if one["kind"] == DECAY],
        drift=[(one, pictures) for one, pictures in shown if one["kind"] != DECAY],
        classes=worst_first(decayed.classes)[:MOST_CLASSES] if decayed else [],
    )


def page() -> Template:
    """The page's template; the package may be a folder or a zip."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files(__package__).joinpath("report.html.j2").read_text("utf-8"))


def pictures_of(one: dict, difference: Difference, reference: Profile, current: Profile) -> list[Markup]:
    """What changed, and the share of what there is more of, by day."""
    changes = sorted(one["from"] + one["to"], key=lambda change: -abs(change[2] - change[1]))
    grown = difference.grown[:1] if KINDS.get(difference.aspect) == "several" else difference.grown
    days = {}
    for day, fields in sorted(current.days.items()):
        if buckets := fields.get(difference.field, {}).get(difference.aspect):
            days[day] = part_of(buckets, grown)
    part, whole = part_of(reference.total()[difference.field][difference.aspect], grown)
    found = [pairs(changes)] if changes else []
    return [*found, share_by_day(days, part / max(whole, 1), difference.since)] if len(days) > 1 and grown else found


def part_of(buckets: Buckets, grown: Sequence[str]) -> tuple[int, int]:
    """How many events are in one of these buckets, and how many there are."""
    whole = buckets[ALL] if ALL in buckets else buckets.total()
    return sum(buckets.get(bucket, 0) for bucket in grown), whole


def worst_first(classes: Sequence[tuple]) -> list[tuple]:
    """The classes whose recall or precision fell most before the others; see Performance.classes."""

    def fall(one: tuple) -> float:
        falls = [then - now for then, now in (one[1:3], one[3:5]) if then is not None and now is not None]
        return max(falls, default=-1.0)

    return sorted(classes, key=lambda one: (-fall(one), one[0]))
