"""Looks through somebody's data before anything starts: what they are, and whether a model can be learned of them.

All rows are read as the publisher will read them. What does not fit is said in the words of `make demo`.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from brigade.errors import WrongInput
from brigade.events.contract import Path
from brigade.events.event import NotAnEvent, read_event, value_at
from brigade.events.labels import alike, label_text
from brigade.models.event_fields import feature_fields
from brigade.pipelines.definition import Definition
from brigade.publishing.columns import Columns
from brigade.publishing.documents import Message
from brigade.publishing.fields import Fields
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

    def add(self, message: Message) -> None:
        if message.text is None:
            self.broken += 1
            return
        self.documents += 1
        self.characters += len(message.text)
        if message.label is None:
            self.unlabelled += 1
        elif message.text.strip():
            self.labels[message.label] += 1
        self.empty += not message.text.strip()

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


@dataclass
class TablePlan:
    """What the rows of a table are. present: rows by field that have it. answers: rows by the text of what is learned,
    if an event's field is that."""

    definition: Definition
    fields: Fields
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, message: Message) -> None:
        contract = self.definition.contract
        try:
            event = read_event(message.data, contract=contract)
        except NotAnEvent as problem:
            self.refused[str(problem)] += 1
            return
        self.rows += 1
        for one in contract.fields:
            value = value_at(event, one.path)
            self.present[one.name] += value is not None
            if one.path == self.answer and value is not None:
                told = label_text(value) if len(self.answers) <= MAX_CLASSES else "others"
                self.answers[told or "none"] += 1

    @cached_property
    def answer(self) -> Path | None:
        """The path of the field that is learned; None if the query computes it."""
        definition = self.definition
        return feature_fields(definition.about(), definition.contract).get(definition.model.label)

    def lines(self) -> list[str]:
        """The plan for people."""
        model, fields = self.definition.model, self.definition.contract.fields
        kinds = Counter(one.type for one in fields)
        found = [
            f"{self.rows:,} rows, read in {self.seconds:.1f} s",
            f"{len(fields)} fields: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}",
        ]
        learned = f"{model.label} is learned, by {model.task}, of {len(model.features)} columns"
        if self.answer is None:
            found.append(f"{learned}; the query computes it")
        elif model.task == "classification":
            found.append(f"{learned}: {len(self.answers):,} classes, {some(self.answers)}")
        else:
            found.append(f"{learned}; {self.answers.total():,} rows have it")
        gaps = {name: self.rows - count for name, count in self.present.items() if count < self.rows}
        if gaps:
            shown = [f"{name} in {count:,}" for name, count in Counter(gaps).most_common(10)]
            more = f" and {len(gaps) - 10} more fields" if len(gaps) > 10 else ""
            found.append(f"missing: {', '.join(shown)}{more}")
        refused = [f"{count:,} {told}" for told, count in self.refused.most_common(5)]
        if refused:
            found.append(f"{self.refused.total():,} rows become dead letters: {'; '.join(refused)}")
        return found

    def check(self) -> None:
        """Raises Unfit if no model can be learned."""
        model = self.definition.model
        if self.rows < MIN_DOCUMENTS:
            told = f"; the first that is refused: {next(iter(self.refused))}" if self.refused else ""
            raise Unfit(f"expected at least {MIN_DOCUMENTS} rows, found {self.rows}{told}")
        if self.answer is None:
            return
        if not self.answers:
            column = self.definition.columns[".".join(self.answer)]
            raise Unfit(f"expected values to learn in column {column}, found none in any of {self.rows:,} rows")
        if len(self.answers) == 1:
            raise Unfit(f"expected different values of {model.label}, found only {next(iter(self.answers))!r}")


def look(
    files: list[str],
    text: str = "text",
    label: str = "label",
    encoding: str | None = None,
    delimiter: str | None = None,
    definition: Definition | None = None,
) -> Plan | TablePlan:
    """Reads all of the files. Raises Unfit if one cannot be read, or if no model can be learned of them.

    definition: of the pipeline whose rows they are; None: documents, with these columns of the text and the label.
    """
    began = time.monotonic()
    columns = Fields.of(definition) if definition else Columns(tuple(text.split("+")), label, label_is_required=True)
    plan = TablePlan(definition, columns) if definition else Plan()
    try:
        for message in documents(files, Form(columns, encoding, delimiter)):
            plan.add(message)
    except WrongInput as problem:
        told = str(problem)
        for flag, name in FLAGS.items():
            told = told.replace(f"--{flag}=", f"{name}=")
        raise Unfit(told) from None
    plan.seconds = time.monotonic() - began
    if isinstance(plan, TablePlan):
        plan.check()
    else:
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
