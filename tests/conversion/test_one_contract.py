"""What one reader of events takes all take, and what one refuses all refuse for the same reason.

The readers are landing, conversion in Spark, `predict` and `classify` in serving, and reconciliation.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from brigade.conversion.lines import parse_lines
from brigade.events.event import NotAnEvent, read_event
from brigade.events.json_text import parse
from brigade.landing.route import Route
from brigade.serving.requests import Refused, instance_text, read_instances
from local.reconcile import read_folder
from tests.events.corpus import NOT_HELD
from tests.events.examples import event
from tests.events.wild_events import WILD, texts, written
from tests.landing.landed import message

REASONS = ["not_utf8", "malformed_json", "not_an_object", "missing_field", "wrong_type", "bad_timestamp"]
REASONS += ["empty_payload", "too_large"]


def read(data: bytes) -> tuple[str | None, str]:
    """The reason and the detail of `read_event`, which landing and `classify` call; None for an event."""
    try:
        read_event(data)
    except NotAnEvent as problem:
        return problem.reason, problem.detail
    return None, ""


def route(data: bytes) -> bytes:
    """The line that landing writes for a message."""
    step = Route("input", "dead_letter")
    step.start_bundle()
    ((_, (_, line)),) = step.process(message(1, data))
    return line


def predict(data: bytes) -> str | None:
    """The reason of `predict` for an instance; `malformed_json` where it finds no JSON at all, in UTF-8 or not."""
    try:
        instances, _ = read_instances(b'{"instances": [' + data + b"]}")
        (instance,) = instances
        instance_text("instances[0]", instance)
    except Refused as problem:
        told = str(problem)
        if "found no JSON" in told:
            return "malformed_json"
        if told.startswith("instances[0]: expected an object, "):
            return "not_an_object"
        return next(reason for reason in REASONS if f"found {reason}: " in told)
    return None


def is_one_instance(data: bytes) -> bool:
    """Whether a text stays one value among others; `1, 2` does not."""
    try:
        return len(read_instances(b'{"instances": [' + data + b"]}")[0]) == 1
    except Refused:
        return True


def is_called_an_event(data: bytes) -> bool:
    """Whether a text is no JSON object, or one with an eventId."""
    try:
        value = parse(data)
    except NotAnEvent:
        return True
    return not isinstance(value, dict) or "eventId" in value


def converted(spark, lines: Iterable[bytes]) -> dict[bytes, tuple[str | None, str]]:
    """The reason and the detail that conversion has for each line, all in one job of Spark."""
    frame = spark.createDataFrame([(bytearray(line),) for line in lines], "data BINARY")
    frame = frame.selectExpr("CAST(data AS STRING) AS value", "'f' AS file", "data")
    rows = parse_lines(frame.select("value", "file"))
    found = rows.selectExpr("CAST(line AS BINARY) AS line", "_row.reason", "_row.detail").collect()
    return {bytes(row.line): (row.reason, row.detail or "") for row in found}


def verdicts(spark, sent: Iterable[bytes]) -> dict[bytes, dict[str, str | None]]:
    """What each reader says of each text: its reason, None for an event."""
    told = {data: read(data)[0] for data in sent}
    landed = {data: route(data).removesuffix(b"\n") for data, reason in told.items() if reason is None}
    rows = converted(spark, {*told, *landed.values()})
    found = {}
    for data, reason in told.items():
        found[data] = {"landing and classify": reason, "conversion": rows[data][0]}
        if data in landed:
            found[data]["conversion of what has landed"] = rows[landed[data]][0]
        # `predict` limits the request, and takes what does not claim to be an event as {"doc": {"payload": …}}.
        if is_one_instance(data) and reason != "too_large" and is_called_an_event(data):
            predicted = predict(data)
            found[data]["predict"] = reason if (reason, predicted) == ("not_utf8", "malformed_json") else predicted
    return found


def disagreements(found: dict[bytes, dict[str, str | None]]) -> list[tuple]:
    return [(data[-300:], len(data), told) for data, told in found.items() if len(set(told.values())) > 1]


@pytest.fixture(scope="module")
def corpus() -> dict[bytes, str | None]:
    return dict(texts())


@pytest.fixture(scope="module")
def judged(spark, corpus) -> dict[bytes, dict[str, str | None]]:
    return verdicts(spark, corpus)


def test_each_text_of_the_corpus_is_taken_or_refused_as_it_should_be(corpus):
    wrong = [(data[-200:], len(data), reason) for data, reason in corpus.items() if read(data)[0] != reason]
    assert wrong == []
    assert len(corpus) > 500 and {reason for reason in corpus.values() if reason} == {*REASONS}


def test_all_readers_agree_about_the_corpus(judged):
    assert disagreements(judged) == []


def test_all_readers_agree_about_wild_events(spark):
    sent = []

    @settings(max_examples=400, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(WILD)
    def collect(data):
        sent.append(data)

    collect()
    assert disagreements(verdicts(spark, sent)) == []


HALF_A_PAIR = [written("doc.payload", text) for text in (b'" ok\\ud83d tail"', b'"\\uDE00"', b'"ok \\ud83d\\ud83d"')]
BEYOND_JACKSON = [written("extra", b"[" * 1000 + b"]" * 1000), written("extra", b'{"%s": 1}' % (b"k" * 50_001))]
BEYOND_JACKSON += [written("extra", b"1" * 1001)]


@pytest.mark.parametrize("data", HALF_A_PAIR + BEYOND_JACKSON, ids=lambda data: f"{len(data)} bytes")
def test_what_one_engine_cannot_read_is_a_dead_letter_with_its_bytes_and_a_quarantined_line(spark, data):
    letter = json.loads(route(data))
    assert (letter["reason"], base64.b64decode(letter["data"])) == ("malformed_json", data)
    assert converted(spark, [data])[data][0] == predict(data) == "malformed_json"


def test_an_offset_and_an_id_are_judged_alike_by_every_reader(spark):
    offsets = [event(eventTimestamp=f"2019-04-02T21:55:57{offset}") for offset in ("+18:01", "+23:59", "+05:75")]
    found = verdicts(spark, [*offsets, event(eventId=" "), event(eventTimestamp="2019-04-02T21:55:57+18:00")])
    reasons = [set(told.values()) for told in found.values()]
    assert reasons == [{"bad_timestamp"}] * 3 + [{None}] * 2


def test_a_refusal_has_the_same_words_in_landing_and_conversion(spark, corpus):
    sent = [data for data, reason in corpus.items() if reason]
    rows = converted(spark, sent)
    assert {data: rows[data] for data in sent} == {data: read(data) for data in sent}


@pytest.mark.parametrize("time", NOT_HELD)
def test_rfc_3339_that_spark_cannot_hold_is_refused_with_a_reason_that_is_true(time):
    data = event(eventTimestamp=time)
    reason, detail = read(data)
    assert reason == "bad_timestamp" and "expected RFC 3339" not in detail
    assert re.search("leap second|year 0000|past 18:00|in UTC", detail)
    with pytest.raises(Refused, match=re.escape(detail)):
        instance_text("instances[0]", json.loads(data))


def test_reconciliation_reads_every_line_that_lands(tmp_path, corpus):
    lines = {True: [], False: []}
    for data, reason in corpus.items():
        lines[reason is None].append(route(data))
    for name, taken in (("input", True), ("dead_letter", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[taken])))
        folder = read_folder(f"{tmp_path}/{name}", dead=not taken)
        assert (folder.unreadable, folder.lines) == ([], len(lines[taken]))
