"""The events that rows become by a pipeline's definition: each field has a column.

An event's id is that of its column; without one it follows from the row's place in its source and its content, so that
publishing the same source twice adds no row. Its time is that of its column; without one it is now.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson

from brigade.errors import WrongInput
from brigade.events.contract import Field
from brigade.events.labels import label_text
from brigade.pipelines.definition import Definition
from brigade.publishing.columns import Columns, value_of
from brigade.publishing.documents import Message
from brigade.publishing.generated_rows import generated_rows
from brigade.publishing.values import WORDS, value_as

SHOWN, MAX_LEFT_OUT = 20, 1000  # columns that a message names, and that a summary does


@dataclass(frozen=True, kw_only=True)
class Fields(Columns):
    """The columns of a contract's fields. `text` names all of them, `label` the one that is learned, if it is a field.

    counts: "wrong_type", the rows with a value that is not of its field's type. left_out: columns that no field takes.
    """

    definition: Definition
    columns: dict[str, str]
    counts: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, definition: Definition) -> "Fields":
        model, columns = definition.model, definition.columns
        labels = [path for path in columns if path.rpartition(".")[2] == model.label]
        is_class = len(labels) == 1 and model.task == "classification" and not model.query
        label = columns[labels[0]] if is_class else ""
        about: dict = {"contract": definition.contract, "definition": definition, "columns": columns}
        return cls(tuple(columns.values()), label, False, **about)

    @cached_property
    def plan(self) -> tuple[tuple[Field, str, str], ...]:
        """Each field with its dotted path and its column."""
        return tuple((one, one.name, self.columns[one.name]) for one in self.contract.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, and the fields' own paths, which rows may have as well."""
        return tuple(dict.fromkeys((*self.text, *self.columns)))

    @cached_property
    def names_at_once(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def taken(self) -> frozenset[str]:
        """The names, and those of the objects that they lie in."""
        return self.names_at_once | {begin for name in self.names for begin in beginnings(name)}

    def fit(self, header: Sequence[str]) -> int:
        return len(set(self.names) & set(header))

    def summary(self) -> dict:
        return {"wrong_type": self.counts["wrong_type"], "columns_left_out": [*self.left_out][:MAX_LEFT_OUT]}

    def column(self, path: str) -> str:
        return self.columns[path]

    def is_needed(self, one: Field) -> bool:
        """Whether files must have the field's column: an id can be made, and a time too unless a column is named."""
        if one.name == self.contract.time:
            return self.column(one.name) != one.path[-1]
        return one.required and one.name != self.contract.id

    def check(self, source: str, found: Sequence[str]) -> None:
        """Raises WrongInput if a column that must be there is not, or if one is there twice; warns of those that no
        field takes."""
        shown = ", ".join(name[:40] for name in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        there = Counter(found)
        needed = [one for one in self.contract.fields if self.is_needed(one)]
        if missing := [one for one in needed if self.column(one.name) not in there and one.name not in there]:
            lacks = ", ".join(f"{self.column(one.name)} (field {one.name})" for one in missing[:SHOWN])
            raise WrongInput(
                f"{source}: expected the columns of the required fields, found no {lacks}; the columns are {shown}; "
                "the definition's `column:` names another one"
            )
        if doubled := [name for name in self.text if there[name] > 1]:
            times = there[doubled[0]]
            raise WrongInput(f"{source}: expected one column {doubled[0]}, found {times} of this name; rename them")
        if not any(name in there for name in self.names):
            raise WrongInput(f"{source}: expected some of the columns {', '.join(self.text[:SHOWN])}, found {shown}")
        untaken = dict.fromkeys(name for name in found if not self.is_taken(name))
        if others := [name for name in untaken if name.rpartition(".")[0] not in untaken]:  # of objects the outermost
            self.left_out.update(dict.fromkeys(others))
            told = ", ".join(name[:40] for name in others[:SHOWN]) + (", …" if len(others) > SHOWN else "")
            self.warn(f"{source}: no field takes the columns {told}: they are not published")

    def is_taken(self, name: str) -> bool:
        """Whether a field takes a column, or what lies in it, or the object that it lies in."""
        return name in self.taken or any(begin in self.names_at_once for begin in beginnings(name))

    def event(self, row: dict, position: str) -> Message:
        values: dict[str, Any] = {}
        all_fit = True
        for one, path, column in self.plan:
            value, fits = value_as(one.type, found_in(row, column, path))
            if not fits:
                all_fit = False
                self.warn_of(one, position)
            if value is not None:
                values[path] = value
        self.counts["wrong_type"] += not all_fit
        id, time = values.pop(self.contract.id, None), values.pop(self.contract.time, None)
        content = orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS).decode("utf-8")
        values[self.contract.id] = id or hashlib.sha1(orjson.dumps([position, content, time])).hexdigest()
        if time is None and not self.has_time(row):
            time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if time is not None:
            values[self.contract.time] = time
        return Message(orjson.dumps(self.nested(values), default=str), content, self.label_of(row))

    def generated(self, n: int, seed: int) -> Iterator[Message]:
        """n made-up rows of the seed. Raises WrongInput if the definition is not that of a table."""
        return map(self.made_up, generated_rows(self.definition, n, seed))

    def made_up(self, values: dict[str, Any]) -> Message:
        own = {path: value for path, value in values.items() if path not in (self.contract.id, self.contract.time)}
        content = orjson.dumps(own, option=orjson.OPT_SORT_KEYS).decode("utf-8")
        label = next((value for path, value in own.items() if self.label and self.column(path) == self.label), None)
        return Message(orjson.dumps(self.nested(values)), content, label_text(label))

    def warn_of(self, one: Field, position: str) -> None:
        """Logs the first place of a field where a value is not of its type."""
        begin = f"column {self.column(one.name)}: expected {WORDS[one.type]}, found another value"
        if not any(told.startswith(begin) for told in self.warnings):
            self.warn(f"{begin} (first in {position}); landing refuses such rows, and keeps them as dead letters")

    def has_time(self, row: dict) -> bool:
        return self.column(self.contract.time) in row

    def label_of(self, row: dict) -> str | None:
        return label_text(value_of(row, self.label)) if self.label else None

    def nested(self, values: dict[str, object]) -> dict:
        """The event: each value at its path, in the order of the contract."""
        event: dict = {}
        for one, path, _ in self.plan:
            if path in values:
                inner = event
                for name in one.path[:-1]:
                    inner = inner.setdefault(name, {})
                inner[one.path[-1]] = values[path]
        return event

    def as_it_is(self, data: bytes, row: dict) -> Message | None:
        """A JSON line that has the id and the time at their paths, and no column that is named unlike its field."""
        if value_of(row, self.contract.id) is None or value_of(row, self.contract.time) is None:
            return None
        if any(column in row for path, column in self.columns.items() if column != path.rpartition(".")[2]):
            return None
        values = {one.name: value_of(row, one.name) for one in self.contract.fields}
        own = {name: value for name, value in values.items() if name not in (self.contract.id, self.contract.time)}
        label = next((value for name, value in own.items() if self.label and self.column(name) == self.label), None)
        content = orjson.dumps(own, default=str, option=orjson.OPT_SORT_KEYS).decode("utf-8")
        return Message(data, content, label_text(label))


def found_in(row: dict, column: str, path: str) -> object:
    """The row's value of a field: that of its column, else that of its path."""
    value = value_of(row, column)
    return value_of(row, path) if value is None and path != column else value


def beginnings(name: str) -> list[str]:
    """The objects that a dotted name lies in: a and a.b of a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
