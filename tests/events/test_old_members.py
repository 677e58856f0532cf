"""An event's member is replaced and its other bytes stay."""

import pytest

from brigade.events.members import without_member

OLD_MEMBERS = [
    (b'{"a": 1, "old": 2, "b": 3}', b'{"a": 1, "b": 3}'),
    (b'{ "old" : {"old": [1, 2]}\n,\r\n "a"\t: [ 1 , {"old": 2} ] }', b'{"a"\t: [ 1 , {"old": 2} ]}'),
    (b'{"old": 1, "old": 2}', b"{}"),
    (b'{"\\u006fld": 1, "old ": 2, "Old": 3}', b'{"old ": 2, "Old": 3}'),
    (b'{"a": "}, \\"old\\": 1, {", "old": "\\\\", "b": "]\\\\"}', b'{"a": "}, \\"old\\": 1, {", "b": "]\\\\"}'),
    ('{"é": "ü", "old": "\u2028", "ß": ""}'.encode(), '{"é": "ü", "ß": ""}'.encode()),
    (b'{"old": 1, "number": ' + b"1" * 5000 + b"}", b'{"number": ' + b"1" * 5000 + b"}"),
    (
        b'{"old": 1, "deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ),
]


@pytest.mark.parametrize("text, kept", OLD_MEMBERS, ids=lambda text: text[:30])
def test_an_old_member_is_taken_out_and_the_others_stay_as_they_are(text, kept):
    assert without_member(text.decode(), "old").encode() == kept
