"""LAND: Pub/Sub → dated files of JSON lines in Cloud Storage. A Beam streaming job.

What enters: one Pub/Sub message an event, UTF-8 JSON (see `read_event`). What leaves: every message exactly once,
either as a line of `<output_path>/dt=YYYY-MM-DD/….jsonl`, the event's own bytes with `"pubsub": {messageId,
publishTime, attributes}` added, or as a line of `<dead_letter_path>/dt=YYYY-MM-DD/….jsonl` with the reason why it is
no event. All of it is one file, since that is what Dataflow's workers get with the job.

    read ─► route ─► join lines ─► batch ─► stage file ─► commit (reshuffle) ─► name file

There are no windows for a message to be late for: a batch closes when it is `--window_size` old or full, whatever the
watermark says. A closed batch is written under a hidden name; the reshuffle then commits what is in it, and only a
committed file gets its visible name, which follows from its content. So a worker that dies leaves at most a hidden
file, and a naming that is run again finds its own file and adds nothing.

On this machine, with a local Pub/Sub server (PUBSUB_EMULATOR_HOST):
    python pubsub_gcs.py --project=brigade-local --runner=DirectRunner --window_size=0.1 --num_shards=1 \\
        --input_subscription=projects/brigade-local/subscriptions/sub-brigade --output_path=landing/input
On GCP:
    python pubsub_gcs.py --project=P --region=us-central1 --input_subscription=projects/P/subscriptions/sub-brigade \\
        --output_path=gs://ml_input/input --temp_location=gs://ml_input/temp --runner=DataflowRunner
"""

import argparse
import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import apache_beam as beam
import google_crc32c
import orjson
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.internal.cloudpickle.cloudpickle import register_pickle_by_value as pickle_by_value
from apache_beam.io import ReadFromPubSub
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.transforms import userstate
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.util import ReshufflePerKey
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from google.api_core import exceptions, retry
from google.cloud import storage

log = logging.getLogger("pubsub_gcs")

MIB = 1 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CHUNK_BYTES = MIB  # lines are joined to chunks of this size, so that Beam's state is touched once a chunk
MAX_EVENT_BYTES = 4 * MIB
# Offsets go as far as Spark and Java read them: 18 hours.
RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-](?:(?:0\d|1[0-7]):[0-5]\d|18:00)))", re.ASCII
)
# In JSON text, all up to the next character that opens, closes or divides; and the same but for those that divide.
UP_TO_A_MARK, UP_TO_A_BRACKET = (
    re.compile(rf'[^"{marks}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{marks}]*)*[{marks}]') for marks in (r"{}\[\],", r"{}\[\]")
)
REQUIRED = (("eventId",), ("eventTimestamp",), ("doc", "docId"), ("doc", "payload"))
JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}

COUNTED: Counter[str] = Counter()
COUNTING = threading.Lock()

# A line on its way to a file: when it was published (microseconds since 1970), and its bytes with the newline.
Line = tuple[int, bytes]
# Lines on their way to the same file: how many, first and last publication (microseconds since 1970), their bytes.
Chunk = tuple[int, int, int, bytes]
# A file before it has its name: where it is, where it goes, its size in bytes and its CRC32C, its lines, and times of
# publication (microseconds since 1970).
StagedFile = tuple[str, str, int, int, int, list[int]]


# ---------------------------------------------------------------------------------------------- what is an event


