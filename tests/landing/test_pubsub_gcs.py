"""LAND: what is an event, that every message is in one file, once, and what happens when something fails."""

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import apache_beam as beam
import google_crc32c
import grpc
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brigade.landing import pipeline as pubsub_gcs
from tests.conftest import ROOT

TUTORIAL_EVENT = {
    "eventTimestamp": "2019-04-02T21:55:57Z",
    "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
    "eventSource": "doc.contract",
    "eventVersion": "1.0",
    "eventType": "DocSchedule",
    "doc": {
        "schemaVersion": "1.0",
        "docId": "CF2909E5-12C8-4D42-A996-12672B727B3B",
        "metadata": {
            "accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D",
            "superTag01": "A",
            "superTag02": "C",
            "otherTags": [
                {"tagName": "otherTag01", "tagValue": "A"},
                {"tagName": "otherTag02", "tagValue": "X"},
            ],
        },
        "payload": "texto teste",
    },
}


@pytest.fixture(autouse=True)
def channels_as_they_are(monkeypatch):
    """The program adapts gRPC's channels to an emulator for its whole process, which here goes on with other tests."""
    monkeypatch.setattr(grpc, "insecure_channel", grpc.insecure_channel)


def event(number: int = 0, **changes) -> bytes:
    return json.dumps(TUTORIAL_EVENT | {"eventId": f"event-{number}"} | changes).encode()


def message(number: int = 0, data: bytes | None = None, day: int = 1, **attributes: str) -> PubsubMessage:
    published = datetime(2026, 11, day, 23, 59, 0, number % 1_000_000, tzinfo=UTC)
    return PubsubMessage(event(number) if data is None else data, attributes, f"id-{number}", published)


def land(messages, folder: Path, **shape) -> None:
    """Runs the graph over bounded messages; at their end, as at a drain, what is open closes."""
    shape = {"max_seconds": 60, "max_lines": 1000, "max_bytes": 1 << 20, "num_shards": 1} | shape
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pubsub_gcs.build(
            pipeline,
            beam.Create(messages, reshuffle=False),
            output_path=f"{folder}/input",
            dead_letter_path=f"{folder}/dead_letter",
            **shape,
        )


def lines(folder: Path, kind: str = "input", hidden: bool = False) -> list[dict]:
    """The events or dead letters of a folder. Where a worker died while it staged a file there are `hidden` ones."""
    found = []
    for path in sorted((folder / kind).glob("dt=*/*")):
        if path.name.startswith("."):
            assert hidden, "a staged file was left"
            continue
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert content.endswith(b"\n")
        found += [json.loads(line) for line in content.splitlines()]
    return found


def files(folder: Path, kind: str = "input") -> list[Path]:
    return sorted((folder / kind).glob("dt=*/*"))


# ---------------------------------------------------------------------------------------------- what is an event


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
    with pytest.raises(pubsub_gcs.NotAnEvent) as problem:
        pubsub_gcs.read_event(data)
    assert problem.value.reason == reason
    assert len(problem.value.detail) < 150


@pytest.mark.parametrize(
    "timestamp", ["2019-04-02T21:55:57Z", "2019-04-02t21:55:57.123456789z", "2019-04-02 21:55:57-03:00"]
)
def test_rfc_3339_timestamps_are_events(timestamp):
    assert pubsub_gcs.read_event(event(eventTimestamp=timestamp))["eventTimestamp"] == timestamp


def test_the_details_of_a_dead_letter_hold_no_document_text():
    for data in (event()[:-40], event(doc={"docId": "1", "payload": ["texto secreto"]}), b'{"texto secreto'):
        with pytest.raises(pubsub_gcs.NotAnEvent) as problem:
            pubsub_gcs.read_event(data)
        assert "texto" not in problem.value.detail and "secreto" not in problem.value.detail


# --------------------------------------------------------------------------------------------- what a line holds


def test_a_landed_line_keeps_the_event_s_own_bytes():
    own = (
        b'{ "eventId":"1",\r\n "eventTimestamp" : "2019-04-02T21:55:57Z", "big": 123456789012345678901234567890,\n'
        b'"float": 1.0e5, "tiny": 1e-400, "escaped": "\\u00e9\\n", "plain": "\xc3\xa9", "unknown": {"a": [1, 2.50]},'
        b'"doc": {"docId": "2", "payload": "texto"}}\n'
    )
    line = pubsub_gcs.landed_line(own, pubsub_gcs.read_event(own), {"messageId": "m"})
    kept = own.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    assert line == kept[:-1] + b', "pubsub": {"messageId":"m"}}\n'


