"""Whether a model is what training made.

Its files must have the manifest's sizes and SHA-256, and the model must compute for the documents or rows of
`golden.jsonl` what training computed for them. A model that is damaged, half-written or read differently here than in
training never serves.
"""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from brigade.errors import one_line
from brigade.events.contract import DOCUMENTS, Contract
from brigade.models.document_model import MISREAD, DocumentModel
from brigade.models.event_fields import feature_fields
from brigade.models.manifest import (
    DESCRIPTION_FILE,
    DOCUMENTS_PREFIX,
    GOLDEN_FILE,
    MANIFEST_FILE,
    SERVING_FILES,
    TREES_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelFormatError,
    PassedOver,
    run_folder,
    split_name,
)
from brigade.models.table_model import TableModel
from brigade.storage import Folder, TooLarge

Model = DocumentModel | TableModel
KINDS: dict[str, tuple[type[DocumentModel] | type[TableModel], str]] = {  # a kind, and the file of its weights
    "text": (DocumentModel, WEIGHTS_FILE),
    "table": (TableModel, TREES_FILE),
}
GOLDEN_TOLERANCE = 1e-6
TREES_TOLERANCE = 1e-5  # trees add up float32, which hold seven digits
MAX_DOCUMENT_BYTES = 64 << 20  # of a JSON file that is read as a whole; parsed, it takes many times its size


def load_verified(models: Folder, name: str, manifest: Manifest) -> Model:
    """The model of a run. Raises PassedOver unless every file is the manifest's and the model computes what training
    computed. Files that serving does not need are checked too: a run with a damaged report may have lost more."""
    contents = {}
    for file in manifest.files:
        content = read_checked(models, name, manifest, file)
        if file in SERVING_FILES:
            contents[file] = content
    try:
        model = read_model(contents)
        check_contract(name, model)
        check_golden(model, contents[GOLDEN_FILE])
    except PassedOver:
        raise
    except ModelFormatError as error:
        raise PassedOver(one_line(error)) from error
    except ImportError as error:
        raise PassedOver(f"needs {error.name}, which is not installed here: see docs/serving.md, Tables") from error
    except MISREAD as error:
        raise PassedOver(f"cannot be read ({type(error).__name__})") from error
    return model


def read_model(contents: dict[str, bytes]) -> Model:
    """The model in a run's files, of the kind that its model.json names. Raises PassedOver and ModelFormatError."""
    description = contents[DESCRIPTION_FILE]
    kind = kind_of(description)
    if kind not in KINDS:
        raise PassedOver(f"{DESCRIPTION_FILE}: kind: expected {' or '.join(KINDS)}, found {str(kind)[:40]!r}")
    model, weights = KINDS[kind]
    if weights not in contents:
        raise PassedOver(f"{MANIFEST_FILE} does not list {weights}")
    return model.from_bytes(description, contents[weights])


def kind_of(description: bytes) -> str:
    """The kind that a model.json names: text if it names none. One that is no JSON is left to whoever reads it."""
    try:
        document = json.loads(description)
    except (ValueError, RecursionError):
        return "text"
    return str(document.get("kind", "text")) if isinstance(document, dict) else "text"


def contract_of(model: Model) -> Contract:
    """The contract of the events that the model was made of."""
    return Contract.of(model.pipeline["event"]) if model.pipeline is not None else DOCUMENTS


def check_contract(name: str, model: Model) -> None:
    """Raises PassedOver if a model that is not of documents has the name of one, or an error of MISREAD.

    A function of documents judges messages before it has found a model, so it must know what it will find.
    """
    contract = contract_of(model)
    feature_fields(model.pipeline, contract)  # what it cannot read of a definition, no store can
    if split_name(name)[0] == DOCUMENTS_PREFIX and (model.kind != "text" or contract != DOCUMENTS):
        raise PassedOver(f"{DOCUMENTS_PREFIX} is the model_prefix of documents; give this pipeline one of its own")


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


def check_golden(model: Model, content: bytes) -> None:
    """Recomputes the lines of `golden.jsonl`: {"payload" or "row", "probabilities": one a class, or "value"}. Raises
    PassedOver."""
    lines = [json.loads(line) for line in content.split(b"\n") if line.strip()]
    if not lines:
        raise PassedOver(f"{GOLDEN_FILE} holds no {'document' if model.kind == 'text' else 'row'}")
    what = "value" if isinstance(model, TableModel) and model.task == "regression" else "probabilities"
    differ = "value differs" if what == "value" else "probabilities differ"
    tolerance = GOLDEN_TOLERANCE if model.kind == "text" else TREES_TOLERANCE
    if what == "value":  # of a sum of large numbers that comes to a small one, no more digits are right
        tolerance *= max(1e-30, *(abs(golden["value"]) for golden in lines))
    for number, (golden, found) in enumerate(zip(lines, recomputed(model, lines), strict=True), 1):
        expected = np.asarray(golden[what], np.float64)
        if expected.shape != found.shape:
            shapes = f"expected {found.size} {what}, found shape {expected.shape}"
            raise PassedOver(f"{GOLDEN_FILE} line {number}: {shapes}")
        difference = float(np.abs(expected - found).max())
        if not difference <= tolerance:  # NaN does not agree either
            limit = f"at most {tolerance:g} is allowed"
            raise PassedOver(f"{GOLDEN_FILE} line {number}: {differ} by {difference:.3g}; {limit}")


def recomputed(model: Model, lines: list[dict]) -> Iterable[np.ndarray]:
    """What the model makes of each golden line's input: probabilities [C], or a value []; of rows all at once."""
    if isinstance(model, DocumentModel):
        return (model.probabilities(golden["payload"]) for golden in lines)
    rows = [golden["row"] for golden in lines]
    for row in rows:
        if not isinstance(row, dict):
            raise PassedOver(f"{GOLDEN_FILE}: row: expected an object, found {type(row).__name__}")
    margins = model.margins(model.matrix(rows))
    return margins if model.task == "regression" else model.calibration.probabilities(margins)


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