class NotAnEvent(Exception):
    """A message that cannot land. `reason` is one of the README's fixed codes, `detail` holds no document text."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def read_event(data: bytes, max_bytes: int = MAX_EVENT_BYTES) -> dict:
    """The event in a message's bytes. Raises NotAnEvent when a required field is missing or of the wrong type.

    {"eventTimestamp": "2019-04-02T21:55:57Z", "eventId": "3dc6eb9af4154635b688e7cfeb8db131bfe84ccd",
     "eventSource": "doc.contract", "eventVersion": "1.0", "eventType": "DocSchedule",
     "doc": {"schemaVersion": "1.0", "docId": "CF2909E5-12C8-4D42-A996-12672B727B3B",
             "metadata": {"accountId": "EA2425CF-EF72-40C6-8DD3-C7D5310FA07D", "superTag01": "A", "superTag02": "C",
                          "otherTags": [{"tagName": "otherTag01", "tagValue": "A"}]},
             "payload": "texto teste"}}

    Required: eventId, eventTimestamp (RFC 3339), doc.docId, doc.payload, all strings. All else is kept unread.
    """
    if len(data) > max_bytes:
        raise NotAnEvent("too_large", f"expected at most {max_bytes} bytes, found {len(data)}")
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise NotAnEvent("not_utf8", f"byte {problem.start} is no UTF-8") from error
        raise NotAnEvent("malformed_json", f"{error.msg.split(':')[0]} at character {error.pos}") from error
    if not isinstance(event, dict):
        raise NotAnEvent("not_an_object", f"expected an object, found {JSON_NAMES.get(type(event), 'a number')}")
    doc = event.get("doc")
    whole = (
        type(doc) is dict
        and type(event.get("eventId")) is type(event.get("eventTimestamp")) is str
        and type(doc.get("docId")) is type(doc.get("payload")) is str
        and event["eventId"]
        and doc["docId"]
    )
    if not whole:
        say_what_is_missing(event)
    if not is_timestamp(event["eventTimestamp"]):
        raise NotAnEvent("bad_timestamp", "eventTimestamp: expected RFC 3339, such as 2019-04-02T21:55:57Z")
    if not doc["payload"] or doc["payload"].isspace():
        raise NotAnEvent("empty_payload", "doc.payload holds no text")
    return event


def say_what_is_missing(event: dict) -> None:
    """Raises NotAnEvent for the first required field that is missing, empty or of the wrong type."""
    for path in REQUIRED:
        value = event
        for depth, name in enumerate(path, 1):
            if not isinstance(value, dict):
                found = JSON_NAMES.get(type(value), "a number")
                raise NotAnEvent("wrong_type", f"{'.'.join(path[: depth - 1])}: expected an object, found {found}")
            if name not in value:
                raise NotAnEvent("missing_field", ".".join(path[:depth]))
            value = value[name]
        if not isinstance(value, str):
            found = JSON_NAMES.get(type(value), "a number")
            raise NotAnEvent("wrong_type", f"{'.'.join(path)}: expected a string, found {found}")
    for path, value in ((("eventId",), event["eventId"]), (("doc", "docId"), event["doc"]["docId"])):
        if not value:
            raise NotAnEvent("missing_field", f"{'.'.join(path)} is empty")


def is_timestamp(text: str) -> bool:
    """Whether the text is an RFC 3339 date and time with an offset."""
    match = RFC3339.fullmatch(text)
    if not match:
        return False
    date, clock, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{offset or ''}")
        if offset:
            moment.astimezone(UTC)  # the years 1 and 9999 have no room for every offset
    except (ValueError, OverflowError):
        return False
    return True


def landed_line(data: bytes, event: dict, pubsub: dict) -> bytes:
    """The event's own bytes on one line, with `"pubsub": {…}` added as the last member."""
    # Outside its strings JSON takes a line break for a space, and inside them a raw one is not allowed.
    own = data.strip().replace(b"\n", b" ").replace(b"\r", b" ")
    if "pubsub" in event:  # a landed line that was published again
        own = without_member(own.decode("utf-8"), "pubsub").encode("utf-8")
    return own[:-1].rstrip() + b', "pubsub": ' + orjson.dumps(pubsub) + b"}\n"


def without_member(text: str, name: str) -> str:
    """The JSON object in the text without its members of that name; the others' text stays as it is.

    It looks for the ends of members alone: no nesting is too deep for it, and no number too long.
    """
    at, depth, ends = 1, 1, [0]
    while depth:
        at = (UP_TO_A_MARK if depth == 1 else UP_TO_A_BRACKET).match(text, at).end()
        depth += (text[at - 1] in "{[") - (text[at - 1] in "}]")
        if depth == 0 or text[at - 1] == ",":
            ends.append(at - 1)
    key = json.JSONDecoder().raw_decode
    members = [text[start + 1 : end].strip() for start, end in pairwise(ends)]
    return "{" + ", ".join(member for member in members if key(member)[0] != name) + "}"


def count(name: str, by: int = 1) -> None:
    """Counts in Beam's metrics, and in this process for the local runner, whose metrics miss all but a first bundle."""
    Metrics.counter("landing", name).inc(by)
    with COUNTING:
        COUNTED[name] += by


