"""What the findings of the monitoring ask for: a training ahead of time, or the former model back. Pure functions.

Each rule can only hold something back. Nothing here promotes a model: what is trained early has the gate before it, and
what serves after a withdrawal was promoted before.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from brigade.models.better import is_better
from brigade.models.history import EARLY, LOOP, TRAINING, time_of
from brigade.schedule.findings import CLOCK_ERROR, MAX_AGE, Findings
from brigade.schedule.periods import Period

QUIET = timedelta(days=7)  # between two things that are done
LEAST_LABELLED = 200  # events that drift alone has to have before one learns from them
CHANGES = ("promoted", "withdrawn", "pinned", "unpinned")  # what a person does in the history

Run = tuple[str, str]  # a model's name and a run's id


@dataclass(frozen=True)
class Models:
    """What is known of the models. serving: the run that serves; former: the one that would, without it. days: those of
    all models, promoted or not. entries: the whole history, oldest first."""

    serving: Run | None
    former: Run | None
    days: Collection[date]
    entries: Sequence[dict] = ()

    def pinned(self) -> bool:
        """Whether a person holds the functions at one run."""
        pins = [one["what"] for one in self.entries if one["what"] in ("pinned", "unpinned")]
        return bool(pins) and pins[-1] == "pinned"

    def done(self) -> list[dict]:
        """The entries of the loop and of people."""
        return [one for one in self.entries if one["by"] == LOOP or one["by"] != TRAINING and one["what"] in CHANGES]


@dataclass(frozen=True)
class Verdict:
    """Whether one of the two would be done, why or why not, and the figures that it rests on."""

    would: bool
    reason: str
    figures: dict = field(default_factory=dict)


def early_training(now: datetime, period: Period, findings: Findings | None, models: Models) -> Verdict:
    """Whether to train ahead of time: the model has decayed, or the data has drifted strongly and enough events have
    labels to learn from. At most once a period beside the regular training."""
    if findings is None:
        return Verdict(False, f"no findings of the last {MAX_AGE.days} days")
    drifted = [one for one in findings.findings if (one.kind, one.severity) == ("drift", "error")]
    if findings.verdict == "decay":
        wish = f"decay{told(findings)}"
    elif drifted and findings.labelled >= LEAST_LABELLED:
        wish = f"drift of {drifted[0].field} ({drifted[0].aspect}), {findings.labelled} labelled events"
    else:
        few = f" and {findings.labelled} labelled events, {LEAST_LABELLED} are needed" if drifted else ""
        return Verdict(False, f"nothing asks for it: {findings.verdict}{few}", findings.figures())
    today = now.astimezone(UTC).date()
    extras = [day_of(one) for one in models.entries if one["what"] == EARLY and one["by"] == LOOP]
    another = [day for day in extras if period.start <= day <= period.end and day != today]
    # A call that comes again on the day goes on with what was begun: the entry is written before the workflow starts.
    begun = [one for one in models.entries if one["what"] == EARLY and day_of(one) == today]
    if findings.stopped_by:
        held = f"the check before training would stop it: {findings.stopped_by[0]}"
    elif another:
        held = f"the period {period.start} to {period.end} had its training ahead of time on {another[-1]}"
    else:
        held = obstacle(now, findings, models, apart_from=begun)
    return Verdict(not held, f"{wish}; but {held}" if held else wish, findings.figures())


def withdrawal(now: datetime, findings: Findings | None, models: Models) -> Verdict:
    """Whether to withdraw the model that serves: on fresh labelled events it is worse than its test said, the former
    one is better than it on the same events, and as right as its own test said."""
    if findings is None:
        return Verdict(False, f"no findings of the last {MAX_AGE.days} days")
    performance, former = findings.performance, findings.former
    if performance is None or not performance.is_worse:
        return Verdict(False, "the model that serves is not worse than its test said", findings.figures())
    if former is None:
        return Verdict(False, "there is no former model to go back to", findings.figures())
    counts = f"of the events that one alone answers better, {former.former_better} are the former model's and"
    counts = f"{counts} {former.serving_better} the serving one's"
    if not (former.is_better and is_better(former.serving_better, former.former_better)):
        return Verdict(False, f"the former model is not clearly better: {counts}", findings.figures())
    if not former.passes:
        return Verdict(False, "the former model is worse than its own test said, too", findings.figures())
    wish = f"{findings.run[0]} is worse{told(findings)}; {counts}"
    again = [one for one in models.entries if (one["by"], one["what"]) == (LOOP, "withdrawn")]
    if any((one["model"], one["runId"]) == findings.run for one in again):
        held = "a person has let this run serve again after it was withdrawn"
    elif models.former != former.run:
        held = f"{former.run[0]}/{former.run[1]} would not be the one that serves then"
    else:
        held = obstacle(now, findings, models)
    return Verdict(not held, f"{wish}; but {held}" if held else wish, findings.figures())


def obstacle(now: datetime, findings: Findings, models: Models, apart_from: Sequence[dict] = ()) -> str:
    """What holds back anything that findings ask for; "" if nothing does. apart_from: entries that do not count."""
    if not now - MAX_AGE <= findings.created_at <= now + CLOCK_ERROR:
        return f"the findings are of {findings.created_at:%Y-%m-%d}"
    if models.serving != findings.run:
        return f"the findings are about {findings.run[0]}/{findings.run[1]}, which does not serve"
    if models.pinned():
        return "a person holds the functions at one run"
    today = now.astimezone(UTC).date()
    last = max((one for one in models.done() if one not in apart_from), key=time_of, default=None)
    if last and (today - day_of(last) < QUIET or time_of(last) >= findings.created_at):
        return f"{last['what']} by {last['by']} on {day_of(last)}: {QUIET.days} days and new findings have to follow"
    trained = max(models.days, default=None)
    if trained and (today - trained < QUIET or trained >= findings.created_at.astimezone(UTC).date()):
        return f"a training on {trained}: {QUIET.days} days and new findings have to follow"
    return ""


def day_of(entry: dict) -> date:
    """The day of an entry of the history, UTC."""
    return time_of(entry).astimezone(UTC).date()


def told(findings: Findings) -> str:
    """The performance in words, with a space before it; "" if there is none."""
    about = findings.performance
    return f" ({about.metric} {about.then:.4g} in its test, {about.now:.4g} now, p {about.p:.2g})" if about else ""
