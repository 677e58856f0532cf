"""Reads documents from tables (CSV, TSV): rows with the names of the header.

A row must have the header's number of fields, and a quoted field an end. csv finds most quotes that nobody closed, but
not one that a later quote closes by chance, so that all rows between become one text: that is looked for here.
"""

import csv
import os
from collections.abc import Iterable, Iterator

from brigade.errors import WrongInput
from brigade.publishing.columns import Columns
from brigade.publishing.sources import named

MAX_FIELD = 100_000_000  # ten times what Pub/Sub takes: so far a quote is read that nobody closed
MAX_KEPT = 10_000  # labels and places that are remembered of a table, however large it is
SURELY_ROWS = 10  # so many lines that all look like rows are rows, whatever their labels


def guess_delimiter(header: str, columns: Columns) -> str:
    def fit(delimiter: str) -> tuple[int, int]:
        try:
            found = next(csv.reader([header], delimiter=delimiter))
        except csv.Error:  # the reader of the table tells it, with its line
            return 0, 0
        return columns.fit(found), len(found)

    return max(",;\t|", key=fit)


def table_rows(
    lines: Iterable[str], source: str, columns: Columns, delimiter: str, plain_quotes: bool
) -> Iterator[tuple[dict, str]]:
    """The rows, each with its place. Raises WrongInput. Plain quotes are characters like any other."""
    header: list[str] = []
    rows = 0
    for start, taken, row in split(lines, named(source), delimiter, plain_quotes):
        if not row or len(row) < (len(header) or 2) and not "".join(row).strip():
            continue  # an empty line
        if not header:
            columns.check(named(source), row)
            header, swallowed = row, SwallowedRows(named(source), row, columns, delimiter)
            continue
        if len(row) != len(header):
            expected = f"expected {len(header)} fields, as the header has, found {len(row)}"
            hint = "are quotes missing around a field, or is --delimiter=CHARACTER another one?"
            raise WrongInput(f"{named(source)}: line {start}: {expected}; {hint}")
        swallowed.look(row, start, taken)
        rows += 1
        yield dict(zip(header, row, strict=True)), f"{os.path.basename(source)} {rows}"
    if not rows:
        raise WrongInput(f"{named(source)}: expected rows below the header, found none")
    swallowed.end()


def split(
    lines: Iterable[str], name: str, delimiter: str, plain_quotes: bool
) -> Iterator[tuple[int, list[str], list[str]]]:
    """For each row the number of its first line, its lines, and its fields. Raises WrongInput."""
    csv.field_size_limit(MAX_FIELD)
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = csv.reader(
        noted(),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if plain_quotes else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        for row in reader:
            yield reader.line_num - len(taken) + 1, taken.copy(), row
            taken.clear()
    except csv.Error as error:
        start, end = reader.line_num - len(taken) + 1, reader.line_num
        place = f"line {start}" if end == start else f"the row of lines {start} to {end}"
        problem = f"a quote is not closed, or a quote in a quoted field is not written twice ({error})"
        if "new-line" in str(error):
            problem = "a carriage return (CR) stands inside; expected lines that end with LF or CRLF"
        raise WrongInput(f"{name}: {place}: {problem}") from None


class SwallowedRows:
    """Finds rows that an open quote has made one text.

    Each line of such a text is a row by itself: it has the header's number of fields, and a label that other rows have
    as well. The lines of an honest text are not like that, and neither are a poem's.
    """

    def __init__(self, name: str, header: list[str], columns: Columns, delimiter: str):
        self.name, self.width, self.columns, self.delimiter = name, len(header), columns, delimiter
        self.label = header.index(columns.label) if columns.label in header else None
        self.labels: set[str] = set()
        self.waiting: list[tuple[int, int, set[str]]] = []  # rows whose lines have labels that no row has had yet

    def look(self, row: list[str], start: int, lines: list[str]) -> None:
        """Takes a row and its lines. Raises WrongInput if they are rows themselves."""
        if self.label is not None and len(self.labels) < MAX_KEPT:
            self.labels.add(row[self.label].strip())
        if len(lines) == 1 or self.width == 1:
            return
        if any(line.count(self.delimiter) != self.width - 1 for line in lines):
            return
        if len(lines) >= SURELY_ROWS:
            self.tell(start, len(lines))
        elif self.label is not None:
            labels = {line.split(self.delimiter)[self.label].strip(' "\r\n') for line in lines}
            if self.are_known(labels):
                self.tell(start, len(lines))
            elif len(self.waiting) < MAX_KEPT:
                self.waiting.append((start, len(lines), labels))

    def end(self) -> None:
        """Looks again at what had unknown labels. Raises WrongInput."""
        for start, lines, labels in self.waiting:
            if self.are_known(labels):
                self.tell(start, lines)

    def are_known(self, labels: set[str]) -> bool:
        return labels <= self.labels - {""}

    def tell(self, start: int, lines: int) -> None:
        problem = f"lines {start} to {start + lines - 1} are one row, each line of which looks like a row"
        problem = f"{self.name}: {problem}; is a quote in line {start} not closed?"
        if lines == 2 and self.delimiter != "\t":  # a text of two lines may look so by chance
            self.columns.warn(problem)
        else:
            raise WrongInput(f"{problem} If it is meant so, publish the table as JSON lines")