def test_a_landed_line_that_is_published_again_gets_the_new_message_s_identity():
    own = (
        b'{"pubsub": {"messageId": "old", "x": [1, {"}": "]"}]}, "big": 12345678901234567890123, "f": 1.50, '
        + event()[1:]
    )
    line = pubsub_gcs.landed_line(own, pubsub_gcs.read_event(own), {"messageId": "new"})
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
        read = pubsub_gcs.read_event(data)
    except pubsub_gcs.NotAnEvent as problem:
        assert problem.reason == "malformed_json" and "\\ud" in data.decode()
        return
    line = pubsub_gcs.landed_line(data, read, {"messageId": "m"})
    assert line.count(b"\n") == 1 and b"\r" not in line
    assert json.loads(line) == {**sent, "pubsub": {"messageId": "m"}}


# -------------------------------------------------------------------------------------------- every message, once


def test_events_and_dead_letters_land_in_the_folder_of_their_day_of_publication(tmp_path):
    sent = [message(1, day=1), message(2, day=2, origin="a"), message(3, data=b"\xff{", day=2, origin="b")]
    land(sent, tmp_path)
    assert {path.parent.name for path in files(tmp_path)} == {"dt=2026-11-01", "dt=2026-11-02"}
    landed = {line["eventId"]: line["pubsub"] for line in lines(tmp_path)}
    assert landed["event-2"] == {
        "messageId": "id-2",
        "publishTime": "2026-11-02T23:59:00.000002Z",
        "attributes": {"origin": "a"},
    }
    (dead,) = lines(tmp_path, "dead_letter")
    assert base64.b64decode(dead.pop("data")) == b"\xff{"
    assert dead.pop("detail")
    assert dead == {
        "reason": "not_utf8",
        "messageId": "id-3",
        "publishTime": "2026-11-02T23:59:00.000003Z",
        "attributes": {"origin": "b"},
    }


def test_a_file_s_name_tells_its_time_range_and_holds_no_colon(tmp_path):
    land([message(5), message(9)], tmp_path)
    (path,) = files(tmp_path)
    assert path.name.startswith("20261101T235900.000005Z-20261101T235900.000009Z-2-")
    assert ":" not in path.name


@pytest.mark.parametrize("max_lines, max_bytes", [(7, 1 << 20), (1000, 2000)])
def test_a_file_passes_neither_its_lines_nor_its_bytes(tmp_path, max_lines, max_bytes):
    land([message(number) for number in range(50)], tmp_path, max_lines=max_lines, max_bytes=max_bytes)
    assert sorted(line["eventId"] for line in lines(tmp_path)) == sorted(f"event-{number}" for number in range(50))
    for path in files(tmp_path):
        content = path.read_bytes()
        assert content.count(b"\n") <= max_lines and len(content) <= max_bytes
    assert len(files(tmp_path)) > 5


def test_compressed_files_hold_the_same_lines(tmp_path):
    land([message(number) for number in range(20)], tmp_path / "plain")
    land([message(number) for number in range(20)], tmp_path / "gzip", compress=True)
    assert [path.suffix for path in files(tmp_path / "gzip")] == [".gz"]
    assert lines(tmp_path / "gzip") == lines(tmp_path / "plain")


def test_no_element_is_too_late_and_files_close_on_time(tmp_path):
    """A watermark far ahead, elements long behind it, an idle hour, and a clock that jumps a day."""
    clock = FakeClock()
    stream = (
        test_stream.TestStream()
        .advance_processing_time(1000)
        .add_elements([message(1), message(2)])
        .advance_watermark_to(10_000_000_000)
        .add_elements([message(3)])
        .advance_processing_time(59)
        .add_elements([message(4)])
        .advance_processing_time(2)  # 61 s after the first: its file closes, whatever came since
        .advance_processing_time(3600)
        .add_elements([message(5)])
        .advance_processing_time(86_400)
        .add_elements([message(6)])
        .advance_processing_time(61)
        .advance_watermark_to_infinity()
    )
    written = []
    options = PipelineOptions(streaming=True)
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        pubsub_gcs.build(
            pipeline,
            stream,
            output_path=f"{tmp_path}/input",
            dead_letter_path=f"{tmp_path}/dead_letter",
            max_seconds=60,
            max_lines=1000,
            max_bytes=1 << 20,
            num_shards=1,
            clock=clock,
        )
    written = [
        sorted(json.loads(line)["eventId"] for line in path.read_text().splitlines()) for path in files(tmp_path)
    ]
    assert written == [["event-1", "event-2", "event-3", "event-4"], ["event-5"], ["event-6"]]


