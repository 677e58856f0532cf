"""Writes batches as files, in two steps: stage the bytes under a hidden name, then give the file its name.

A file is visible whole or not at all, under a name that no file had before. The name follows from the content, so a
step that runs again finds its own file and adds nothing. A worker that dies leaves at most a hidden file.
"""

import base64
import contextlib
import hashlib
import logging
import os
import time
import uuid
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam
import google_crc32c
from apache_beam.metrics import Metrics
from google.api_core import exceptions, retry

from brigade.errors import CannotGoOn
from brigade.landing.batches import Chunk
from brigade.landing.counters import count
from brigade.landing.waiting import tells_when_it_waits
from brigade.storage import blob

if TYPE_CHECKING:
    from google.cloud import storage

log = logging.getLogger(__name__)

# A file before it has its name: where it is, where it goes, its size in bytes and its CRC32C, how many lines it has,
# and times of publication (microseconds since 1970).
StagedFile = tuple[str, str, int, int, int, list[int]]

READ_BYTES = 1 << 20
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
    on_error=lambda error: log.warning("writing failed, trying again: %s", error),
)


class DifferentContent(CannotGoOn):
    """A file of this name holds other bytes. Since names follow from content, somebody has changed it."""


class StagedFileLost(CannotGoOn):
    """Somebody has removed a staged file before it got its name. Only Pub/Sub can bring its messages again."""


class Files:
    """Local folders and Cloud Storage, as the steps below write to them.

    Each method retries for 5 minutes with growing pauses if the failure may pass. Otherwise, and after that, it
    raises: the bundle fails, and its messages stay with the runner.
    """

    @WITH_BACK_OFF
    def stage(self, path: str, pieces: list[bytes]) -> str:
        """Writes the bytes under a hidden name beside `path`; returns that name, in a bucket as `name#generation`."""
        folder, name = path.rsplit("/", 1)
        staged = f"{folder}/.{name}.{uuid.uuid4().hex}.staged"  # Spark passes over names that begin with a dot
        if path.startswith("gs://"):
            # Generation 0 means that there must be no such object. With it, the client retries an upload by itself.
            written = blob(staged)
            written.upload_from_string(
                b"".join(pieces), "application/x-ndjson", if_generation_match=0, checksum="crc32c", timeout=120
            )
            return f"{staged}#{written.generation}"
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
        """Gives a staged file its name. Returns False if the file already has it.

        `size` in bytes and `checksum` (CRC32C) are the staged file's. Raises DifferentContent if the name belongs to
        other bytes, and StagedFileLost if there is neither a staged file nor one of that name.
        """
        new = True
        try:
            if path.startswith("gs://"):
                token, _, _ = blob(path).rewrite(staged_blob(staged), if_generation_match=0)
                while token:  # a large copy, or one to another place, takes more than one call
                    token, _, _ = blob(path).rewrite(staged_blob(staged), token=token, if_generation_match=0)
            else:
                os.link(staged, path)  # unlike a rename, it fails if the name is taken
        except (FileExistsError, FileNotFoundError, exceptions.PreconditionFailed, exceptions.NotFound):
            new, found = False, size_and_checksum(path)
            if found is None:
                raise StagedFileLost(f"{staged} has vanished before it became {path}") from None
            if found != (size, checksum):
                raise DifferentContent(f"{path} holds other bytes than its name says") from None
        if path.startswith("gs://"):
            # With its generation: else a bucket with versioning keeps, and charges, a former version of all that lands.
            with contextlib.suppress(exceptions.NotFound):
                staged_blob(staged).delete()
        else:
            with contextlib.suppress(FileNotFoundError):
                os.remove(staged)
        return new


def staged_blob(staged: str) -> "storage.Blob":
    """The object that `name#generation` names."""
    name, _, generation = staged.rpartition("#")
    return blob(name, int(generation))


@beam.typehints.with_input_types(tuple[str, list[Chunk]])
@beam.typehints.with_output_types(tuple[str, StagedFile])
class StageFile(beam.DoFn):
    """Writes a batch under a hidden name, and yields its key and metadata.

    The bytes go no further. A batch of 64 MiB in the reshuffle that follows would be sent to another worker and
    written to disk once more, and Dataflow charges for that.
    """

    def __init__(self, compress: bool, files: Files):
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
        with tells_when_it_waits(f"storage, to write {path}"):
            staged = self.files.stage(path, pieces)
        yield key, (staged, path, sum(map(len, pieces)), int.from_bytes(checksum.digest(), "big"), lines, times)


@beam.typehints.with_input_types(tuple[str, StagedFile])
@beam.typehints.with_output_types(str)
class NameFile(beam.DoFn):
    """Gives a staged file its name, and yields its path.

    Its counters are named after the folder: `landed` below the output path, `dead_lettered` below the dead-letter path.
    """

    def __init__(self, dead_letter_path: str, files: Files):
        self.dead_letters, self.files = f"{dead_letter_path}/", files

    def process(self, element: tuple[str, StagedFile]) -> Iterator[str]:
        staged, path, size, checksum, lines, times = element[1]
        with tells_when_it_waits(f"storage, to name {path}"):
            new = self.files.name(staged, path, size, checksum)
        if not new:
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
    """`<first>-<last>-<lines>-<SHA-256 of the lines>.jsonl`, with times of publication in UTC.

    `first` and `last` are microseconds since 1970. The name has no colon, which Hadoop does not take.
    """
    times = [
        (datetime(1970, 1, 1) + timedelta(microseconds=micros)).strftime("%Y%m%dT%H%M%S.%fZ")
        for micros in (first, last)
    ]
    content = hashlib.sha256()
    for piece in pieces:
        content.update(piece)
    return f"{times[0]}-{times[1]}-{lines}-{content.hexdigest()[:24]}.jsonl"


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
            while piece := file.read(READ_BYTES):
                size += len(piece)
                checksum.update(piece)
    except FileNotFoundError:
        return None
    return size, int.from_bytes(checksum.digest(), "big")
