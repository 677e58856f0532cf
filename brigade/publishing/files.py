"""Reads documents from files: tables (CSV, TSV), JSON lines and Parquet, alone or in a folder, here or in a bucket; all
but Parquet also packed, and on standard input.

A row becomes an event. A line that is an event already goes out byte for byte. A file that does not fit is refused
before the first message is sent. Standard input is checked whole as well if it is a file; of a pipe, which cannot be
read twice, the beginning is.
"""

import itertools
import logging
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from brigade.errors import WrongInput
from brigade.publishing.columns import Columns
from brigade.publishing.documents import Message
from brigade.publishing.json_lines import Record, json_rows
from brigade.publishing.parquet import parquet_rows
from brigade.publishing.sources import is_parquet, named, sources_in, standard_input, text_lines
from brigade.publishing.tables import guess_delimiter, table_rows

log = logging.getLogger(__name__)

JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv")
JSON_BEGINS = re.compile(r'\s*(\{\s*(["}]|$)|\[\s*([\[{"]|$))')


@dataclass(frozen=True)
class Form:
    """How files are read: where rows have their text, in which encoding, parted by what.

    None for what the files tell: the encoding by a byte order mark, the delimiter by the header.
    """

    columns: Columns
    encoding: str | None = None
    delimiter: str | None = None


def documents(sources: list[str], form: Form) -> Iterator[Message]:
    """The documents of the files. Raises WrongInput now if a file does not fit, later if a pipe does not."""
    if sources.count("-") > 1:
        raise WrongInput("expected - (standard input) once")
    every = [checked_records(source, form) for given in sources for source in sources_in(given)]
    return (
        record if isinstance(record, Message) else form.columns.event(*record)
        for record in itertools.chain.from_iterable(every)
    )


def checked_records(source: str, form: Form) -> Iterator[Record]:
    """The records of a file that fits from its beginning to its end. Raises WrongInput.

    A table that is parted by tabs and whose quotes are not balanced is one whose quotes are plain characters.
    """
    stdin = standard_input() if source == "-" else None
    if stdin and not stdin.seekable():
        found = records(source, form)
        return itertools.chain(list(itertools.islice(found, 1)), found)
    start = stdin.tell() if stdin else 0

    def again(plain_quotes: bool) -> Iterator[Record]:
        if stdin:
            stdin.seek(start)
        return records(source, form, plain_quotes)

    try:
        deque(again(plain_quotes=False), maxlen=0)
        return again(plain_quotes=False)
    except WrongInput as problem:
        try:
            deque(again(plain_quotes=True), maxlen=0)
        except WrongInput:
            raise problem from None
        log.warning("quotes are taken as plain characters. With quoted fields: %s", problem)
        return again(plain_quotes=True)


def records(source: str, form: Form, plain_quotes: bool = False) -> Iterator[Record]:
    """The records of a table or of JSON lines. Raises WrongInput."""
    if is_parquet(source):
        return parquet_rows(source, form.columns)
    kind = os.path.splitext(source.removesuffix(".gz"))[1].lower()
    rest = text_lines(source, form.encoding)
    head = []
    for line in rest:
        head.append(line)
        if line.strip():
            break
    else:
        raise WrongInput(f"{named(source)}: expected documents, found an empty file")
    lines, first = itertools.chain(head, rest), head[-1]
    holds_json = JSON_BEGINS.match(first)
    if kind in TABLES and holds_json:
        raise WrongInput(f"{source}: expected a table, found JSON; JSON lines have a name that ends in .jsonl")
    if kind in JSON_LINES or holds_json:
        return json_rows(lines, source, form.columns)
    delimiter = form.delimiter or ("\t" if kind == ".tsv" else guess_delimiter(first, form.columns))
    return table_rows(lines, source, form.columns, delimiter, plain_quotes and delimiter == "\t")
