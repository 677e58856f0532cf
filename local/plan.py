"""Looks through somebody's documents before anything starts: what they are, and whether a model can be learned of them.

All rows are read as the publisher will read them. What does not fit is said in the words of `make demo`.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from brigade.errors import WrongInput
from brigade.events.labels import alike
from brigade.publishing.columns import Columns
from brigade.publishing.files import Form, documents
from brigade.training.documents import MIN_DOCUMENTS, some
from brigade.training.splits import MAX_CLASSES

FLAGS = {"text": "TEXT", "label": "LABEL", "encoding": "ENCODING", "delimiter": "DELIMITER"}


class Unfit(Exception):
    """The documents cannot go this way; the message says what was expected, what was found, and what to do."""


@dataclass
class Plan:
    """What the documents are. labels: documents by label. empty: without a text. broken: lines that are no object."""

    documents: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    empty: int = 0
    broken: int = 0
    characters: int = 0
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """The plan for people."""
        found = [
            f"{self.documents:,} documents of {self.characters / max(self.documents, 1):,.0f} characters on average, "
            f"read in {self.seconds:.1f} s",
            f"{len(self.labels):,} classes: {some(self.labels)}",
        ]
        for count, what in (
            (self.unlabelled, "documents have no label: they are classified and not trained on"),
            (self.empty, "documents have no text: they become dead letters (empty_payload)"),
            (self.broken, "lines are no JSON objects: they become dead letters"),
        ):
            found += [f"{count:,} {what}"] if count else []
        groups = alike(self.labels)
        found += [f"classes of their own, though they look alike: {' and '.join(group)}" for group in groups[:5]]
        return found


def look(files: list[str], text: str, label: str, encoding: str | None = None, delimiter: str | None = None) -> Plan:
    """Reads all documents of the files. Raises Unfit if one cannot be read, or if no model can be learned of them."""
    began, plan = time.monotonic(), Plan()
    columns = Columns(tuple(text.split("+")), label, label_is_required=True)
    try:
        for message in documents(files, Form(columns, encoding, delimiter)):
            if message.text is None:
                plan.broken += 1
                continue
            plan.documents += 1
            plan.characters += len(message.text)
            if message.label is None:
                plan.unlabelled += 1
            elif message.text.strip():
                plan.labels[message.label] += 1
            plan.empty += not message.text.strip()
    except WrongInput as problem:
        told = str(problem)
        for flag, name in FLAGS.items():
            told = told.replace(f"--{flag}=", f"{name}=")
        raise Unfit(told) from None
    plan.seconds = time.monotonic() - began
    check(plan, label)
    return plan


def check(plan: Plan, label: str) -> None:
    """Raises Unfit if no model can be learned."""
    labels, hint = plan.labels, "LABEL=COLUMN names another column"
    if not labels:
        raise Unfit(f"expected labels in {label}, found none on any of {plan.documents:,} documents; {hint}")
    if len(labels) == 1:
        raise Unfit(f"expected at least two classes in {label}, found only {next(iter(labels))!r}; {hint}")
    if len(labels) > MAX_CLASSES or len(labels) > labels.total() / 2:
        shown = ", ".join(repr(one[:40]) for one in list(labels)[:3])
        raise Unfit(
            f"expected several documents of a class, found {len(labels):,} different labels on {labels.total():,} "
            f"documents in {label} ({shown}, …); is it an id, or the text? {hint}"
        )
    if labels.total() < MIN_DOCUMENTS:
        raise Unfit(f"expected at least {MIN_DOCUMENTS} documents with a label and a text, found {labels.total()}")
