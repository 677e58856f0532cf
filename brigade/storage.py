"""Files wherever they lie: `gs://bucket/name` or a local path. Each operation stands here once.

A write is seen whole or not at all. A Folder can also replace a file only if nobody else has changed it meanwhile.
Cloud Storage is google-cloud-storage, which finds an emulator by STORAGE_EMULATOR_HOST; it is imported at the first
gs:// path, since that takes half a second.
"""

import fcntl
import gzip
import io
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from brigade.errors import BrigadeError, CannotGoOn
from brigade.paths import BUCKET_URI, local_path

if TYPE_CHECKING:
    from google.cloud import storage

CALL_SECONDS = 20  # of one call with its retries
SILENT_SECONDS = 8  # without a byte, after which a try counts as failed
ABSENT = "0"  # the version of a file that is not there, as Cloud Storage counts generations
CLOCK_STEP_NS = 1_000  # what file systems that count no nanoseconds still tell apart
CLIENTS: dict[str, "storage.Client"] = {}


class TooLarge(BrigadeError):
    """A file is larger than its reader allows."""


class ChangedMeanwhile(CannotGoOn):
    """A file is no longer the version that was read: somebody else has changed it."""


def storage_errors() -> tuple[type[Exception], ...]:
    """What a call of storage raises that says nothing of what lies there: no answer, no permission, no disk.

    A file that is not there is a FileNotFoundError in a Folder, so whoever expects that one catches it before.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from urllib3.exceptions import HTTPError  # a raw download that breaks off

    return OSError, GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, HTTPError


# ------------------------------------------------------------------------------------------------ single files


def client() -> "storage.Client":
    """The process's client of Cloud Storage, one for each service that STORAGE_EMULATOR_HOST has named."""
    from google.cloud import storage

    service = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if service not in CLIENTS:
        CLIENTS[service] = storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    return CLIENTS[service]


def account() -> str:
    """The account of the process's credentials for Cloud Storage, once they were used; "" if they do not name it."""
    credentials = client()._credentials
    named = (getattr(credentials, name, None) for name in ("service_account_email", "account"))
    return next((name for name in named if isinstance(name, str) and "@" in name), "")


def blob(uri: str, generation: int | None = None) -> "storage.Blob":
    """The object that `gs://bucket/name` names, or one generation of it; nothing is asked of the service."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return client().bucket(bucket).blob(name, generation=generation)


def list_files(uri: str) -> Iterator[tuple[str, int]]:
    """The file, or all files below the folder or prefix, in the order of their names, with their sizes in bytes."""
    uri = local_path(uri).rstrip("/")
    if uri.startswith("gs://"):
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        for one in client().list_blobs(bucket, prefix=prefix or None):
            if not prefix or one.name == prefix or one.name.startswith(f"{prefix}/"):
                yield f"gs://{bucket}/{one.name}", one.size
    elif os.path.isfile(uri):
        yield uri, os.path.getsize(uri)
    else:
        paths = sorted(f"{folder}/{name}" for folder, _, names in os.walk(uri) for name in names)
        for path in paths:
            if os.path.isfile(path):  # a file that is still being written loses its hidden name meanwhile
                yield path, os.path.getsize(path)


def open_to_read(uri: str) -> BinaryIO:
    """Opens a file. What is packed in a `.gz` is unpacked. Raises FileNotFoundError or google's NotFound."""
    uri = local_path(uri)
    stream = cast(BinaryIO, blob(uri).open("rb", chunk_size=1 << 20) if uri.startswith("gs://") else io.FileIO(uri))
    return cast(BinaryIO, io.BufferedReader(Unpacked(stream) if uri.endswith(".gz") else stream))


