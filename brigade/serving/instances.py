"""What instances and events are to the model that serves: a text, or a row of named values.

Where documents are served, they are read before a model is found, so that poison is a dead letter even without one; the
functions below then get None for the model. Any other model says by its kind and contract how they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from brigade.events.contract import Contract
from brigade.events.event import NotAnEvent, check_event, value_at
from brigade.events.json_text import json_type
from brigade.events.labels import label_of
from brigade.models.store import ServedModel
from brigade.serving import rows, texts
from brigade.serving.requests import Refused, instance_text


@dataclass
class Inputs:
    """What the model is asked. values: texts or rows. counts: what a log line says of how they were read."""

    values: list = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)


def read_inputs(served: ServedModel | None, instances: Sequence[object]) -> Inputs:
    """What the instances of a prediction request are to the model. Raises Refused, with the place of what is wrong."""
    if served is None:
        return Inputs([instance_text(f"instances[{index}]", one) for index, one in enumerate(instances)])
    reading = rows.Reading(served) if served.model.kind == "table" else texts.Reading(served)
    values = []
    for index, one in enumerate(instances):
        where = f"instances[{index}]"
        if not isinstance(one, dict):
            raise Refused(f"{where}: expected an object, found {json_type(one)}")
        if not is_event(one, served.contract):
            values.append(reading.bare(where, one))
            continue
        try:
            values.append(reading.event(check_event(one, served.contract)))
        except NotAnEvent as problem:
            raise Refused(f"{where}: expected an event, found {problem}") from problem
    return Inputs(values, reading.counts())


def read_message_event(served: ServedModel | None, event: dict) -> Inputs:
    """What a message's event, which is one by its contract, is to the model. Raises NotAnEvent if it has no text."""
    if served is None:
        return Inputs([event["doc"]["payload"]])
    reading = rows.Reading(served) if served.model.kind == "table" else texts.Reading(served)
    return Inputs([reading.event(event)], reading.counts())


def is_event(instance: dict, contract: Contract) -> bool:
    """Whether an instance is meant as a whole event: it has the contract's id."""
    return value_at(instance, tuple(contract.id.split("."))) is not None


def label_in(served: ServedModel, instance: dict, of_documents: bool) -> object:
    """What an instance that was read carries as its label; None if it carries none."""
    label = served.manifest.label
    if of_documents:
        return label_of(instance, label)
    if is_event(instance, served.contract):
        return value_at(instance, served.fields[label]) if label in served.fields else None
    value = instance.get(label)
    return value[0] if isinstance(value, list) and len(value) == 1 else value
