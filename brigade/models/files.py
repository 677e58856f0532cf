"""Where models lie, and whether they are what training made.

    <MODELS_URI>/doc-classification-model-2026-01-05/manifest.json   written last: what the files must be
    <MODELS_URI>/doc-classification-model-2026-01-05/runs/<run id>/  model.json, weights.safetensors, …
    <MODELS_URI>/changed.json                                        written around every change of a manifest

A model's files must have the manifest's sizes and SHA-256, and must give the documents of `golden.jsonl` the
probabilities that training computed for them: a model that was damaged, half-written or is read differently here than
there never serves. Nothing is read without a limit.
"""

import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from brigade.models.document_model import (
    DESCRIPTION_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    DocumentModel,
    ModelFormatError,
)

BUCKET_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]+)(?:/(.*))?")
MODEL_NAME = re.compile(r"doc-classification-model-(\d{4}-\d\d-\d\d)")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")  # of a run or a file: no "/" and nothing hidden
SHA256 = re.compile(r"[0-9a-f]{64}")
MANIFEST_FILE, GOLDEN_FILE = "manifest.json", "golden.jsonl"
SERVING_FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, GOLDEN_FILE)
MANIFEST_KEYS = {
    "runId": str,
    "createdAt": str,
    "promoted": bool,
    "reason": str,
    "label": str,
    "codeVersion": str,
    "files": list,
}
# What is parsed takes many times its size in memory; the largest model that training makes has 256 MiB of tensors.
MAX_BYTES = {MANIFEST_FILE: 1 << 20, DESCRIPTION_FILE: 16 << 20, GOLDEN_FILE: 16 << 20}
MAX_FILE_BYTES = 512 << 20  # of any other file
MAX_MARKER_BYTES = 4096
GOLDEN_TOLERANCE = 1e-6
STORAGE_SECONDS = 20  # of one call, with its retries; a request may be waiting for the first model
ABSENT = "0"  # the version of a file that is not there, as Cloud Storage counts generations


class PassedOver(Exception):
    """A model that is not to be served; the message is the reason, without any document's text."""


class Conflict(Exception):
    """Somebody else changed the models at the same time; the message says what was found."""


@dataclass(frozen=True)
class FileState:
    """What can be known of a file without reading it; two versions of a file differ in `version`."""

    size: int
    version: str


@dataclass(frozen=True)
class Manifest:
    """A manifest, checked.

    label: the column of the labels that it learned. files: name → (bytes, SHA-256 in lower-case hex). document: all of
    it, as it was read.
    """

    run_id: str
    created_at: str
    promoted: bool
    reason: str
    label: str
    files: dict[str, tuple[int, str]]
    document: dict[str, object]


# ----------------------------------------------------------------------------------------------------- folders


def models_at(uri: str) -> "Folder | Bucket":
    """The models below `gs://bucket/prefix` or a local path. Raises ValueError for what is neither."""
    if uri and "://" not in uri:
        return Folder(uri)
    match = BUCKET_URI.fullmatch(uri)
    if not match:
        raise ValueError(f"expected gs://bucket/prefix or a local path, found {uri!r}")
    return Bucket(match[1], match[2] or "")


