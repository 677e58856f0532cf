"""The form of a pipeline definition, for pydantic: keys, types and ranges. What holds between keys is in `check`.

The JSON Schema of these classes is docs/pipeline.schema.json, by which editors complete and check a definition. Each
description completes the sentence "expected …".
"""

import difflib
import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

NAME = r"^[a-z][a-z0-9-]{0,29}$"
PREFIX = r"^[a-z]([a-z0-9-]{0,58}[a-z0-9])?$"
COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
PART = r"""[^\x00-\x20\x7f.`"\\]([^\x00-\x1f\x7f.`"\\]*[^\x00-\x20\x7f.`"\\])?"""
PATH = rf"^{PART}(\.{PART})*$"
LINE = r"^[^\x00-\x1f\x7f]*$"
PATTERNS = {  # what a pattern asks for, in words
    NAME: "a lower-case name of letters, digits and -, at most 30 characters",
    PREFIX: "a lower-case name of letters, digits and -, at most 60 characters",
    COLUMN: "a column's name of letters, digits and _",
    PATH: "names parted by dots, without quotes, blanks at their ends and control characters",
    LINE: "one line",
}

ColumnName = Annotated[str, Field(pattern=COLUMN)]
Query = Annotated[str, Field(pattern=r"\S", max_length=1 << 20)]
Outcome = Literal["error", "warning", "nothing"]
FieldType = Literal["string", "text", "number", "integer", "boolean", "timestamp", "json", "list"]


class Form(BaseModel):
    """No key but those named, and no type but the one that is named."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def with_short_form(schema: dict) -> None:
    """A field may be its type alone, which the model itself takes before validation."""
    long = dict(schema)
    schema.clear()
    schema["anyOf"] = [long["properties"]["type"], long]


class FieldForm(Form):
    """A field of an event: its type alone, or an object."""

    model_config = ConfigDict(json_schema_extra=with_short_form)

    type: FieldType = Field(description="the field's type")
    required: bool = Field(False, description="true if an event without it is refused, else false")
    column: str | None = Field(
        None, min_length=1, description="the name of its column in files, if it is not the path's last part"
    )
    items: dict[Annotated[str, Field(pattern=COLUMN)], Literal["json"]] | None = Field(
        None, min_length=1, description="the names of what a list's objects hold, each with json"
    )

    @model_validator(mode="before")
    @classmethod
    def long_form(cls, value: Any) -> Any:
        """`colour: string` is short for `colour: {type: string}`."""
        return {"type": value} if isinstance(value, str) else value


class EventForm(Form):
    """What an event holds."""

    id: str = Field(description="the path of the field that is the event's id")
    time: str = Field(description="the path of the field that is the event's time")
    fields: dict[Annotated[str, Field(pattern=PATH, max_length=255)], FieldForm] = Field(
        min_length=1, description="the fields, each a dotted path with its type"
    )


class ModelForm(Form):
    """What is learned, and how."""

    kind: Literal["text", "table"] = Field(description="what a row is: text, or a table's columns")
    task: Literal["classification", "regression"] = Field(description="what is learned: a class or a number")
    label: ColumnName = Field(description="the column to learn")
    features: list[ColumnName] = Field(min_length=1, description="the columns to learn from")
    split: Literal["random", "time"] = Field("random", description="which rows test: random ones or the newest")
    metric: Literal["macro_f1", "mae"] | None = Field(None, description="the gate's figure; it follows from the task")
    tolerance: float = Field(0.01, ge=0, le=1, description="a number from 0 to 1, how much worse a new model may be")
    baseline: ColumnName | None = Field(None, description="a column that is a forecast by itself")
    query: Query | None = Field(None, description="one SELECT … FROM rows, which makes features of the whole table")
    horizon: int | None = Field(None, ge=1, le=100_000, description="a whole number that model.query sees as :horizon")


class CheckForm(Form):
    """What training asks of its data before it learns them."""

    least_events: int = Field(20, ge=0, description="a whole number, with fewer events training stops")
    least_labelled: float = Field(
        0.01, ge=0, le=1, description="a number from 0 to 1, the share of labelled events that there must be"
    )
    most_duplicates: float | None = Field(
        None, ge=0, le=1, description="a number from 0 to 1, the share of events that may repeat others"
    )
    most_of_one_source: float | None = Field(
        None, ge=0, le=1, description="a number from 0 to 1, the share of events that may come from one source"
    )
    vanished_class: Outcome = Field("error", description="what comes of a class that is no more")
    new_class: Outcome = Field("warning", description="what comes of a class that is new")
    drift: Outcome = Field("warning", description="what comes of strong drift")


class MonitoringForm(Form):
    """What is looked at between two trainings, and from when on it is told."""

    alpha: float = Field(
        0.0005, gt=0, le=0.5, description="a number above 0, at most 0.5, how often a look may find something by chance"
    )
    distance: float = Field(
        0.05, ge=0, le=1, description="a number from 0 to 1, the Jensen-Shannon distance from which on drift is told"
    )
    psi: float = Field(
        0.25, ge=0, le=10, description="a number from 0 to 10, the stability index from which on drift is an error"
    )
    source: ColumnName | None = Field(None, description="the column that says where an event comes from")
    ignore: list[ColumnName] | None = Field(None, description="columns that nobody looks at")
    categories: list[ColumnName] | None = Field(None, description="columns that are categories, whatever they hold")
    check: CheckForm | None = Field(None, description="what training asks of its data")


class PipelineForm(Form):
    """A pipeline definition."""

    model_config = ConfigDict(title="Brigade pipeline definition")

    name: str = Field(pattern=NAME, description="the pipeline's name")
    description: str | None = Field(None, pattern=LINE, max_length=300, description="what it is, in one line")
    model_prefix: str = Field(pattern=PREFIX, description="how the names of its models begin")
    event: EventForm = Field(description="what an event holds")
    query: Query = Field(description="one SELECT … FROM events that yields a row for each event")
    model: ModelForm = Field(description="what is learned")
    monitoring: MonitoringForm | None = Field(None, description="what is looked at between two trainings")


class Problem(NamedTuple):
    """What is wrong at a key: what was expected there, what was found, and what to do."""

    path: str
    expected: str
    found: str
    hint: str = ""

    def line(self, source: str) -> str:
        """The problem in one line."""
        place = f"{source}: {self.path}" if self.path else source
        told = f"{place}: expected {self.expected}, found {self.found}" + (f"; {self.hint}" if self.hint else "")
        return " ".join(told.split())


def json_schema() -> str:
    """The JSON Schema as docs/pipeline.schema.json holds it."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | PipelineForm.model_json_schema()
    return json.dumps(about, indent=2, ensure_ascii=False) + "\n"


