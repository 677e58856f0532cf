"""Events as nobody should send them: each text of the corpus in its place, and mutations of good ones."""

import json
from collections.abc import Iterator

from hypothesis import strategies as st

from brigade.events.rules import MAX_EVENT_BYTES
from tests.events import corpus
from tests.events.examples import TUTORIAL_EVENT, event
from tests.json_values import JSON


def written(path: str, *values: bytes) -> bytes:
    """The tutorial's event, with each of the values in its text at the path, one after the other."""
    *parents, name = path.split(".")
    whole = json.loads(json.dumps(TUTORIAL_EVENT))
    inner = whole
    for parent in parents:
        inner = inner[parent]
    inner.pop(name, None)
    inner |= {f"\0{number}": None for number in range(len(values))}
    data = json.dumps(whole).encode()
    for number, value in enumerate(values):
        data = data.replace(b'"\\u0000%d": null' % number, b'"%s": %s' % (name.encode(), value))
    return data


def texts() -> Iterator[tuple[bytes, str | None]]:
    """Every text of the corpus, and the reason for which it is refused."""
    kinds = ((corpus.GOOD_VALUES, None), (corpus.BAD_VALUES, corpus.BAD))
    for values, reason in kinds:
        yield from ((written("extra", value), reason) for value in values)
        yield from ((written("doc.metadata.extra", value), reason) for value in values if len(value) < 900)
    for value in corpus.INVALID_UTF8:
        yield written("extra", b'"' + value + b'"'), corpus.UTF8
        yield written("extra", value), corpus.UTF8
        yield written("doc.payload", b'"text ' + value + b'"'), corpus.UTF8
        yield written("extra", b'{"' + value + b'": 1}'), corpus.UTF8
    yield from corpus.TEXTS.items()
    yield from ((written(path, *([] if value is None else [value])), reason) for path, value, reason in corpus.FIELDS)
    yield from ((written(path, first, second), reason) for path, first, second, reason in corpus.TWICE)
    for time in (*corpus.TIMES, *corpus.NOT_A_TIME, *corpus.TIMES_WITH_SPACES, *corpus.NOT_HELD):
        yield event(eventTimestamp=time), None if time in corpus.TIMES else "bad_timestamp"
    yield from around()


def around() -> Iterator[tuple[bytes, str | None]]:
    """A good event with something before or after it, or in place of its last bytes."""
    good = event()
    for blank in (b" ", b"\t", b"\n", b"\r\n", b" \r\n\t "):
        yield blank + good + blank, None
        yield good.replace(b": ", blank + b":" + blank), None
    tab = event(eventSource="a tab")
    for end in (b"", b" ", b"\r", b" \t\r\n"):
        yield tab.replace(b"a tab", b"a\ttab") + end, corpus.BAD
    for odd in (b"\x00", b"\x0b", b"\x0c", b"\x1a", b"x", *map(str.encode, "\ufeff\u00a0\u2028\u0085")):
        yield odd + good, corpus.BAD
        yield good + odd, corpus.BAD
        yield good[:-1] + odd, corpus.BAD
    for end in (
        b"]",
        b"}}",
        b",}",
        b"",
        b"} {}",
        b'}, {"a": 1}',
        b', "a"}',
        b', "a": }',
        b', "a": "}',
        b', "a": "b\\}',
    ):
        yield good[:-1] + end, corpus.BAD
    yield b"[" + good + b"]", "not_an_object"
    size = MAX_EVENT_BYTES - len(event(filler=""))
    yield event(filler="a" * size), None
    yield event(filler="a" * (size + 1)), "too_large"


VALUES_IN_JSON = (b'""', b"0", b"null", b"[]", b"{}", b'" "', b"true", b"1e999", b'"2019-13-01T00:00:00Z"')
PIECES = (b'"', b"{", b"}", b",", b"\\", b"\n", b"\x00", b"\xed\xa0\x80", b"\\ud800", b"[" * 2000, b'"pubsub": {}, ')
PLACE = st.floats(0, 1)
MUTATIONS = st.one_of(
    st.tuples(st.just("set"), PLACE, st.integers(0, 255).map(lambda byte: bytes([byte]))),
    st.tuples(st.just("cut"), PLACE, st.sampled_from((1, 1, 1, 10, 1000))),
    st.tuples(st.just("put"), PLACE, st.sampled_from(PIECES) | st.binary(max_size=8)),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 40)),
    st.tuples(st.just("rename"), st.sampled_from((b"eventId", b"payload", b"docId", b"eventTimestamp", b"doc")), PLACE),
    st.tuples(st.just("value"), st.sampled_from((b'"texto teste"', b'"2019-04-02T21:55:57Z"', b'"event-1"')), PLACE),
)


def mutated(data: bytes, mutations: list[tuple]) -> bytes:
    """The bytes after small changes: flipped, cut, repeated, swapped for JSON's own characters."""
    for kind, what, how in mutations:
        if kind == "rename":
            data = data.replace(what, what.upper(), 1)
        elif kind == "value":
            data = data.replace(what, VALUES_IN_JSON[int(how * (len(VALUES_IN_JSON) - 1))], 1)
        else:
            at = int(what * len(data))
            if kind == "set":
                data = data[:at] + how + data[at + 1 :]
            elif kind == "cut":
                data = data[:at] + data[at + how :]
            elif kind == "put":
                data = data[:at] + how + data[at:]
            else:
                data = data[: at + how] + data[at:]
    return data


PATHS = ("eventId", "eventTimestamp", "doc", "doc.docId", "doc.payload", "doc.metadata", "doc.metadata.otherTags")
PATHS += ("pubsub", "doc.metadata.superTag01", "extra")
VALUES = (
    JSON.map(lambda value: json.dumps(value).encode())
    | st.sampled_from(corpus.GOOD_VALUES + corpus.BAD_VALUES)
    | st.sampled_from([f'"{time}"'.encode() for time in corpus.TIMES + corpus.NOT_A_TIME + corpus.NOT_HELD])
)
WILD = (
    st.builds(mutated, st.just(event(1)), st.lists(MUTATIONS, max_size=4))
    | st.builds(written, st.sampled_from(PATHS), VALUES)
    | st.builds(written, st.sampled_from(PATHS), VALUES, VALUES)
    | st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
)