class Folder:
    """Models in a local folder."""

    def __init__(self, path: str):
        self.root = Path(path)

    def folders(self, folder: str = "") -> list[str]:
        """The names of the folders directly below a folder; empty when there is no such folder."""
        path = self.root / folder
        return [entry.name for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []

    def files(self, folder: str) -> dict[str, FileState]:
        """The files directly in a folder; empty when there is no such folder."""
        path = self.root / folder
        found = {entry.name: entry.stat() for entry in path.iterdir() if entry.is_file()} if path.is_dir() else {}
        return {name: FileState(about.st_size, version_of(about)) for name, about in found.items()}

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """A file's bytes and version. Raises FileNotFoundError, and PassedOver above the limit."""
        if not (self.root / path).is_file():
            raise FileNotFoundError(self.root / path)
        with open(self.root / path, "rb") as file:
            content = file.read(limit + 1)
            if len(content) > limit:
                raise too_large(path, limit)
            return content, version_of(os.fstat(file.fileno()))

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        """Replaces a file in one step. Raises Conflict unless it has that version; None: whatever it has."""
        target = self.root / path
        with self.locked():
            if version is not None and version != (version_of(target.stat()) if target.exists() else ABSENT):
                raise changed_meanwhile(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            growing = target.with_name(f".{target.name}.new")
            growing.write_bytes(content)
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


def version_of(about: os.stat_result) -> str:
    return f"{about.st_ino}-{about.st_mtime_ns}"


class Bucket:
    """Models below a bucket's prefix, as `Folder` gives them. The client knows STORAGE_EMULATOR_HOST."""

    def __init__(self, name: str, prefix: str):
        # Half a second, which a local folder need not wait for.
        from google.api_core import exceptions
        from google.cloud import storage
        from google.cloud.storage.retry import DEFAULT_RETRY

        self.exceptions, self.storage = exceptions, storage
        self.retry = DEFAULT_RETRY.with_timeout(STORAGE_SECONDS)
        self.name = name
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client: storage.Client | None = None

    def bucket(self):
        """The bucket's client, made at its first use: the server forks between this module's import and that."""
        if self.client is None:
            self.client = self.storage.Client()
        return self.client.bucket(self.name)

    def folders(self, folder: str = "") -> list[str]:
        start = f"{self.prefix}{folder}/" if folder else self.prefix
        listing = self.bucket().list_blobs(prefix=start, delimiter="/", retry=self.retry)
        return [name[len(start) : -1] for page in listing.pages for name in page.prefixes]

    def files(self, folder: str) -> dict[str, FileState]:
        start = f"{self.prefix}{folder}/"
        blobs = self.bucket().list_blobs(prefix=start, delimiter="/", retry=self.retry)
        return {blob.name[len(start) :]: FileState(blob.size, str(blob.generation)) for blob in blobs}

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        blob, content = self.bucket().blob(self.prefix + path), Limited(path, limit)
        try:
            # Raw: as it is stored, and so of the size that the listing and the manifest say.
            blob.download_to_file(content, raw_download=True, retry=self.retry)
        except self.exceptions.NotFound as error:
            raise FileNotFoundError(f"gs://{self.name}/{self.prefix}{path}") from error
        return content.getvalue(), str(blob.generation)

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        wanted = None if version is None else int(version)
        blob = self.bucket().blob(self.prefix + path)
        try:
            blob.upload_from_string(content, "application/json", if_generation_match=wanted, retry=self.retry)
        except self.exceptions.PreconditionFailed as error:
            raise changed_meanwhile(path) from error


class Limited(io.BytesIO):
    """Takes the bytes of a download. Raises PassedOver, which ends it, above the limit."""

    def __init__(self, path: str, limit: int):
        super().__init__()
        self.path, self.limit = path, limit

    def write(self, chunk: bytes) -> int:
        if self.tell() + len(chunk) > self.limit:
            raise too_large(self.path, self.limit)
        return super().write(chunk)


def too_large(path: str, limit: int) -> PassedOver:
    return PassedOver(f"too large: {path.rpartition('/')[2]}: expected at most {limit} bytes, found more")


def changed_meanwhile(path: str) -> Conflict:
    return Conflict(f"{path}: expected it as it was read, found that somebody else has changed it meanwhile")


# --------------------------------------------------------------------------------------------------- manifests


def find_manifest(source: Folder | Bucket, name: str, run_id: str = "") -> Manifest:
    """A model's manifest. Raises PassedOver.

    A date's manifest is that of one of its runs; another run that is asked for has kept its own.
    """
    problem = PassedOver(f"no {MANIFEST_FILE}" + (f" of run {run_id}" if run_id else ""))
    for folder in (name, run_folder(name, run_id)) if run_id else (name,):
        try:
            manifest = read_manifest(source.read(f"{folder}/{MANIFEST_FILE}", MAX_BYTES[MANIFEST_FILE])[0])
        except FileNotFoundError:
            continue
        except PassedOver as reason:
            problem = reason
            continue
        if run_id in ("", manifest.run_id):
            return manifest
    raise problem


def run_folder(name: str, run_id: str) -> str:
    return f"{name}/runs/{run_id}"


def read_manifest(content: bytes) -> Manifest:
    """The manifest in the bytes. Raises PassedOver when a key is missing or wrong, or leads elsewhere."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PassedOver(f"{MANIFEST_FILE} is not JSON ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise PassedOver(f"{MANIFEST_FILE}: expected an object, found {type(document).__name__}")
    if document.get("formatVersion") != FORMAT_VERSION:
        found = document.get("formatVersion", "none")
        raise PassedOver(f"{MANIFEST_FILE}: expected formatVersion {FORMAT_VERSION}, found {str(found)[:40]}")
    for key, kind in MANIFEST_KEYS.items():
        if not isinstance(document.get(key), kind):
            found = type(document[key]).__name__ if key in document else "no such key"
            raise PassedOver(f"{MANIFEST_FILE}: {key}: expected {kind.__name__}, found {found}")
    if not PLAIN_NAME.fullmatch(document["runId"]):
        raise PassedOver(f"{MANIFEST_FILE}: runId: expected a plain name, found {document['runId'][:80]!r}")
    files = dict(read_file_entry(entry) for entry in document["files"])
    if len(files) < len(document["files"]):
        raise PassedOver(f"{MANIFEST_FILE}: a file is listed twice")
    for name in SERVING_FILES:
        if name not in files:
            raise PassedOver(f"{MANIFEST_FILE} does not list {name}")
    return Manifest(
        run_id=document["runId"],
        created_at=document["createdAt"],
        promoted=document["promoted"],
        reason=document["reason"],
        label=document["label"],
        files=files,
        document=document,
    )


def read_file_entry(entry: object) -> tuple[str, tuple[int, str]]:
    """(name, (bytes, SHA-256)) of one of the manifest's `files`. Raises PassedOver."""
    if not isinstance(entry, dict):
        raise PassedOver(f"{MANIFEST_FILE}: files: expected objects, found {type(entry).__name__}")
    name, size, digest = entry.get("name"), entry.get("size"), entry.get("sha256")
    if not (isinstance(name, str) and PLAIN_NAME.fullmatch(name)):
        raise PassedOver(f"{MANIFEST_FILE}: a file's name: expected a plain name, found {str(name)[:80]!r}")
    if type(size) is not int or size < 0:
        raise PassedOver(f"{MANIFEST_FILE}: {name}: size: expected a number of bytes, found {str(size)[:40]!r}")
    if not (isinstance(digest, str) and SHA256.fullmatch(digest.lower())):
        raise PassedOver(f"{MANIFEST_FILE}: {name}: sha256: expected 64 hexadecimal digits")
    return name, (size, digest.lower())


def model_date(name: str) -> date | None:
    """The date in a model's name; None for any other name."""
    match = MODEL_NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def model_and_run(text: str) -> tuple[str, str]:
    """`doc-classification-model-YYYY-MM-DD` or that with `/RUN_ID`, in its two parts. Raises ValueError."""
    name, slash, run_id = text.partition("/")
    if model_date(name) is None or (slash and not PLAIN_NAME.fullmatch(run_id)):
        raise ValueError(f"expected doc-classification-model-YYYY-MM-DD, with or without /RUN_ID, found {text!r}")
    return name, run_id


def one_line(text: object) -> str:
    """The text as one line that any log and any JSON can hold."""
    return " ".join(str(text).encode("utf-8", "replace").decode().split())[:300]


# ------------------------------------------------------------------------------------------------ verification


def complete_files(source: Folder | Bucket, name: str, manifest: Manifest) -> dict[str, FileState]:
    """The files of a run. Raises PassedOver unless all of the manifest's are there, with its sizes."""
    states = source.files(run_folder(name, manifest.run_id))
    for file, (size, _) in manifest.files.items():
        limit = MAX_BYTES.get(file, MAX_FILE_BYTES)
        if size > limit:
            raise PassedOver(f"too large: {file}: expected at most {limit} bytes, found {size}")
        found = f"{states[file].size} bytes" if file in states else "no such file"
        if file not in states or states[file].size != size:
            raise PassedOver(f"half-written: {file}: expected {size} bytes, found {found}")
    return states


def read_checked(source: Folder | Bucket, name: str, manifest: Manifest, file: str) -> bytes:
    """A file of a run. Raises PassedOver unless it is that of the manifest."""
    size, digest = manifest.files[file]
    try:
        content, _ = source.read(f"{run_folder(name, manifest.run_id)}/{file}", size)
    except FileNotFoundError as error:
        raise PassedOver(f"half-written: {file}: expected {size} bytes, found no such file") from error
    if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
        raise PassedOver(f"{file} is not the file of the manifest: its SHA-256 differs")
    return content


def load_verified(source: Folder | Bucket, name: str, manifest: Manifest) -> DocumentModel:
    """The model of a run. Raises PassedOver unless every file is the manifest's, and the model computes what training
    did: a run with a damaged report may have lost more than that."""
    contents = {}
    for file in manifest.files:
        content = read_checked(source, name, manifest, file)
        if file in SERVING_FILES:
            contents[file] = content
    try:
        model = DocumentModel.from_bytes(contents[DESCRIPTION_FILE], contents[WEIGHTS_FILE])
        check_golden(model, contents[GOLDEN_FILE])
    except PassedOver:
        raise
    except ModelFormatError as error:
        raise PassedOver(one_line(error)) from error
    except Exception as error:  # whatever a file of the wrong form makes the reading code raise
        raise PassedOver(f"cannot be read ({type(error).__name__})") from error
    return model


def check_golden(model: DocumentModel, content: bytes) -> None:
    """Recomputes `golden.jsonl`, lines of {"payload", "probabilities": [one a class]}. Raises PassedOver."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    if not lines:
        raise PassedOver(f"{GOLDEN_FILE} holds no document")
    for number, line in enumerate(lines, 1):
        golden = json.loads(line)
        expected = np.asarray(golden["probabilities"], np.float64)
        found = model.probabilities(golden["payload"])
        if expected.shape != found.shape:
            shapes = f"expected {len(found)} probabilities, found shape {expected.shape}"
            raise PassedOver(f"{GOLDEN_FILE} line {number}: {shapes}")
        difference = float(np.abs(expected - found).max())
        if not difference <= GOLDEN_TOLERANCE:  # NaN is no agreement either
            limit = f"at most {GOLDEN_TOLERANCE:g} is allowed"
            raise PassedOver(f"{GOLDEN_FILE} line {number}: probabilities differ by {difference:.3g}; {limit}")
