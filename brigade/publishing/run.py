"""PUBLISH: files, standard input or generated documents → Pub/Sub. It also replays dead letters.

What enters: tables (CSV, TSV) with a text and a label column; JSON lines, rows of that kind or whole events,
which go out byte for byte; made-up business mail (`--generate`); or dead letters, of landing from its folder, of
classification from their subscription.
What leaves: a message for each, the event of the README, counted when the server has acknowledged it. The
same file again gives the same eventIds, so publishing twice adds no document.

On this machine, with a local Pub/Sub server (PUBSUB_EMULATOR_HOST):
    python publisher.py --generate=1000 --seed=1 --topic=projects/brigade-local/topics/topic-brigade
On GCP:
    python publisher.py mails.csv --text=title+body --label=label --topic=projects/P/topics/topic-brigade
"""

import argparse
import base64
import codecs
import csv
import gzip
import hashlib
import io
import itertools
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

import orjson
from google import pubsub_v1
from google.api_core import exceptions, retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import pubsub, storage
from google.cloud.pubsub_v1 import types

from brigade.publishing.generated import generate, with_noise

log = logging.getLogger("publisher")

MAX_REQUEST_BYTES = 10_000_000  # https://cloud.google.com/pubsub/quotas#resource_limits
GIVE_UP_SECONDS = 120  # a message that the server has not taken by then has failed
JSON_LINES = (".jsonl", ".ndjson", ".json")
RESERVED = {"self", "topic", "data", "ordering_key", "retry", "timeout"}  # what PublisherClient.publish takes
LEDGER_LINES = 1000
SUBSCRIPTION = re.compile(r"projects/[^/]+/subscriptions/[^/]+")
# What classification, and Pub/Sub when it gives a message up, add to the original attributes.
DEAD_LETTER_ATTRIBUTES = re.compile(r"reason|detail|originalMessageId|CloudPubSubDeadLetterSource\w+")
HOLD_SECONDS, QUIET_SECONDS = 600, 10  # the longest that Pub/Sub allows; after which a subscription counts as empty
TRANSIENT = (exceptions.Aborted, exceptions.Cancelled, exceptions.TooManyRequests, exceptions.ServerError)


class WrongInput(Exception):
    """What was asked for does not fit what is there; says what was expected and what was found. Status 2."""


class CannotGoOn(Exception):
    """The work ends before its end; the message says why. Status 1."""


# Problems of the surroundings, told in one line; any other exception is a mistake in this program.
EXPECTED = (WrongInput, CannotGoOn, KeyboardInterrupt, OSError, EOFError, zlib.error)
EXPECTED += (exceptions.GoogleAPIError, GoogleAuthError)


def one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --------------------------------------------------------------------------------- files, here and in buckets


@lru_cache(maxsize=1)
def storage_client() -> storage.Client:
    return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT"))


def blob(uri: str) -> storage.Blob:
    return storage.Blob.from_uri(uri, client=storage_client())


def open_to_read(uri: str) -> BinaryIO:
    """The bytes of a local path, a gs:// object or `-`, standard input; of a .gz what is packed in it."""
    if uri == "-":
        return io.BufferedReader(sys.stdin.buffer)
    stream = blob(uri).open("rb") if uri.startswith("gs://") else io.FileIO(uri)
    return io.BufferedReader(gzip.GzipFile(fileobj=stream) if uri.endswith(".gz") else stream)


def list_files(uri: str) -> list[str]:
    """The file, or all files below the folder or prefix, sorted."""
    uri = uri.rstrip("/")
    if not uri.startswith("gs://"):
        if os.path.isfile(uri):
            return [uri]
        return sorted(f"{folder}/{name}" for folder, _, names in os.walk(uri) for name in names)
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    found = (f"gs://{bucket}/{one.name}" for one in storage_client().list_blobs(bucket, prefix=prefix))
    return sorted(name for name in found if name == uri or name.startswith(f"{uri}/"))


def write_whole(uri: str, content: BinaryIO) -> None:
    """Writes the file so that it is there with all of its content or not at all."""
    content.seek(0)
    if uri.startswith("gs://"):
        return blob(uri).upload_from_file(content, content_type="application/x-ndjson", checksum="crc32c")
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            shutil.copyfileobj(content, file)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


