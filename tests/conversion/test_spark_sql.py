"""CONVERT: what becomes a row, what is quarantined and why, and that no line is lost."""

import gzip
import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest
from pyspark.sql import functions as F

from brigade.conversion import run as spark_sql
from brigade.conversion.run import (
    ConversionError,
    check_apart,
    holds_files,
    json_into_parquet,
    number_copies,
    parse_lines,
    run_query,
)
from brigade.landing.pipeline import landed_line, read_event

ROOT = Path(__file__).parents[2]
CONTRACT = """eventId string, eventTimestamp timestamp, eventSource string, eventType string, eventVersion string,
 docId string, accountId string, superTag01 string, superTag02 string, concatOtherTags string, payload string,
 messageId string, publishTime timestamp, dt string""".replace("\n", "")
NAMES = [column.split()[0] for column in CONTRACT.split(", ")]
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


def parsed(spark, lines: list[str]) -> list:
    """What the query makes of each of the lines, in their order, with `file`, `reason` and `value`; times as texts."""
    numbered = [(value, f"{number:04}") for number, value in enumerate(lines)]
    frame = spark.createDataFrame(numbered, "value string, file string")
    rows = run_query(parse_lines(frame), spark_sql.QUERY).withColumns(
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


def quarantined(path: Path) -> list[dict]:
    return [json.loads(text) for part in path.glob("*.json") for text in part.read_text("utf-8").splitlines()]


def numbers(counts: dict) -> list[int]:
    return [counts[name] for name in ("lines", "converted", "duplicates", "quarantined")]


def days(path: Path) -> list[str]:
    return sorted(folder.name for folder in path.glob("dt=*"))


# ---------------------------------------------------------------------------------------------- a line that is an event


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
        *("plain text", "17", '"text"', "null", line()[:-1], line()[: len(line()) // 2]),
        *(f"[{line()}]", f"[{line('e1')}, {line('e2')}]"),
        *(line("e1") + line("e2"), line("e1") + ", " + line("e2"), line() + "}", line() + " and more"),
        *(line() + "], x", line() + ', {"_end_of_line": ""}', line() + ' "}', "{'eventId': 'single quotes'}", "NaN"),
    ],
    "wrong_type": [
        line().replace('"doc": {', '"doc": "text", "was": {'),
        *(line(doc={"metadata": "text"}), line(doc={"metadata": [TAGS]}), line(pubsub="text")),
        *(line(doc={"metadata": {"otherTags": tags}}) for tags in ({"tagName": "a"}, ["a"])),
        *(line(doc={"payload": value}) for value in ({"a": "b"}, ["a"], 7, -1.5, 1e300, True, {}, [])),
        *(line(eventId=7), line(doc={"docId": False})),
    ],
    "missing_field": [
        *("{}", without("eventId"), without("eventTimestamp"), without("doc")),
        *(without("doc", "docId"), without("doc", "payload"), line().replace("eventId", "eventid")),
        *(line(eventId=""), "{ }", line(eventId=None), line(doc={"docId": ""}), line(doc={"payload": None})),
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
    BASE + ', "pubsub": "landed before, in some other form"}',
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


def test_the_last_published_of_an_event_wins(spark):
    seen = [  # eventId, publishTime, messageId, file, hash, id
        ("a", None, "9", "f9", 9, 1),
        ("a", "2019-04-03 00:00:02", "1", "f0", 0, 2),
        ("a", "2019-04-03 00:00:01", "2", "f2", 0, 3),
        ("b", None, None, "f1", 9, 4),
        ("b", None, None, "f2", 1, 5),
        ("b", None, None, "f2", 2, 6),
        ("c", "2019-04-03 00:00:01", "7", "f2", 0, 7),
        ("c", "2019-04-03 00:00:01", "8", "f1", 0, 8),
        ("c", "2019-04-03 00:00:01", None, "f3", 0, 9),
        ("d", None, None, "f1", 0, None),
        ("d", None, None, "f1", 0, 10),
    ]
    names = "eventId string, publishTime string, messageId string, file string, hash long, id long"
    frame = spark.createDataFrame(seen, names)
    rows = number_copies(frame.withColumn("publishTime", F.col("publishTime").cast("timestamp"))).collect()
    assert {row.eventId: row.id for row in rows if row.copy == 1} == {"a": 2, "b": 6, "c": 8, "d": 10}
    assert sorted(row.copy for row in rows if row.eventId == "b") == [1, 2, 3]


# --------------------------------------------------------------------------------------------------- a whole conversion


@pytest.fixture(scope="module")
def converted(spark, tmp_path_factory) -> dict:
    """A folder as it is found in practice, converted once: {"folder", and the counts and paths}."""
    folder = tmp_path_factory.mktemp("converted")
    landed = folder / "input" / "dt=2019-04-03"
    written(
        landed / "landed.jsonl",
        line("twice", {"payload": "the second"}, published="2019-04-03T00:00:02Z"),
        line("twice", {"payload": "the first"}, published="2019-04-03T00:00:01Z"),
        *(line("landed", published="2019-04-03T12:00:00Z"), "{broken"),
    )
    written(landed / "more.jsonl.gz", line("packed", published="2019-04-03T13:00:00Z"), line("twice"))
    written(
        folder / "input" / "raw.json",
        *(line("raw"), "", "   \t ", f"[{line('in an array')}]", line("no day", eventTimestamp="today")),
        line("late in the west", eventTimestamp="2019-04-02T23:00:00-03:00") + "\r",
        line("ancient", eventTimestamp="0001-01-01T00:00:00Z"),
        line("last", eventTimestamp="9999-12-31T23:59:59.999999999Z"),
    )
    for hidden in ("_hidden.jsonl", ".hidden.jsonl", "copy of the editor.jsonl~"):
        written(folder / "input" / hidden, line(hidden), "{broken")
    return {"folder": folder} | json_into_parquet(spark, f"{folder}/input", f"{folder}/parquet")


def test_every_line_is_converted_or_a_duplicate_or_quarantined(converted):
    assert numbers(converted) == [12, 7, 2, 3]


def test_the_parquet_has_the_columns_of_the_contract(spark, converted):
    frame = spark.read.parquet(converted["parquet"])
    assert ", ".join(f"{name} {kind}" for name, kind in frame.dtypes) == CONTRACT
    stored = pyarrow.parquet.ParquetFile(next(Path(converted["parquet"]).glob("dt=2019-04-03/*.parquet")))
    assert stored.schema_arrow.names == NAMES[:-1]
    assert str(stored.schema_arrow.field("eventTimestamp").type) == "timestamp[us, tz=UTC]"
    assert stored.metadata.row_group(0).column(0).compression == "SNAPPY"


def test_rows_lie_in_the_folder_of_their_day(spark, converted):
    rows = spark_sql.read_parquet(spark, converted["parquet"]).select("eventId", "dt", "payload").collect()
    assert {row.eventId: row.dt for row in rows} == {
        **dict.fromkeys(("twice", "landed", "packed", "late in the west"), "2019-04-03"),
        **{"raw": "2019-04-02", "ancient": "0001-01-01", "last": "9999-12-31"},
    }
    assert {row.payload for row in rows if row.eventId == "twice"} == {"the second"}
    assert days(Path(converted["parquet"])) == [f"dt={day}" for day in sorted({row.dt for row in rows})]


def test_what_is_no_event_is_quarantined_with_its_file_and_reason(converted):
    assert converted["quarantine"] == f"{converted['folder']}/quarantine"
    lines = quarantined(Path(converted["quarantine"]))
    assert {(Path(one["file"]).name, one["reason"], one["line"]) for one in lines} == {
        ("landed.jsonl", "malformed_json", "{broken"),
        ("raw.json", "malformed_json", f"[{line('in an array')}]"),
        ("raw.json", "bad_timestamp", line("no day", eventTimestamp="today")),
    }


@pytest.mark.parametrize(
    "rows_a_task", [spark_sql.ROWS_A_TASK, pytest.param(20, marks=pytest.mark.long)]
)  # with fewer than there are duplicates
def test_the_numbers_are_those_of_a_recount_in_plain_python(spark, tmp_path, monkeypatch, rows_a_task):
    monkeypatch.setattr(spark_sql, "ROWS_A_TASK", rows_a_task)
    choose = random.Random(4)
    kinds = [
        *(line, line, line, lambda one: line(one)[:-9], lambda one: f"[{line(one)}]", lambda one: ""),
        *(lambda one: line(one, {"payload": " "}), lambda one: line("", {"docId": one})),
        lambda one: line(one, eventTimestamp="2019-04-02"),
    ]
    lines = [choose.choice(kinds)(f"e{choose.randrange(60)}") for _ in range(300)]
    for number in range(3):
        written(tmp_path / "input" / f"{number}.jsonl", *lines[number::3])

    ids, bad = [], 0
    for text in filter(None, lines):
        try:
            one = json.loads(text)
            when = datetime.fromisoformat(one["eventTimestamp"])
            good = bool(one["eventId"] and one["doc"]["docId"] and one["doc"]["payload"].strip() and when.tzinfo == UTC)
        except (ValueError, TypeError):
            good = False
        bad += not good
        ids += [one["eventId"]] if good else []
    counts = json_into_parquet(spark, str(tmp_path / "input"), str(tmp_path / "parquet"))
    found = numbers(counts)
    assert found[0] == sum(map(bool, lines))
    assert found[1:] == [len(set(ids)), len(ids) - len(set(ids)), bad]
    assert min(found) > 20
    assert len(list(tmp_path.glob("parquet/dt=*/*.parquet"))) == 1  # all are of one day


def test_a_full_run_replaces_what_the_first_wrote_and_a_trailing_slash_changes_nothing(spark, tmp_path, capsys):
    written(tmp_path / "first" / "a.jsonl", line("e1", eventTimestamp="2019-04-01T00:00:00Z"), "{broken")
    written(tmp_path / "second" / "b.jsonl", line("e2", eventTimestamp="2020-02-02T00:00:00Z"))
    output = tmp_path / "parquet"
    assert spark_sql.main([f"{tmp_path}/first//", f"{output}/", "--quarantine_path", f"{tmp_path}/bad/"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["parquet"], summary["quarantine"]) == (str(output), f"{tmp_path}/bad")
    assert (days(output), len(quarantined(tmp_path / "bad"))) == (["dt=2019-04-01"], 1)

    again = [f"{tmp_path}/second", str(output), "--quarantine_path", f"{tmp_path}/bad", "--full"]
    assert spark_sql.main(again) == 0
    assert numbers(json.loads(capsys.readouterr().out)) == [1, 1, 0, 0]
    assert (days(output), quarantined(tmp_path / "bad")) == (["dt=2020-02-02"], [])


# ----------------------------------------------------------------------------------------------- run after run


def state(spark, folder: Path) -> tuple[list, list]:
    """All that a conversion holds: its rows, and what is quarantined without the run that did it."""
    rows = sorted(spark_sql.read_parquet(spark, f"{folder}/parquet").collect(), key=str)
    plain = sorted(spark.read.parquet(f"{folder}/parquet").select(*NAMES).collect(), key=str)
    assert plain == rows, "the files that lie there are not those of the manifest"
    return rows, sorted((one["reason"], one["line"]) for one in quarantined(folder / "quarantine"))


def convert(spark, folder: Path, **settings) -> dict:
    counts = json_into_parquet(spark, f"{folder}/input", f"{folder}/parquet", **settings)
    assert counts["lines"] == counts["converted"] + counts["duplicates"] + counts["quarantined"]
    return {name: counts[name] for name in ("files", "lines", "converted", "duplicates", "replaced", "rows")}


def as_if_at_once(spark, folder: Path) -> tuple[list, list]:
    """What one conversion of everything gives."""
    json_into_parquet(spark, f"{folder}/input", f"{folder}/fresh/parquet")
    return state(spark, folder / "fresh")


def files_below(folder: Path) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_runs_one_after_another_give_what_one_run_would(spark, tmp_path):
    landed = tmp_path / "input"
    first, second = "2026-11-01T10:00:00Z", "2026-11-02T10:00:00Z"
    written(landed / "a.jsonl", line("e1", published=first), line("e2", published=first), "{broken")
    written(landed / "b.jsonl", line("e3", published=second), line("e4", {"payload": "b"}, published=second))
    assert convert(spark, tmp_path) == dict(files=2, lines=5, converted=4, duplicates=0, replaced=0, rows=4)

    before = files_below(tmp_path)
    assert convert(spark, tmp_path) == dict(files=0, lines=0, converted=0, duplicates=0, replaced=0, rows=4)
    assert files_below(tmp_path) == before  # nothing new, nothing written

    # A late file: a new event, one that beats an earlier publication on another day, one that is beaten.
    late = [line("e5", published=first), line("e1", {"payload": "later"}, published="2026-11-03T00:00:00Z")]
    written(landed / "late.jsonl", *late, line("e4", {"payload": "earlier"}, published=first), "null")
    untouched = files_below(tmp_path / "parquet" / "dt=2026-11-02")
    assert convert(spark, tmp_path) == dict(files=1, lines=4, converted=2, duplicates=1, replaced=1, rows=5)
    assert files_below(tmp_path / "parquet" / "dt=2026-11-02") == untouched
    assert state(spark, tmp_path) == as_if_at_once(spark, tmp_path)

    # A file that changes: a row goes, one is other text, and what e4's row had beaten comes to light again.
    written(landed / "b.jsonl", line("e3", {"payload": "other text"}, published=second))
    counts = convert(spark, tmp_path)
    assert (counts["files"], counts["replaced"], counts["rows"]) == (2, 4, 5)  # late.jsonl is read again for e4
    payloads = {row.eventId: row.payload for row in state(spark, tmp_path)[0]}
    assert payloads["e3"] == "other text" and payloads["e4"] == "earlier" and payloads["e1"] == "later"

    written(landed / "a.jsonl", line("e2", published=first))  # its quarantined line is gone too
    assert convert(spark, tmp_path)["rows"] == 5
    rows, bad = state(spark, tmp_path)
    assert [row.eventId for row in rows] == ["e1", "e2", "e3", "e4", "e5"] and bad == [("malformed_json", "null")]
    assert len({path.parent for path in (tmp_path / "parquet").glob("_conversion/manifest-*")}) == 1


@pytest.mark.long
def test_a_day_whose_rows_all_go_is_gone(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    convert(spark, tmp_path)
    written(tmp_path / "input" / "b.jsonl", line("e1", published="2026-11-02T00:00:00Z"))
    assert convert(spark, tmp_path) == dict(files=1, lines=1, converted=1, duplicates=0, replaced=1, rows=1)
    assert days(tmp_path / "parquet") == ["dt=2026-11-02"]


def test_a_deleted_input_file_keeps_its_rows(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"))
    written(tmp_path / "input" / "b.jsonl", line("e2"))
    convert(spark, tmp_path)
    (tmp_path / "input" / "a.jsonl").unlink()  # a life-cycle rule
    assert convert(spark, tmp_path)["rows"] == 2


@pytest.mark.long
def test_windows_lines_a_byte_order_mark_long_lines_and_odd_names_are_read(spark, tmp_path):
    long = "word " * (16 * (1 << 20) // 5)
    text = "\ufeff" + "\r\n".join([line("e1"), line("e2", {"payload": "ação"}), ""])
    (tmp_path / "input" / "a day with spaces %41").mkdir(parents=True)
    (tmp_path / "input" / "a day with spaces %41" / "é+.jsonl").write_bytes(text.encode())
    written(tmp_path / "input" / "long.jsonl.gz", line("e3", {"payload": long}))
    written(tmp_path / "input" / "empty.jsonl")
    (tmp_path / "input" / "bytes.jsonl").write_bytes(line("e4").encode().replace(b"texto", b"\xff\xfe") + b"\n")
    (tmp_path / "input" / "tail.jsonl").write_bytes(b"{broken\n" + line("e5").encode() + b" \t \r\n\r\n")
    assert convert(spark, tmp_path)["rows"] == 4
    rows, bad = state(spark, tmp_path)
    assert {row.eventId: len(row.payload) for row in rows} == {"e1": 11, "e2": 4, "e3": len(long), "e5": 11}
    assert [reason for reason, _ in bad] == ["malformed_json", "not_utf8"]
    written(tmp_path / "input" / "a day with spaces %41" / "more é.jsonl", line("e6"))
    assert convert(spark, tmp_path) == dict(files=1, lines=1, converted=1, duplicates=0, replaced=0, rows=5)


# ------------------------------------------------------------------------------------------- another document type


README = (ROOT / "README.md").read_text("utf-8")
(INVOICE,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
(FIELDS,) = re.findall(r"in `invoices.ddl`, `(.*?)`", README)


def test_another_query_and_schema_convert_another_document_type(spark, tmp_path, capsys):
    (tmp_path / "invoice.sql").write_text(INVOICE)
    (tmp_path / "invoice.ddl").write_text(FIELDS)
    one = {"number": "r1", "customer": {"name": "Ana"}, "total": 12.5, "kind": "RENT", "issued": "2026-11-02"}
    lines = [one, one | {"number": "r2", "note": "paid"}, one | {"number": None}, one | {"total": "much"}]
    written(tmp_path / "input" / "a.jsonl", *map(json.dumps, lines))
    flags = [f"--sql={tmp_path}/invoice.sql", f"--schema={tmp_path}/invoice.ddl"]
    assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet", *flags]) == 0
    assert numbers(json.loads(capsys.readouterr().out)) == [4, 2, 0, 2]
    rows = spark_sql.read_parquet(spark, f"{tmp_path}/parquet").orderBy("eventId").collect()
    assert rows[1].asDict() == {
        **{"eventId": "r2", "customer": "Ana", "total": 12.5, "label": "rent", "dt": "2026-11", "note": "paid"}
    }
    assert sorted(one["reason"] for one in quarantined(tmp_path / "quarantine")) == ["missing_field", "wrong_type"]


@pytest.mark.long
def test_a_column_that_is_added_later_reads_together_with_older_days(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    written(tmp_path / "input" / "b.jsonl", line("e2", published="2026-11-02T00:00:00Z"))
    convert(spark, tmp_path)
    written(tmp_path / "input" / "c.jsonl", line("e3", published="2026-11-02T00:00:00Z", eventKind="new"))
    query = spark_sql.QUERY.replace("FROM events", ", get_json_object(line, '$.eventKind') AS kind FROM events")
    convert(spark, tmp_path, query=query)
    rows = spark_sql.read_parquet(spark, f"{tmp_path}/parquet").collect()
    assert {row.eventId: row.kind for row in rows} == {"e1": None, "e2": None, "e3": "new"}


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory) -> Path:
    """A folder with an input of two lines, converted."""
    folder = tmp_path_factory.mktemp("table")
    written(folder / "input" / "a.jsonl", line("e1"), line("e2"))
    assert convert(spark, folder)["rows"] == 2
    return folder


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELECT doc.docId FROM events", "lacks eventId and dt: docId"),
        ("SELECT eventId FROM events", "lacks dt"),
        ("SELECT eventId, eventId, 'x' AS dt FROM events", "names of their own"),
        ("SELECT eventId, nothing AS dt FROM events", "cannot be run"),
        ("SELECT eventId, dt FROM", "cannot be run"),
        ("DROP TABLE events", "expected one SELECT"),
        ("SELECT DISTINCT eventId, 'x' AS dt FROM events", "expected one SELECT"),
        ("SELECT eventId, 'x' AS dt FROM events WHERE eventId > 'e1'", "must neither drop nor multiply"),
        ("SELECT eventId, explode(array('x', 'y')) AS dt FROM events", "must neither drop nor multiply"),
        ("SELECT eventId, 'x' AS dt FROM events LIMIT 1", "for each of 2 lines, found 1"),
        ("SELECT eventId, 'x' AS dt FROM events WHERE false", "for each of 2 lines, found 0"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_and_leaves_the_output_as_it_was(spark, table, query, words):
    def rows() -> set:
        return {(path, path.stat().st_mtime_ns) for path in table.glob("parquet/dt=*/*.parquet")}

    before = rows()
    with pytest.raises(ConversionError, match=words):
        convert(spark, table, query=query, full=True)
    assert rows() == before and before and not list(table.glob("parquet/_staging*"))


@pytest.mark.long
def test_counts_that_do_not_add_up_fail_the_run_and_change_nothing(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1", published="2026-11-01T00:00:00Z"))
    convert(spark, tmp_path)
    before = state(spark, tmp_path)
    written(tmp_path / "input" / "b.jsonl", line("e2", published="2026-11-01T00:00:00Z"))
    monkeypatch.setattr(spark_sql.Run, "write", lambda self, rows: None)  # rows that get lost on the way
    with pytest.raises(ConversionError, match="do not add up"):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert state(spark, tmp_path) == before
    assert convert(spark, tmp_path)["rows"] == 2


def test_a_line_that_parsing_loses_fails_the_run(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1"), line("e2"), line("e3"))
    parse = spark_sql.parse_lines
    monkeypatch.setattr(spark_sql, "parse_lines", lambda *given: parse(*given).where("eventId != 'e2'"))
    with pytest.raises(ConversionError, match="for each of 3 lines, found 2"):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob("parquet/dt=*")) and convert(spark, tmp_path)["rows"] == 3


@pytest.mark.long
def test_lines_that_spark_counted_twice_are_counted_from_the_files(spark, tmp_path, monkeypatch):
    stage = spark_sql.Run.stage

    def with_a_task_that_ran_twice(run, lines):
        staged, count = stage(run, lines)
        return staged, 2 * count

    monkeypatch.setattr(spark_sql.Run, "stage", with_a_task_that_ran_twice)
    written(tmp_path / "input" / "a.jsonl", line("e1"), line("e2"), "{broken")
    assert numbers(json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/parquet")) == [3, 2, 0, 1]


@pytest.mark.long
def test_a_line_that_is_missing_in_the_quarantine_fails_the_run(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{broken", "{broken too")
    write = spark_sql.Run.write_quarantine

    def one_less(run, staged, *rest):
        return write(run, staged.where("_row.line != '{broken'"), *rest)

    monkeypatch.setattr(spark_sql.Run, "write_quarantine", one_less)
    with pytest.raises(ConversionError, match="expected 2 lines in the quarantine, wrote 1"):
        convert(spark, tmp_path)
    assert not list(tmp_path.glob("parquet/dt=*")) and not list(tmp_path.glob("quarantine/*.json"))


def test_a_session_in_another_zone_writes_the_same_days(spark, tmp_path, capsys):
    written(tmp_path / "input" / "a.jsonl", line(eventTimestamp="2019-04-03T01:00:00Z"))
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    try:
        assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet"]) == 0
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert days(tmp_path / "parquet") == ["dt=2019-04-03"]


@pytest.mark.parametrize("lines, bad", [(["", " ", "\t"], 0), (["{broken", line()[:-1]], 2)])
def test_an_input_without_any_event_makes_no_rows_and_loses_no_line(spark, tmp_path, lines, bad):
    written(tmp_path / "input" / "a.jsonl", *lines)
    counts = json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/parquet")
    assert numbers(counts) == [bad, 0, 0, bad]
    assert len(quarantined(tmp_path / "quarantine")) == bad


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("files", [(), ("empty.jsonl",), ("_hidden.jsonl", ".hidden.jsonl")])
def test_a_folder_without_files_is_refused_before_anything_is_written(spark, tmp_path, capsys, files):
    (tmp_path / "parquet").mkdir()
    for name in files:
        written(tmp_path / "input" / name, *([] if name.startswith("empty") else [line()]))
    assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet"]) == 1
    said = f"spark_sql.py: expected JSON lines below {tmp_path}/input, found no file"
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "parquet").iterdir())


@pytest.mark.parametrize(
    "paths", ["a a", "a/ a", "a a/b", "a/input a", "a b a/bad", "a/input b a", "a b b/bad/", "quarantine/a b"]
)
def test_paths_that_lie_in_one_another_are_refused(spark, tmp_path, paths):
    paths = [f"{tmp_path}/{path}" for path in paths.split()]
    file = written(Path(paths[0], "a.jsonl"), line())
    with pytest.raises(ConversionError, match="lies in the .* choose another"):
        json_into_parquet(spark, *paths)
    assert file.read_text("utf-8") == line() + "\n"
    check_apart({"input": "gs://b/input", "output": "gs://b/input_parquet", "quarantine": "gs://b/inputs"})


def test_parquet_of_another_form_is_refused_with_what_it_lacks(spark, tmp_path):
    spark.createDataFrame([("e1", "text")], "eventId string, payload string").write.parquet(f"{tmp_path}/other")
    with pytest.raises(ConversionError, match="lacks the columns eventTimestamp, .*, dt"):
        spark_sql.read_parquet(spark, f"{tmp_path}/other")


def test_only_a_file_of_some_size_with_the_ending_counts(spark, tmp_path):
    written(tmp_path / "dt=2019-04-02" / "a.jsonl", line())
    assert holds_files(spark, str(tmp_path))
    assert holds_files(spark, str(tmp_path / "dt=2019-04-02" / "a.jsonl"))
    assert not holds_files(spark, str(tmp_path), ".parquet")
    assert not holds_files(spark, f"{tmp_path}/nowhere")


def test_a_query_file_that_is_not_there_is_one_line_and_status_2(capsys):
    assert spark_sql.main(["in", "out", "--sql=nowhere.sql"]) == 2
    assert "nowhere.sql" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["only one"], ["in", "out", "--unknown"], ["in", "out", "more"]])
def test_wrong_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        spark_sql.main(arguments)
    assert ended.value.code == 2
    assert "usage: spark_sql.py" in capsys.readouterr().err
