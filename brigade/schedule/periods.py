"""What four weeks are: a period starts on the anchor, a Monday, and every 28 days after it, at 00:00 UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

PERIOD = timedelta(days=28)


@dataclass(frozen=True)
class Period:
    """28 days from `start` on. `number` counts from 1, which starts on the anchor."""

    start: date
    number: int

    @property
    def end(self) -> date:
        """The last day."""
        return self.start + PERIOD - timedelta(days=1)


def period_of(day: date, anchor: date) -> Period:
    """The period in which a day lies; the first one for a day before it."""
    passed = max(0, (day - anchor) // PERIOD)
    return Period(anchor + passed * PERIOD, passed + 1)


def next_period_starts(now: datetime, anchor: date, count: int) -> list[date]:
    """The first days of the next periods after today."""
    following = max(0, (now.astimezone(UTC).date() - anchor) // PERIOD + 1)
    return [anchor + (following + n) * PERIOD for n in range(count)]