# --------------------------------------------------------------------------------------- documents and events


@dataclass(frozen=True)
class Message:
    """What is to be published. `text` is None for a line that is no JSON object."""

    data: bytes
    text: str | None = None
    label: str | None = None


def event(text: str, label: str | None, position: str, **metadata) -> Message:
    """A document as the event of the README. Its ids follow from its place in its source, text and label."""
    event_id = hashlib.sha1(orjson.dumps([position, text, label])).hexdigest()
    kind = re.sub(r"[^\w.-]+", "_", label.lower()) if label else "document"
    labelled = {"superTag01": label} if label else {}
    doc = {"schemaVersion": "1.0", "docId": str(uuid.uuid5(uuid.NAMESPACE_OID, event_id)).upper()}
    content = {
        "eventTimestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventId": event_id,
        "eventSource": f"doc.{kind}",
        "eventVersion": "1.0",
        "eventType": "DocSchedule",
        "doc": doc | {"metadata": labelled | metadata, "payload": text},
    }
    return Message(orjson.dumps(content), text, label)


def generated(n: int, seed: int) -> Iterator[Message]:
    for number, document in enumerate(generate(n, seed)):
        tags = {"channel": document.channel, "region": document.region}
        metadata = {
            "accountId": document.account_id,
            "superTag02": document.language,
            "otherTags": [{"tagName": name, "tagValue": value} for name, value in tags.items()],
        }
        yield event(document.text, document.label, f"seed {seed} {number}", **metadata)


@dataclass(frozen=True)
class Columns:
    """Where a row has its text (several columns are joined by a space) and its label."""

    text: tuple[str, ...]
    label: str
    label_is_required: bool
    warnings: set[str] = field(default_factory=set)

    def warn(self, warning: str) -> None:
        """Says it once: the head of a file is read twice, and a file may have many lines of a kind."""
        if warning not in self.warnings:
            self.warnings.add(warning)
            log.warning(warning)

    def check(self, source: str, found: Iterable[str]) -> None:
        found = list(found)
        shown = ", ".join(name[:40] for name in found[:20])
        if missing := [name for name in self.text if name not in found]:
            raise WrongInput(
                f"{source}: expected the text in column {'+'.join(self.text)}, found columns {shown} "
                f"(no {', '.join(missing)}); name the right ones with --text=COLUMN or --text=COLUMN+COLUMN"
            )
        if self.label not in found:
            problem = f"{source}: expected the label in column {self.label}, found columns {shown}"
            if self.label_is_required:
                raise WrongInput(f"{problem}; name the right one with --label=COLUMN")
            self.warn(f"{problem}; publishing without labels (--label=COLUMN names another column)")

    def event(self, row: dict, position: str) -> Message:
        text = " ".join(part for part in (as_text(row.get(name)) for name in self.text) if part)
        return event(text, as_text(row.get(self.label)).strip() or None, position)


