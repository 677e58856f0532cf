"""Makes a document the event that Brigade reads.

The ids of an event follow from the document's place in its source, its text and its label. So publishing the same
source twice adds no document.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from brigade.publishing.generated import generate


@dataclass(frozen=True)
class Message:
    """The bytes to publish, and the document's text and label. `text` is None for a line that is not a JSON object."""

    data: bytes
    text: str | None = None
    label: str | None = None


def event(text: str, label: str | None, position: str, **metadata: Any) -> Message:
    """A document as an event. `position` is its place in its source."""
    event_id = hashlib.sha1(orjson.dumps([position, text, label])).hexdigest()
    kind = re.sub(r"[^\w.-]+", "_", label.lower()) if label else "document"
    labelled = {"superTag01": label} if label else {}
    doc = {"schemaVersion": "1.0", "docId": str(uuid.uuid5(uuid.NAMESPACE_OID, event_id)).upper()}
    content = {
        "eventTimestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventId": event_id,
        "eventSource": f"doc.{kind}",
        "eventVersion": "1.0",
        "eventType": "DocSchedule",
        "doc": doc | {"metadata": labelled | metadata, "payload": text},
    }
    return Message(orjson.dumps(content), text, label)


def generated(n: int, seed: int) -> Iterator[Message]:
    """The first n generated documents of the seed."""
    for number, document in enumerate(generate(n, seed)):
        tags = {"channel": document.channel, "region": document.region}
        metadata = {
            "accountId": document.account_id,
            "superTag02": document.language,
            "otherTags": [{"tagName": name, "tagValue": value} for name, value in tags.items()],
        }
        yield event(document.text, document.label, f"seed {seed} {number}", **metadata)
