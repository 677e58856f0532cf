"""What is an event: what is refused, and for which reason."""

import json

import pytest

from brigade.events.contract import DOCUMENTS
from brigade.events.event import NotAnEvent, check_fields, is_clear_document, read_event
from brigade.events.json_text import parse
from tests.events.examples import TUTORIAL_EVENT, event
from tests.events.wild_events import texts


@pytest.mark.parametrize(
    "reason, data",
    [
        ("malformed_json", b"not json"),
        ("malformed_json", event()[:-5]),
        ("malformed_json", b""),
        ("malformed_json", b'{"a": NaN}'),
        ("malformed_json", b"[" * 5000 + b"]" * 5000),
        ("not_utf8", b'{"eventId": "\xff"}'),
        ("not_an_object", b"[" + event() + b"]"),
        ("not_an_object", b"3"),
        ("not_an_object", b"null"),
        ("missing_field", json.dumps({k: v for k, v in TUTORIAL_EVENT.items() if k != "eventId"}).encode()),
        ("missing_field", event(doc={"docId": "1"})),
        ("missing_field", event(eventId="")),
        ("missing_field", event(doc={"docId": "", "payload": "text"})),
        ("wrong_type", event(eventId=7)),
        ("wrong_type", event(doc="text")),
        ("wrong_type", event(doc={"docId": "1", "payload": {"a": "b"}})),
        ("wrong_type", event(eventTimestamp=None)),
        ("empty_payload", event(doc={"docId": "1", "payload": " \n\t"})),
        ("bad_timestamp", event(eventTimestamp="2019-02-30T00:00:00Z")),
        ("bad_timestamp", event(eventTimestamp="2019-04-02")),
        ("bad_timestamp", event(eventTimestamp="2019-04-02T21:55:57")),
        ("bad_timestamp", event(eventTimestamp="2019-04-02T21:55:57+18:01")),
        ("bad_timestamp", event(eventTimestamp="2019-04-02T21:55:57+05:75")),
        ("bad_timestamp", event(eventTimestamp="0001-01-01T00:00:00+05:00")),
        ("too_large", event(doc={"docId": "1", "payload": "x" * 9_000_000})),
    ],
)
def test_what_is_no_event_has_a_reason(reason, data):
    with pytest.raises(NotAnEvent) as problem:
        read_event(data)
    assert problem.value.reason == reason
    assert len(problem.value.detail) < 150


@pytest.mark.parametrize(
    "timestamp", ["2019-04-02T21:55:57Z", "2019-04-02t21:55:57.123456789z", "2019-04-02 21:55:57-03:00"]
)
def test_rfc_3339_timestamps_are_events(timestamp):
    assert read_event(event(eventTimestamp=timestamp))["eventTimestamp"] == timestamp


def test_the_details_of_a_dead_letter_hold_no_document_text():
    for data in (event()[:-40], event(doc={"docId": "1", "payload": ["texto secreto"]}), b'{"texto secreto'):
        with pytest.raises(NotAnEvent) as problem:
            read_event(data)
        assert "texto" not in problem.value.detail and "secreto" not in problem.value.detail


def test_what_is_a_document_at_a_glance_is_one_field_by_field():
    seen = 0
    for data, _ in texts():
        try:
            value = parse(data)
        except NotAnEvent:
            continue
        if isinstance(value, dict) and is_clear_document(value):
            check_fields(value, DOCUMENTS)  # raises if it is none
            seen += 1
    assert seen > 200