def as_text(value: object) -> str:
    """A field as text: a JSON number or object as JSON writes it, a missing or null one as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode("utf-8")


def text_lines(stream: BinaryIO, source: str, encoding: str) -> Iterator[str]:
    """The lines with their line ends. Raises WrongInput at the first that is not of the encoding."""
    wide = "\n".encode(encoding) != b"\n"  # UTF-16 and its like: a line does not end with the byte \n
    lines = io.TextIOWrapper(stream, encoding, newline="\n") if wide else stream
    number, place = 1, "after line" if wide else "line"  # that wrapper decodes some lines ahead
    try:
        for number, line in enumerate(lines, 1):
            text = line if wide else line.decode(encoding)
            yield text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError as error:
        problem = f"{source}: {place} {number} is not {encoding} ({error.reason})"
        raise WrongInput(f"{problem}; try --encoding=latin-1") from None


def rows(source: str, columns: Columns, encoding: str, delimiter: str | None) -> Iterator[Message]:
    """The documents of a CSV, TSV or JSON-lines file. Raises WrongInput."""
    kind = os.path.splitext(source.removesuffix(".gz"))[1].lower()
    with open_to_read(source) as stream:
        lines = text_lines(stream, source, encoding)
        first = next(lines, None)
        if first is None:
            return log.warning("%s is empty", source)
        lines = itertools.chain([first], lines)
        if kind in JSON_LINES or kind not in (".csv", ".tsv") and first.lstrip().startswith("{"):
            yield from json_rows(lines, source, columns)
        else:
            delimiter = delimiter or ("\t" if kind == ".tsv" else guess_delimiter(first, columns))
            yield from table_rows(lines, source, columns, delimiter)


def guess_delimiter(header: str, columns: Columns) -> str:
    def fit(delimiter: str) -> tuple[bool, int]:
        found = next(csv.reader([header], delimiter=delimiter))
        return set(columns.text) <= set(found), len(found)

    return max(",;\t|", key=fit)


def table_rows(lines: Iterable[str], source: str, columns: Columns, delimiter: str) -> Iterator[Message]:
    reader = csv.DictReader(lines, delimiter=delimiter)
    try:
        columns.check(source, reader.fieldnames or ())
        for number, row in enumerate(reader, 1):
            if None in row:
                columns.warn(f"{source}: fields beyond the header's are left out (is a text not quoted?)")
            yield columns.event(row, f"{os.path.basename(source)} {number}")
    except csv.Error as error:
        raise WrongInput(f"{source}: line {reader.line_num}: {error}") from None


def json_rows(lines: Iterable[str], source: str, columns: Columns) -> Iterator[Message]:
    checked = False
    for number, line in enumerate(lines, 1):
        data = line.removesuffix("\n").removesuffix("\r").encode("utf-8")
        try:
            row = orjson.loads(data)
        except orjson.JSONDecodeError:
            if number == 1 and data.strip() in (b"[", b"{"):
                raise WrongInput(f"{source}: expected a JSON object in each line, found one over many") from None
            row = None
        if not isinstance(row, dict):
            if data.strip():  # Pub/Sub takes no message without a byte
                yield Message(data)
        elif "eventId" in row and "doc" in row:
            doc = row["doc"] if isinstance(row["doc"], dict) else {}
            metadata = doc.get("metadata") if isinstance(doc.get("metadata"), dict) else {}
            yield Message(data, as_text(doc.get("payload")), as_text(metadata.get("superTag01")) or None)
        else:
            if not checked:
                columns.check(source, row)
                checked = True
            yield columns.event(row, f"{os.path.basename(source)} {number}")


def check_files(files: list[str], read: Callable[[str], Iterator[Message]], encoding: str) -> None:
    """Raises WrongInput for what can be found wrong before the first message is sent."""
    for source in files:
        if source == "-":
            continue
        try:
            with open_to_read(source) as stream:
                for _ in text_lines(stream, source, encoding):
                    pass
        except (FileNotFoundError, IsADirectoryError, exceptions.NotFound):
            raise WrongInput(f"{source}: there is no such file") from None
        next(read(source), None)


# ------------------------------------------------------------------------------------------ where messages go


class Outlet:
    """Takes messages; each is counted once, as published, failed or too_large."""

    def __init__(self, topic: str):
        self.topic, self.counts, self.reported = topic, Counter(), time.monotonic()

    def send(self, data: bytes, attributes: dict[str, str], acknowledged: Callable[[str], None]) -> None:
        """`acknowledged` is called with the server's messageId, in a thread of the client's."""
        if self.fits(data, attributes):
            self.put(data, attributes, acknowledged)
        else:
            self.counts["too_large"] += 1
            log.warning("beyond Pub/Sub's limits: %d bytes, %d attributes", len(data), len(attributes))
        if time.monotonic() > self.reported + 5:
            self.reported = time.monotonic()
            log.info("%d messages published", self.counts["published"])

    def fits(self, data: bytes, attributes: dict[str, str]) -> bool:
        """Whether the server takes it: for one that it does not take, it refuses the whole batch."""
        sizes = ((len(name.encode()), len(value.encode())) for name, value in attributes.items())
        if len(attributes) > 100 or any(not 0 < name <= 256 or value > 1024 for name, value in sizes):
            return False
        if len(data) < MAX_REQUEST_BYTES // 2:  # attributes are less than an eighth of a megabyte by now
            return True
        message = pubsub_v1.PubsubMessage(data=data, attributes=attributes)
        request = pubsub_v1.PublishRequest(topic=self.topic, messages=[message])
        return pubsub_v1.PublishRequest.pb(request).ByteSize() <= MAX_REQUEST_BYTES


class StandardOutput(Outlet):
    """Writes what would be published, a message a line."""

    keeps_ledger = False

    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Callable[[str], None]) -> None:
        # Outside its strings JSON takes a line break for a space, and inside them a raw one is not allowed.
        sys.stdout.buffer.write(data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
        self.counts.update(published=1, bytes=len(data))

    def close(self) -> None:
        sys.stdout.buffer.flush()


class Topic(Outlet):
    """Publishes to a topic, with bounded memory. Raises CannotGoOn when it is not there, or not any more."""

    keeps_ledger = True

    def __init__(self, topic: str):
        super().__init__(topic)
        self.under_way, self.changed, self.broken = 0, threading.Condition(), None
        logging.getLogger("google.cloud.pubsub_v1").setLevel(logging.CRITICAL)  # told here, in one line
        flow = types.PublishFlowControl(5000, 64_000_000, types.LimitExceededBehavior.BLOCK)
        persistence = retry.Retry(retry.if_exception_type(TRANSIENT), timeout=GIVE_UP_SECONDS)
        patience = retry.Retry(retry.if_exception_type(exceptions.ServiceUnavailable), timeout=3)
        try:
            self.client = pubsub.PublisherClient(
                types.BatchSettings(max_messages=500, max_latency=0.05),
                types.PublisherOptions(flow_control=flow, retry=persistence),
            )
            self.client.get_topic(topic=topic, retry=patience, timeout=10)
        except exceptions.NotFound:
            hint = "gcloud pubsub topics create NAME --project=PROJECT"
            raise CannotGoOn(f"{topic} does not exist; create it with: {hint}") from None
        except exceptions.PermissionDenied:
            log.info("this account may not see whether %s exists", topic)  # a publisher need not
        except (exceptions.GoogleAPIError, GoogleAuthError) as error:
            raise CannotGoOn(f"{topic} cannot be reached: {one_line(error)}") from error

    def put(self, data: bytes, attributes: dict[str, str], acknowledged: Callable[[str], None]) -> None:
        if self.broken:
            raise CannotGoOn(self.broken)
        future = self.publish(data, attributes)
        with self.changed:
            self.under_way += 1
        future.add_done_callback(partial(self.done, len(data), acknowledged))

    def publish(self, data: bytes, attributes: dict[str, str]) -> Future:
        if not RESERVED & attributes.keys():
            return self.client.publish(self.topic, data, **attributes)
        # It takes attributes as keywords; one with the name of an argument goes through the client beneath.
        plain, future = pubsub_v1.PublisherClient(transport=self.client.transport), Future()
        try:
            message = pubsub_v1.PubsubMessage(data=data, attributes=attributes)
            future.set_result(plain.publish(topic=self.topic, messages=[message]).message_ids[0])
        except exceptions.GoogleAPIError as error:
            future.set_exception(error)
        return future

    def done(self, size: int, acknowledged: Callable[[str], None], future: Future) -> None:
        error = future.exception()
        if error is None:
            acknowledged(future.result())
        with self.changed:
            self.counts.update({"published": 1, "bytes": size} if error is None else {"failed": 1})
            if error is not None and not isinstance(error, exceptions.InvalidArgument):
                self.broken = self.broken or f"publishing failed: {one_line(error)}"
            elif error is not None:
                log.error("the server takes no such message: %s", one_line(error))
            self.under_way -= 1
            self.changed.notify_all()

    def close(self) -> None:
        """Returns when the server has answered for every message."""
        self.client.stop()
        with self.changed:
            self.changed.wait_for(lambda: not self.under_way)


def paced(messages: Iterable, rate: float | None) -> Iterator:
    """The same messages, at most `rate` a second."""
    start = time.monotonic()
    for number, message in enumerate(messages):
        if rate:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield message


# -------------------------------------------------------------------------------------- the two kinds of work


def is_held_out(text: str, fraction: float) -> bool:
    """Decided by the text alone, so that equal texts fall on the same side in every run."""
    # salted, so that it says nothing about another split that goes by a hash of the text
    digest = hashlib.sha256(b"hold out " + text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def publish(
    messages: Iterable[Message],
    noise: Callable[[Iterable[bytes]], Iterable[tuple[str, bytes]]] | None,
    outlet: Outlet,
    rate: float | None,
    hold_out: float,
    hold_out_file: str | None,
    counts: Counter,
    classes: Counter,
) -> None:
    """Sends what is not held out. `counts` tells what was read, `outlet.counts` what became of the sent."""

    def kept(held_out: BinaryIO) -> Iterator[tuple[str, bytes]]:
        for message in messages:
            if message.label:
                classes[message.label] += 1
            if message.text and is_held_out(message.text, hold_out):
                held_out.write(message.data + b"\n")
                counts.update(read=1, documents=1, held_out=1)
            else:
                yield "malformed" if message.text is None else "documents", message.data

    with tempfile.TemporaryFile() as held_out:
        try:
            stream = kept(held_out)
            stream = noise(data for _, data in stream) if noise else stream
            for kind, data in paced(stream, rate):
                outlet.send(data, {}, lambda message_id: None)
                counts.update({"read": 1, kind: 1})
        finally:
            outlet.close()
        if hold_out_file:
            write_whole(hold_out_file, held_out)


class Ledger:
    """Which dead letters were published again on the topic, in files of JSON lines beside them."""

    def __init__(self, folder: str, topic: str):
        self.folder, self.topic, self.parts = folder, topic, 0
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        # Written before the first message goes out: a folder that cannot be written to is found in time.
        self.lines = deque([{"run": self.run, "topic": topic}])
        found = (line for file in list_files(folder) for line in json_objects(file))
        self.known = {line.get("messageId") for line in found if line and line.get("topic") == topic}

    def add(self, message_id: str, replayed_as: str) -> None:
        self.lines.append({"messageId": message_id, "replayedAs": replayed_as, "topic": self.topic})

    def write(self, at_least: int = 1) -> None:
        if len(self.lines) >= at_least:
            # one by one: meanwhile the client's threads add more
            lines = [orjson.dumps(self.lines.popleft()) + b"\n" for _ in range(len(self.lines))]
            write_whole(f"{self.folder}/{self.run}-{self.parts:05}.jsonl", io.BytesIO(b"".join(lines)))
            self.parts += 1


def json_objects(file: str) -> Iterator[dict | None]:
    """The file's lines; None for one that is no JSON object, and for a rest that cannot be unpacked."""
    try:
        with open_to_read(file) as stream:
            for line in stream:
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    record = None
                yield record if isinstance(record, dict) else None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        log.warning("%s is damaged or cut off", file)
        yield None


