"""What the events of a pipeline hold, as data: their fields, which of them are required, which are the id and the time.

DOCUMENTS is the contract of this project's own events. A pipeline definition has its own in its section `event`. A
contract imports nothing of them, so it travels to the workers of Beam and Spark.
"""

from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any

# string: a JSON string. text: a required string that is not blank. number: a finite double. integer: of 64 bits.
# boolean. timestamp: RFC 3339. json: any value, kept as its JSON text. list: an array of objects, whose members are
# named by `items`.
TYPES = ("string", "text", "number", "integer", "boolean", "timestamp", "json", "list")
Path = tuple[str, ...]
PYTHON_TYPES: dict[str, set[type]] = {  # of a parsed value
    "string": {str},
    "text": {str},
    "timestamp": {str},
    "number": {int, float},
    "integer": {int},
    "boolean": {bool},
    "object": {dict},
    "list": {list},
}


@dataclass(frozen=True)
class Field:
    """One field of an event. path: ("doc", "payload"). items: the names in the objects of a list."""

    path: tuple[str, ...]
    type: str
    required: bool = False
    items: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path as definitions write it: doc.payload."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Contract:
    """The fields of an event; `id` and `time` name two of them by their dotted paths."""

    id: str
    time: str
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, event: dict) -> "Contract":
        """The contract that a checked section `event` describes, each field in its long or its short form."""
        return cls(event["id"], event["time"], tuple(field_of(*one) for one in event["fields"].items()))

    def about(self) -> dict:
        """The section `event` again, each field in its long form."""
        return {"id": self.id, "time": self.time, "fields": {one.name: about_field(one) for one in self.fields}}

    # What follows is looked up for each event, so it is computed once.

    @cached_property
    def required(self) -> tuple[tuple[Path, str], ...]:
        """The path and type of each required field."""
        return tuple((one.path, one.type) for one in self.fields if one.required)

    @cached_property
    def optional(self) -> tuple[tuple[Path, str], ...]:
        """What may be absent or null, and is of a type if it is there: optional fields, and the objects they lie in,
        each before what it holds."""
        held = {path[:depth] for path, _ in self.required for depth in range(1, len(path))}
        found: dict[Path, str] = {}
        for one in self.fields:
            if not one.required:
                objects = (one.path[:depth] for depth in range(1, len(one.path)))
                found |= {path: "object" for path in objects if path not in held and path not in found}
                if one.type != "json":
                    found[one.path] = one.type
        return (*found.items(), (("pubsub",), "object"))

    @cached_property
    def times(self) -> tuple[Path, ...]:
        """The paths of all timestamps, the event's own first."""
        return tuple(sorted(self.of_type("timestamp"), key=lambda path: ".".join(path) != self.time))

    @cached_property
    def texts(self) -> tuple[Path, ...]:
        """The paths of the texts that must not be blank."""
        return self.of_type("text")

    @cached_property
    def has_numbers(self) -> bool:
        return any(one.type in ("number", "integer") for one in self.fields)

    @cached_property
    def objects(self) -> tuple[tuple[Path, tuple[tuple[str, frozenset[type]], ...]], ...]:
        """For each object, outer ones first, its path and its members with the Python types that they may have."""
        found: dict[Path, dict[str, frozenset[type]]] = {}
        outer = [(path[:depth], "object") for path, _ in self.required for depth in range(1, len(path))]
        for members, missing in (((*outer, *self.required), set()), (self.optional, {NoneType})):
            for path, kind in members:
                found.setdefault(path[:-1], {})[path[-1]] = frozenset(PYTHON_TYPES[kind] | missing)
        return tuple((path, tuple(found[path].items())) for path in sorted(found, key=len))

    @cached_property
    def is_of_documents(self) -> bool:
        return self == DOCUMENTS

    @cached_property
    def lists(self) -> tuple[Path, ...]:
        return self.of_type("list")

    @cached_property
    def integers(self) -> tuple[Path, ...]:
        return self.of_type("integer")

    def of_type(self, kind: str) -> tuple[Path, ...]:
        return tuple(one.path for one in self.fields if one.type == kind)


def field_of(path: str, about: Any) -> Field:
    """The field of a dotted path and its long form {"type": …, …}, or its short form, the type alone."""
    long = {"type": about} if isinstance(about, str) else about
    required = bool(long.get("required")) or long["type"] == "text"
    return Field(tuple(path.split(".")), long["type"], required, tuple(long.get("items") or ()))


def about_field(field: Field) -> dict:
    """The long form of a field."""
    about: dict = {"type": field.type}
    if field.required:
        about["required"] = True
    if field.items:
        about["items"] = dict.fromkeys(field.items, "json")
    return about


DOCUMENTS = Contract(
    "eventId",
    "eventTimestamp",
    (
        Field(("eventId",), "string", required=True),
        Field(("eventTimestamp",), "timestamp", required=True),
        Field(("eventSource",), "json"),
        Field(("eventType",), "json"),
        Field(("eventVersion",), "json"),
        Field(("doc", "docId"), "string", required=True),
        Field(("doc", "payload"), "text", required=True),
        Field(("doc", "metadata", "accountId"), "json"),
        Field(("doc", "metadata", "superTag01"), "json"),
        Field(("doc", "metadata", "superTag02"), "json"),
        Field(("doc", "metadata", "otherTags"), "list", items=("tagName", "tagValue")),
    ),
)
