"""What a landed line holds: the event's own bytes, and one member more."""

import json

from hypothesis import given
from hypothesis import strategies as st

from brigade.events.event import NotAnEvent, read_event
from brigade.events.members import landed_line
from tests.events.examples import event


def test_a_landed_line_keeps_the_event_s_own_bytes():
    own = (
        b'{ "eventId":"1",\r\n "eventTimestamp" : "2019-04-02T21:55:57Z", "big": 123456789012345678901234567890,\n'
        b'"float": 1.0e5, "tiny": 1e-400, "escaped": "\\u00e9\\n", "plain": "\xc3\xa9", "unknown": {"a": [1, 2.50]},'
        b'"doc": {"docId": "2", "payload": "texto"}}\n'
    )
    line = landed_line(own, read_event(own), {"messageId": "m"})
    kept = own.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    assert line == kept[:-1] + b', "pubsub": {"messageId":"m"}}\n'


def test_a_landed_line_that_is_published_again_gets_the_new_message_s_identity():
    own = (
        b'{"pubsub": {"messageId": "old", "x": [1, {"}": "]"}]}, "big": 12345678901234567890123, "f": 1.50, '
        + event()[1:]
    )
    line = landed_line(own, read_event(own), {"messageId": "new"})
    assert line.count(b'"pubsub"') == 1
    assert b'"big": 12345678901234567890123, "f": 1.50' in line
    assert json.loads(line) == json.loads(event()) | {
        "big": 12345678901234567890123,
        "f": 1.5,
        "pubsub": {"messageId": "new"},
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.integers(0, 4), st.booleans())
def test_whatever_else_an_event_carries_comes_out_as_it_went_in(extra, indent, ascii_only):
    sent = extra | json.loads(event())
    try:
        data = json.dumps(sent, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        data = json.dumps(sent, indent=indent).encode()
    try:
        read = read_event(data)
    except NotAnEvent as problem:
        assert problem.reason == "malformed_json" and "\\ud" in data.decode()
        return
    line = landed_line(data, read, {"messageId": "m"})
    assert line.count(b"\n") == 1 and b"\r" not in line
    assert json.loads(line) == {**sent, "pubsub": {"messageId": "m"}}
