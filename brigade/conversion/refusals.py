"""Says why a line is not an event, with the reader that landing and serving have: `brigade.events.event`.

Python sees only lines that Spark has not clearly found to be events, and for the others there is nothing to send.
"""

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from brigade.events.contract import Contract
from brigade.events.event import NotAnEvent, read_event
from brigade.events.json_text import check_object, parse
from brigade.events.rules import MAX_EVENT_BYTES

Refusal = tuple[str, str]  # a reason and its detail


def of_event(line: bytes | None, contract: Contract) -> Refusal | None:
    """Why the line is not an event of the contract; None if it is one, or if there is none to look at."""
    if line is None:
        return None
    # What has landed was measured there, without its `pubsub`.
    limit = len(line) if len(line) > MAX_EVENT_BYTES and has_landed(line) else MAX_EVENT_BYTES
    try:
        read_event(line, limit, contract)
    except NotAnEvent as problem:
        return problem.reason, problem.detail
    return None


def has_landed(line: bytes) -> bool:
    try:
        event = parse(line)
    except NotAnEvent:
        return False
    pubsub = event.get("pubsub") if isinstance(event, dict) else None
    return isinstance(pubsub, dict) and isinstance(pubsub.get("messageId"), str)


def of_object(line: bytes | None) -> Refusal | None:
    """Why the line is not one JSON object with any fields at all; None if it is one, or if there is none to look at."""
    try:
        if line is not None and not check_object(parse(line)):
            raise NotAnEvent("missing_field", "eventId")
    except NotAnEvent as problem:
        return problem.reason, problem.detail
    return None


REFUSAL = StructType([StructField("reason", StringType()), StructField("detail", StringType())])


def refusal_by(contract: Contract | None) -> Callable[[Column], Column]:
    """A column of lines → why they are not events of the contract. None: any JSON object is an event."""
    judge = of_object if contract is None else lambda line: of_event(line, contract)
    return F.udf(judge, REFUSAL, useArrow=False)