class FakeClock:
    """The processing time of the TestStream above: where the stream is, told by what Batch has asked so far."""

    times = (1000, 4661, 91061)

    def __init__(self):
        self.asked = Path(os.environ.get("TMPDIR", "/tmp"), f"clock-{os.getpid()}-{time.monotonic_ns()}")

    def __call__(self) -> float:
        # The runner pickles the clock with each bundle, so what it remembers lies in a file.
        count = len(self.asked.read_text()) if self.asked.exists() else 0
        self.asked.write_text("x" * (count + 1))
        return self.times[min(count, len(self.times) - 1)]


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


@pytest.mark.long
def test_ten_thousand_mutated_messages_land_or_are_dead_letters(tmp_path):
    sent = []

    @settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(MUTATIONS, max_size=4))
    def each_leaves_once(mutations):
        one = message(len(sent), mutated(event(1), mutations))
        route = pubsub_gcs.Route("input", "dead_letter")
        route.start_bundle()
        ((folder, (_, line)),) = route.process(one)
        assert folder in ("input/dt=2026-11-01", "dead_letter/dt=2026-11-01")
        assert line.endswith(b"\n") and b"\n" not in line[:-1] and json.loads(line)
        sent.append(one)

    each_leaves_once()
    assert len(sent) >= 10_000
    land(sent, tmp_path, max_lines=5000, max_bytes=64 << 20)
    landed, dead = lines(tmp_path), lines(tmp_path, "dead_letter")
    identities = Counter(line["pubsub"]["messageId"] for line in landed) + Counter(line["messageId"] for line in dead)
    assert identities == Counter(one.message_id for one in sent)
    assert len(landed) > 100 and len({line["reason"] for line in dead}) >= 6
    by_id = {one.message_id: one.data for one in sent}
    assert all(base64.b64decode(line["data"]) == by_id[line["messageId"]] for line in dead)


def test_beam_s_metrics_count_every_message(tmp_path):
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event"), message(31, data=b"[]")]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pubsub_gcs.build(
        pipeline,
        beam.Create(sent, reshuffle=False),
        output_path=f"{tmp_path}/input",
        dead_letter_path=f"{tmp_path}/dead_letter",
        max_seconds=60,
        max_lines=20,
        max_bytes=1 << 20,
        num_shards=1,
    )
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("landing"))
    counters = {metric.key.metric.name: metric.result for metric in found["counters"]}
    size = sum(path.stat().st_size for path in files(tmp_path))
    dead_size = sum(path.stat().st_size for path in files(tmp_path, "dead_letter"))
    assert counters == {
        "received": 32,
        "landed": 30,
        "dead_lettered": 2,
        "dead_lettered_malformed_json": 1,
        "dead_lettered_not_an_object": 1,
        "files_landed": len(files(tmp_path)),
        "files_dead_lettered": 1,
        "bytes_landed": size,
        "bytes_dead_lettered": dead_size,
    }
    (delay,) = (one.result for one in found["distributions"] if one.key.metric.name == "publish_to_landed_ms")
    since = (datetime.now(UTC) - datetime(2026, 11, 1, 23, 59, tzinfo=UTC)).total_seconds() * 1000
    assert since - 60_000 < delay.min <= delay.max < since + 60_000


# ---------------------------------------------------------------------------------------------- when things fail


