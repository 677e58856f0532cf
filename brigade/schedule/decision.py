"""Whether to start the retraining workflow: a pure function of the time, the models and what runs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime

from brigade.schedule.periods import Period, period_of


@dataclass(frozen=True)
class Decision:
    """Whether to start, the day of the decision in UTC, the period that it is about, and why."""

    start: bool
    day: date
    period: Period
    reason: str

    def about(self) -> dict:
        """The decision in JSON's types."""
        period = {"start": f"{self.period.start}", "end": f"{self.period.end}", "number": self.period.number}
        return {"decision": "start" if self.start else "skip", "reason": self.reason, "period": period}


def decide(
    now: datetime, anchor: date, model_dates: Collection[date], running: str | None = None, force: bool = False
) -> Decision:
    """Starts a workflow if the period of `now` has no model yet, and never beside another workflow.

    now: aware. anchor: the first day of the first period. model_dates: the days of all models, promoted or not.
    running: the operation of a workflow that runs. force: start even if the period has a model.
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


def request_id(decision: Decision) -> str:
    """The tag under which Dataproc runs one workflow at a time: at most 40 letters, digits, _ and -.

    Calls that decide on the same day share it. The day lets the next week's call start another workflow even if
    Dataproc remembers a tag for longer than its workflow runs.
    """
    return f"brigade-{decision.period.start}-{decision.day}"