def dead_letter(record: dict | None) -> tuple[str, bytes, dict[str, str]] | None:
    """The message that the dead letter tells of: messageId, data, attributes. None when it does not tell."""
    try:
        message_id, attributes = record["messageId"], record.get("attributes") or {}
        data = base64.b64decode(record["data"], validate=True)
        texts = [message_id, *attributes, *attributes.values()]
        if message_id and all(isinstance(text, str) for text in texts):
            return message_id, data, attributes
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    return None


def replay(
    path: str, reason: str | None, outlet: Outlet, rate: float | None, limit: int | None, counts: Counter
) -> None:
    """Sends the original bytes and attributes of each dead letter below the path, once for each messageId."""
    path = path.rstrip("/")
    files = list_files(path)
    if not files and not path.startswith("gs://") and not os.path.isdir(path):
        raise WrongInput(f"{path}: there is no such folder or file")
    folder = path
    if files == [path]:
        folder = os.path.dirname(path)
    else:
        own = re.compile(re.escape(path) + r"/(?!replayed/).*\.jsonl(\.gz)?")
        files = [file for file in files if own.fullmatch(file)]
    if os.path.basename(folder).startswith("dt="):  # all days have one ledger, whichever of them is asked for
        folder = os.path.dirname(folder)
    log.info("%d files of dead letters in %s", len(files), path)
    ledger = Ledger(f"{folder or '.'}/replayed", outlet.topic)

    def due() -> Iterator[tuple[str, bytes, dict[str, str]]]:
        for record in (record for file in files for record in json_objects(file)):
            letter = dead_letter(record)
            if letter is None:
                counts.update(read=1, unreadable=1)
            elif reason and record.get("reason") != reason:
                counts.update(read=1, skipped_other_reason=1)
            elif letter[0] in ledger.known:
                counts.update(read=1, skipped_already_sent=1)
            else:
                ledger.known.add(letter[0])
                yield letter

    try:
        for message_id, data, attributes in paced(itertools.islice(due(), limit), rate):
            if outlet.keeps_ledger:
                ledger.write(LEDGER_LINES if ledger.parts else 1)
            outlet.send(data, attributes | {"replayOf": message_id}, partial(ledger.add, message_id))
            counts["read"] += 1
    finally:
        outlet.close()
        if outlet.keeps_ledger and ledger.parts:
            ledger.write()


