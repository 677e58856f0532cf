"""Where a row has its text and its label, and the event that a row becomes."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from brigade.errors import WrongInput
from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.labels import label_of, label_text
from brigade.publishing.documents import Message, event, generated

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Columns:
    """Where a row has its text (several columns are joined by a space) and its label."""

    text: tuple[str, ...]
    label: str
    label_is_required: bool
    warnings: set[str] = field(default_factory=set)
    contract: Contract = DOCUMENTS

    def warn(self, warning: str) -> None:
        """Logs a warning once: a file is read twice, and many of its lines may have the same fault."""
        if warning not in self.warnings:
            self.warnings.add(warning)
            log.warning(warning)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.text, self.label)

    def summary(self) -> dict:
        """What is to be told of the rows at the end of a run."""
        return {}

    def fit(self, header: Sequence[str]) -> int:
        """How well a header has the columns: the higher the better."""
        return set(self.text) <= set(header)

    def check(self, source: str, found: Sequence[str]) -> None:
        """Raises WrongInput if the columns found lack the text, or a label that was asked for, or have one twice."""
        shown = ", ".join(name[:40] for name in found[:20])
        if missing := [name for name in self.text if name not in found]:
            raise WrongInput(
                f"{source}: expected the text in column {'+'.join(self.text)}, found columns {shown} "
                f"(no {', '.join(missing)}); name the right ones with --text=COLUMN or --text=COLUMN+COLUMN"
            )
        if doubled := [name for name in (*self.text, self.label) if found.count(name) > 1]:
            times = found.count(doubled[0])
            raise WrongInput(f"{source}: expected one column {doubled[0]}, found {times} of this name; rename them")
        if self.label not in found:
            problem = f"{source}: expected the label in column {self.label}, found columns {shown}"
            if self.label_is_required:
                raise WrongInput(f"{problem}; name the right one with --label=COLUMN")
            self.warn(f"{problem}; publishing without labels (--label=COLUMN names another column)")

    def event(self, row: dict, position: str) -> Message:
        text = " ".join(part for part in (as_text(value_of(row, name)) for name in self.text) if part)
        return event(text, label_text(value_of(row, self.label)), position)

    def generated(self, n: int, seed: int) -> Iterator[Message]:
        """The first n made-up events of the seed."""
        return generated(n, seed)

    def as_it_is(self, data: bytes, row: dict) -> Message | None:
        """A JSON line that is an event already, with its text and label for the counts; None if it is a row."""
        if "eventId" not in row or "doc" not in row:
            return None
        doc = row["doc"] if isinstance(row["doc"], dict) else {}
        return Message(data, as_text(doc.get("payload")), label_of(row, "superTag01"))


def value_of(row: dict, name: str) -> object:
    """The row's value of this name; `a.b` is also b in the object a. None if there is none."""
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    value = row.get(outer)
    return value_of(value, inner) if dot and isinstance(value, dict) else None


def names_of(row: dict) -> list[str]:
    """The names of a row's values, and of those in its objects as `a.b`."""
    inner = [f"{name}.{one}" for name, value in row.items() if isinstance(value, dict) for one in names_of(value)]
    return list(dict.fromkeys([*row, *inner]))


def as_text(value: object) -> str:
    """A field as text: a number, a date or an object as JSON writes it; empty if it is missing or null."""
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value, default=str).decode("utf-8")
