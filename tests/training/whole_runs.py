"""What the tests of whole training runs share: their input, and what they read of their output."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brigade.conversion.schema import COLUMNS
from brigade.models.document_model import DocumentModel
from brigade.profiles.profile import Profile
from tests.conftest import ROOT

MODEL = "doc-classification-model-2026-01-05"
FILES = ["data.json", "golden.jsonl", "metrics.json", "model.json", "profile.json", "report.html"]
FILES += ["weights.safetensors"]
QUICK = ["--alpha=1e-4", "--ngrams=1", "--hash_bits=12", "--date=2026-01-05"]  # one candidate


@contextmanager
def quick_training(scratch: Path) -> Iterator[None]:
    """Meanwhile trainings run without MLflow and keep their temporary files in a new folder `scratch`."""
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def landed(folder: Path, rows: list[tuple]) -> str:
    """A folder with one event for each (payload, superTag01, superTag02, accountId)."""
    folder.mkdir()
    with open(folder / "raw.jsonl", "w", encoding="utf-8") as file:
        for number, (text, *tags) in enumerate(rows):
            metadata = dict(zip(("superTag01", "superTag02", "accountId"), tags, strict=False))
            event = {"eventId": f"{folder.name}-{number}", "eventTimestamp": "2019-04-02T21:55:57Z"}
            event["doc"] = {"docId": f"d{number}", "payload": text, "metadata": metadata}
            file.write(json.dumps(event) + "\n")
    return str(folder)


def zipped_package(target: Path) -> Path:
    """The package as a zip, as it travels to a cluster."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted((ROOT / "brigade").rglob("*")):
            if path.suffix in (".py", ".j2"):
                archive.write(path, path.relative_to(ROOT))
    return target


def contents(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text("utf-8"))


def profile_in(folder: Path) -> Profile:
    return Profile.of((folder / "profile.json").read_bytes())


def model_of(folder: Path) -> DocumentModel:
    return DocumentModel.from_bytes(*((folder / name).read_bytes() for name in ("model.json", "weights.safetensors")))


def run_folder(runs: dict, number: int) -> Path:
    return runs["folder"] / "models" / MODEL / "runs" / json.loads(runs["manifests"][number])["runId"]


def said(capsys) -> str:
    """The one line on stderr that is for people; nothing is on stdout, and there is no stack trace."""
    output = capsys.readouterr()
    (line,) = [text for text in output.err.splitlines() if text.startswith("train_ml_model.py: ")]
    assert (output.out, "Traceback" in output.err) == ("", False)
    return line


def parquet(spark, path: Path, rows: list[dict]) -> str:
    """Parquet of these rows, with null in the columns that they do not have."""
    schema = ", ".join(f"{name} string" for name in COLUMNS)
    rows = [tuple(row.get(name) for name in COLUMNS) for row in rows]
    spark.createDataFrame(rows, schema).coalesce(1).write.parquet(str(path))
    return str(path)


def labelled(rows: list[tuple]) -> list[dict]:
    return [{"payload": text, "superTag01": label, "eventId": f"e{n}"} for n, (text, label) in enumerate(rows)]