class DeadLetterSubscription:
    """The dead letters that wait in a subscription. Each stays there until it is published again.

    Use as a context: what was pulled and not published again goes back when it is left.
    """

    def __init__(self, name: str):
        self.name, self.client = name, pubsub.SubscriberClient()
        self.held: dict[str, str] = {}  # messageId → what acknowledges it
        self.taken: deque[str] = deque()  # messageIds of what the topic has taken, not acknowledged yet
        self.settled: set[str] = set()

    def __enter__(self) -> "DeadLetterSubscription":
        return self

    def __exit__(self, *failure) -> None:
        with self.client:
            self.settle()
            self.hold(list(self.held.values()), 0)

    def letters(self) -> Iterator[pubsub_v1.PubsubMessage]:
        """Each message once, however often Pub/Sub brings it, until no other one comes. Raises CannotGoOn."""
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + QUIET_SECONDS:
            new, again = {}, []
            for one in self.pull():
                message_id = one.message.message_id
                if message_id in self.settled:
                    again.append(one.ack_id)
                    continue
                if message_id not in self.held:
                    new[message_id] = one.message
                self.held[message_id] = one.ack_id
            self.acknowledge(again)
            self.hold([self.held[message_id] for message_id in new], HOLD_SECONDS)
            yield from new.values()
            self.settle()
            if new:
                quiet_since = time.monotonic()

    def pull(self) -> list:
        try:
            request = {"subscription": self.name, "max_messages": 500}
            return list(self.client.pull(request=request, timeout=5).received_messages)
        except exceptions.DeadlineExceeded:
            return []
        except exceptions.NotFound:
            raise CannotGoOn(f"{self.name} does not exist; see: gcloud pubsub subscriptions list") from None

    def published(self, message_id: str, _: str) -> None:
        """The topic has taken it. Called in threads of the publishing client's."""
        self.taken.append(message_id)

    def settle(self) -> None:
        """Acknowledges what the topic has taken since the last time."""
        taken = [self.taken.popleft() for _ in range(len(self.taken))]
        self.acknowledge([self.held.pop(message_id) for message_id in taken])
        self.settled.update(taken)

    def acknowledge(self, ack_ids: list[str]) -> None:
        for start in range(0, len(ack_ids), 500):
            self.client.acknowledge(subscription=self.name, ack_ids=ack_ids[start : start + 500])

    def hold(self, ack_ids: list[str], seconds: int) -> None:
        """Lets Pub/Sub bring them again no earlier than in so many seconds."""
        for start in range(0, len(ack_ids), 500):
            request = {"subscription": self.name, "ack_ids": ack_ids[start : start + 500]}
            self.client.modify_ack_deadline(request=request | {"ack_deadline_seconds": seconds})


