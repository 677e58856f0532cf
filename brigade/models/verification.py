"""Whether a model is what training made.

Its files must have the manifest's sizes and SHA-256, and the model must give the documents of `golden.jsonl` the
probabilities that training computed for them. A model that is damaged, half-written or read differently here than in
training never serves.
"""

import hashlib
import json

import numpy as np

from brigade.errors import one_line
from brigade.models.document_model import MISREAD, DocumentModel
from brigade.models.manifest import (
    DESCRIPTION_FILE,
    GOLDEN_FILE,
    SERVING_FILES,
    WEIGHTS_FILE,
    Manifest,
    ModelFormatError,
    PassedOver,
    run_folder,
    size_limit,
)
from brigade.storage import FileState, Folder, TooLarge

GOLDEN_TOLERANCE = 1e-6
MAX_DOCUMENT_BYTES = 64 << 20  # of a JSON file that is read as a whole; parsed, it takes many times its size


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


def load_verified(models: Folder, name: str, manifest: Manifest) -> DocumentModel:
    """The model of a run. Raises PassedOver unless every file is the manifest's and the model computes what training
    computed. Files that serving does not need are checked too: a run with a damaged report may have lost more."""
    contents = {}
    for file in manifest.files:
        content = read_checked(models, name, manifest, file)
        if file in SERVING_FILES:
            contents[file] = content
    try:
        model = DocumentModel.from_bytes(contents[DESCRIPTION_FILE], contents[WEIGHTS_FILE])
        check_golden(model, contents[GOLDEN_FILE])
    except PassedOver:
        raise
    except ModelFormatError as error:
        raise PassedOver(one_line(error)) from error
    except MISREAD as error:
        raise PassedOver(f"cannot be read ({type(error).__name__})") from error
    return model


def read_checked(models: Folder, name: str, manifest: Manifest, file: str) -> bytes:
    """The content of a run's file. Raises PassedOver unless it is the file of the manifest."""
    size, digest = manifest.files[file]
    try:
        content, _ = models.read(f"{run_folder(name, manifest.run_id)}/{file}", size)
    except FileNotFoundError as error:
        raise PassedOver(f"half-written: {file}: expected {size} bytes, found no such file") from error
    except TooLarge as error:
        raise PassedOver(str(error)) from error
    if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
        raise PassedOver(f"{file} is not the file of the manifest: its SHA-256 differs")
    return content


def check_golden(model: DocumentModel, content: bytes) -> None:
    """Recomputes the lines of `golden.jsonl`, {"payload", "probabilities": one a class}. Raises PassedOver."""
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
        if not difference <= GOLDEN_TOLERANCE:  # NaN does not agree either
            limit = f"at most {GOLDEN_TOLERANCE:g} is allowed"
            raise PassedOver(f"{GOLDEN_FILE} line {number}: probabilities differ by {difference:.3g}; {limit}")


def read_document(models: Folder, name: str, manifest: Manifest, file: str) -> dict:
    """The JSON object in a run's file. Raises PassedOver unless it is the file of the manifest and of a fair size."""
    size, _ = manifest.files.get(file, (0, ""))
    if not 0 < size <= MAX_DOCUMENT_BYTES:
        raise PassedOver(f"{file}: expected 1 to {MAX_DOCUMENT_BYTES} bytes, found {size}")
    try:
        found = json.loads(read_checked(models, name, manifest, file))
    except (ValueError, RecursionError) as error:
        raise PassedOver(f"{file} is not JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise PassedOver(f"{file}: expected an object, found {type(found).__name__}")
    return found
