"""Makes a first definition of what a look at files has shown. What was guessed is said in comments beside it.

The definition runs as it is. It is a beginning: whoever knows the data changes it.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from brigade.errors import WrongInput
from brigade.events.labels import clean_label
from brigade.publishing.looking import Column, Look

FEW = 20  # different whole numbers up to which they are classes
MAX_CLASSES = 5000
MIN_ROWS = 20  # with a label, as training asks for
MAX_CATEGORIES = 1000
IDS = re.compile(
    r"(^|[_ .-])(?i:id|uuid|guid|key|nr|no|number|index|#)$|[a-z](Id|ID|Key|Nr|No)$|^(Unnamed: \d+|rownames?)$"
)
# What fields may not be called: what conversion or the definition itself adds, and what is no column's name in SQL.
TAKEN = {"line", "eventtime", "publishtime", "pubsub", "eventid", "eventtimestamp", "dt", "messageid", "_row", "_line"}
TAKEN |= {"true", "false", "null", "not"}
# A label's type, where it is not that of its values: the words of booleans are classes, and numbers may be fractions.
LABELS = {("classification", "boolean"): "string", ("regression", "integer"): "number"}


@dataclass
class Draft:
    """A definition as a document, and comments by the path of their key, such as event.fields.area."""

    document: dict
    comments: dict[str, str] = field(default_factory=dict)
    head: list[str] = field(default_factory=list)


def draft(look: Look, name: str, label: str, time: str | None = None) -> Draft:
    """A first definition. Raises WrongInput if nothing can be learned of these rows."""
    columns = {one.name: one for one in look.columns.values()}
    if not look.rows:
        raise WrongInput("expected rows, found none")
    for flag, named in (("label", label), ("time", time)):
        if named is not None and named not in columns:
            raise WrongInput(no_column(flag, named, columns))
    if time is not None and columns[time].type != "timestamp":
        raise WrongInput(f"--time: expected dates such as 2024-05-01 in {time}, found {columns[time].type}")
    task = task_of(columns[label], look.rows)
    names = safe_names([one for one in columns if one.strip() and one != time])
    identity = id_column([one for one in columns.values() if one.name not in (label, time)], look.rows)
    drawn = Draft({}, head=[f"{look.rows:,} rows of {len(columns)} columns were looked at."])
    if any(not one.strip() for one in columns):
        drawn.head.append("A column without a name is left out.")
    if not look.whole:
        drawn.head.append("There are more rows; they may hold what these do not.")
    fields: dict[str, dict | str] = {
        "eventId": {"type": "string", "required": True} | ({"column": identity} if identity else {}),
        "eventTimestamp": {"type": "timestamp", "required": True} | ({"column": time} if time else {}),
    }
    told = "its values differ: rows of the same id are one" if identity else "publisher.py makes it of the row"
    drawn.comments["event.fields.eventId"] = told
    drawn.comments["event.fields.eventTimestamp"] = "a row without it is refused" if time else "when a row is published"
    features = []
    for column in columns.values():
        if column.name in names and column.name != identity:
            path = names[column.name]
            fields[path], comment = field_of(column, path), remark(column, look.rows)
            if column.name == label:
                kind = LABELS.get((task, column.type), column.type)
                fields[path] = field_of(column, path, kind)
                comment = label_remark(column, task, look.rows)
            elif comment is None or comment.startswith("("):
                features.append(path)
            if comment:
                drawn.comments[f"event.fields.{path}"] = comment.strip("()")
    texts = [one for one in columns.values() if one.is_text and one.name not in (label, time, identity)]
    return finished(drawn, name, task, names[label], fields, features, [names[one.name] for one in longest(texts)])


def finished(
    drawn: Draft, name: str, task: str, label: str, fields: dict, features: list[str], texts: list[str]
) -> Draft:
    """The draft with its document: a text model if there is a text and hardly anything else to learn from."""
    is_text = bool(texts) and task == "classification" and len(features) <= 1
    if is_text:
        features = texts[:1]
        about = fields[features[0]]
        fields[features[0]] = "text" if isinstance(about, str) else {**about, "type": "text"}
        drawn.comments[f"event.fields.{features[0]}"] = "a row without a text is refused"
    if not features:
        found = ", ".join(fields)
        raise WrongInput(f"expected columns to learn from, found none among {found}: ids, constants, dates, long texts")
    own_time = "column" in fields["eventTimestamp"]
    drawn.comments["model.kind"] = (
        "a text, and hardly anything else" if is_text else "columns of numbers and categories"
    )
    few = "few different values: classes" if task == "classification" else "many numbers: a number"
    drawn.comments["model.task"] = few
    drawn.comments["model.split"] = "the newest rows test" if own_time else "time, if eventTimestamp is the row's own"
    drawn.document = {
        "name": name,
        "description": f"Learns {label} from {'a text' if is_text else f'{len(features)} columns'}",
        "model_prefix": f"{name}-model",
        "event": {"id": "eventId", "time": "eventTimestamp", "fields": fields},
        "query": query_of([one for one in fields if one not in ("eventId", "eventTimestamp")]),
        "model": {
            "kind": "text" if is_text else "table",
            "task": task,
            "label": label,
            "features": features,
            "split": "time" if own_time else "random",
            "metric": "macro_f1" if task == "classification" else "mae",
            "tolerance": 0.01,
        },
    }
    return drawn


def no_column(flag: str, column: str, columns: Iterable[str]) -> str:
    shown = ", ".join(name[:40] for name in list(columns)[:20])
    close = difflib.get_close_matches(column.lower(), [name.lower() for name in columns], 1)
    hint = next((f"; did you mean {name}?" for name in columns if close and name.lower() == close[0]), "")
    return f"--{flag}: expected one of the columns {shown}, found {column}{hint}"


def task_of(label: Column, rows: int) -> str:
    """What can be learned of a label. Raises WrongInput if nothing can."""
    classes, count, place = label.classes, label.present - label.others, f"--label={label.name}"
    if not count:
        raise WrongInput(f"{place}: expected labels, found none on any of {rows:,} rows")
    if len(classes) == 1 and not label.more:
        raise WrongInput(f"{place}: expected at least two classes, found only {next(iter(classes))[:40]!r}")
    if count < MIN_ROWS:
        raise WrongInput(f"{place}: expected at least {MIN_ROWS} rows with a label, found {count}")
    if label.type in ("integer", "number") and (
        len(classes) > (FEW if label.type == "integer" else 2) or label.more or len(classes) * 2 > count
    ):
        return "regression"
    if label.type in ("timestamp", "json"):
        kind = "times" if label.type == "timestamp" else "arrays"
        raise WrongInput(f"{place}: expected classes or numbers, found {kind}; another column is the label")
    if label.more or len(classes) > MAX_CLASSES or len(classes) * 2 > count:
        shown = f"{len(classes):,}{' or more' if label.more else ''} different values on {count:,} rows"
        raise WrongInput(f"{place}: expected several rows of a class, found {shown}; is it an id, or a text?")
    if len({clean_label(one) for one in classes} - {None}) < 2:
        raise WrongInput(f"{place}: expected at least two classes, found values that are no labels")
    return "classification"


def id_column(columns: list[Column], rows: int) -> str | None:
    """The column that tells rows apart, if there is one: no value twice or missing, and named like an id or a code."""
    for column in columns:
        codes = column.type == "string" and not column.blanks and column.longest <= 64 and column.longest >= 6
        if column.seen is None or column.present < rows or not column.name.strip() or rows < 2:
            continue
        if column.type in ("integer", "string") and IDS.search(column.name) and column.longest <= 200 or codes:
            return column.name
    return None


def field_of(column: Column, path: str, kind: str | None = None) -> dict | str:
    """The field, in its short form if it is named as its column is."""
    kind = kind or column.type
    return kind if column.name == path else {"type": kind, "column": column.name}


def remark(column: Column, rows: int) -> str | None:
    """Why a column is no feature; in parentheses what is to be known of one that is; None if nothing is to be said."""
    kind, present = column.type, column.present
    if not present:
        return "no row has a value: no feature"
    if len(column.classes) == 1 and not column.more and present == rows:
        return "the same value in each row: no feature"
    if kind == "timestamp":
        return "a time: no feature; the query can make one of it, such as month(…)"
    if kind == "json":
        return "arrays: no feature"
    if (
        column.seen is not None
        and present > 1
        and (kind == "integer" and column.rises or kind in ("integer", "string") and IDS.search(column.name))
    ):
        return "another value in each row, as an id has: no feature"
    if column.is_text:
        return "a text: no feature of a table"
    if kind == "string" and (
        column.more or len(column.counts) > MAX_CATEGORIES or len(column.counts) * 2 > present > 10
    ):
        comma = "numbers with a decimal comma, which are texts here: " if column.with_comma > present / 2 else ""
        return f"{comma}nearly each row has a value of its own: no feature"
    if column.others:
        return f"({column.others:,} of {present:,} values are no numbers; landing refuses their rows)"
    if column.kinds["code"] and kind == "string":
        return "(digits that are no number, such as 007: categories)"
    missing = rows - present
    return f"({missing:,} of {rows:,} rows have none)" if missing else None


def label_remark(column: Column, task: str, rows: int) -> str:
    classes, missing = column.classes, rows - column.present
    told = f"the label, {len(classes):,} classes" if task == "classification" else "the label"
    if column.others:
        told += f"; {column.others:,} values are no numbers, and landing refuses their rows"
    if task == "classification" and (rare := sum(count < 10 for count in classes.values())):
        told += f", {rare:,} of them rarer than 10 rows"
    return told + (f"; {missing:,} rows have none: they are predicted and not trained on" if missing else "")


def longest(texts: list[Column]) -> list[Column]:
    return sorted(texts, key=lambda one: -one.characters / one.values)


def safe_names(columns: Iterable[str]) -> dict[str, str]:
    """Column → a name of letters, digits and _ that is its own, whatever the case."""
    names: dict[str, str] = {}
    used = set(TAKEN)
    for column in columns:
        plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
        base = re.sub(r"\W+", "_", plain.lower()).strip("_")[:60].strip("_") or "column"
        base = f"_{base}" if base[0].isdigit() else base
        name, number = base, 1
        while name in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name)
        names[column] = name
    return names


def safe_name(text: str) -> str:
    """The name of a pipeline, made of a file's name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return (name if name[:1].isalpha() else f"data-{name}".strip("-"))[:30].strip("-")


def query_of(fields: list[str]) -> str:
    """One SELECT of all fields, and what a table's row has beside them."""
    columns = ["eventId", "eventTime AS eventTimestamp", *fields, "pubsub.messageId", "publishTime"]
    columns.append("date_format(coalesce(publishTime, eventTime), 'yyyy-MM-dd') AS dt")
    return "SELECT " + ",\n       ".join(columns) + "\nFROM events"