def replay_subscription(
    name: str, reason: str | None, outlet: Outlet, rate: float | None, limit: int | None, counts: Counter
) -> None:
    """Sends the original bytes and attributes of each dead letter in the subscription, and acknowledges it then."""
    sent: set[str] = set()

    def due(subscription: DeadLetterSubscription) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
        for message in subscription.letters():
            told = dict(message.attributes)
            origin = told.get("originalMessageId") or message.message_id
            if told.get("replayOf") in sent:  # of this run, and no event this time either: it would go round and round
                counts.update(read=1, skipped_already_sent=1)
            elif reason and told.get("reason") != reason:
                counts.update(read=1, skipped_other_reason=1)
            elif not message.data and told.get("reason") == "too_large":  # its bytes were left out
                counts.update(read=1, unreadable=1)
            else:
                sent.add(origin)
                kept = {key: value for key, value in told.items() if not DEAD_LETTER_ATTRIBUTES.fullmatch(key)}
                yield message.message_id, origin, message.data, kept

    with DeadLetterSubscription(name) as subscription:
        try:
            for message_id, origin, data, attributes in paced(itertools.islice(due(subscription), limit), rate):
                outlet.send(data, attributes | {"replayOf": origin}, partial(subscription.published, message_id))
                counts["read"] += 1
        finally:
            outlet.close()


