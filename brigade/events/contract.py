"""What a pipeline's events must hold, as data: the fields, their types, which of them are required, the id and the time.

A definition's `event` section says it (docs/pipelines.md). `brigade.events.event` reads messages by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType

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
    """A field of an event.

    path: its name, and before it those of the objects that it lies in. type: one of TYPES; a text is a string that is
    not blank, json is any value, kept as its JSON text, a list is an array of objects. items: the members of these.
    """

    path: Path
    type: str
    required: bool = False
    items: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Contract:
    """The fields of an event. id, time: the dotted names of the fields that hold them."""

    id: str
    time: str
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, event: Mapping) -> "Contract":
        """The contract in the `event` section of a checked definition: {"id", "time", "fields": {name: type or {…}}}."""
        fields = []
        for name, given in event["fields"].items():
            about = {"type": given} if isinstance(given, str) else given
            items = tuple(about.get("items") or ())
            fields.append(
                Field(
                    tuple(name.split(".")), about["type"], bool(about.get("required")) or about["type"] == "text", items
                )
            )
        return cls(event["id"], event["time"], tuple(fields))

    def about(self) -> dict:
        """The section again, as JSON, every field in its long form."""
        fields = {}
        for one in self.fields:
            items = {"items": dict.fromkeys(one.items, "json")} if one.items else {}
            fields[one.name] = {"type": one.type, "required": one.required} | items
        return {"id": self.id, "time": self.time, "fields": fields}

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
    def lists(self) -> tuple[Path, ...]:
        return self.of_type("list")

    @cached_property
    def integers(self) -> tuple[Path, ...]:
        return self.of_type("integer")

    def of_type(self, kind: str) -> tuple[Path, ...]:
        return tuple(one.path for one in self.fields if one.type == kind)


DOCUMENTS = Contract.of(
    {
        "id": "eventId",
        "time": "eventTimestamp",
        "fields": {
            "eventId": {"type": "string", "required": True},
            "eventTimestamp": {"type": "timestamp", "required": True},
            "eventSource": "json",
            "eventType": "json",
            "eventVersion": "json",
            "doc.docId": {"type": "string", "required": True},
            "doc.payload": {"type": "text", "required": True},
            "doc.metadata.accountId": "json",
            "doc.metadata.superTag01": "json",
            "doc.metadata.superTag02": "json",
            "doc.metadata.otherTags": {"type": "list", "items": {"tagName": "json", "tagValue": "json"}},
        },
    }
)
