"""Which lines are events, what their fields become, and the reasons of those that are not."""

import json

import pytest
from pyspark.sql import functions as F

from brigade.conversion.lines import parse_lines
from brigade.conversion.query import run_query
from brigade.events.event import read_event
from brigade.events.members import landed_line
from tests.conversion.outputs import NAMES
from tests.conversion.sample_events import TAGS, event, line, without


def parsed(spark, lines: list[str]) -> list:
    """What the query makes of each of the lines, in their order, with `file`, `reason` and `value`; times as texts."""
    numbered = [(value, f"{number:04}") for number, value in enumerate(lines)]
    frame = spark.createDataFrame(numbered, "value string, file string")
    rows = run_query(parse_lines(frame)).withColumns(
        {name: F.col(name).cast("string") for name in ("eventTimestamp", "publishTime")}
    )
    rows = rows.select(*NAMES, "_row.file", "_row.reason").join(frame, "file").orderBy("file")
    return rows.collect()


@pytest.fixture(scope="module")
def rows(spark) -> dict:
    """The row that parse_lines makes of each line of the tables below, in one job of Spark."""
    lines = [
        *EVENTS,
        *TAG_LINES,
        *TIME_LINES,
        *PUBLISHED,
        *TEXT_LINES,
        *(text for texts in NO_EVENT.values() for text in texts),
    ]
    return {row.value: row for row in parsed(spark, lines)}


EVENTS = [line(published="2019-04-03T00:00:01.25Z"), line()[:-1] + ', "unknown": [1e400, -1e400]}']


def test_every_field_of_an_event_finds_its_column(rows):
    row = rows[EVENTS[0]]
    assert (row.file, row.reason) == ("0000", None)
    assert [row[name] for name in NAMES] == [
        *("e1", "2019-04-02 21:55:57", "doc.contract", "DocSchedule", "1.0", "CF2909E5", "EA2425CF", "A", "C"),
        *("otherTag01:A|otherTag02:X", "texto teste", "17", "2019-04-03 00:00:01.25", "2019-04-03"),
    ]


TAGS_TO_TEXT = [
    ([{"tagName": "z", "tagValue": "1"}, {"tagName": "a", "tagValue": "2"}], "z:1|a:2"),
    ([{"tagName": "a"}, {"tagValue": "2"}], "a:|:2"),
    ([{"tagName": "a", "tagValue": 1, "more": True}], "a:1"),
    ([], ""),
    (None, None),
]
TAG_LINES = {line(doc={"metadata": {"otherTags": tags}}): text for tags, text in TAGS_TO_TEXT} | dict.fromkeys(
    [line(doc={"metadata": {}}), line(doc={"metadata": None}), without("doc", "metadata")]
)


def test_other_tags_are_joined_in_their_order_and_may_be_missing(rows):
    assert {text: rows[text].concatOtherTags for text in TAG_LINES} == TAG_LINES
    assert {rows[text].reason for text in TAG_LINES} == {None}


TIMES = {
    "2019-04-02T21:55:57Z": ("2019-04-02 21:55:57", "2019-04-02"),
    "2019-04-02t21:55:57z": ("2019-04-02 21:55:57", "2019-04-02"),
    "2019-04-02 21:55:57+00:00": ("2019-04-02 21:55:57", "2019-04-02"),
    "2019-04-02T21:55:57-03:00": ("2019-04-03 00:55:57", "2019-04-03"),
    "2019-04-02T01:00:00+05:30": ("2019-04-01 19:30:00", "2019-04-01"),
    "2019-04-02T21:55:57.123456789Z": ("2019-04-02 21:55:57.123456", "2019-04-02"),
    "0001-01-01T00:00:00Z": ("0001-01-01 00:00:00", "0001-01-01"),
    "1582-10-10T00:00:00Z": ("1582-10-10 00:00:00", "1582-10-10"),
    "9999-12-31T23:59:59.999999Z": ("9999-12-31 23:59:59.999999", "9999-12-31"),
}
TIME_LINES = {line(eventTimestamp=text): found for text, found in TIMES.items()}


def test_a_time_with_any_offset_and_precision_is_read_in_utc(rows):
    assert {text: (rows[text].eventTimestamp, rows[text].dt) for text in TIME_LINES} == TIME_LINES


PUBLISHED = {
    line(published="2019-04-03T23:59:59Z"): ("2019-04-03", "2019-04-03 23:59:59"),
    line(published="2019-04-03T23:59:59-03:00"): ("2019-04-04", "2019-04-04 02:59:59"),
    line(pubsub={"messageId": "17", "publishTime": "2019-04-03T01:00:00Z", "orderingKey": "k"}): (
        *("2019-04-03", "2019-04-03 01:00:00"),
    ),
    line(): ("2019-04-02", None),
    line(published="2020-01-01"): ("2019-04-02", None),
    line(published="soon"): ("2019-04-02", None),
    line(published="9999-12-31T23:59:59-01:00"): ("2019-04-02", None),
}


def test_dt_is_the_day_of_publication_and_else_that_of_the_event(rows):
    assert {text: (rows[text].dt, rows[text].publishTime) for text in PUBLISHED} == PUBLISHED


TEXTS = ["7", "-1.5e3", "true", "[a]", '["a"]', '{"a": "b"}', "{}", "null", "\ufffd"]
TEXT_LINES = {line(doc={"payload": text}): text for text in TEXTS}


