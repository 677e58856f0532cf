"""What keeps a damaged model out: sizes, checksums, golden documents, limits."""

from pathlib import Path

import pytest

from brigade.models import manifest as manifest_format
from brigade.models.store import ModelStore, NoModel
from tests.conftest import LocalPlace
from tests.models.written_models import (
    NEW,
    OLD,
    Reads,
    break_one_bit_of_the_weights,
    sha256,
    write_manifest,
    write_model,
)


def latest_of(place) -> str:
    """The name of the model that a new store serves."""
    place.sync()
    return ModelStore(place.uri).current().name


def break_nothing_but_the_manifest(place):
    (place.root / NEW / "manifest.json").unlink()


def break_a_listed_file_away(place):
    (place.root / NEW / "runs" / "run-1" / "metrics.json").unlink()


def break_the_weights_short(place):
    weights = place.root / NEW / "runs" / "run-1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])


def break_the_manifests_json(place):
    manifest = place.root / NEW / "manifest.json"
    write_manifest(place.root, NEW, manifest.read_text()[:-20])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_nothing_but_the_manifest, "no manifest.json"),
        (break_a_listed_file_away, "half-written: metrics.json: expected 2 bytes, found no such file"),
        (break_the_weights_short, "half-written: weights.safetensors"),
        (break_one_bit_of_the_weights, "weights.safetensors is not the file of the manifest"),
        (break_the_manifests_json, "manifest.json is not JSON"),
    ],
)
def test_a_damaged_newest_model_is_passed_over_with_the_reason(place, caplog, damage, reason):
    write_model(place.root, OLD)
    write_model(place.root, NEW)
    damage(place)
    assert latest_of(place) == OLD
    assert f"passed over {NEW}: {reason}" in caplog.text


def test_a_model_that_computes_other_probabilities_here_than_in_training_is_passed_over(tmp_path, caplog):
    write_model(tmp_path, OLD, golden=9e-7)
    write_model(tmp_path, NEW, golden=2e-6)
    assert latest_of(LocalPlace(tmp_path)) == OLD
    assert "golden.jsonl line 1: probabilities differ by 2e-06; at most 1e-06 is allowed" in caplog.text


@pytest.mark.parametrize(
    ("golden", "reason"),
    [
        ("", "golden.jsonl holds no document"),
        ('{"payload": "secret", "probabilities": [1.0]}', "line 1: expected 3 probabilities"),
        ('{"payload": "secret", "probabilities": [NaN, NaN, NaN]}', "differ by nan"),
        ('{"payload": "secret"}', "cannot be read (KeyError)"),
        ('{"payload": 1, "probabilities": [0, 0, 1]}', "cannot be read (TypeError)"),
        ('{"payload": "secret', "cannot be read (JSONDecodeError)"),
    ],
)
def test_golden_documents_that_prove_nothing_pass_the_model_over(tmp_path, caplog, golden, reason):
    write_model(tmp_path, OLD)
    manifest = write_model(tmp_path, NEW)
    path = tmp_path / NEW / "runs" / "run-1" / "golden.jsonl"
    path.write_text(golden)
    entry = next(entry for entry in manifest["files"] if entry["name"] == "golden.jsonl")
    entry |= {"size": path.stat().st_size, "sha256": sha256(path)}
    write_manifest(tmp_path, NEW, manifest)
    assert latest_of(LocalPlace(tmp_path)) == OLD
    assert reason in caplog.text and "secret" not in caplog.text


def test_a_model_that_is_too_large_is_passed_over_unread(tmp_path, monkeypatch):
    write_model(tmp_path, OLD)
    monkeypatch.setattr(manifest_format, "MAX_FILE_BYTES", 1000)
    store = ModelStore(str(tmp_path))
    reads = Reads(store)
    with pytest.raises(NoModel, match="too large: weights.safetensors: expected at most 1000 bytes, found"):
        store.current()
    assert [Path(path).name for path in reads.paths] == ["changed.json", "manifest.json"]
