"""Find, verify, load and refresh: the model that is served.

    <MODELS_URI>/doc-classification-model-2026-01-05/manifest.json   written last: what the files must be
    <MODELS_URI>/doc-classification-model-2026-01-05/runs/<run id>/  model.json, weights.safetensors, …

*Latest* is the newest date whose manifest is complete and promoted. Its files must have the manifest's
sizes and SHA-256, and must give the documents of `golden.jsonl` the probabilities that training computed
for them: a model that was damaged, half-written or is read differently here than there never serves.
Whatever is passed over is logged, once.

A request never waits for a newer model: the old one serves while the new one is verified in a thread.
Nothing is opened and no thread is started before the first request, because the server forks after
importing this.
"""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from document_model import DESCRIPTION_FILE, FORMAT_VERSION, WEIGHTS_FILE, DocumentModel, ModelFormatError
from google.api_core.exceptions import NotFound
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

log = logging.getLogger("model_store")

MODEL_NAME = re.compile(r"doc-classification-model-(\d{4}-\d\d-\d\d)")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")  # of a run or a file: no "/" and nothing hidden
SHA256 = re.compile(r"[0-9a-f]{64}")
MANIFEST_FILE, GOLDEN_FILE = "manifest.json", "golden.jsonl"
MANIFEST_KEYS = {
    "runId": str,
    "createdAt": str,
    "promoted": bool,
    "reason": str,
    "label": str,
    "codeVersion": str,
    "files": list,
}
MAX_MANIFEST_BYTES = 1 << 20
MAX_MODEL_BYTES = 2 << 30  # of the files that are loaded; they lie in memory twice for a moment
GOLDEN_TOLERANCE = 1e-4  # float32 sums in another order differ by about 1e-6
RETRY_SECONDS = 2.0  # between two looks while there is no model to serve
STORAGE_RETRY = DEFAULT_RETRY.with_timeout(20)  # seconds in all; a request may be waiting for the first model


class NoModel(Exception):
    """No model to serve; the message is one line that says where one was sought and what was passed over."""


class PassedOver(Exception):
    """A model that is not to be served; the message is the reason, without any document's text."""


@dataclass(frozen=True)
class FileState:
    """What can be known of a file without reading it; two versions of a file differ in `version`."""

    size: int
    version: str


@dataclass(frozen=True)
class Manifest:
    """The part of a manifest that serving uses. `files`: name → (bytes, SHA-256 in lower-case hex)."""

    run_id: str
    created_at: str
    promoted: bool
    reason: str
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class ServedModel:
    """A verified model and where it comes from; `version` is that of its manifest file."""

    name: str
    run_id: str
    trained_at: str
    promoted: bool
    loaded_at: str
    version: str
    model: DocumentModel

    def about(self) -> dict[str, str]:
        """The `model` member of a response."""
        return {"name": self.name, "runId": self.run_id, "trainedAt": self.trained_at}


# ------------------------------------------------------------------------------------------- where models lie


class Folder:
    """Models under a local path. Raises OSError where it cannot read."""

    def __init__(self, path: str):
        self.root = Path(path)

    def folders(self) -> list[str]:
        """The names of the folders directly below the root."""
        return [entry.name for entry in self.root.iterdir() if entry.is_dir()] if self.root.is_dir() else []

    def files(self, folder: str) -> dict[str, FileState]:
        """The files directly in a folder; empty when there is no such folder."""
        path = self.root / folder
        found = {entry.name: entry.stat() for entry in path.iterdir() if entry.is_file()} if path.is_dir() else {}
        return {name: FileState(about.st_size, f"{about.st_ino}-{about.st_mtime_ns}") for name, about in found.items()}

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""
        return (self.root / path).read_bytes()


