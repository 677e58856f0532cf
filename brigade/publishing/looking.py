"""Looks through files whose rows nobody has described yet: what their columns hold.

The rows are read as the publisher will read them. Of a large file the first MAX_ROWS rows are looked at.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from brigade.errors import WrongInput
from brigade.events.event import is_timestamp
from brigade.publishing.columns import Columns
from brigade.publishing.documents import Message
from brigade.publishing.files import Form, checked_records
from brigade.publishing.sources import sources_in
from brigade.publishing.values import BOOLEANS, INTEGER, INTEGERS, MISSING, NUMBER, as_timestamp

MAX_ROWS = 200_000
MAX_VALUES = 10_000  # different values of a column that are counted one by one
MOSTLY = 0.95  # so many of a column's values tell its type; landing refuses the others


@dataclass(frozen=True)
class AnyColumns(Columns):
    """Takes whatever columns there are."""

    found: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.found)

    def fit(self, header: Sequence[str]) -> int:
        return len(header)

    def check(self, source: str, found: Sequence[str]) -> None:
        if doubled := [name for name, count in Counter(found).items() if count > 1]:
            times = found.count(doubled[0])
            raise WrongInput(
                f"{source}: expected each column once, found {times} named {doubled[0][:40]!r}; rename them"
            )
        self.found[:] = found

    def as_it_is(self, data: bytes, row: dict) -> Message | None:
        return None


@dataclass
class Column:
    """What the values of a column are. kinds: how many of them are of which kind, each counted once.

    words: those that stand for a missing value where the others are numbers. rises: each value is above the one before.
    """

    name: str
    values: int = 0
    words: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    more: bool = False  # different values than `counts` holds
    seen: set[int] | None = field(default_factory=set)  # hashes of the values, None if one came twice
    characters: int = 0
    blanks: int = 0
    longest: int = 0
    with_comma: int = 0
    rises: bool = True
    last: float | None = None

    def add(self, value: object) -> None:
        """Takes a value that is there."""
        text = value.strip() if isinstance(value, str) else str(value)
        if text == "" or isinstance(value, float) and value != value:
            return
        if isinstance(value, str) and text.lower() in MISSING:
            self.words += 1
            self.note(text)
            return
        self.values += 1
        kind = kind_of(value, text)
        self.kinds[kind] += 1
        self.note(text)
        self.characters += len(text)
        self.blanks += text.count(" ")
        self.longest = max(self.longest, len(text))
        self.with_comma += (
            kind == "string" and text.count(",") == 1 and NUMBER.fullmatch(text.replace(",", ".")) is not None
        )
        if self.rises and kind in ("integer", "number"):
            number = float(text) if len(text) < 300 else 0.0
            self.rises = self.last is None or number == self.last + 1
            self.last = number

    def note(self, text: str) -> None:
        if text in self.counts or len(self.counts) < MAX_VALUES:
            self.counts[text] += 1
        else:
            self.more = True
        if self.seen is not None:
            before = len(self.seen)
            self.seen.add(hash(text))
            if len(self.seen) == before:
                self.seen = None

    @property
    def type(self) -> str:
        """The type of a field that holds these values: what nearly all of them are."""
        kinds, count = self.kinds, max(self.values, 1)
        if not self.values or kinds["json"]:
            return "json" if kinds["json"] else "string"
        for kind, includes in (
            ("boolean", ("boolean",)),
            ("integer", ("integer",)),
            ("number", ("integer", "number")),
            ("timestamp", ("timestamp",)),
        ):
            if sum(kinds[one] for one in includes) == count:
                return kind
        numbers = kinds["integer"] + kinds["number"]
        return "number" if numbers < count and numbers >= MOSTLY * count else "string"

    @property
    def others(self) -> int:
        """How many values are not of the type."""
        return self.values - self.kinds["integer"] - self.kinds["number"] if self.type == "number" else 0

    @property
    def present(self) -> int:
        """How many rows have a value: a word such as NA is one among texts."""
        return self.values + (self.words if self.type == "string" else 0)

    @property
    def classes(self) -> dict[str, int]:
        """The different values, those that are missing left out."""
        is_text = self.type == "string"
        return {text: count for text, count in self.counts.items() if is_text or text.lower() not in MISSING}

    @property
    def is_text(self) -> bool:
        """Whether the values are texts of several words, nearly each one different."""
        many = self.more or len(self.counts) > max(self.values * 0.5, 10)
        return self.type == "string" and many and self.blanks >= 4 * self.values


def kind_of(value: object, text: str) -> str:
    """The kind of a value that is there: a type of a field, `code` for digits that are no number, such as 007."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (dict, list)):
        return "json"
    if isinstance(value, date):
        return "timestamp"
    if isinstance(value, int) and value in INTEGERS:
        return "integer"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    if INTEGER.fullmatch(text):
        digits = text.lstrip("+-")
        if digits.startswith("0") and digits.partition(".")[0] != "0":
            return "code"
        return "integer" if len(digits) < 19 else "code"
    if NUMBER.fullmatch(text):
        return "number"
    if text.lower() in BOOLEANS:
        return "boolean"
    return "timestamp" if text[:4].isdigit() and is_timestamp(str(as_timestamp(text))) else "string"


@dataclass
class Look:
    """What files hold. `whole` tells whether all rows were looked at; broken: lines that are no object."""

    rows: int = 0
    broken: int = 0
    whole: bool = True
    columns: dict[str, Column] = field(default_factory=dict)


def look(files: Sequence[str], encoding: str | None = None, delimiter: str | None = None) -> Look:
    """Looks through the rows of the files. Raises WrongInput if one cannot be read."""
    seen = Look()
    form = Form(AnyColumns((), "", False), encoding, delimiter)
    every = [checked_records(source, form) for given in files for source in sources_in(given)]
    for record in itertools.chain.from_iterable(every):
        if isinstance(record, Message):
            seen.broken += 1
            continue
        if seen.rows == MAX_ROWS:
            seen.whole = False
            break
        seen.rows += 1
        for name, value in leaves(record[0]):
            column = seen.columns.get(name) or seen.columns.setdefault(name, Column(name))
            if value is not None:
                column.add(value)
    return seen


def leaves(row: dict, before: str = "") -> Iterator[tuple[str, object]]:
    """The values of a row, those in objects by their dotted names."""
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
