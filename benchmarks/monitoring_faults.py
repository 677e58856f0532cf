"""What can happen to events upstream, as the benchmark of monitoring lets it happen to rows of real data sets."""

import random
from collections.abc import Callable
from dataclasses import dataclass

Row = dict
WIDE = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувьхыз")
SHIFTED = str.maketrans("aeioubcdfghjklmnpqrstvwxyz", "éäöüñxzvwqrtpsklmnbcdfghjy")  # Latin letters, other words
QUOTES = {"'": "\u2019", '"': "\u201c", "-": "\u2013", "$": "\u00a3"}  # what publishers print, and ASCII stands for


@dataclass(frozen=True)
class Fault:
    """of: the field that a finding must name: text, label, category or number. share: of the events that it happens to.
    change: a row, and a row of another set → the row after it."""

    of: str
    share: float
    change: Callable[[Row, "Set"], Row]


@dataclass(frozen=True)
class Set:
    """A data set's fields, as far as faults need them; None if it has none.

    renamed: the category that gets another name. other: texts of another set.
    """

    label: str
    text: str | None = None
    number: str | None = None
    category: str | None = None
    renamed: str | None = None
    other: tuple[str, ...] = ()


def with_text(change: Callable[[str], str]) -> Callable[[Row, Set], Row]:
    return lambda row, about: row | {about.text: change(row[about.text] or "")}


def of_another_set(row: Row, about: Set) -> Row:
    """The row with the text of another set, the same one each time."""
    return row | {about.text: about.other[random.Random(row["eventId"]).randrange(len(about.other))]}


def new_class(row: Row, about: Set) -> Row:
    """A class that has never been there: of texts with words of their own."""
    row = row | {about.label: "a new class"}
    return of_another_set(row, about) if about.text else row


def mojibake(text: str) -> str:
    """UTF-8 read as Windows-1252, of a text as it is printed; one of ASCII alone stays as it is."""
    printed = "".join(QUOTES.get(letter, letter) for letter in text)
    return printed.encode().decode("cp1252", "replace")


def other_unit(row: Row, about: Set) -> Row:
    value = row[about.number]
    return row | {about.number: None if value is None else 1.8 * value + 32}


def renamed(row: Row, about: Set) -> Row:
    """One category in another spelling."""
    value = row[about.category]
    return row | {about.category: f"{value}.v2" if value == about.renamed else value}


TEXTS = {
    "language": Fault("text", 0.2, with_text(lambda text: text.lower().translate(WIDE))),
    "latin language": Fault("text", 0.2, with_text(lambda text: text.lower().translate(SHIFTED))),
    "cut": Fault("text", 1.0, with_text(lambda text: text[:30])),
    "html": Fault("text", 1.0, with_text(lambda text: f"<html><body><p>{text}</p></body></html>")),
    "mojibake": Fault("text", 1.0, with_text(mojibake)),
    "empty": Fault("text", 0.05, with_text(lambda text: "")),
    "vocabulary": Fault("text", 0.2, of_another_set),
}
NUMBERS = {
    "unit": Fault("number", 1.0, other_unit),
    "empty": Fault("number", 0.05, lambda row, about: row | {about.number: None}),
}
CATEGORIES = {"category renamed": Fault("category", 1.0, renamed)}
CLASSES = {"new class": Fault("label", 0.05, new_class)}


def faults_of(about: Set, is_class: bool) -> dict[str, Fault]:
    """The faults that the rows of a set can have."""
    found = dict(CLASSES) if is_class else {}
    found |= CATEGORIES if about.category else {}
    return found | (TEXTS if about.text else NUMBERS)
