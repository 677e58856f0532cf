"""The rows that a table model reads: of {feature: value}, also as TensorFlow Serving has it, and of events."""

from collections.abc import Mapping

from brigade.errors import one_line
from brigade.events.event import BEYOND_DOUBLE, value_at
from brigade.events.json_text import json_type
from brigade.events.labels import label_text
from brigade.models.store import ServedModel
from brigade.models.table_model import LARGEST, Feature, TableModel
from brigade.serving.requests import Refused

MAX_NAMES, MAX_NAME = 20, 40  # of ignored names in a log line, and how much of each
# The types of a parsed value. Booleans are numbers to a model; a boolean that is a category is the text true or false.
KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "number": ("a number", (float, int, bool)),
    "category": ("a string", (str, bool)),
}


class Reading:
    """Reads the rows of one request, and counts what a model can make nothing of.

    missing: features without a value. unknown: values of categories that training has not seen. ignored: names that are
    no features.
    """

    def __init__(self, served: ServedModel):
        assert isinstance(served.model, TableModel)
        self.features, self.fields, self.label = served.model.features, served.fields, served.manifest.label
        self.names = {one.name for one in self.features}
        self.missing = self.unknown = self.ignored = 0
        self.ignored_names: set[str] = set()

    def bare(self, where: str, instance: dict) -> dict:
        """The row of {feature: value}; a value may be a list of one. Raises Refused for a value of another type, and if
        there is no feature at all."""
        known = instance.keys() & self.names
        if not known:
            some = ", ".join(one.name for one in self.features[:3])
            raise Refused(f"{where}: expected the model's features, such as {some}, found none of them")
        if len(known) < len(instance):
            ignored = instance.keys() - known - {self.label}
            self.ignored += len(ignored)
            self.ignored_names |= ignored
        row = {}
        for one in self.features:
            if one.name in known:
                row[one.name] = single(f"{where}.{one.name}", *KINDS[one.type], instance[one.name])
        return self.counted(row)

    def event(self, event: dict) -> dict:
        """The row of an event; a feature that the query computes is missing."""
        row: dict[str, object] = {}
        for one in self.features:
            if one.name in self.fields:
                value = value_at(event, self.fields[one.name])
                if one.type == "category":
                    row[one.name] = value if isinstance(value, str) else label_text(value)
                else:
                    row[one.name] = value if isinstance(value, int | float) else None
        return self.counted(row)

    def counted(self, row: dict) -> dict:
        """The row, after what is missing and unknown in it is counted."""
        for one in self.features:
            value = row.get(one.name)
            if value is None or one.type == "number" and abs(value) > LARGEST:
                self.missing += 1
            elif one.type == "category" and not is_known(one, value):
                self.unknown += 1
        return row

    def counts(self) -> dict[str, object]:
        """The fields of a log line; the first names alone, and not the whole of a long one."""
        found: dict[str, object] = {"missing": self.missing, "unknownCategories": self.unknown}
        if self.ignored:
            names = sorted(self.ignored_names)[:MAX_NAMES]
            found |= {"ignored": self.ignored, "ignoredNames": [one_line(name)[:MAX_NAME] for name in names]}
        return found


def is_known(feature: Feature, value: object) -> bool:
    return (str(value).lower() if isinstance(value, bool) else value) in feature.numbers


def single(where: str, words: str, types: tuple[type, ...], value: object) -> object:
    """A value of one of the types, or None; also as the only one of a list. Raises Refused for anything else."""
    if isinstance(value, list) and value != BEYOND_DOUBLE:
        if len(value) != 1:
            raise Refused(f"{where}: expected {words}, or a list of one, found a list of {len(value)}")
        value = value[0]
    if value == BEYOND_DOUBLE:
        raise Refused(f"{where}: expected {words}, found a number beyond a double's range")
    if value is not None and type(value) not in types:
        raise Refused(f"{where}: expected {words}, found {json_type(value)}")
    return value


def predicted(model: TableModel, found: list[Mapping], explain: bool) -> list[dict]:
    """The predictions for rows, in one call of the trees; with what speaks for each, if asked."""
    predictions = model.predict_many(found) if found else []
    if explain:
        for row, prediction in zip(found, predictions, strict=True):
            prediction["explanation"] = model.explain(row, prediction)
    return predictions
