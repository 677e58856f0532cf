"""The fields of made-up rows: how values are drawn, and what follows from a score of them. The same for every seed."""

import math
import random
from datetime import datetime, timedelta
from typing import Any

from brigade.events.contract import Field
from brigade.pipelines.definition import Definition

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jade", "knoll", "lagoon")
LEVELS = ("low", "middle", "high")
SCALARS = ("number", "integer", "boolean", "string")
CURVES = (math.tanh, math.sin, lambda place: 2 * math.exp(-place * place) - 1, lambda place: math.cos(2 * place))
MISSING = 0.03  # of an optional field's values

Values = dict[str, Any]  # by the fields' dotted paths; None is missing


class MadeUpFields:
    """A definition's fields. Features and what is no scalar are `drawn`, all others are `answers` to a score.

    In a series the label is the only answer if it is a field, and no string but it is one: `strings` tell the group.
    """

    def __init__(self, definition: Definition):
        self.name, self.model, contract = definition.name, definition.model, definition.contract
        self.is_series = bool(self.model.query and self.model.horizon)
        features = {name.lower() for name in self.model.features}
        fields = [one for one in contract.fields if one.name not in (contract.id, contract.time)]
        labels = [one for one in fields if self.is_label(one)]
        others = [one for one in fields if one not in labels]
        self.strings = [one for one in others if one.type == "string"]
        self.strings.sort(key=lambda one: one.path[-1].lower() not in features)
        self.answers = labels + [one for one in others if one.type in SCALARS and one.path[-1].lower() not in features]
        if self.is_series:
            self.answers = labels or [one for one in self.answers if one.type != "string"]
        self.drawn = [Drawn(one, self.name) for one in fields if one not in self.answers]
        self.scored = [one for one in self.drawn if one.field.type in SCALARS]

    def is_label(self, one: Field) -> bool:
        return one.type not in ("timestamp", "list") and one.path[-1].lower() == self.model.label.lower()

    def draw(self, rng: random.Random, time: datetime) -> Values:
        return {one.field.name: one.draw(rng, time) for one in self.drawn}

    def score(self, values: Values, rng: random.Random) -> float:
        """A smooth, non-linear sum of what the drawn values count, the first ones most."""
        counts = [one.counts(values[one.field.name]) for one in self.scored]
        if not counts:
            return rng.gauss()  # the query makes the features: all that it makes them of follows from the same score
        return sum(count * 0.8**place for place, count in enumerate(counts)) + counts[0] * counts[-1]

    def answered(self, score: float, amount: float | None = None) -> Values:
        """What the answers are at a score, which is normal with a deviation of about 1, and at an amount, a number's
        own value."""
        return {one.name: self.answer(one, score, amount) for one in self.answers}

    def answer(self, one: Field, score: float, amount: float | None) -> Any:
        level = (score > -0.45) + (score > 0.45)
        if one.type == "boolean":
            return score > 0.3
        if one.type in ("string", "text", "json"):
            return LEVELS[level]
        if self.model.task == "classification" and self.is_label(one):
            return level
        if amount is not None:
            return round(amount, 2 if one.type == "number" else None)
        return round(50 + 10 * score, 2) if one.type == "number" else min(max(round(5 + 1.7 * score), 0), 10)


class Drawn:
    """A field whose values are drawn by its type."""

    def __init__(self, one: Field, name: str):
        rng = random.Random(f"field {name} {one.name}")  # a str seed goes through SHA-512, not through hash()
        self.field, self.mean = one, round(10 ** rng.uniform(0, 2), 1)
        self.words, self.curve, self.sign = rng.sample(WORDS, 5), rng.choice(CURVES), rng.choice((-1, 1))

    def draw(self, rng: random.Random, time: datetime) -> Any:
        is_missing = rng.random() < MISSING
        value = self.value(rng, time)
        return None if is_missing and not self.field.required else value

    def value(self, rng: random.Random, time: datetime) -> Any:
        match self.field.type:
            case "number":
                return round(rng.gauss(self.mean, self.mean / 5), 3)
            case "integer":
                return rng.randrange(10)
            case "boolean":
                return rng.random() < 0.5
            case "text":
                return " ".join(rng.choices(self.words, k=6))
            case "timestamp":
                return written(time - timedelta(minutes=rng.randrange(100_000)))
            case "list":
                return [{name: rng.choice(self.words) for name in self.field.items}]
        return rng.choice(self.words)

    def counts(self, value: Any) -> float:
        """What a value counts in the score, from -1 to 1; 0 if it is missing."""
        if value is None:
            return 0.0
        if self.field.type == "string":
            return self.words.index(value) / 2 - 1
        if self.field.type == "boolean":
            return self.sign * (value - 0.5)
        place = (value - 4.5) / 3 if self.field.type == "integer" else (value / self.mean - 1) * 5
        return self.sign * self.curve(place)


def written(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