class FailingFiles(pubsub_gcs.Files):
    """Files of which one step fails so often at one moment, as disks, networks and dying workers do."""

    def __init__(self, step: str, moment: str, counter: Path, times: int = 2):
        self.step, self.moment, self.counter, self.times = step, moment, counter, times

    def fails(self, step: str, moment: str) -> bool:
        if (step, moment) != (self.step, self.moment):
            return False
        # The runner pickles this with each bundle, so what it remembers lies in a file.
        count = len(self.counter.read_text()) if self.counter.exists() else 0
        self.counter.write_text("x" * (count + 1))
        return count < self.times

    def stage(self, path, pieces):
        if self.fails("stage", "before"):
            raise OSError("no connection")
        if self.fails("stage", "during"):
            super().stage(path, [pieces[0][: len(pieces[0]) // 2]])
            raise OSError("disk full")
        staged = super().stage(path, pieces)
        if self.fails("stage", "after"):
            raise OSError("the worker died before it could say that the file is written")
        return staged

    def name(self, staged, path, size, checksum):
        if self.fails("name", "before"):
            raise OSError("no connection")
        if self.fails("name", "during"):
            if path.startswith("gs://"):
                pubsub_gcs.blob(path).rewrite(pubsub_gcs.blob(staged))
            else:
                os.link(staged, path)
            raise OSError("the worker died between the two names")
        new = super().name(staged, path, size, checksum)
        if self.fails("name", "after"):
            raise OSError("the worker died before it could say that the file has its name")
        return new


@pytest.fixture(params=["a folder", "a bucket"])
def place(request, tmp_path):
    """Where to land: a path or a gs:// URI, and a function that reads the lines of what one finds there."""
    if request.param == "a folder":
        yield str(tmp_path), partial(lines, tmp_path)
    else:
        bucket = request.getfixturevalue("bucket")
        yield f"gs://{bucket.name}", partial(objects, bucket)


def land_as_a_stream(messages, folder: Path | str, **shape) -> None:
    """The same on the streaming local runner, which runs a failed bundle again: four times in all."""
    stream = test_stream.TestStream().add_elements(messages).advance_processing_time(61).advance_watermark_to_infinity()
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(streaming=True)) as pipeline:
        pubsub_gcs.build(
            pipeline,
            stream,
            output_path=f"{folder}/input",
            dead_letter_path=f"{folder}/dead_letter",
            max_seconds=60,
            max_bytes=1 << 20,
            num_shards=1,
            clock=lambda: 0.0,
            **shape,
        )


@pytest.mark.parametrize("moment", ["before", "during", "after"])
@pytest.mark.parametrize("step", ["stage", "name"])
def test_a_bundle_that_is_run_again_loses_nothing_and_writes_nothing_twice(place, tmp_path, step, moment):
    uri, found = place
    attempts = tmp_path / "attempts"
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event")]
    land_as_a_stream(sent, uri, max_lines=10, files=FailingFiles(step, moment, attempts))
    assert attempts.read_text().count("x") > 2, "nothing failed"
    identities = Counter(line["pubsub"]["messageId"] for line in found("input", hidden=step == "stage"))
    assert identities == Counter(f"id-{number}" for number in range(30))
    assert [line["messageId"] for line in found("dead_letter", hidden=step == "stage")] == ["id-30"]


def test_a_write_that_cannot_succeed_fails_the_job(tmp_path):
    failing = FailingFiles("stage", "before", tmp_path / "attempts", times=99)
    with pytest.raises(Exception, match="no connection"):
        land_as_a_stream([message(1)], tmp_path, max_lines=10, files=failing)
    assert not files(tmp_path)


def test_a_file_gets_its_name_once_and_is_never_replaced(place):
    uri, _ = place
    path, here = f"{uri}/input/dt=2026-11-01/file.jsonl", pubsub_gcs.Files()
    first, again, other = (here.stage(path, pieces) for pieces in ([b"fir", b"st\n"], [b"first\n"], [b"other\n"]))
    about = 6, int.from_bytes(google_crc32c.Checksum(b"first\n").digest(), "big")
    assert len({first, again, other}) == 3 and pubsub_gcs.size_and_checksum(path) is None
    assert here.name(first, path, *about) is True
    assert here.name(first, path, *about) is False  # the bundle that did it is run again
    assert here.name(again, path, *about) is False  # the batch was staged twice, which its messages' repetition does
    with pytest.raises(pubsub_gcs.DifferentContent):
        here.name(other, path, *pubsub_gcs.size_and_checksum(other))
    assert pubsub_gcs.size_and_checksum(path) == about
    assert [pubsub_gcs.size_and_checksum(one) for one in (first, again)] == [None, None]
    with pytest.raises(pubsub_gcs.StagedFileLost):
        here.name(first, f"{path}.2", *about)


# ------------------------------------------------------------------------------------------- the storage service


@pytest.fixture
def bucket(storage_emulator):
    from google.cloud import storage

    name = f"landing-{time.monotonic_ns()}"
    return storage.Client(project="brigade-test").create_bucket(name)


def objects(bucket, kind: str, hidden: bool = False) -> list[dict]:
    blobs = [blob for blob in bucket.list_blobs(prefix=f"{kind}/") if not (hidden and "/." in blob.name)]
    assert not [blob.name for blob in blobs if "/." in blob.name], "a staged file was left"
    return [json.loads(line) for blob in blobs for line in blob.download_as_bytes().splitlines()]


def test_events_land_in_a_bucket_as_they_do_in_a_folder(bucket):
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event")]
    for _ in range(2):  # the second time every file is found
        land(sent, f"gs://{bucket.name}", max_lines=10)
    assert Counter(line["pubsub"]["messageId"] for line in objects(bucket, "input")) == Counter(
        f"id-{number}" for number in range(30)
    )
    assert [line["messageId"] for line in objects(bucket, "dead_letter")] == ["id-30"]


@pytest.fixture
def outage(storage_emulator):
    """A storage service that answers 503 to all for 30 seconds from the first upload on; counts its refusals."""
    service = os.environ["STORAGE_EMULATOR_HOST"]

    class Proxy(BaseHTTPRequestHandler):
        ends, refused = None, 0

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "/upload/" in self.path:
                Proxy.ends = Proxy.ends or time.monotonic() + 30
            if Proxy.ends and time.monotonic() < Proxy.ends:
                Proxy.refused += 1
                return self.answer(503, b'{"error": {"code": 503, "message": "try later"}}', {})
            request = urllib.request.Request(service + self.path, body or None, method=self.command)
            for name in ("Content-Type", "X-Goog-Upload-Protocol"):
                if name in self.headers:
                    request.add_header(name, self.headers[name])
            try:
                with urllib.request.urlopen(request) as response:
                    self.answer(response.status, response.read(), response.headers)
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read(), error.headers)

        def answer(self, status, body, headers):
            self.send_response(status)
            self.send_header("Content-Type", headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *_):
            """Nothing: requests are counted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{server.server_port}"
    yield Proxy
    os.environ["STORAGE_EMULATOR_HOST"] = service
    server.shutdown()
    server.server_close()


@pytest.mark.faults
def test_a_bucket_that_answers_503_for_half_a_minute_gets_every_line_once(bucket, outage):
    land([message(number) for number in range(30)], f"gs://{bucket.name}", max_lines=10)
    assert outage.refused >= 2
    assert Counter(line["pubsub"]["messageId"] for line in objects(bucket, "input")) == Counter(
        f"id-{number}" for number in range(30)
    )


def test_a_bucket_that_is_not_there_fails_at_once(storage_emulator):
    from google.api_core.exceptions import NotFound

    with pytest.raises(NotFound):
        pubsub_gcs.Files().stage("gs://no-such-bucket/input/file.jsonl", [b"x\n"])


# ------------------------------------------------------------------------------------------------- the command


GOOD = ["--project=brigade-test", "--output_path=/tmp/x/input", "--runner=DirectRunner"]
SUBSCRIPTION = "--input_subscription=projects/brigade-test/subscriptions/sub-brigade"


@pytest.mark.parametrize(
    "flags, words",
    [
        (GOOD, "found neither"),
        ([*GOOD, SUBSCRIPTION, "--input_topic=projects/brigade-test/topics/topic-brigade"], "found both"),
        ([*GOOD, SUBSCRIPTION, "--window_size=0"], "--window_size: expected a number above 0, found 0"),
        ([*GOOD, SUBSCRIPTION, "--window_size=soon"], "--window_size"),
        ([*GOOD, SUBSCRIPTION, "--num_shards=-1"], "--num_shards"),
        ([*GOOD, SUBSCRIPTION, "--windowsize=2"], "--windowsize=2"),
        ([*GOOD, "--input_subscription=sub-brigade"], "expected projects/PROJECT/subscriptions/NAME"),
        ([*GOOD, SUBSCRIPTION, "--output_path=s3://bucket/x"], "--output_path"),
        ([*GOOD, SUBSCRIPTION, "--dead_letter_path=/tmp/x/input/dead"], "must lie outside"),
        ([SUBSCRIPTION], "--output_path"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_line_that_says_why(flags, words, capsys):
    with pytest.raises(SystemExit) as ended:
        pubsub_gcs.main(flags)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_tutorial_s_command_line_is_understood():
    arguments, options = pubsub_gcs.parse_arguments(
        [
            "--project=brigade-p",
            "--region=us-central1",
            "--input_topic=projects/brigade-p/topics/topic-brigade",
            "--output_path=gs://ml_input/input",
            "--runner=DataflowRunner",
            "--window_size=2",
            "--num_shards=1",
            "--temp_location=gs://ml_input/temp",
        ]
    )
    assert arguments.dead_letter_path == "gs://ml_input/dead_letter"
    assert options.view_as(StandardOptions).streaming


@pytest.mark.parametrize(
    "flags, words",
    [
        (
            ["--input_subscription=projects/brigade-test/subscriptions/nobody"],
            "does not exist; create it with",
        ),
        (["--input_topic=projects/brigade-test/topics/nothing"], "does not exist; create it with"),
    ],
)
def test_a_source_that_does_not_exist_is_one_line_and_status_1(pubsub, tmp_path, flags, words, capsys):
    assert pubsub_gcs.main([f"--output_path={tmp_path}/input", "--project=brigade-test", *flags]) == 1
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_bucket_that_does_not_exist_is_one_line_and_status_1(pubsub, storage_emulator, capsys):
    topic = pubsub.topic("landing-no-bucket")
    flags = [f"--input_topic={topic}", "--output_path=gs://no-such-bucket/input", "--project=brigade-test"]
    assert pubsub_gcs.main(flags) == 1
    assert "gs://no-such-bucket does not exist; create it with" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_one_line_and_status_1(pubsub, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    topic = pubsub.topic("landing-no-folder")
    flags = [f"--input_topic={topic}", f"--output_path={tmp_path}/file/input", "--project=brigade-test"]
    assert pubsub_gcs.main(flags) == 1
    assert "cannot be written to" in capsys.readouterr().err.splitlines()[-1]


# ---------------------------------------------------------------------------------- the real job on real Pub/Sub


class Job:
    """pubsub_gcs.py as its users start it, against the emulator."""

    def __init__(self, source: str, folder: Path, *flags: str):
        self.folder = folder
        self.output = open(folder / "job.log", "ab")  # noqa: SIM115  it stays open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "pubsub_gcs.py", "--project=brigade-test", "--region=us-central1"]
            + [
                f"--input_{'topic' if '/topics/' in source else 'subscription'}={source}",
                f"--output_path={folder}/input",
                "--runner=DirectRunner",
            ]
            + ["--window_size=0.02", "--num_shards=1", "--temp_location=gs://unused/temp", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self.output,
        )

    def wait_for(self, done) -> None:
        end = time.monotonic() + 150
        while not done():
            assert self.process.poll() is None, (self.folder / "job.log").read_text()
            assert time.monotonic() < end, "nothing more lands"
            time.sleep(0.1)

    def end(self, number: int) -> dict:
        self.process.send_signal(number)
        output = self.process.communicate(timeout=60)[0]
        self.output.close()
        return json.loads(output.splitlines()[-1]) if output else {}


@pytest.mark.faults
def test_a_killed_local_job_loses_nothing_after_a_seek(pubsub, tmp_path):
    """The local runner acknowledges before it writes; a subscription that retains can be wound back."""
    from google.protobuf.timestamp_pb2 import Timestamp

    topic = pubsub.topic("landing-killed")
    subscription = pubsub.subscription(topic, "landing-killed", retain_acked_messages=True)
    sent = [
        *(event(number) for number in range(800)),
        b"no event",
        event(doc={"docId": "1", "payload": "x" * 9_000_000}),
    ]
    before = Timestamp(seconds=int(time.time()) - 60)
    assert len(sent) == 802
    for future in [pubsub.publisher.publish(topic, data) for data in sent]:
        future.result(timeout=60)

    first = Job(subscription, tmp_path, "--max_file_lines=50")  # so that it is killed before all of it has landed
    first.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) > 0)
    assert first.end(signal.SIGKILL) == {}

    pubsub.subscriber.seek(request={"subscription": subscription, "time": before})
    second = Job(subscription, tmp_path)
    wanted = {f"event-{number}" for number in range(800)}
    second.wait_for(lambda: {line["eventId"] for line in lines_so_far(tmp_path)} == wanted)
    second.wait_for(lambda: len({line["messageId"] for line in lines_so_far(tmp_path, "dead_letter")}) == 2)
    summary = second.end(signal.SIGTERM)
    assert {line["eventId"] for line in lines_so_far(tmp_path)} == wanted
    assert {line["reason"] for line in lines_so_far(tmp_path, "dead_letter")} == {"malformed_json", "too_large"}
    # Winding back brings what had landed too: with the same messageIds, which conversion counts as duplicates, or in
    # the very same batch, which finds its own file and adds nothing.
    assert summary["received"] >= summary["landed"] + summary["dead_lettered"]


def test_a_local_job_that_reads_a_topic_leaves_no_subscription_behind(pubsub, tmp_path):
    topic = pubsub.topic("landing-topic")
    job = Job(topic, tmp_path)
    job.wait_for(lambda: list(pubsub.publisher.list_topic_subscriptions(topic=topic)))
    for number in range(3):
        pubsub.publisher.publish(topic, event(number)).result(timeout=60)
    job.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) == 3)
    assert job.end(signal.SIGINT)["received"] == 3
    assert not list(pubsub.publisher.list_topic_subscriptions(topic=topic))


def lines_so_far(folder: Path, kind: str = "input") -> list[dict]:
    """The lines of finished files; one that is being written, or that a killed job left, has a hidden name."""
    finished = [path for path in files(folder, kind) if not path.name.startswith(".")]
    return [json.loads(line) for path in finished for line in path.read_text().splitlines()]


# -------------------------------------------------------------------------------------------------- on Dataflow


def test_the_dataflow_job_is_built_offline_and_its_workers_need_nothing_of_this_folder(tmp_path, storage_emulator):
    """Builds the job's graph for Dataflow in a fresh process, then unpickles its DoFns where this project is not."""
    script = tmp_path / "build_job.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import apache_beam as beam, pubsub_gcs\n"
        "from apache_beam.internal.gcp import auth\n"
        "auth._Credentials._credentials_init = True\n"  # there are none; do not look for them for half a minute
        "from apache_beam.io import ReadFromPubSub\n"
        "from apache_beam.options.pipeline_options import GoogleCloudOptions\n"
        "arguments, options = pubsub_gcs.parse_arguments(['--project=brigade-p', '--region=us-central1',\n"
        "    '--runner=DataflowRunner', '--no_auth', '--temp_location=gs://ml_input/temp', '--output_path=gs://ml_input/input',\n"
        "    '--input_subscription=projects/brigade-p/subscriptions/sub-brigade'])\n"
        "pubsub_gcs.pickle_by_value(pubsub_gcs)\n"
        "pipeline = beam.Pipeline(options=options)\n"
        "pubsub_gcs.build(pipeline, ReadFromPubSub(subscription=arguments.input_subscription, with_attributes=True),\n"
        "    output_path='gs://ml_input/input', dead_letter_path='gs://ml_input/dead_letter', max_seconds=120,\n"
        "    max_lines=1000, max_bytes=1 << 26)\n"
        "from apache_beam.runners.dataflow.internal import apiclient\n"
        "proto, _ = pipeline.to_runner_api(return_context=True)\n"
        "job = apiclient.Job(options, proto)\n"
        "open(sys.argv[2], 'w').write(str(job.proto))\n"
        "open(sys.argv[3], 'wb').write(proto.SerializeToString())\n"
    )
    job, graph = tmp_path / "job", tmp_path / "graph"
    built = subprocess.run(
        [sys.executable, script, str(ROOT), job, graph],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    assert "JOB_TYPE_STREAMING" in job.read_text() or "type: JOB_TYPE_STREAMING" in job.read_text()
    reader = tmp_path / "read_job.py"
    reader.write_text(
        "import sys\n"
        "from apache_beam.internal import pickler\n"
        "from apache_beam.portability import common_urns\n"
        "from apache_beam.portability.api import beam_runner_api_pb2\n"
        "proto = beam_runner_api_pb2.Pipeline.FromString(open(sys.argv[1], 'rb').read())\n"
        "names = set()\n"
        "for transform in proto.components.transforms.values():\n"
        "    if transform.spec.urn == 'beam:transform:pardo:v1':\n"
        "        payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)\n"
        "        names.add(type(pickler.loads(payload.do_fn.payload)[0]).__name__)\n"
        "assert 'pubsub_gcs' not in sys.modules\n"
        "print(sorted(names))\n"
    )
    read = subprocess.run([sys.executable, reader, graph], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr
    for name in ("Route", "JoinLines", "Batch", "StageFile", "NameFile"):
        assert name in read.stdout
