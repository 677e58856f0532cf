"""What the events of a pipeline hold, as data: their fields, which of them are required, which are the id and the time.

DOCUMENTS is the contract of this project's own events. A pipeline definition has its own in its section `event`. A
contract imports nothing, so it travels to the workers of Beam and Spark.
"""

from dataclasses import dataclass
from typing import Any

# string: a JSON string. text: a required string that is not blank. number: a finite double. integer: of 64 bits.
# boolean. timestamp: RFC 3339. json: any value, kept as its JSON text. list: an array of objects, of which `items` names
# the members.
TYPES = ("string", "text", "number", "integer", "boolean", "timestamp", "json", "list")


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
