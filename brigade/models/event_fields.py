"""Which field of an event is a column of its pipeline's table, as far as that shows without SQL.

Conversion makes columns of events by a query, which a function cannot run. It can read those that the query takes over
as they are, `alcohol` or `reading.temp AS temperature`. A column that is computed is missing for it.
"""

import re
from collections.abc import Iterator

from brigade.events.contract import Contract, Path
from brigade.sql_text import code_of

MARKS = re.compile(r"(?i)`[^`]*`|[(),]|\bfrom\b")
NAME = r"(?:`[^`]+`|[^\W\d]\w*)"
NAMED = re.compile(rf"(?is).*\bas\s+({NAME})")
TAKEN_OVER = re.compile(rf"(?i)({NAME}(?:\s*\.\s*{NAME})*)(?:\s+(?:as\s+)?({NAME}))?")


def feature_fields(pipeline: dict | None, contract: Contract) -> dict[str, Path]:
    """The column of each of the label and the features that an event has, and the path of its field.

    pipeline: the definition, as a model carries it; None for documents, whose one feature is their text.
    """
    if pipeline is None:
        return {"payload": ("doc", "payload")}
    model = pipeline["model"]
    found = taken_over(pipeline["query"], contract)
    second = code_of(model.get("query") or "")
    return {
        name: found[name]
        for name in (model["label"], *model["features"])
        if name in found and not re.search(rf"(?i)\bas\s+`?{re.escape(name)}\b", second)
    }


def taken_over(query: str, contract: Contract) -> dict[str, Path]:
    """The columns of a query that are fields as they came, and their paths."""
    fields = {one.path for one in contract.fields}
    found: dict[str, Path] = {}
    for item in selected(code_of(query)):
        if item.rpartition(".")[2].strip() == "*":
            found |= {path[0]: path for path in fields if len(path) == 1}
        elif match := TAKEN_OVER.fullmatch(item):
            names = [name.strip(" \n\t\r`") for name in re.findall(NAME, match[1])]
            path = tuple(names[1:] if names[0] == "events" and tuple(names) not in fields else names)
            name = (match[2] or names[-1]).strip("`")
            found.pop(name, None)
            if path in fields:
                found[name] = path
        elif match := NAMED.fullmatch(item):
            found.pop(match[1].strip("`"), None)
    return found


def selected(code: str) -> Iterator[str]:
    """The items of the outermost SELECT of a query, which is free of comments and literals."""
    match = re.match(r"(?i)\s*select\b", code)
    begin, depth = match.end() if match else len(code), 0
    for mark in MARKS.finditer(code, begin):
        if mark[0] in "()":
            depth += 1 if mark[0] == "(" else -1
        elif depth == 0 and mark[0][0] != "`":
            yield code[begin : mark.start()].strip()
            begin = mark.end()
            if mark[0] != ",":
                return
