"""Events of the contract for tests, as objects, as lines and as files."""

import gzip
import json
from pathlib import Path

TAGS = [{"tagName": "otherTag01", "tagValue": "A"}, {"tagName": "otherTag02", "tagValue": "X"}]


def event(event_id: str = "e1", doc: dict | None = None, published: str | None = None, **changes) -> dict:
    """An event of the contract; `changes` replace its fields, `published` adds what landing adds."""
    metadata = {"accountId": "EA2425CF", "superTag01": "A", "superTag02": "C", "otherTags": TAGS}
    inner = {"schemaVersion": "1.0", "docId": "CF2909E5", "metadata": metadata, "payload": "texto teste"} | (doc or {})
    whole = {"eventTimestamp": "2019-04-02T21:55:57Z", "eventId": event_id, "eventSource": "doc.contract"}
    whole |= {"eventVersion": "1.0", "eventType": "DocSchedule", "doc": inner}
    if published:
        whole["pubsub"] = {"messageId": "17", "publishTime": published, "attributes": {}}
    return whole | changes


def line(*arguments, **changes) -> str:
    return json.dumps(event(*arguments, **changes), ensure_ascii=False)


def without(*path: str) -> str:
    """An event's line that lacks the field at the path."""
    whole = event()
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(whole)


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{one}\n" for one in lines).encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