class Unpacked(io.RawIOBase):
    """The content of a gzip file. Of one that is cut off it gives all that there is before it raises EOFError.

    GzipFile alone loses what it has unpacked of its last block, 8 kB until Python 3.13 and 128 kB from then on.
    """

    def __init__(self, stream: BinaryIO):
        self.file = gzip.GzipFile(fileobj=stream)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self.file.read1(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self.file.close()
        super().close()


def write_whole(uri: str, content: BinaryIO) -> None:
    """Writes a file so that it is there with all of its content or not at all; replaces one of that name."""
    content.seek(0)
    if uri.startswith("gs://"):
        blob(uri).upload_from_file(content, content_type="application/x-ndjson", checksum="crc32c")
        return
    path = Path(local_path(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            shutil.copyfileobj(content, file)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(uri: str, text: str) -> None:
    """Writes a file that holds the text and a line break."""
    write_whole(uri, io.BytesIO(f"{text}\n".encode()))


# ---------------------------------------------------------------------------------------------------- folders


@dataclass(frozen=True)
class FileState:
    """What is known of a file without reading it. Two versions of a file differ in `version`. `size` in bytes."""

    size: int
    version: str


class Folder(Protocol):
    """A folder, local or in a bucket. Paths are relative to it and use `/`."""

    def folders(self, folder: str = "") -> list[str]:
        """The names of the folders directly below a folder; empty if there is no such folder."""

    def files(self, folder: str = "") -> dict[str, FileState]:
        """The files directly in a folder; empty if there is no such folder."""

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """A file's bytes and version. Raises FileNotFoundError, and TooLarge above `limit` bytes."""

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        """Replaces a file in one step. Raises ChangedMeanwhile unless it has that version; None takes any version."""


def folder_at(uri: str, call_seconds: float | None = None) -> Folder:
    """The folder that `gs://bucket/prefix` or a local path names. Raises ValueError for anything else.

    call_seconds: how long a call to a bucket may take, with its retries; None: CALL_SECONDS.
    """
    uri = local_path(uri)
    if uri and "://" not in uri:
        return LocalFolder(uri)
    match = BUCKET_URI.fullmatch(uri)
    if not match:
        raise ValueError(f"expected gs://bucket/prefix or a local path, found {uri!r}")
    return BucketFolder(match[1], match[2] or "", call_seconds)


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, path: str):
        self.root = Path(path)

    def folders(self, folder: str = "") -> list[str]:
        return [name for name, about in self.entries(folder) if stat.S_ISDIR(about.st_mode)]

    def files(self, folder: str = "") -> dict[str, FileState]:
        found = [(name, about) for name, about in self.entries(folder) if stat.S_ISREG(about.st_mode)]
        return {name: FileState(about.st_size, version_of(about)) for name, about in found}

    def entries(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """What is directly in a folder; nothing if there is no such folder. Any other error is one."""
        about = status(self.root / folder)
        for name in os.listdir(self.root / folder) if about and stat.S_ISDIR(about.st_mode) else ():
            if about := status(self.root / folder / name):  # gone meanwhile, or a link to nowhere
                yield name, about

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        about = status(self.root / path)
        if about is None or not stat.S_ISREG(about.st_mode):
            raise FileNotFoundError(self.root / path)
        with open(self.root / path, "rb") as file:
            content = file.read(limit + 1)
            if len(content) > limit:
                raise too_large(path, limit)
            return content, version_of(os.fstat(file.fileno()))

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.locked():
            if version is not None and version != (version_of(target.stat()) if target.exists() else ABSENT):
                raise changed_meanwhile(path)
            growing = target.with_name(f".{target.name}.new")
            growing.write_bytes(content)
            before, after = status(target), growing.stat()
            if before and after.st_mtime_ns <= before.st_mtime_ns:  # two writes in one tick of the file system's clock
                os.utime(growing, ns=(after.st_atime_ns, before.st_mtime_ns + CLOCK_STEP_NS))
            # Hadoop's checksum of the content before, with which Spark could not read the new one.
            target.with_name(f".{target.name}.crc").unlink(missing_ok=True)
            os.replace(growing, target)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other writers of this folder out."""
        folder = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def status(path: Path) -> os.stat_result | None:
    """What the file system says of a path; None if there is none. `Path.is_file` takes more errors for that."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def version_of(about: os.stat_result) -> str:
    """What tells two versions of a local file apart. LocalFolder.write sees to it that no version comes twice."""
    return f"{about.st_ino}-{about.st_mtime_ns}"


class BucketFolder:
    """A prefix of a bucket."""

    def __init__(self, name: str, prefix: str, call_seconds: float | None = None):
        from google.api_core import exceptions
        from google.cloud.storage.retry import DEFAULT_RETRY

        self.exceptions = exceptions
        call_seconds = CALL_SECONDS if call_seconds is None else call_seconds
        silent = min(SILENT_SECONDS, call_seconds)
        self.patience: Any = {"timeout": silent, "retry": DEFAULT_RETRY.with_timeout(call_seconds)}
        self.name = name
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def bucket(self) -> Any:
        """The bucket. Its client is made at the first use: a server forks after it has imported its modules."""
        return client().bucket(self.name)

    def folders(self, folder: str = "") -> list[str]:
        start = f"{self.prefix}{folder}/" if folder else self.prefix
        listing = self.bucket().list_blobs(prefix=start, delimiter="/", **self.patience)
        return [name[len(start) : -1] for page in listing.pages for name in page.prefixes]

    def files(self, folder: str = "") -> dict[str, FileState]:
        start = f"{self.prefix}{folder}/" if folder else self.prefix
        blobs = self.bucket().list_blobs(prefix=start, delimiter="/", **self.patience)
        return {one.name[len(start) :]: FileState(one.size, str(one.generation)) for one in blobs}

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        found, content = self.bucket().blob(self.prefix + path), Limited(path, limit)
        try:
            # Raw: as it is stored, and so of the size that listings and manifests say.
            found.download_to_file(content, raw_download=True, **self.patience)
        except self.exceptions.NotFound as error:
            raise FileNotFoundError(f"gs://{self.name}/{self.prefix}{path}") from error
        return content.getvalue(), str(found.generation)

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        wanted = None if version is None else int(version)
        target = self.bucket().blob(self.prefix + path)
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        try:
            target.upload_from_string(content, kind, if_generation_match=wanted, **self.patience)
        except self.exceptions.PreconditionFailed as error:
            raise changed_meanwhile(path) from error


class Limited(io.BytesIO):
    """Takes the bytes of a download. Raises TooLarge, which ends it, above the limit."""

    def __init__(self, path: str, limit: int):
        super().__init__()
        self.path, self.limit = path, limit

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > self.limit:
            raise too_large(self.path, self.limit)
        return super().write(chunk)


def too_large(path: str, limit: int) -> TooLarge:
    return TooLarge(f"too large: {path.rpartition('/')[2]}: expected at most {limit} bytes, found more")


def changed_meanwhile(path: str) -> ChangedMeanwhile:
    return ChangedMeanwhile(f"{path}: expected it as it was read, found that somebody else has changed it meanwhile")
