"""What `make demo DRIFT=…` does to the unseen events before they are published, as if they had changed upstream."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from brigade.events import contract
from brigade.models.event_fields import feature_fields
from brigade.pipelines.definition import Definition

CUT = 30  # characters
CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувьхыз")
NEW_CLASS = "complaint_by_phone"


class Fault(NamedTuple):
    """what: in words. of: the field that it changes, text, number or label. share: of the events. change: its value →
    another one."""

    what: str
    of: str
    share: float
    change: Callable[[Any], Any]


FAULTS = {
    "language": Fault("are in Cyrillic letters", "text", 0.2, lambda text: text.lower().translate(CYRILLIC)),
    "html": Fault("stand in HTML", "text", 1.0, lambda text: f'<html><body class="mail"><p>{text}</p></body></html>'),
    "cut": Fault(f"are cut to {CUT} characters", "text", 1.0, lambda text: text[:CUT]),
    "empty": Fault("hold nothing but a dash", "text", 0.1, lambda text: "-"),
    "mojibake": Fault("are UTF-8 that was read as Latin-1", "text", 1.0, lambda text: text.encode().decode("latin-1")),
    "class": Fault("are a class that the model does not know", "label", 0.1, lambda label: NEW_CLASS),
    "unit": Fault("are in another unit, 1.8 x + 32", "number", 1.0, lambda value: 1.8 * value + 32),
    "missing": Fault("are missing", "number", 0.2, lambda value: None),
}


def field_of(fault: Fault, definition: Definition | None) -> contract.Path | None:
    """The path of the field that a fault changes; None if events have no such field. definition: None: documents."""
    if definition is None:
        return {"text": ("doc", "payload"), "label": ("doc", "metadata", "superTag01")}.get(fault.of)
    fields, section = feature_fields(definition.about(), definition.contract), definition.model
    if fault.of == "label":
        return fields.get(section.label) if section.task == "classification" else None
    if fault.of == "text":
        return fields.get(section.features[0]) if section.kind == "text" else None
    numbers = definition.contract.of_type("number")
    return next((fields[name] for name in section.features if fields.get(name) in numbers), None)


def possible(definition: Definition | None) -> list[str]:
    """The faults that the events of a pipeline can have."""
    if definition is not None and definition.model.query:
        return []  # its features look back over many events, of which the newest are a few
    return [name for name, fault in FAULTS.items() if field_of(fault, definition)]


def spoil(file: Path, name: str, definition: Definition | None) -> None:
    """Gives the events of a file a fault."""
    lines = with_fault(file.read_text("utf-8").splitlines(), name, definition)
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def with_fault(lines: list[str], name: str, definition: Definition | None) -> list[str]:
    """The events, one JSON text each, with a fault in the share of them that it has; the same ones each time."""
    fault, choose = FAULTS[name], random.Random(name)
    path = field_of(fault, definition)
    assert path, f"expected one of {possible(definition)}, found {name}"
    return [changed(line, path, fault.change) if choose.random() < fault.share else line for line in lines]


def changed(line: str, path: contract.Path, change: Callable[[Any], Any]) -> str:
    event = json.loads(line)
    place = event
    for part in path[:-1]:
        place = place.get(part) or {}
    if place.get(path[-1]) is not None:
        place[path[-1]] = change(place[path[-1]])
    return json.dumps(event, ensure_ascii=False)


def told(name: str, definition: Definition | None) -> str:
    """A fault in words."""
    fault = FAULTS[name]
    path = field_of(fault, definition) or ()
    share = "all" if fault.share == 1 else f"{fault.share:.0%}"
    return f"{share} of the values of {'.'.join(path)} {fault.what}"
