"""Where models lie, and what a manifest says of one.

    <MODELS_URI>/doc-classification-model-2026-01-05/manifest.json   written last: what the files must be
    <MODELS_URI>/doc-classification-model-2026-01-05/runs/<run id>/  model.json, weights.safetensors, …
    <MODELS_URI>/changed.json                                        written around every change of a manifest

A model's name is its pipeline's prefix and a date. Models of several prefixes may lie in one folder; who looks for a
model looks for those of one prefix.
A manifest is checked when it is read, and no name in it can lead out of its folder. Nothing is read without a limit.
This file needs only the standard library and storage, so that the trigger can list models without numpy.
"""

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime

from brigade.errors import BrigadeError, one_line
from brigade.storage import FileState, Folder, TooLarge

FORMAT_VERSION = 2
DOCUMENTS_PREFIX = "doc-classification-model"  # of the documents' models, and of no others
MODEL_NAME = re.compile(r"(.+)-(\d{4}-\d\d-\d\d)")
MODEL_PREFIX = re.compile(r"[a-z]([a-z0-9-]{0,58}[a-z0-9])?")  # as model_prefix of a pipeline's definition
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")  # of a run or a file: no "/" and not hidden
SHA256 = re.compile(r"[0-9a-f]{64}")
MANIFEST_FILE, DESCRIPTION_FILE, WEIGHTS_FILE = "manifest.json", "model.json", "weights.safetensors"
GOLDEN_FILE, METRICS_FILE, DATA_FILE = "golden.jsonl", "metrics.json", "data.json"
CHANGED_FILE = "changed.json"  # lies beside the models; see `change_marker`
TREES_FILE = "weights.ubj"  # what a table model has in place of WEIGHTS_FILE
SERVING_FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, TREES_FILE, GOLDEN_FILE)
MANIFEST_KEYS = {
    "runId": str,
    "createdAt": str,
    "promoted": bool,
    "reason": str,
    "label": str,
    "codeVersion": str,
    "files": list,
}
# A parsed file takes many times its size in memory. The largest model that training makes has 256 MiB of tensors.
MAX_BYTES = {MANIFEST_FILE: 1 << 20, DESCRIPTION_FILE: 16 << 20, GOLDEN_FILE: 16 << 20}
MAX_FILE_BYTES = 512 << 20  # of any other file
MAX_MARKER_BYTES = 4096


class ModelFormatError(BrigadeError):
    """A model's files are not in the format that this code reads. The message says what was expected and found."""


class PassedOver(BrigadeError):
    """A model that must not be served. The message is the reason and holds no document's text."""


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    label: the column of the labels that the model learned. files: name → (bytes, SHA-256 in lower-case hex).
    document: the whole manifest as it was read.
    """

    run_id: str
    created_at: str
    promoted: bool
    reason: str
    label: str
    files: dict[str, tuple[int, str]]
    document: dict[str, object]


# ------------------------------------------------------------------------------------------------------- names


def model_name(prefix: str, day: date | str) -> str:
    """The name of a model; as the day, YYYY-MM-DD gives the form of all names of the prefix."""
    return f"{prefix}-{day}"


def model_form(prefix: str) -> str:
    """What the names of a prefix's models look like, for people."""
    return model_name(prefix, "YYYY-MM-DD")


def split_name(name: str) -> tuple[str, date | None]:
    """The prefix and the date of a model's name; ("", None) for any other name."""
    match = MODEL_NAME.fullmatch(name)
    try:
        return (match[1], date.fromisoformat(match[2])) if match else ("", None)
    except ValueError:
        return "", None


def model_date(name: str, prefix: str) -> date | None:
    """The date in a name of the prefix's models; None for any other name."""
    found, day = split_name(name)
    return day if found == prefix else None


def check_prefix(prefix: str) -> str:
    """The prefix of a pipeline's models. Raises ValueError if it can be none."""
    if not MODEL_PREFIX.fullmatch(prefix) or split_name(prefix)[1]:
        raise ValueError(f"expected a model's name without its date, such as wine-model, found {prefix!r}")
    return prefix


def is_future(day: date | None) -> bool:
    """Whether a date is later than today, UTC. A model of such a date serves instead of every newer one."""
    return day is not None and day > datetime.now(UTC).date()


def model_dates(models: Folder, since: date = date.min, prefix: str = DOCUMENTS_PREFIX) -> set[date]:
    """The dates, from `since` on, of the prefix's models that have a manifest, promoted or not."""
    dated = {name: day for name in models.folders() if (day := model_date(name, prefix)) and day >= since}
    return {day for name, day in dated.items() if MANIFEST_FILE in models.files(name)}


