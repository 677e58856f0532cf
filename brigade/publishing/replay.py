"""Publishes landing's dead letters again: their own bytes, attributes and ordering keys, once for each messageId and
topic.

A ledger in `replayed/`, beside the days, lists what was sent, and what was acknowledged because nobody wants it sent.
So a replay that was interrupted can be repeated.
"""

import base64
import gzip
import io
import itertools
import logging
import os
import re
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import orjson

from brigade.errors import WrongInput
from brigade.publishing.outlets import Outlet, paced
from brigade.storage import list_files, open_to_read, write_whole

log = logging.getLogger(__name__)

LEDGER_LINES = 1000  # a part of the ledger is written after so many messages
SENT, ACKNOWLEDGED = "skipped_already_sent", "skipped_acknowledged"  # how what the ledger knows is counted


def replay(
    path: str, reason: str | None, outlet: Outlet, rate: float | None, limit: int | None, counts: Counter
) -> None:
    """Sends each dead letter below the path, or those with the reason; `counts` tells what was read."""
    files, folder = dead_letter_files(path.rstrip("/"))
    log.info("%d files of dead letters in %s", len(files), path.rstrip("/"))
    ledger = Ledger(f"{folder or '.'}/replayed", outlet.topic)

    def due() -> Iterator[tuple[str, bytes, dict[str, str], str]]:
        for record in (record for file in files for record in json_objects(file)):
            letter = dead_letter(record)
            if record is None or letter is None:
                counts.update(read=1, unreadable=1)
            elif reason and record.get("reason") != reason:
                counts.update(read=1, skipped_other_reason=1)
            elif letter[0] in ledger.known:
                counts.update({"read": 1, ledger.known[letter[0]]: 1})
            elif outlet.publishes and is_data_left_out(letter[1], record.get("reason")):
                counts.update(read=1, data_left_out=1)
            else:
                ledger.known[letter[0]] = SENT if outlet.publishes else ACKNOWLEDGED
                yield letter

    try:
        for message_id, data, attributes, ordering_key in paced(itertools.islice(due(), limit), rate):
            if outlet.keeps_ledger:
                ledger.write(LEDGER_LINES if ledger.parts else 1)
            outlet.send(data, attributes | {"replayOf": message_id}, partial(ledger.add, message_id), ordering_key)
            counts["read"] += 1
    finally:
        outlet.close()
        if outlet.keeps_ledger and ledger.parts:
            ledger.write()


def dead_letter_files(path: str) -> tuple[list[str], str]:
    """The files of dead letters at the path, and the folder that has their ledger. Raises WrongInput."""
    files = [file for file, _ in list_files(path)]
    if not files and not path.startswith("gs://") and not os.path.isdir(path):
        raise WrongInput(f"{path}: there is no such folder or file")
    folder = path
    if files == [path]:
        folder = os.path.dirname(path)
    else:
        own = re.compile(re.escape(path) + r"/(?!replayed/).*\.jsonl(\.gz)?")
        files = [file for file in files if own.fullmatch(file)]
    if os.path.basename(folder).startswith("dt="):  # all days share one ledger
        folder = os.path.dirname(folder)
    return files, folder


class Ledger:
    """The dead letters that were published again on the topic, or acknowledged, in files of JSON lines beside them.

    What is acknowledged is done with for every topic; it is listed without one.
    """

    def __init__(self, folder: str, topic: str):
        self.folder, self.topic, self.parts = folder, topic, 0
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        # Written before the first message goes out, so that a folder that cannot be written to is found in time.
        self.lines: deque[dict] = deque([{"run": self.run, "topic": topic}])
        found = (line for file, _ in list_files(folder) for line in json_objects(file))
        kinds = {topic: SENT, "": ACKNOWLEDGED}
        self.known = {
            line.get("messageId"): kinds[line["topic"]] for line in found if line and line.get("topic") in [*kinds]
        }

    def add(self, message_id: str, replayed_as: str) -> None:
        self.lines.append({"messageId": message_id, "replayedAs": replayed_as, "topic": self.topic})

    def write(self, at_least: int = 1) -> None:
        if len(self.lines) >= at_least:
            # one by one: the client's threads add more meanwhile
            lines = [orjson.dumps(self.lines.popleft()) + b"\n" for _ in range(len(self.lines))]
            write_whole(f"{self.folder}/{self.run}-{self.parts:05}.jsonl", io.BytesIO(b"".join(lines)))
            self.parts += 1


def json_objects(file: str) -> Iterator[dict | None]:
    """The file's lines; None for a line that is not a JSON object, and for a rest that cannot be unpacked."""
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


def is_data_left_out(data: bytes, reason: object) -> bool:
    """Whether a dead letter lacks its message's bytes, which did not fit into one message together with the reason."""
    return not data and reason == "too_large"


def dead_letter(record: dict | None) -> tuple[str, bytes, dict[str, str], str] | None:
    """The messageId, data, attributes and ordering key of a dead letter; None if the record does not hold them.

    The ordering key is empty if the message had none.
    """
    if record is None:
        return None
    try:
        message_id, attributes = record["messageId"], record.get("attributes") or {}
        ordering_key = record.get("orderingKey") or ""
        left_out = is_data_left_out(record.get("data") or b"", record.get("reason"))
        data = b"" if left_out else base64.b64decode(record["data"], validate=True)
        texts = [message_id, ordering_key, *attributes, *attributes.values()]
        if message_id and all(isinstance(text, str) for text in texts):
            return message_id, data, attributes, ordering_key
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    return None
