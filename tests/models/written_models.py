"""Models for tests: small ones with random weights, written into a folder as training writes them."""

import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np

from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.store import ModelStore
from brigade.models.text_features import FeatureParameters

OLD, MIDDLE, NEW = (f"doc-classification-model-{day}" for day in ("2026-01-05", "2026-02-02", "2026-03-02"))
TEXTS = ["some words", "Oil prices rose on Monday", "texto teste"]


def tiny_model(classes: int = 3, hash_bits: int = 8, seed: int = 0, name: str = "class-{}") -> DocumentModel:
    """A model with random weights, the same ones for the same seed."""
    random = np.random.default_rng(seed)
    parameters = FeatureParameters(hash_bits=hash_bits)
    return DocumentModel(
        classes=[name.format(index) for index in range(classes)],
        parameters=parameters,
        places=np.arange(parameters.size, dtype=np.int32),
        idf=random.uniform(1, 5, parameters.size).astype(np.float32),
        weights=random.normal(size=(parameters.size, classes)).astype(np.float32),
        intercept=random.normal(size=classes).astype(np.float32),
        calibration=Calibration(3.0, 0.4, -0.2),
    )


def write_model(root: Path, name: str, run_id: str = "run-1", seed: int = 0, **changes) -> dict:
    """Writes a whole model as training does, the manifest last, and returns its manifest.

    changes: other values for the manifest's keys; `golden`, what to add to the golden probabilities; `metrics`;
    `class_name`, a format of the classes' names; `model`, another one, with the `lines` of its golden.jsonl.
    """
    model = changes.pop("model", None) or tiny_model(seed=seed, name=changes.pop("class_name", "class-{}"))
    shift = changes.pop("golden", 0)
    folder = root / name / "runs" / run_id
    folder.mkdir(parents=True)
    model.save(folder)
    lines = changes.pop("lines", None) or [
        json.dumps({"payload": text, "probabilities": [p + shift for p in model.probabilities(text)]}) for text in TEXTS
    ]
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "metrics.json").write_text(json.dumps(changes.pop("metrics", {})))
    manifest = {
        "formatVersion": 2,
        "runId": run_id,
        "createdAt": f"{name[-10:]}T02:10:00Z",
        "promoted": True,
        "reason": "better than the champion",
        "label": "superTag01",
        "codeVersion": "1",
        "files": [
            {"name": path.name, "size": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
        ],
    } | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_manifest(root, name, manifest)
    return manifest


def write_manifest(root: Path, name: str, manifest: object) -> None:
    """Replaces a model's manifest in one step."""
    content = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (root / "manifest").write_text(content)
    os.replace(root / "manifest", root / name / "manifest.json")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def break_one_bit_of_the_weights(place) -> None:
    """Damages the newest model without changing a file's size."""
    weights = place.root / NEW / "runs" / "run-1" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


class Reads:
    """Counts and may hold up what a store reads: of a model, if `held_up` names one."""

    def __init__(self, store: ModelStore):
        self.paths: list[str] = []
        self.held_up = ""
        self.go_on = threading.Event()
        self.go_on.set()
        store.quick = store.models
        self.read, store.models.read = store.models.read, self

    def __call__(self, path: str, limit: int) -> tuple[bytes, str]:
        self.paths.append(path)
        assert self.held_up not in path or self.go_on.wait(30)
        return self.read(path, limit)


def manifest_of(place, name: str) -> dict:
    return json.loads(place.read(f"{name}/manifest.json"))


def serving(place) -> str:
    return ModelStore(place.uri).current().name