# -------------------------------------------------------------------------------------------- the three moves


EPILOG = """
Every path may be gs://bucket/object. The last line on standard output is a summary in JSON, in which
  read = documents + copies + malformed = published + held_out + failed + too_large, and with --replay
  read = sent + skipped_already_sent + skipped_other_reason + unreadable + failed + too_large
Exit status: 0 all done; 1 something failed, was too large, unreadable; 2 wrong arguments, columns, encoding.

examples:
  publisher.py mails.csv --text=title+body --topic=projects/P/topics/topic-brigade
  publisher.py mails.csv --hold_out=0.2 --hold_out_file=test.jsonl --dry_run > train.jsonl
  publisher.py --generate=5000 --seed=7 --rate=200 --topic=projects/P/topics/topic-brigade
  publisher.py --replay=gs://ml_input/dead_letter --reason=empty_payload --topic=projects/P/topics/T
  publisher.py --replay=projects/P/subscriptions/sub-brigade-dead-letter --topic=projects/P/topics/T
"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Exits with status 2 and one line when the arguments do not fit."""
    parser = argparse.ArgumentParser(
        prog="publisher.py",
        usage="publisher.py (FILE ... | --generate=N | --replay=URI) --topic=projects/P/topics/T [flags]",
        description="Publishes documents as events on a Pub/Sub topic.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="CSV, TSV or JSON lines, also .gz; - is standard input")
    add("--topic", metavar="projects/P/topics/T", help="where to publish; needed unless --dry_run")
    add("--text", metavar="COLUMN[+COLUMN]", help="columns of the text, joined by a space (default: text)")
    add("--label", metavar="COLUMN", help="column of the label to learn (default: label, if there is one)")
    add("--encoding", help="of the files (default: utf-8, with or without a byte order mark)")
    add("--delimiter", metavar="CHARACTER", help="of a table (default: which of , ; tab | fits the header)")
    add("--generate", type=positive(int), metavar="N", help="publish N made-up business documents")
    add("--seed", type=int, metavar="S", help="which made-up documents (default: 1)")
    add("--copies", type=how_many, metavar="K", help="and K of these again (default: 1 %% of N)")
    add("--malformed", type=how_many, metavar="K", help="and K broken messages (default: 1 %% of N)")
    add("--hold_out", type=positive(float), metavar="FRACTION", help="keep documents back, by their text")
    add("--hold_out_file", metavar="URI", help="where those go at the end, as events in JSON lines")
    add("--replay", metavar="URI", help="publish the dead letters in this folder, file or subscription again")
    add("--reason", metavar="CODE", help="only the dead letters with this reason")
    add("--rate", type=positive(float), metavar="R", help="messages per second (default: no limit)")
    add("--limit", type=positive(int), metavar="N", help="read N documents at most; replay: send N")
    add("--dry_run", action="store_true", help="messages to standard output, the summary to standard error")
    flags = parser.parse_args(argv)
    if bool(flags.files) + (flags.generate is not None) + (flags.replay is not None) != 1:
        parser.error("expected one of FILE ..., --generate and --replay")
    if not flags.dry_run and not flags.topic:
        parser.error("expected --topic=projects/P/topics/T, or --dry_run")
    if flags.topic and not re.fullmatch(r"projects/[^/]+/topics/[^/]+", flags.topic):
        parser.error(f"--topic: expected projects/PROJECT/topics/NAME, found {flags.topic}")
    for names, needed, given in (
        (("text", "label", "encoding", "delimiter"), "FILE", flags.files),
        (("seed", "copies", "malformed"), "--generate", flags.generate),
        (("hold_out", "hold_out_file"), "FILE or --generate", flags.files or flags.generate),
        (("reason",), "--replay", flags.replay),
    ):
        for name in names:
            if getattr(flags, name) is not None and not given:
                parser.error(f"--{name} goes with {needed}")
    if (flags.hold_out is None) != (flags.hold_out_file is None):
        parser.error("--hold_out and --hold_out_file go together")
    if flags.hold_out is not None and flags.hold_out >= 1:
        parser.error(f"--hold_out: expected a fraction between 0 and 1, found {flags.hold_out}")
    if flags.delimiter and len(flags.delimiter) != 1:
        parser.error("--delimiter: expected one character")
    try:
        "".encode(flags.encoding or "utf-8")
    except LookupError:
        parser.error(f"--encoding: Python knows no text encoding {flags.encoding}")
    flags.encoding = codecs.lookup(flags.encoding or "utf-8").name.removesuffix("-sig")
    return flags


def positive(kind: type) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
        return value

    convert.__name__ = "whole number" if kind is int else "number"
    return convert


def how_many(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, found {text}")
    return int(text)


def what_to_publish(flags: argparse.Namespace) -> tuple[Iterator[Message], Callable | None]:
    """The documents, and what adds noise to them. Raises WrongInput."""
    if flags.generate:
        n = min(flags.generate, flags.limit or flags.generate)
        usual = max(1, n // 100) if n >= 10 else 0
        seed = 1 if flags.seed is None else flags.seed
        copies, malformed = (usual if k is None else k for k in (flags.copies, flags.malformed))
        stream_length = n * (1 - (flags.hold_out or 0))
        noise = partial(with_noise, expected=stream_length, copies=copies, malformed=malformed, seed=seed)
        return generated(n, seed), noise
    text, label = tuple((flags.text or "text").split("+")), flags.label or "label"
    columns = Columns(text, label, label_is_required=flags.label is not None)
    read = partial(rows, columns=columns, encoding=flags.encoding, delimiter=flags.delimiter)
    check_files(flags.files, read, flags.encoding)
    return itertools.islice(itertools.chain.from_iterable(map(read, flags.files)), flags.limit), None


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    csv.field_size_limit(2**31 - 1)  # the default, 131,072 characters, is less than a long document
    flags = parse_arguments(argv)
    started = time.monotonic()
    outlet, status, counts, classes = None, 0, Counter(), Counter()
    try:
        messages, noise = what_to_publish(flags)
        outlet = StandardOutput(flags.topic or "") if flags.dry_run else Topic(flags.topic)
        if flags.replay and SUBSCRIPTION.fullmatch(flags.replay):
            replay_subscription(flags.replay, flags.reason, outlet, flags.rate, flags.limit, counts)
        elif flags.replay:
            replay(flags.replay, flags.reason, outlet, flags.rate, flags.limit, counts)
        else:
            hold_out = flags.hold_out or 0.0
            publish(messages, noise, outlet, flags.rate, hold_out, flags.hold_out_file, counts, classes)
    except EXPECTED as error:
        print(f"publisher.py: {one_line(error)}", file=sys.stderr)
        status = 2 if isinstance(error, WrongInput) else 1
    if outlet is None:
        return status

    counts.update(outlet.counts)
    became = ["published", "failed", "too_large"]
    became += ["skipped_already_sent", "skipped_other_reason", "unreadable"] if flags.replay else ["held_out"]
    told = ["read", *became] + ([] if flags.replay else ["documents", "copies", "malformed"])
    summary = {"sent" if flags.replay and name == "published" else name: counts[name] for name in told}
    summary |= {
        "bytes": counts["bytes"],
        "seconds": round(time.monotonic() - started, 2),
        "topic": flags.topic,
    }
    if not flags.replay:
        summary["classes"] = dict(classes.most_common(50))
    if not status and counts["read"] != sum(counts[name] for name in became):
        log.error("the counts do not add up")
        status = 1
    if counts["failed"] or counts["too_large"] or counts["unreadable"]:
        status = status or 1
    stream = sys.stderr if flags.dry_run else sys.stdout
    print(json.dumps(summary, ensure_ascii=False), file=stream, flush=True)
    return status
