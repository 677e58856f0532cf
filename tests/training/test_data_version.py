"""The version of the data and of the code, and a training that is repeated from it."""

import hashlib
import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

import train_ml_model
from tests.training.whole_runs import contents, run_folder, said


@pytest.mark.long
def test_data_json_is_the_version_of_the_files_that_were_read(runs, second):
    data = contents(second["folder"], "data.json")
    assert data["parquet"] == f"{runs['folder']}/parquet"
    found = {unquote(urlparse(one["file"]).path): (one["size"], one["sha256"]) for one in data["files"]}
    files = {str(path): path.read_bytes() for path in Path(data["parquet"]).glob("dt=*/*.parquet")}
    assert found == {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()}
    assert data["test"] is None
    assert contents(run_folder(runs, 0), "data.json")["test"]["parquet"] == f"{runs['folder']}/parquet_test"


@pytest.mark.long
def test_a_models_data_json_gives_the_same_weights_again(second, again):
    for name in ("weights.safetensors", "model.json", "golden.jsonl"):
        assert (again["folder"] / name).read_bytes() == (second["folder"] / name).read_bytes()
    assert contents(again["folder"], "data.json") == contents(second["folder"], "data.json")
    assert again["summary"]["model"] == "doc-classification-model-2026-02-01"


def changed(folder: Path) -> None:
    (file,) = folder.glob("parquet/dt=*/*.parquet")
    file.write_bytes(b"something else")
    (file.parent / f".{file.name}.crc").unlink()


def gone(folder: Path) -> None:
    shutil.rmtree(folder / "parquet")


def without_options(folder: Path) -> None:
    data = contents(folder, "data.json")
    del data["options"]
    (folder / "data.json").write_text(json.dumps(data))


def broken(folder: Path) -> None:
    (folder / "data.json").write_text("{")


def missing(folder: Path) -> None:
    (folder / "data.json").unlink()


@pytest.mark.parametrize(
    "damage, message",
    [
        (changed, "expected 1 files as the model's data.json names them, found 1 changed or gone: "),
        (gone, "expected the files that the model's data.json names, found none in "),
        (without_options, "expected a model's data.json in "),
        (broken, "expected a model's data.json in "),
        (missing, "expected a model's data.json, found no file "),
    ],
)
def test_a_data_json_that_cannot_be_followed_ends_with_one_line(runs, second, quick, tmp_path, capsys, damage, message):
    shutil.copytree(runs["folder"] / "parquet", tmp_path / "parquet")
    text = (second["folder"] / "data.json").read_text("utf-8")
    (tmp_path / "data.json").write_text(text.replace(f"{runs['folder']}/parquet", f"{tmp_path}/parquet"), "utf-8")
    damage(tmp_path)
    assert train_ml_model.main([f"{tmp_path}/data.json", f"{tmp_path}/models"]) == 1
    assert message in said(capsys)
    assert not (tmp_path / "models").exists()
