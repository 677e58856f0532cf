"""Every file of a model, damaged in every way, one at a time: the model is refused, and the old one serves."""

import itertools
import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.models import manifest as manifest_format
from brigade.models.manifest import change_marker
from brigade.models.store import ModelStore
from brigade.storage import TooLarge, folder_at
from tests.models.written_models import NEW, OLD, write_model

FILES = ("manifest.json", *(f"runs/run-1/{name}" for name in ("model.json", "weights.safetensors", "golden.jsonl")))
FILES += ("runs/run-1/metrics.json",)
HUGE = 8 << 20  # against the limits that the tests set


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def missing(content: bytes) -> None:
    return None


def huge(content: bytes) -> bytes:
    return content.ljust(HUGE)  # JSON that is still JSON, and longer than anything expected


@pytest.fixture
def limits(monkeypatch):
    """The limits of single files, small enough to be passed."""
    monkeypatch.setattr(manifest_format, "MAX_BYTES", {name: 1 << 20 for name in manifest_format.MAX_BYTES})
    monkeypatch.setattr(manifest_format, "MAX_FILE_BYTES", 1 << 20)


def test_the_files_here_are_all_of_a_model(tmp_path):
    write_model(tmp_path, NEW)
    found = {str(path.relative_to(tmp_path / NEW)) for path in (tmp_path / NEW).rglob("*") if path.is_file()}
    assert found - {"runs/run-1/manifest.json"} == set(FILES)


@pytest.mark.parametrize(("file", "damage"), list(itertools.product(FILES, (truncated, flipped, missing, huge))))
def test_a_damaged_file_keeps_the_new_model_out_and_the_old_one_in(place, limits, caplog, file, damage):
    write_model(place.root, OLD, seed=1)
    place.sync()
    warm = ModelStore(place.uri)
    served = warm.current()

    write_model(place.root, NEW, seed=2)
    path = place.root / NEW / file
    content = damage(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    place.sync()
    warm.look()
    assert warm.current().model is served.model
    assert ModelStore(place.uri).current().name == OLD
    assert f"passed over {NEW}: " in caplog.text


@pytest.mark.parametrize("file", FILES)
def test_no_more_than_the_limit_is_read_of_a_huge_file(place, limits, file):
    """Though the listing said something else: the file may have been replaced since."""
    write_model(place.root, NEW)
    path = place.root / NEW / file
    path.write_bytes(huge(path.read_bytes()))
    place.sync()
    with pytest.raises(TooLarge, match=f"too large: {path.name}: expected at most 1048576 bytes, found more"):
        folder_at(place.uri).read(f"{NEW}/{file}", 1 << 20)


def test_a_folder_or_a_pipe_in_a_files_place_is_no_file(tmp_path):
    write_model(tmp_path, OLD)
    (tmp_path / NEW / "manifest.json").mkdir(parents=True)
    os.mkfifo(tmp_path / "changed.json")
    assert ModelStore(str(tmp_path)).current().name == OLD


@settings(max_examples=150)
@given(st.data())
def test_a_model_with_any_bytes_changed_serves_as_trained_or_not_at_all(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("models")
    write_model(root, OLD, seed=1)
    file = data.draw(st.sampled_from(FILES))
    content = bytearray((root / OLD / file).read_bytes())
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    (root / OLD / file).write_bytes(content)
    write_model(root, "doc-classification-model-2025-12-08", seed=2)
    served = ModelStore(str(root)).current()
    if served.name == OLD:  # a change that changed nothing, or one of the manifest's words
        golden = json.loads((root / OLD / "runs" / "run-1" / "golden.jsonl").read_text().splitlines()[0])
        assert served.model.probabilities(golden["payload"]).tolist() == pytest.approx(golden["probabilities"])
    shutil.rmtree(root)


def test_a_marker_is_small():
    assert len(change_marker("withdrawn", NEW, "r" * 200, done=True)) < manifest_format.MAX_MARKER_BYTES