class Bucket:
    """Models under `gs://bucket/prefix`, as `Folder` gives them. The client knows STORAGE_EMULATOR_HOST."""

    def __init__(self, uri: str):
        self.name, _, prefix = uri.removeprefix("gs://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client: storage.Client | None = None

    def bucket(self) -> storage.Bucket:
        if self.client is None:
            self.client = storage.Client()
        return self.client.bucket(self.name)

    def folders(self) -> list[str]:
        listing = self.bucket().list_blobs(prefix=self.prefix, delimiter="/", retry=STORAGE_RETRY)
        return [name[len(self.prefix) : -1] for page in listing.pages for name in page.prefixes]

    def files(self, folder: str) -> dict[str, FileState]:
        start = f"{self.prefix}{folder}/"
        blobs = self.bucket().list_blobs(prefix=start, delimiter="/", retry=STORAGE_RETRY)
        return {blob.name[len(start) :]: FileState(blob.size, str(blob.generation)) for blob in blobs}

    def read(self, path: str) -> bytes:
        try:
            return self.bucket().blob(self.prefix + path).download_as_bytes(retry=STORAGE_RETRY)
        except NotFound as error:
            raise FileNotFoundError(f"gs://{self.name}/{self.prefix}{path}") from error


# ----------------------------------------------------------------------------------------------- verification


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
    for name in (DESCRIPTION_FILE, WEIGHTS_FILE, GOLDEN_FILE):
        if name not in files:
            raise PassedOver(f"{MANIFEST_FILE} does not list {name}")
    return Manifest(document["runId"], document["createdAt"], document["promoted"], document["reason"], files)


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


def verified_model(contents: dict[str, bytes], manifest: Manifest) -> DocumentModel:
    """The model in its files' bytes. Raises PassedOver unless they are what the manifest and training say."""
    for name, content in contents.items():
        size, digest = manifest.files[name]
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise PassedOver(f"{name} is not the file of the manifest: its SHA-256 differs")
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


# -------------------------------------------------------------------------------------------------- the store


class ModelStore:
    """The model to serve, from any number of threads.

    uri: `gs://bucket/prefix` or a local path. refresh_seconds: how old the last look may become.
    pin: a model's name, or `name/runId`, that is served whether it is promoted or not, and nothing else.
    """

    def __init__(self, uri: str, refresh_seconds: float = 300, pin: str | None = None):
        self.uri, self.refresh_seconds, self.pin = uri, refresh_seconds, pin
        self.source = Bucket(uri) if uri.startswith("gs://") else Folder(uri)
        self.served: ServedModel | None = None
        self.problem = ""
        self.next_look = 0.0  # on the monotonic clock
        self.looking = threading.Lock()
        self.manifests: dict[tuple[str, str], Manifest] = {}  # (folder, version of the file) → what it says
        self.passed_over: dict[str, str] = {}  # model → reason, as last logged
        self.rejected: dict[tuple, str] = {}  # a model's files, exactly → why their content was rejected

    def current(self) -> ServedModel:
        """The model to serve. Only the first callers wait, while it loads. Raises NoModel."""
        served = self.served
        if served is None:
            with self.looking:
                if self.served is None and time.monotonic() >= self.next_look:
                    self.look()
                if self.served is None:
                    raise NoModel(self.problem)
                return self.served
        if time.monotonic() >= self.next_look and self.looking.acquire(blocking=False):
            threading.Thread(target=self.refresh, name="model-refresh", daemon=True).start()
        return served

    def refresh(self) -> None:
        """Looks again, in its own thread, which took `looking` over from the request that found it due."""
        try:
            self.look()
        finally:
            self.looking.release()

    def look(self) -> None:
        """Serves the latest model from now on; if there is none, what served before. Needs `looking`."""
        try:
            self.adopt(self.latest())
        except Exception as error:  # storage out of reach, in any of its many ways, must not end a serving process
            self.problem = f"no model to serve: cannot look in {self.uri}: {one_line(error)}"
            log.warning("the look for a model failed: %s: %s", type(error).__name__, one_line(error))
        self.next_look = time.monotonic() + (RETRY_SECONDS if self.served is None else self.refresh_seconds)

    def latest(self) -> ServedModel | None:
        """The newest model that may serve; None if there is none. Logs what it passes over, once a change."""
        passed: dict[str, str] = {}
        rejected: dict[tuple, str] = {}
        found = None
        for name in self.candidates():
            try:
                found = self.candidate(name, rejected)
                break
            except PassedOver as reason:
                passed[name] = str(reason)
        for name, reason in passed.items():
            if self.passed_over.get(name) != reason:
                log.warning("passed over %s: %s", name, reason)
        self.passed_over, self.rejected = passed, rejected
        return found

    def candidates(self) -> Iterator[str]:
        """The models' names, newest first; with a pin, the pinned one's alone."""
        pinned = self.pin.partition("/")[0] if self.pin else None
        names = (name for name in self.source.folders() if model_date(name) and pinned in (None, name))
        return iter(sorted(names, reverse=True))

    def candidate(self, name: str, rejected: dict[tuple, str]) -> ServedModel:
        """The named model, verified, or the one that serves if it is the same. Raises PassedOver.

        A model that was rejected for its content is not downloaded again until one of its files changes.
        """
        manifest, version = self.manifest(name)
        if not manifest.promoted and not self.pin:
            raise PassedOver(f"not promoted ({one_line(manifest.reason)})")
        served = self.served
        if served and (served.name, served.run_id, served.version) == (name, manifest.run_id, version):
            return served
        folder = f"{name}/runs/{manifest.run_id}"
        states = self.source.files(folder)
        for file, (size, _) in manifest.files.items():
            found = f"{states[file].size} bytes" if file in states else "no such file"
            if file not in states or states[file].size != size:
                raise PassedOver(f"half-written: {file}: expected {size} bytes, found {found}")
        needed = (DESCRIPTION_FILE, WEIGHTS_FILE, GOLDEN_FILE)
        total = sum(manifest.files[file][0] for file in needed)
        if total > MAX_MODEL_BYTES:
            raise PassedOver(f"too large: expected at most {MAX_MODEL_BYTES} bytes, found {total}")
        exactly = (name, version, *(states[file] for file in needed))
        try:
            if exactly in self.rejected:
                raise PassedOver(self.rejected[exactly])
            model = verified_model({file: self.source.read(f"{folder}/{file}") for file in needed}, manifest)
        except PassedOver as reason:
            rejected[exactly] = str(reason)
            raise
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return ServedModel(name, manifest.run_id, manifest.created_at, manifest.promoted, now, version, model)

    def manifest(self, name: str) -> tuple[Manifest, str]:
        """A model's manifest and its file's version. Raises PassedOver.

        A date's manifest is that of its last run; a pinned run that it no longer names may have kept its own.
        """
        run_id = self.pin.partition("/")[2] if self.pin else ""
        folders = [name, f"{name}/runs/{run_id}"] if run_id else [name]
        for folder in folders:
            state = self.source.files(folder).get(MANIFEST_FILE)
            if state is None:
                continue
            if state.size > MAX_MANIFEST_BYTES:
                limit = f"expected at most {MAX_MANIFEST_BYTES} bytes, found {state.size}"
                raise PassedOver(f"{MANIFEST_FILE}: {limit}")
            if (folder, state.version) not in self.manifests:
                content = self.source.read(f"{folder}/{MANIFEST_FILE}")
                self.manifests[folder, state.version] = read_manifest(content)
            manifest = self.manifests[folder, state.version]
            if run_id in ("", manifest.run_id):
                return manifest, state.version
        raise PassedOver(f"no {MANIFEST_FILE} of run {run_id}" if run_id else f"no {MANIFEST_FILE}")

    def adopt(self, found: ServedModel | None) -> None:
        """Serves the model that was found, or says why there is none."""
        if found is None:
            wanted = self.pin or "doc-classification-model-YYYY-MM-DD"
            passed = "; ".join(f"{name}: {reason}" for name, reason in list(self.passed_over.items())[:5])
            problem = f"no model to serve: looked in {self.uri} for {wanted}, passed over: {passed or 'none'}"
            if problem != self.problem:
                log.warning("%s%s", problem, "; the old one keeps serving" if self.served else "")
            self.problem = problem
        elif found is not self.served:
            self.served, self.problem = found, ""
            log.info("serving %s, run %s, trained %s", found.name, found.run_id, found.trained_at)


def model_date(name: str) -> date | None:
    """The date in a model's name; None for any other name."""
    match = MODEL_NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]