def model_and_run(text: str, prefix: str = DOCUMENTS_PREFIX) -> tuple[str, str]:
    """The two parts of `<prefix>-YYYY-MM-DD[/RUN_ID]`; no run is "". Raises ValueError."""
    name, slash, run_id = text.partition("/")
    if model_date(name, prefix) is None or (slash and not PLAIN_NAME.fullmatch(run_id)):
        raise ValueError(f"expected {model_form(prefix)}, with or without /RUN_ID, found {text!r}")
    return name, run_id


def run_folder(name: str, run_id: str) -> str:
    return f"{name}/runs/{run_id}"


# --------------------------------------------------------------------------------------------------- manifests


def size_limit(file: str) -> int:
    """The most bytes that a file of a model may have."""
    return MAX_BYTES.get(file, MAX_FILE_BYTES)


def find_manifest(models: Folder, name: str, run_id: str = "") -> Manifest:
    """A model's manifest. Raises PassedOver.

    The manifest of a date belongs to one of its runs. Every run keeps a copy of its own, which is read when another
    run is asked for.
    """
    problem = PassedOver(f"no {MANIFEST_FILE}" + (f" of run {run_id}" if run_id else ""))
    for folder in (name, run_folder(name, run_id)) if run_id else (name,):
        try:
            manifest = read_manifest(models.read(f"{folder}/{MANIFEST_FILE}", size_limit(MANIFEST_FILE))[0])
        except FileNotFoundError:
            continue
        except (PassedOver, TooLarge) as reason:
            problem = PassedOver(str(reason))
            continue
        if run_id in ("", manifest.run_id):
            return manifest
    raise problem


def read_manifest(content: bytes) -> Manifest:
    """Parses a manifest. Raises PassedOver if a key is missing or wrong, or leads out of the folder."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PassedOver(f"{MANIFEST_FILE} is not JSON ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise PassedOver(f"{MANIFEST_FILE}: expected an object, found {type(document).__name__}")
    if document.get("formatVersion") != FORMAT_VERSION:
        found = document.get("formatVersion", "none")
        raise PassedOver(f"{MANIFEST_FILE}: expected formatVersion {FORMAT_VERSION}, found {one_line(found)[:40]}")
    for key, kind in MANIFEST_KEYS.items():
        if not isinstance(document.get(key), kind):
            found = type(document[key]).__name__ if key in document else "no such key"
            raise PassedOver(f"{MANIFEST_FILE}: {key}: expected {kind.__name__}, found {found}")
    if not PLAIN_NAME.fullmatch(document["runId"]):
        raise PassedOver(f"{MANIFEST_FILE}: runId: expected a plain name, found {document['runId'][:80]!r}")
    files = dict(read_file_entry(entry) for entry in document["files"])
    if len(files) < len(document["files"]):
        raise PassedOver(f"{MANIFEST_FILE}: a file is listed twice")
    weights = TREES_FILE if TREES_FILE in files else WEIGHTS_FILE
    for name in (DESCRIPTION_FILE, weights, GOLDEN_FILE):
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
    """(name, (bytes, SHA-256)) of an entry in the manifest's `files`. Raises PassedOver."""
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


def complete_files(models: Folder, name: str, manifest: Manifest) -> dict[str, FileState]:
    """The files of a run. Raises PassedOver unless all files of the manifest are there with its sizes."""
    states = models.files(run_folder(name, manifest.run_id))
    for file, (size, _) in manifest.files.items():
        limit = size_limit(file)
        if size > limit:
            raise PassedOver(f"too large: {file}: expected at most {limit} bytes, found {size}")
        found = f"{states[file].size} bytes" if file in states else "no such file"
        if file not in states or states[file].size != size:
            raise PassedOver(f"half-written: {file}: expected {size} bytes, found {found}")
    return states


# ------------------------------------------------------------------------------------------------ change marker


def change_marker(what: str, model: str, run_id: str, done: bool) -> bytes:
    """The content of CHANGED_FILE. Whoever replaces a date's manifest writes it before and, with `done`, after.

    what: "trained", "promoted" or "withdrawn". No two markers are equal: serving that finds the marker it knows has
    nothing else to read. A marker that is not done tells an operator that somebody else is changing a model.
    """
    marker = {"changedAt": utc_now(), "model": model, "runId": run_id, "what": what, "done": done}
    return json.dumps(marker | {"token": secrets.token_hex(8)}).encode()


def utc_now() -> str:
    """The time in RFC 3339, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