def test_a_text_that_looks_like_other_json_is_a_text(rows):
    assert {text: (rows[text].reason, rows[text].payload) for text in TEXT_LINES} == {
        text: (None, payload) for text, payload in TEXT_LINES.items()
    }


def test_a_number_too_large_for_a_float_in_an_unknown_field_does_no_harm(rows):
    assert (rows[EVENTS[1]].reason, rows[EVENTS[1]].payload) == (None, "texto teste")


BAD_TIMES = """2019-04-02 2019 21:55:57Z 2019-04-02T21:55:57 2019-04-02T21:55:57+0300 2019-02-29T00:00:00Z
    2019-04-02T24:00:00Z 0000-01-01T00:00:00Z 0001-01-01T00:00:00+03:00 9999-12-31T23:59:59-03:00 yesterday"""
NO_EVENT = {
    "malformed_json": [
        *(
            "plain text",
            line()[:-1],
            line()[: len(line()) // 2],
            line()[:-1] + "x",
            line().replace("texto", "a\t") + " ",
        ),
        *(line("e1") + line("e2"), line("e1") + ", " + line("e2"), line() + "}", line() + " and more"),
        *(line() + "], x", line() + ', {"_end_of_line": ""}', line() + ' "}', "{'eventId': 'single quotes'}", "NaN"),
    ],
    "not_an_object": ["17", '"text"', "null", f"[{line()}]", f"[{line('e1')}, {line('e2')}]"],
    "wrong_type": [
        line().replace('"doc": {', '"doc": "text", "was": {'),
        *(line(doc={"metadata": "text"}), line(doc={"metadata": [TAGS]}), line(pubsub="text")),
        *(line(doc={"metadata": {"otherTags": tags}}) for tags in ({"tagName": "a"}, ["a"])),
        *(line(doc={"payload": value}) for value in ({"a": "b"}, ["a"], 7, -1.5, 1e300, True, {}, [])),
        *(line(eventId=7), line(doc={"docId": False}), line(eventId=None), line(doc={"payload": None})),
    ],
    "missing_field": [
        *("{}", without("eventId"), without("eventTimestamp"), without("doc")),
        *(without("doc", "docId"), without("doc", "payload"), line().replace("eventId", "eventid")),
        *(line(eventId=""), "{ }", line(doc={"docId": ""})),
    ],
    "bad_timestamp": [line(eventTimestamp=text) for text in ["", "2019-04-02T21:55:57Z\n", *BAD_TIMES.split()]],
    "empty_payload": [line(doc={"payload": text}) for text in ("", " \t\n\u00a0\u2003\u3000\x1c\x85")],
}


@pytest.mark.parametrize("reason", NO_EVENT)
def test_a_line_that_is_no_event_has_a_reason(rows, reason):
    assert {text: rows[text].reason for text in NO_EVENT[reason]} == dict.fromkeys(NO_EVENT[reason], reason)


BASE = line()[:-1]
LANDS = [
    line(),
    json.dumps(event(), indent=2),
    f"\r\n  {line()}  \n",
    line(doc={"payload": "ação 日本語 😀 e\u0301 \u200b \u2028 \x7f"}),
    json.dumps(event(doc={"payload": "ação 日本語 😀 \u2028"})),
    BASE[: BASE.index("texto")] + r"\u0061\n\t\"\\\/\b\f\r\ud83d\ude00\u0000" + BASE[BASE.index("texto") :] + "}",
    BASE.replace("eventId", r"event\u0049d") + "}",
    BASE + ', "number": 123456789012345678901234567890, "small": 1e-400, "minus": -0.0, "exponent": 1.5E+3}',
    BASE + ', "tree": {"a": [{"b": [[[]]]}, null, true, "}{][,"]}, "": "no name", "_corrupt_record": "x"}',
    BASE + ', "deep": ' + "[" * 900 + "]" * 900 + "}",
    BASE + ', "eventId": "the last of two", "eventSource": null}',
    BASE + ', "doc": {"docId": "d2", "payload": "of the last of two"}}',
    BASE + ', "pubsub": {"messageId": "1", "publishTime": "2001-01-01T00:00:00Z", "attributes": {"a": "b"}}}',
    BASE + ', "EVENTID": "another field", "payload": "another field"}',
    line(doc={"metadata": {"superTag01": 7, "superTag02": {"a": [1, True]}, "otherTags": None}}),
    line(doc={"metadata": None, "docId": " "}, eventSource=5, eventVersion=1.0, eventType=None),
    line(doc={"payload": "long " * 20_000}),
    *(line(eventTimestamp=text) for text in TIMES),
    line(eventTimestamp="2019-04-02T21:55:57.1234567890123456789-00:00"),
]


def test_whatever_lands_is_converted_with_the_same_payload(spark):
    about = {"messageId": "17", "publishTime": "2019-04-03T00:00:01.000000Z", "attributes": {"k": 'quote " {'}}
    events = [read_event(text.encode("utf-8")) for text in LANDS]
    lines = [
        landed_line(text.encode("utf-8"), one, about).decode("utf-8").removesuffix("\n")
        for text, one in zip(LANDS, events, strict=True)
    ]
    names = ("reason", "eventId", "docId", "payload", "messageId", "dt")
    assert [tuple(row[name] for name in names) for row in parsed(spark, lines)] == [
        (None, one["eventId"], one["doc"]["docId"], one["doc"]["payload"], "17", "2019-04-03") for one in events
    ]
