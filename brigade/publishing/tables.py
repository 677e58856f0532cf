"""Reads documents from files: tables (CSV, TSV) and JSON lines, packed or not, here, in a bucket or on standard input.

A row becomes an event. A line that is an event already goes out byte for byte. A file that does not fit is refused
before the first message is sent; only standard input cannot be read twice.
"""

import csv
import io
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import orjson
from google.api_core import exceptions

from brigade.errors import WrongInput
from brigade.events.labels import label_of, label_text
from brigade.publishing.documents import Message, event
from brigade.storage import open_to_read

log = logging.getLogger(__name__)

JSON_LINES = (".jsonl", ".ndjson", ".json")
MAX_FIELD = 2**31 - 1  # csv's default, 131,072 characters, is less than a long document


@dataclass(frozen=True)
class Columns:
    """Where a row has its text (several columns are joined by a space) and its label."""

    text: tuple[str, ...]
    label: str
    label_is_required: bool
    warnings: set[str] = field(default_factory=set)

    def warn(self, warning: str) -> None:
        """Logs a warning once: the head of a file is read twice, and many of its lines may have the same fault."""
        if warning not in self.warnings:
            self.warnings.add(warning)
            log.warning(warning)

    def check(self, source: str, found: Iterable[str]) -> None:
        """Raises WrongInput if the columns found lack the text, or a label that was asked for."""
        found = list(found)
        shown = ", ".join(name[:40] for name in found[:20])
        if missing := [name for name in self.text if name not in found]:
            raise WrongInput(
                f"{source}: expected the text in column {'+'.join(self.text)}, found columns {shown} "
                f"(no {', '.join(missing)}); name the right ones with --text=COLUMN or --text=COLUMN+COLUMN"
            )
        if self.label not in found:
            problem = f"{source}: expected the label in column {self.label}, found columns {shown}"
            if self.label_is_required:
                raise WrongInput(f"{problem}; name the right one with --label=COLUMN")
            self.warn(f"{problem}; publishing without labels (--label=COLUMN names another column)")

    def event(self, row: dict, position: str) -> Message:
        text = " ".join(part for part in (as_text(row.get(name)) for name in self.text) if part)
        return event(text, label_text(row.get(self.label)), position)


def rows(source: str, columns: Columns, encoding: str, delimiter: str | None) -> Iterator[Message]:
    """The documents of a CSV, TSV or JSON-lines file. Raises WrongInput."""
    csv.field_size_limit(MAX_FIELD)
    kind = os.path.splitext(source.removesuffix(".gz"))[1].lower()
    with open_source(source) as stream:
        lines = text_lines(stream, source, encoding)
        first = next(lines, None)
        if first is None:
            log.warning("%s is empty", source)
            return
        lines = itertools.chain([first], lines)
        if kind in JSON_LINES or kind not in (".csv", ".tsv") and first.lstrip().startswith("{"):
            yield from json_rows(lines, source, columns)
        else:
            delimiter = delimiter or ("\t" if kind == ".tsv" else guess_delimiter(first, columns))
            yield from table_rows(lines, source, columns, delimiter)


def check_files(files: list[str], read: Callable[[str], Iterator[Message]], encoding: str) -> None:
    """Raises WrongInput for everything that can be found wrong before the first message is sent."""
    for source in files:
        if source == "-":
            continue
        try:
            with open_source(source) as stream:
                for _ in text_lines(stream, source, encoding):
                    pass
        except (FileNotFoundError, IsADirectoryError, exceptions.NotFound):
            raise WrongInput(f"{source}: there is no such file") from None
        next(read(source), None)


def open_source(source: str) -> BinaryIO:
    """Opens a file, or standard input for `-`."""
    return cast(BinaryIO, io.BufferedReader(sys.stdin.buffer)) if source == "-" else open_to_read(source)


def text_lines(stream: BinaryIO, source: str, encoding: str) -> Iterator[str]:
    """The lines with their line ends. Raises WrongInput at the first that is not in the encoding."""
    wide = "\n".encode(encoding) != b"\n"  # UTF-16, for example, does not end a line with the byte \n
    lines: Iterable = io.TextIOWrapper(stream, encoding, newline="\n") if wide else stream
    number, place = 1, "after line" if wide else "line"  # TextIOWrapper decodes some lines ahead
    try:
        for number, line in enumerate(lines, 1):
            text = line if wide else line.decode(encoding)
            yield text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError as error:
        problem = f"{source}: {place} {number} is not {encoding} ({error.reason})"
        raise WrongInput(f"{problem}; try --encoding=latin-1") from None


def guess_delimiter(header: str, columns: Columns) -> str:
    def fit(delimiter: str) -> tuple[bool, int]:
        found = next(csv.reader([header], delimiter=delimiter))
        return set(columns.text) <= set(found), len(found)

    return max(",;\t|", key=fit)


def table_rows(lines: Iterable[str], source: str, columns: Columns, delimiter: str) -> Iterator[Message]:
    reader = csv.DictReader(lines, delimiter=delimiter)
    try:
        header: Sequence[str] = reader.fieldnames or ()
        columns.check(source, header)
        for number, row in enumerate(reader, 1):
            if None in row:
                columns.warn(f"{source}: fields beyond the header's are left out (is a text not quoted?)")
            yield columns.event(row, f"{os.path.basename(source)} {number}")
    except csv.Error as error:
        raise WrongInput(f"{source}: line {reader.line_num}: {error}") from None


def json_rows(lines: Iterable[str], source: str, columns: Columns) -> Iterator[Message]:
    checked = False
    for number, line in enumerate(lines, 1):
        data = line.removesuffix("\n").removesuffix("\r").encode("utf-8")
        try:
            row = orjson.loads(data)
        except orjson.JSONDecodeError:
            if number == 1 and data.strip() in (b"[", b"{"):
                raise WrongInput(f"{source}: expected a JSON object in each line, found one over many") from None
            row = None
        if not isinstance(row, dict):
            if data.strip():  # Pub/Sub takes no empty message
                yield Message(data)
        elif "eventId" in row and "doc" in row:
            doc = row["doc"] if isinstance(row["doc"], dict) else {}
            yield Message(data, as_text(doc.get("payload")), label_of(row, "superTag01"))
        else:
            if not checked:
                columns.check(source, row)
                checked = True
            yield columns.event(row, f"{os.path.basename(source)} {number}")


def as_text(value: object) -> str:
    """A field as text: a JSON number or object as JSON writes it; empty if it is missing or null."""
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode("utf-8")