def form_problems(document: Any) -> list[Problem]:
    """What is wrong with the form of a parsed document; empty if nothing is."""
    if not isinstance(document, dict):
        return [Problem("", "a mapping with the keys " + ", ".join(PipelineForm.model_fields), shown(document))]
    try:
        PipelineForm.model_validate(document)
    except ValidationError as error:
        return [problem_of(dict(one), document) for one in error.errors(include_url=False)]
    return []


def problem_of(error: dict, document: dict) -> Problem:
    """One of pydantic's errors in this project's words."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    loc = tuple(part for part in error["loc"] if part != "[key]")
    is_short = loc[:2] == ("event", "fields") and len(loc) == 4 and isinstance(document["event"]["fields"][loc[2]], str)
    path = path_of(loc[:3] if is_short else loc)
    if kind == "extra_forbidden":
        keys = [*form_at(loc[:-1]).model_fields]
        found = f"{loc[-1]}, which is no key"
        return Problem(path, f"one of {', '.join(keys)}", found, did_you_mean(str(loc[-1]), keys))
    if kind == "missing":
        return Problem(path, described(loc), "nothing")
    if "[key]" in error["loc"] and kind == "string_type":
        return Problem(path_of(loc[:-1]), "names", shown(value), "put it in quotes")
    return Problem(path, *expectation(kind, context, loc, value))


def expectation(kind: str, context: dict, loc: tuple, value: object) -> tuple[str, ...]:
    """What was expected where pydantic found an error, what was found, and perhaps a hint."""
    match kind:
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            expected = " or ".join(choices) if len(choices) < 3 else f"one of {', '.join(choices)}"
            return expected, shown(value), did_you_mean(value, choices)
        case "string_pattern_mismatch":
            return PATTERNS.get(context["pattern"], described(loc)), shown(value)
        case "string_type" if isinstance(value, (bool, int, float, date)):
            return described(loc), shown(value), "put it in quotes if it is meant so"
        case "string_too_long":
            return f"at most {context['max_length']} characters", str(len(str(value)))
        case "too_short":
            return described(loc), "none"
        case _:
            return described(loc), shown(value)


def form_at(loc: tuple) -> type[Form]:
    """The class of the object at a place."""
    if not loc:
        return PipelineForm
    if loc[:2] == ("event", "fields"):
        return FieldForm
    if loc[:2] == ("monitoring", "check"):
        return CheckForm
    if loc[0] == "monitoring":
        return MonitoringForm
    return EventForm if loc[0] == "event" else ModelForm


def described(loc: tuple) -> str:
    """What is expected at a place: the words of its description."""
    if loc[:2] == ("event", "fields"):
        if len(loc) == 2:
            return EventForm.model_fields["fields"].description or ""
        if len(loc) == 3:
            return "a type, or an object with a type"
        if len(loc) > 4:
            return "json"
        return FieldForm.model_fields[loc[3]].description or ""
    if isinstance(loc[-1], int):
        return PATTERNS[COLUMN]
    names = [part for part in loc if isinstance(part, str)]
    return form_at(tuple(names[:-1])).model_fields[names[-1]].description or ""


def path_of(loc: tuple) -> str:
    """A place as `model.features[2]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def shown(value: object) -> str:
    """A value as a line shows it: an object and a list by what they are, a long text cut."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def did_you_mean(found: object, names: list[str] | Iterator[str]) -> str:
    """A hint if one of the names is close to what was found."""
    close = difflib.get_close_matches(str(found).lower(), [*names], 1)
    return f"did you mean {close[0]}?" if close else ""
