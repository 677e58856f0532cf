"""What is looked at of a block of events in Arrow's columns, see `measure.selected`, and how it is counted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brigade.events.labels import clean_label
from brigade.models.document_model import DocumentModel
from brigade.models.table_model import TableModel
from brigade.models.verification import Model
from brigade.profiles import predictions, texts
from brigade.profiles.arrow import coded, integers, numbers_in, strings, taken
from brigade.profiles.buckets import Found, of_kinds, of_numbers, of_values
from brigade.profiles.profile import EVENTS
from brigade.profiles.tally import Tally
from brigade.profiles.watched import NUMBER, TEXT, Watched

if TYPE_CHECKING:
    from pyarrow import RecordBatch

PRESENCE = ["missing", "empty", "there"]
HOURS = [*(f"{hour:02}" for hour in range(24)), "missing"]
COUNTED = ("day", "field", "aspect", "bucket", "events", "name")
TEXTS_AT_ONCE = 500  # whose characters are looked at together


@dataclass(frozen=True)
class Look:
    """What is looked at. of_data: whether also at aspects that need no model."""

    watched: Watched
    of_data: bool = True

    def counts(self, batches: Iterable["RecordBatch"], model: Model | None) -> Iterator["RecordBatch"]:
        """How many events of a partition are in each bucket: rows of measure.COUNTS, once, at the end."""
        import pyarrow

        tally = Tally()
        for batch in batches:
            days, different = coded(batch.column("day"))
            for found in self.found(batch, model):
                tally.add(found, days, different)
        columns = [*zip(*tally.rows(), strict=True)] or [()] * len(COUNTED)
        made = [
            (integers if name == "events" else strings)(column) for name, column in zip(COUNTED, columns, strict=True)
        ]
        yield pyarrow.RecordBatch.from_arrays(made, [*COUNTED])

    def rows(self, batches: Iterable["RecordBatch"], model: Model | None) -> Iterator["RecordBatch"]:
        """The bucket of each event in each aspect: rows of measure.ROWS."""
        import pyarrow

        for batch in batches:
            for found in self.found(batch, model):
                buckets = taken(strings(found.buckets), found.codes)
                columns = [taken(batch.column(name), found.events) for name in ("eventId", "day")]
                columns += [strings([one] * len(buckets)) for one in (found.field, found.aspect)]
                yield pyarrow.RecordBatch.from_arrays(
                    [*columns, buckets], ["eventId", "day", "field", "aspect", "bucket"]
                )

    def found(self, batch: "RecordBatch", model: Model | None) -> Iterator[Found]:
        """All that is looked at of the events of a block."""
        if self.of_data:
            every = np.arange(batch.num_rows)
            hours = numbers_in(batch.column("hour"), 24)
            yield of_kinds(EVENTS, "hour", every, hours, HOURS)
            for column, name, kind in self.watched.numbered:
                if kind == TEXT:
                    yield from of_text(batch, column, name)
                elif kind == NUMBER:
                    yield from of_number(batch, column, name)
                else:
                    yield from of_category(batch, column, name, name == self.watched.label)
        close = np.flatnonzero(numbers_in(batch.column("close"), 0))
        if self.watched.text:
            yield from self.of_close_texts(batch, close, self.watched.text, model)
        elif isinstance(model, TableModel) and len(close):
            yield from self.of_close_rows(batch, close, model)

    def of_close_texts(
        self, batch: "RecordBatch", close: np.ndarray, name: str, model: Model | None
    ) -> Iterator[Found]:
        """What is seen of texts that are looked at closely. An empty text is counted by its presence alone."""
        column = self.watched.column(name)
        there = numbers_in(batch.column(f"{column}_presence"), 0)[close] == 2
        for begin in range(0, int(there.sum()), TEXTS_AT_ONCE):
            events = close[there][begin : begin + TEXTS_AT_ONCE]
            own = taken(batch.column(column), events).to_pylist()
            hashes = [texts.word_hashes(text, texts.WORDS) for text in own] if self.of_data else []
            if self.of_data:
                yield from texts.shapes(name, events, own)
                yield from texts.words(name, events, hashes)
            if isinstance(model, DocumentModel):
                if not hashes or model.parameters.shortest != texts.WORDS.shortest:
                    hashes = [texts.word_hashes(text, model.parameters) for text in own]
                yield predictions.of_words(model, name, events, hashes)
                likely = predictions.of_texts(model, own)
                yield from predictions.of_classes(model.classes, events, likely, self.labels(batch, events))

    def of_close_rows(self, batch: "RecordBatch", close: np.ndarray, model: TableModel) -> Iterator[Found]:
        """What the model makes of the rows of a table that are looked at closely."""
        rows = batch.take(integers(close))
        found = predictions.of_rows(model, rows)
        if model.task == "classification":
            yield from predictions.of_classes(model.classes, close, found, self.labels(batch, close))
        else:
            column = self.watched.column(self.watched.label)
            labels = numbers_in(rows.column(column), np.nan)
            yield from predictions.of_amounts(model, close, found, labels)

    def labels(self, batch: "RecordBatch", events: np.ndarray) -> list[str | None]:
        """The labels of these events; None is none."""
        column = self.watched.column(self.watched.label)
        codes, different = coded(taken(batch.column(column), events))
        cleaned = [*map(clean_label, different), None]  # of the code -1
        return [cleaned[code] for code in codes.tolist()]


def of_text(batch: "RecordBatch", column: str, name: str) -> Iterator[Found]:
    """Whether a text is there, and how long one that is there is."""
    presence = numbers_in(batch.column(f"{column}_presence"), 0)
    lengths = numbers_in(batch.column(f"{column}_length"), 0)
    yield of_kinds(name, "presence", np.arange(len(presence)), presence, PRESENCE)
    there = np.flatnonzero(presence == 2)
    yield of_numbers(name, "length", there, lengths[there])


def of_number(batch: "RecordBatch", column: str, name: str) -> Iterator[Found]:
    """Whether a number is there, and how large it is."""
    values = numbers_in(batch.column(column), np.nan)
    every, there = np.arange(len(values)), np.isfinite(values)
    yield of_kinds(name, "presence", every, 2 * there, PRESENCE)
    yield of_numbers(name, "number", every[there], values[there])


def of_category(batch: "RecordBatch", column: str, name: str, is_label: bool) -> Iterator[Found]:
    """Whether a category is there, and which."""
    codes, different = coded(batch.column(column))
    cleaned = [clean_label(one) if is_label else one if one.strip() else None for one in different]
    kinds = np.array([*(1 if one is None else 2 for one in cleaned), 0])[codes]
    yield of_kinds(name, "presence", np.arange(len(codes)), kinds, PRESENCE)
    there = np.flatnonzero(kinds == 2)
    yield of_values(name, "value", there, codes[there], [one or "" for one in cleaned])
