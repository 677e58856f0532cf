"""Makes up rows of a table's definition, for the demo and the tests, with an answer that can be learned.

Features are drawn by their types, with some missing. Every other number, boolean and string follows from a score of
them, a smooth sum of curves, with a little noise. So the label can be learned, whether it is a field or what the query
makes of one. The score belongs to the definition; the seed chooses the rows.

With model.query and model.horizon the rows are a series: groups times weeks, up to the last Monday. What is forecast is
the group's level with the season of the year, a slow growth and noise, so that the same week a year before is a good
forecast. A group's week has the same values whenever it is made up: a week later there is one week more.
"""

import hashlib
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import orjson

from brigade.errors import WrongInput
from brigade.pipelines.definition import Definition
from brigade.publishing.generated_fields import MadeUpFields, Values, written

NOISE = 0.25  # standard deviations of the score
SAMPLE = 2000  # rows that tell how the score is distributed
STEP = timedelta(minutes=10)  # between two rows that are no series, the longest span that these may have, …
WEEK, WEEKS, LONGEST = timedelta(weeks=1), 156, timedelta(days=18_250)  # … and weeks of a group
START, YEAR = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=365.25)
GROWTH, SEASON, SERIES_NOISE = 1.04, (0.2, 0.1), 0.05  # a year; of the level: once and twice a year, and the noise


def generated_rows(definition: Definition, n: int, seed: int, now: datetime | None = None) -> Iterator[Values]:
    """n rows of the seed up to now, each with its values by their dotted paths; what is missing is not there.

    The ids follow from the seed and a row's place, or its group and week. Raises WrongInput if there is no table.
    """
    if definition.model.kind != "table":
        hint = "publish files, or generate without --pipeline"
        raise WrongInput(
            f"--generate: expected a definition of kind table, found kind text in {definition.name}; {hint}"
        )
    fields = MadeUpFields(definition)
    today = (now or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = (series if fields.is_series else table)(fields, n, seed, today)
    return (row(definition, seed, *about) for about in rows)


def row(definition: Definition, seed: int, place: object, time: datetime, values: Values) -> Values:
    digest = hashlib.sha1(orjson.dumps([definition.name, seed, place])).hexdigest()
    own = {definition.contract.id: digest, definition.contract.time: written(time)}
    return own | {name: value for name, value in values.items() if value is not None}


def table(fields: MadeUpFields, n: int, seed: int, today: datetime) -> Iterator[tuple[int, datetime, Values]]:
    """The place, time and values of n rows, the newest first."""
    rng = random.Random(f"sample {fields.name}")
    sample = sorted(fields.score(fields.draw(rng, today), rng) for _ in range(SAMPLE))
    rng = random.Random(f"rows {fields.name} {seed}")
    step = min(STEP, LONGEST / n)
    for number in range(n):
        time = today - step * number
        values = fields.draw(rng, time)
        score = fields.score(values, rng)
        rank = (bisect_left(sample, score) + bisect_right(sample, score) + 1) / (2 * SAMPLE + 2)
        yield number, time, values | fields.answered(NormalDist().inv_cdf(rank) + rng.gauss(0, NOISE))


def series(fields: MadeUpFields, n: int, seed: int, today: datetime) -> Iterator[tuple[str, datetime, Values]]:
    """The place, time and values of n rows, week by week, the newest week last."""
    groups = [Group(fields, number) for number in range(max(1, n // WEEKS) if fields.strings else 1)]
    steps = -(-n // len(groups))
    step, last = min(WEEK, LONGEST / steps), today - timedelta(days=today.weekday())
    for number in range(steps * len(groups) - n, steps * len(groups)):  # if one week lacks groups, it is the oldest
        week, group = divmod(number, len(groups))
        time = last - step * (steps - 1 - week)
        place = f"{group} {written(time)}"
        rng = random.Random(f"series {fields.name} {seed} {place}")
        yield place, time, fields.draw(rng, time) | groups[group].values | groups[group].answered(time, rng)


class Group:
    """One of those that have a series: its strings, which do not change, and its level."""

    def __init__(self, fields: MadeUpFields, number: int):
        rng = random.Random(f"group {fields.name} {number}")
        self.fields, self.level = fields, 10_000 * math.exp(rng.gauss(0, 0.5))
        drawn = [one for one in fields.drawn if one.field in fields.strings]
        self.values = {one.field.name: one.value(rng, START) for one in drawn}
        for one in fields.strings[:1]:
            self.values[one.name] = f"{one.path[-1]} {number + 1}"

    def answered(self, time: datetime, rng: random.Random) -> Values:
        years = (time - START) / YEAR
        season = sum(part * math.cos(2 * math.pi * years * often) for often, part in enumerate(SEASON, 1))
        noise = rng.gauss(0, SERIES_NOISE)
        amount = self.level * (1 + season) * GROWTH**years * math.exp(noise)
        return self.fields.answered((season + noise) / 0.17, amount)