class Route(beam.DoFn):
    """PubsubMessage → (folder, Line): an event below `output_path`, what is none below `dead_letter_path`.

    Both kinds leave by one output, since the folder tells them apart: the local runner takes each bundle
    through every step of the graph, so a second branch of the same steps would cost as much again.
    """

    def __init__(self, output_path: str, dead_letter_path: str, max_event_bytes: int = MAX_EVENT_BYTES):
        self.output_path, self.dead_letter_path = output_path, dead_letter_path
        self.max_event_bytes = max_event_bytes
        self.second, self.clock = None, ""

    def start_bundle(self):
        self.received = 0

    def finish_bundle(self):
        count("received", self.received)

    def process(self, message: PubsubMessage) -> Iterator:
        self.received += 1
        micros = (message.publish_time - EPOCH) // MICROSECOND
        second, fraction = divmod(micros, 1_000_000)
        if second != self.second:  # neighbours share it, and isoformat would take a tenth of a message's time
            self.second, self.clock = second, (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
        published, day = f"{self.clock}.{fraction:06}Z", f"dt={self.clock[:10]}"
        data = message.data or b""
        about = {
            "messageId": message.message_id or "",
            "publishTime": published,
            "attributes": dict(message.attributes or {}),
        }
        try:
            event = read_event(data, self.max_event_bytes)
            yield f"{self.output_path}/{day}", (micros, landed_line(data, event, about))
        except NotAnEvent as problem:
            count(f"dead_lettered_{problem.reason}")
            about = {"reason": problem.reason, "detail": problem.detail} | about
            about["data"] = base64.b64encode(data).decode("ascii")
            line = orjson.dumps(about) + b"\n"
            yield f"{self.dead_letter_path}/{day}", (micros, line)


# ------------------------------------------------------------------------------------------ from lines to files


@beam.typehints.with_input_types(tuple[str, Line])
@beam.typehints.with_output_types(tuple[str, Chunk])
class JoinLines(beam.DoFn):
    """Joins a bundle's lines to chunks, each bound for one folder and shard.

    The key that leaves is `<folder> <shard>`. With `num_shards` a bundle goes to one of so many shards; without, each
    worker thread is a shard, so that shards grow with the workers that the runner starts.
    """

    def __init__(self, num_shards: int | None, max_lines: int, max_bytes: int):
        self.num_shards, self.max_lines, self.max_bytes = num_shards, max_lines, min(max_bytes, CHUNK_BYTES)

    def start_bundle(self):
        self.open: dict[str, list[Line]] = {}
        self.sizes: Counter[str] = Counter()

    def process(self, element: tuple[str, Line]) -> Iterator:
        folder, line = element
        lines = self.open.setdefault(folder, [])
        size = self.sizes[folder] + len(line[1])
        if lines and (size > self.max_bytes or len(lines) >= self.max_lines):
            yield self.close(folder)
            lines, size = self.open.setdefault(folder, []), len(line[1])
        lines.append(line)
        self.sizes[folder] = size

    def finish_bundle(self) -> Iterator:
        for folder in list(self.open):
            key, chunk = self.close(folder)
            yield GlobalWindows.windowed_value((key, chunk), timestamp=Timestamp(micros=chunk[2]))

    def close(self, folder: str) -> tuple[str, Chunk]:
        lines = self.open.pop(folder)
        del self.sizes[folder]
        times = [micros for micros, _ in lines]
        data = b"".join(text for _, text in lines)
        thread = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
        shard = zlib.crc32(data) % self.num_shards if self.num_shards else thread
        return f"{folder} {shard}", (len(lines), min(times), max(times), data)


@beam.typehints.with_input_types(tuple[str, Chunk])
@beam.typehints.with_output_types(tuple[str, list[Chunk]])
class Batch(beam.DoFn):
    """Gathers a shard's chunks until they are full (lines, bytes) or `max_seconds` old: then they are one file.

    Beam's own GroupIntoBatches bounds the count and the age but not the bytes, and a batch of large events must fit
    into a worker. The age is processing time; at the end of the input (or a drain) what is open closes too.
    """

    CHUNKS = userstate.BagStateSpec("chunks", TupleCoder([VarIntCoder(), VarIntCoder(), VarIntCoder(), BytesCoder()]))
    SIZE = userstate.ReadModifyWriteStateSpec("size", TupleCoder([VarIntCoder(), VarIntCoder()]))  # lines, bytes
    AGE = userstate.TimerSpec("age", TimeDomain.REAL_TIME)
    END = userstate.TimerSpec("end", TimeDomain.WATERMARK)

    def __init__(self, max_seconds: float, max_lines: int, max_bytes: int, clock=time.time):
        self.max_seconds, self.max_lines, self.max_bytes, self.clock = (
            max_seconds,
            max_lines,
            max_bytes,
            clock,
        )

    def process(
        self,
        element: tuple[str, Chunk],
        window=beam.DoFn.WindowParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
        end=beam.DoFn.TimerParam(END),
    ) -> Iterator:
        key, chunk = element
        count, _, _, data = chunk
        lines, held = size.read() or (0, 0)
        if lines and (lines + count > self.max_lines or held + len(data) > self.max_bytes):
            yield from self.close(key, chunks, size, age)
            lines, held = 0, 0
        if not lines:
            age.set(self.clock() + self.max_seconds)
            end.set(window.end)
        chunks.add(chunk)
        size.write((lines + count, held + len(data)))

    @userstate.on_timer(AGE)
    def on_age(
        self,
        key=beam.DoFn.KeyParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
    ) -> Iterator:
        yield from self.close(key, chunks, size, age)

    @userstate.on_timer(END)
    def on_end(
        self,
        key=beam.DoFn.KeyParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
    ) -> Iterator:
        yield from self.close(key, chunks, size, age)

    def close(self, key, chunks, size, age) -> Iterator[tuple[str, list[Chunk]]]:
        batch = list(chunks.read())
        chunks.clear()
        size.clear()
        age.clear()
        if batch:
            yield key, batch


@beam.typehints.with_input_types(tuple[str, list[Chunk]])
@beam.typehints.with_output_types(tuple[str, StagedFile])
class StageFile(beam.DoFn):
    """Writes a batch under a hidden name, and gives what there is to know of it but its bytes.

    The bytes end here: a batch of 64 MiB that went through the reshuffle would be sent to another worker and back to
    the disk, and on Dataflow be paid for, once more.
    """

    def __init__(self, compress: bool, files: "Files"):
        self.compress, self.files = compress, files

    def process(self, element: tuple[str, list[Chunk]]) -> Iterator[tuple[str, StagedFile]]:
        key, batch = element
        pieces = [data for _, _, _, data in batch]
        times = [micros for _, first, last, _ in batch for micros in (first, last)]
        lines = sum(chunk[0] for chunk in batch)
        path = f"{key.rsplit(' ', 1)[0]}/{file_name(min(times), max(times), lines, pieces)}"
        if self.compress:
            gzip = zlib.compressobj(6, wbits=31)  # 31: with gzip's header, whose time is 0
            path, pieces = path + ".gz", [*map(gzip.compress, pieces), gzip.flush()]
        checksum = google_crc32c.Checksum()
        for piece in pieces:
            checksum.update(piece)
        staged = self.files.stage(path, pieces)
        yield key, (staged, path, sum(map(len, pieces)), int.from_bytes(checksum.digest(), "big"), lines, times)


@beam.typehints.with_input_types(tuple[str, StagedFile])
@beam.typehints.with_output_types(str)
class NameFile(beam.DoFn):
    """Gives a staged file its name, which no file had before, and yields its path.

    What it counts is named after the folder: `landed` below `output_path`, `dead_lettered` below `dead_letter_path`.
    """

    def __init__(self, dead_letter_path: str, files: "Files"):
        self.dead_letters, self.files = f"{dead_letter_path}/", files

    def process(self, element: tuple[str, StagedFile]) -> Iterator[str]:
        staged, path, size, checksum, lines, times = element[1]
        if not self.files.name(staged, path, size, checksum):
            count("files_found_already_written")
        kind = "dead_lettered" if path.startswith(self.dead_letters) else "landed"
        count(kind, lines)
        count(f"files_{kind}")
        count(f"bytes_{kind}", size)
        now = int(time.time() * 1000)
        for micros in times:
            Metrics.distribution("landing", f"publish_to_{kind}_ms").update(now - micros // 1000)
        yield path


def file_name(first: int, last: int, lines: int, pieces: list[bytes]) -> str:
    """`<first>-<last>-<lines>-<SHA-256 of the lines>.jsonl`: times of publication, UTC; no colon, for Hadoop's sake."""
    times = [
        (datetime(1970, 1, 1) + timedelta(microseconds=micros)).strftime("%Y%m%dT%H%M%S.%fZ")
        for micros in (first, last)
    ]
    content = hashlib.sha256()
    for piece in pieces:
        content.update(piece)
    return f"{times[0]}-{times[1]}-{lines}-{content.hexdigest()[:24]}.jsonl"


CLIENTS: dict[str, storage.Client] = {}


def storage_client() -> storage.Client:
    """One client a process and service; the local runner sets up its DoFns anew for each bundle.

    Not an lru_cache: that pickles by name, which workers could not import.
    """
    service = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if service not in CLIENTS:
        CLIENTS[service] = storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    return CLIENTS[service]


TRANSIENT = (
    OSError,  # local disks, and connections: requests' ConnectionError is one
    exceptions.TooManyRequests,
    exceptions.ServerError,
)
FINAL = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
WITH_BACK_OFF = retry.Retry(
    predicate=lambda error: isinstance(error, TRANSIENT) and not isinstance(error, FINAL),
    initial=0.5,
    maximum=30,
    timeout=300,
    on_error=lambda error: log.warning("writing failed, will be tried again: %s", error),
)


class DifferentContent(Exception):
    """A file of this name is there with other bytes; since names follow from content, somebody changed it."""


class StagedFileLost(Exception):
    """Somebody removed a staged file before it got its name; its messages can only come from Pub/Sub again."""


class Files:
    """Files that appear whole, under a name that none had before. Local folders and Cloud Storage.

    Both steps try for 5 minutes with growing pauses when a failure may pass; then, and at once when it will not, they
    raise, so that the bundle fails and its messages stay with the runner.
    """

    @WITH_BACK_OFF
    def stage(self, path: str, pieces: list[bytes]) -> str:
        """Writes the bytes under a hidden name beside `path`, and returns that."""
        folder, name = path.rsplit("/", 1)
        staged = f"{folder}/.{name}.{uuid.uuid4().hex}.staged"  # Spark passes over names that begin with a dot
        if path.startswith("gs://"):
            # generation 0: only if there is none; with it, the client also repeats what failed on the way
            blob(staged).upload_from_string(
                b"".join(pieces), "application/x-ndjson", if_generation_match=0, checksum="crc32c", timeout=120
            )
            return staged
        os.makedirs(folder, exist_ok=True)
        try:
            with open(staged, "xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            if os.path.exists(staged):
                os.remove(staged)
            raise
        return staged

    @WITH_BACK_OFF
    def name(self, staged: str, path: str, size: int, checksum: int) -> bool:
        """Gives the staged file its name: True. Or finds that it has it already: False.

        `size` in bytes and `checksum` (CRC32C) are the staged file's. Raises DifferentContent when the name belongs to
        other bytes, and StagedFileLost when there is neither a staged file nor one of that name.
        """
        new = True
        try:
            if path.startswith("gs://"):
                token, _, _ = blob(path).rewrite(blob(staged), if_generation_match=0)
                while token:  # a large copy, or one to another place, takes more than one call
                    token, _, _ = blob(path).rewrite(blob(staged), token=token, if_generation_match=0)
            else:
                os.link(staged, path)  # unlike a rename, refuses when the name is taken
        except (FileExistsError, FileNotFoundError, exceptions.PreconditionFailed, exceptions.NotFound):
            new, found = False, size_and_checksum(path)
            if found is None:
                raise StagedFileLost(f"{staged} is gone before it became {path}") from None
            if found != (size, checksum):
                raise DifferentContent(path) from None
        if path.startswith("gs://"):
            with contextlib.suppress(exceptions.NotFound):
                blob(staged).delete()
        else:
            with contextlib.suppress(FileNotFoundError):
                os.remove(staged)
        return new


def blob(path: str) -> storage.Blob:
    bucket, name = path.removeprefix("gs://").split("/", 1)
    return storage_client().bucket(bucket).blob(name)


def size_and_checksum(path: str) -> tuple[int, int] | None:
    """A file's size in bytes and its CRC32C; None if there is no such file."""
    if path.startswith("gs://"):
        found = blob(path)
        try:
            found.reload()
        except exceptions.NotFound:
            return None
        return found.size, int.from_bytes(base64.b64decode(found.crc32c), "big")
    size, checksum = 0, google_crc32c.Checksum()
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK_BYTES):
                size += len(piece)
                checksum.update(piece)
    except FileNotFoundError:
        return None
    return size, int.from_bytes(checksum.digest(), "big")


class WriteDatedFiles(beam.PTransform):
    """(folder, Line) → the paths of the files that hold them, each line in one file of its folder.

    A file closes `max_seconds` after its first line, or before it passes `max_lines` or `max_bytes`.
    """

    def __init__(
        self,
        dead_letter_path: str,
        *,
        max_seconds: float,
        max_lines: int,
        max_bytes: int,
        num_shards: int | None = None,
        compress: bool = False,
        files: Files | None = None,
        clock=time.time,
    ):
        super().__init__()
        self.join = JoinLines(num_shards, max_lines, max_bytes)
        self.batch = Batch(max_seconds, max_lines, max_bytes, clock)
        files = files or Files()
        self.stage, self.name = StageFile(compress, files), NameFile(dead_letter_path, files)

    def expand(self, lines: beam.PCollection) -> beam.PCollection:
        return (
            lines
            | "Join lines" >> beam.ParDo(self.join)
            | "Batch" >> beam.ParDo(self.batch)
            | "Stage file" >> beam.ParDo(self.stage)
            # What is in a file is settled here: whatever runs again behind it, it is for this file and no other.
            | "Commit" >> ReshufflePerKey()
            | "Name file" >> beam.ParDo(self.name)
        )


# ------------------------------------------------------------------------------------------------ the three moves


def parse_arguments(argv: list[str] | None) -> tuple[argparse.Namespace, PipelineOptions]:
    """The job's own arguments, and Beam's. Exits with status 2 and one line when they do not fit."""
    parser = argparse.ArgumentParser(
        prog="pubsub_gcs.py",
        description="Lands every message of a Pub/Sub topic in Cloud Storage: events as dated JSON lines, and what is "
        "no event as dead letters with a reason.",
        epilog="All of Beam's own options work too, such as --runner, --project, --region, --temp_location.\n\n"
        "examples:\n"
        "  python pubsub_gcs.py --project=P --region=us-central1 --runner=DataflowRunner \\\n"
        "      --input_subscription=projects/P/subscriptions/sub-brigade \\\n"
        "      --output_path=gs://ml_input/input --temp_location=gs://ml_input/temp\n"
        "  python pubsub_gcs.py --project=brigade-local --runner=DirectRunner --window_size=0.1 --num_shards=1 \\\n"
        "      --input_topic=projects/brigade-local/topics/topic-brigade --output_path=landing/input",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_argument_group("where messages come from (one of the two)")
    source.add_argument(
        "--input_topic",
        metavar="projects/P/topics/T",
        help="a new subscription is made at each launch: what is published between two launches is lost to this job",
    )
    source.add_argument(
        "--input_subscription",
        metavar="projects/P/subscriptions/S",
        help="keeps what is published while no job runs; the one to use",
    )
    target = parser.add_argument_group("where they land")
    target.add_argument("--output_path", required=True, metavar="URI", help="gs://bucket/prefix or a folder")
    target.add_argument(
        "--dead_letter_path",
        metavar="URI",
        help="for messages that are no event (default: dead_letter beside the output)",
    )
    shape = parser.add_argument_group("how files are cut")
    shape.add_argument(
        "--window_size",
        type=positive(float),
        default=2.0,
        metavar="MINUTES",
        help="the longest that a message waits for its file to close (default: 2)",
    )
    shape.add_argument(
        "--max_file_mib",
        type=positive(int),
        default=64,
        metavar="MIB",
        help="the largest file, uncompressed (default: 64)",
    )
    shape.add_argument(
        "--max_file_lines",
        type=positive(int),
        default=100_000,
        metavar="N",
        help="the most lines in a file (default: 100000)",
    )
    shape.add_argument(
        "--num_shards",
        type=positive(int),
        metavar="N",
        help="files written at a time (default: one for each worker thread, so they grow with the runner's workers)",
    )
    shape.add_argument(
        "--compress", action="store_true", help="gzip the files (.jsonl.gz); Spark reads them as they are"
    )
    shape.add_argument(
        "--max_event_bytes",
        type=positive(int),
        default=MAX_EVENT_BYTES,
        metavar="BYTES",
        help=f"a larger message is a dead letter (default: {MAX_EVENT_BYTES}; Pub/Sub takes up to 10000000)",
    )
    arguments, rest = parser.parse_known_args(argv)
    if bool(arguments.input_topic) == bool(arguments.input_subscription):
        found = "both" if arguments.input_topic else "neither"
        parser.error(f"expected one of --input_topic and --input_subscription, found {found}")
    for kind in ("topic", "subscription"):
        value = getattr(arguments, f"input_{kind}")
        form = rf"projects/[a-z][-a-z0-9:.]{{4,}}[a-z0-9]/{kind}s/[a-zA-Z][-\w.~+%]{{2,254}}"
        if value and not re.fullmatch(form, value):
            parser.error(f"--input_{kind}: expected projects/PROJECT/{kind}s/NAME, found {value}")
    arguments.output_path = arguments.output_path.rstrip("/")
    arguments.dead_letter_path = (arguments.dead_letter_path or beside(arguments.output_path, "dead_letter")).rstrip(
        "/"
    )
    for name in ("output_path", "dead_letter_path"):
        if not re.fullmatch(r"gs://[^/]+/.+|(?!\w+://).+", getattr(arguments, name)):
            parser.error(f"--{name}: expected gs://bucket/prefix or a local path, found {getattr(arguments, name)!r}")
    if f"{arguments.dead_letter_path}/".startswith(f"{arguments.output_path}/"):
        parser.error("--dead_letter_path must lie outside --output_path, or dead letters would be read as events")
    if arguments.max_event_bytes * 2 > arguments.max_file_mib * MIB:
        parser.error("--max_file_mib: expected room for two events of --max_event_bytes")

    options = PipelineOptions(rest, streaming=True)
    unknown = unknown_options(rest)
    if unknown:
        parser.error(f"neither this job nor Beam knows {' '.join(unknown)}; see --help")
    return arguments, options


def positive(kind: type):
    def convert(text: str):
        value = kind(text)
        if not value > 0 or value == float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
        return value

    convert.__name__ = "number" if kind is float else "whole number"
    return convert


def beside(path: str, name: str) -> str:
    """The sibling of that name. A path directly in a bucket or folder has its sibling there too."""
    parent, separator, _ = path.rpartition("/")
    return f"{parent}{separator}{name}"


def unknown_options(flags: list[str]) -> list[str]:
    """The flags that no options class of Beam knows; Beam itself passes them over with a warning."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options_class in PipelineOptions.__subclasses__():
        options_class._add_argparse_args(parser)
    return parser.parse_known_args(flags)[1]


def build(
    pipeline: beam.Pipeline,
    messages: beam.PTransform,
    *,
    output_path: str,
    dead_letter_path: str,
    max_event_bytes: int = MAX_EVENT_BYTES,
    **shape,
) -> beam.PCollection:
    """The graph; gives the paths of the written files.

    `messages` yields PubsubMessage; `shape` is how WriteDatedFiles cuts files.
    """
    return (
        pipeline
        | "Read messages" >> messages
        | "Route" >> beam.ParDo(Route(output_path, dead_letter_path, max_event_bytes))
        | "Write dated files" >> WriteDatedFiles(dead_letter_path, **shape)
    )


class CannotStart(Exception):
    """What has to be there before the first message is taken is not; the message says what to do."""


def check_surroundings(arguments: argparse.Namespace) -> None:
    """Raises CannotStart unless the topic or subscription exists and both folders can be written to."""
    from google.cloud import pubsub

    try:
        if arguments.input_subscription:
            with pubsub.SubscriberClient() as subscriber:
                subscriber.get_subscription(subscription=arguments.input_subscription, timeout=30)
        else:
            with pubsub.PublisherClient() as publisher:
                publisher.get_topic(topic=arguments.input_topic, timeout=30)
    except exceptions.NotFound:
        kind, name = (
            ("subscriptions", arguments.input_subscription)
            if arguments.input_subscription
            else ("topics", arguments.input_topic)
        )
        raise CannotStart(f"{name} does not exist; create it with: gcloud pubsub {kind} create …") from None
    except exceptions.PermissionDenied:
        log.warning("cannot see whether %s exists", arguments.input_subscription or arguments.input_topic)
    except Exception as error:  # credentials, connection: whatever it is, no message has been taken
        raise CannotStart(f"Pub/Sub cannot be reached: {one_line(error)}") from error
    for path in (arguments.output_path, arguments.dead_letter_path):
        try:
            check_writable(path)
        except CannotStart:
            raise
        except Exception as error:
            raise CannotStart(f"{path} cannot be written to: {one_line(error)}") from error


def subscribe(topic: str) -> str:
    """Makes a subscription for this run; it sees what is published from now on."""
    from google.cloud import pubsub

    name = f"{topic.rsplit('/topics/', 1)[0]}/subscriptions/landing-{uuid.uuid4().hex}"
    with pubsub.SubscriberClient() as subscriber:
        subscriber.create_subscription(name=name, topic=topic, timeout=30)
    return name


def unsubscribe(subscription: str) -> None:
    from google.cloud import pubsub

    try:
        with pubsub.SubscriberClient() as subscriber:
            subscriber.delete_subscription(subscription=subscription, timeout=10)
    except exceptions.GoogleAPICallError as error:
        log.warning("%s is left behind: %s", subscription, one_line(error))


def check_writable(path: str) -> None:
    if path.startswith("gs://"):
        bucket = path.removeprefix("gs://").split("/", 1)[0]
        needed = ["storage.objects.create", "storage.objects.get", "storage.objects.delete"]
        try:
            granted = storage_client().bucket(bucket).test_iam_permissions(needed)
        except exceptions.NotFound:
            raise CannotStart(
                f"gs://{bucket} does not exist; create it with: gcloud storage buckets create gs://{bucket}"
            ) from None
        if set(needed) - set(granted):
            raise CannotStart(f"gs://{bucket} cannot be written to: this account lacks {' and '.join(needed)} there")
    else:
        os.makedirs(path, exist_ok=True)
        trial = os.path.join(path, f".{uuid.uuid4().hex}")
        with open(trial, "xb"):
            os.remove(trial)


def one_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


def adapt_to_emulator() -> None:
    """Lets the local runner take as much from an emulator at once as it takes from the service.

    google-cloud-pubsub opens an emulator's channel, and only that one, with gRPC's default of 4 MiB an answer: one
    larger message would end the job, again at each start. The runner asks for ten messages at a time, and a bundle
    costs it the same whatever its size; here it asks for a hundred.
    """
    import grpc

    class LargerPulls(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, proceed, call, request):
            if call.method.endswith("/Pull"):
                request.max_messages = 100
            return proceed(call, request)

    plain = grpc.insecure_channel

    def adapted(target, options=(), **settings):
        options = [*(options or ()), ("grpc.max_receive_message_length", -1)]
        return grpc.intercept_channel(plain(target, options=options, **settings), LargerPulls())

    grpc.insecure_channel = adapted


class Stopped(BaseException):
    """The operator asked the job to stop."""


def stop(signal_number, frame):
    raise Stopped(signal.Signals(signal_number).name)


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    arguments, options = parse_arguments(argv)
    if os.environ.get("PUBSUB_EMULATOR_HOST"):
        adapt_to_emulator()
    try:
        check_surroundings(arguments)
    except CannotStart as problem:
        print(f"pubsub_gcs.py: {problem}", file=sys.stderr)
        return 1
    runner = options.view_as(StandardOptions).runner or "DirectRunner"
    local = "Direct" in runner
    topic, subscription = arguments.input_topic, arguments.input_subscription
    if topic and local:  # else the runner makes one of its own, which stays when the job is stopped
        topic, subscription = None, subscribe(topic)
    messages = ReadFromPubSub(topic=topic, subscription=subscription, with_attributes=True)
    pipeline = beam.Pipeline(options=options)
    build(
        pipeline,
        messages,
        output_path=arguments.output_path,
        dead_letter_path=arguments.dead_letter_path,
        max_seconds=arguments.window_size * 60,
        max_lines=arguments.max_file_lines,
        max_bytes=arguments.max_file_mib * MIB,
        max_event_bytes=arguments.max_event_bytes,
        num_shards=arguments.num_shards,
        compress=arguments.compress,
    )
    summary = {"runner": runner, "output": arguments.output_path, "dead_letters": arguments.dead_letter_path}
    if not local:  # the job goes on in the cloud; with its start this command has done its work
        pickle_by_value(sys.modules[__name__])  # workers import nothing of this folder
        CLIENTS.clear()  # globals go along, and the client that looked at the bucket cannot be pickled
        result = pipeline.run()
        # A Flex Template's launcher has the graph written to a file: the job starts after this process has ended.
        job = result.job_id() if getattr(result, "has_job", False) else None
        print(json.dumps(summary | {"job": job, "state": result.state}))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    started, status = time.time(), 0
    try:
        result = pipeline.run()
        log.info("landing in %s; stop with Ctrl-C", arguments.output_path)
        result.wait_until_finish()
    except Stopped as signal_name:
        log.info("stopped by %s", signal_name)
    except Exception as error:
        log.error("the job failed: %s", one_line(error))
        status = 1
    if arguments.input_topic:
        unsubscribe(subscription)
    with COUNTING:
        print(json.dumps(summary | dict(sorted(COUNTED.items())) | {"seconds": round(time.time() - started, 1)}))
    sys.stdout.flush()
    # The local runner's threads poll Pub/Sub without end and are no daemons: without this the process would stay.
    os._exit(status)
