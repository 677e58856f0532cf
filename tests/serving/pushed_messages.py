"""Messages and events as they are pushed, good ones and poison, and `classify` with its topics."""

import base64
import itertools
import json

EVENT = {
    "eventTimestamp": "2019-04-02T21:55:57Z",
    "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
    "eventSource": "doc.contract",
    "doc": {"docId": "CF2909E5", "metadata": {"superTag01": "A"}, "payload": "texto teste"},
}


numbers = itertools.count()


EVENTARC = {
    "ce-id": "4711",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/brigade-test/topics/topic-brigade",
    "content-type": "application/json",
}


def envelope(data: bytes, attributes: dict[str, str]) -> dict:
    """What Pub/Sub posts to a push endpoint."""
    message = {"data": base64.b64encode(data).decode(), "messageId": "4711", "attributes": attributes}
    return {"message": message, "subscription": "projects/brigade-test/subscriptions/sub-brigade-push"}


def without(*path: str) -> bytes:
    event = json.loads(json.dumps(EVENT))
    *parents, last = path
    inner = event
    for name in parents:
        inner = inner[name]
    del inner[last]
    return json.dumps(event).encode()


def having(**changes) -> bytes:
    return json.dumps(EVENT | changes).encode()


class Pushed:
    """`classify` with its two topics on the emulator, and what it published there."""

    def __init__(self, serve, pubsub, **environment: str):
        number = next(numbers)
        self.pubsub = pubsub
        results, dead = (pubsub.topic(f"{name}-{number}") for name in ("classified", "dead-letter"))
        self.results = pubsub.subscription(results, f"sub-classified-{number}")
        self.dead = pubsub.subscription(dead, f"sub-dead-letter-{number}")
        topics = {"RESULT_TOPIC": results, "DEAD_LETTER_TOPIC": dead.split("/")[-1]}
        self.client = serve("classify", **({"GOOGLE_CLOUD_PROJECT": pubsub.project} | topics | environment))

    def push(self, data: bytes, attributes: dict[str, str] | None = None):
        return self.client.post("/", json=envelope(data, attributes or {}))

    def result(self):
        """The one message on the result topic."""
        (message,) = self.pubsub.pull_all(self.results, 1)
        return message

    def dead_letter(self):
        (message,) = self.pubsub.pull_all(self.dead, 1)
        return message


OWN_BYTES = (
    b' {"eventId":"1",\n"eventTimestamp" : "2019-04-02t21:55:57.123456789+02:00",'
    b' "big": 123456789012345678901234567890, "float": 1.0e5, "escape": "\\u00e7\\/",'
    b' "twice": 1, "twice": 2,\t'
    b'"doc": {"docId": "1", "payload": "\\u0061 text"} \n'
)


POISON = [
    (b'{"eventId": "\xff"}', "not_utf8", "byte 13 is not valid UTF-8"),
    (b'{"eventId": "secret', "malformed_json", ""),
    (b"", "malformed_json", ""),
    (b"{} {}", "malformed_json", ""),
    (b'{"a": NaN}', "malformed_json", ""),
    (b"[" * 2000 + b"]" * 2000, "malformed_json", "depth limit exceeded"),
    (b'["secret"]', "not_an_object", "expected an object, found an array"),
    (b"12", "not_an_object", "found a number"),
    (without("eventId"), "missing_field", "eventId"),
    (without("eventTimestamp"), "missing_field", "eventTimestamp"),
    (without("doc"), "missing_field", "doc"),
    (without("doc", "docId"), "missing_field", "doc.docId"),
    (without("doc", "payload"), "missing_field", "doc.payload"),
    (having(doc="secret"), "wrong_type", "doc: expected an object, found a string"),
    (having(eventId=7), "wrong_type", "eventId: expected a string, found a number"),
    (having(doc={"docId": "1", "payload": None}), "wrong_type", "doc.payload: expected a string, found null"),
    (having(eventTimestamp="yesterday"), "bad_timestamp", "expected RFC 3339"),
    (having(eventTimestamp="2019-04-02T21:55:57"), "bad_timestamp", "expected RFC 3339"),
    (having(eventTimestamp="2019-02-30T21:55:57Z"), "bad_timestamp", "expected RFC 3339"),
    (having(doc={"docId": "1", "payload": " \n"}), "empty_payload", "doc.payload"),
    (having(eventId=""), "missing_field", "eventId is empty"),
    (having(doc={"docId": "", "payload": "secret"}), "missing_field", "doc.docId is empty"),
]
TOO_LARGE = (having(filler="secret" * (1 << 20)), "too_large", "expected at most 4194304 bytes")
