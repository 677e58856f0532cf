"""Find, verify, load and refresh: on a local folder and on the storage emulator."""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.models import files as model_files
from brigade.models.files import PassedOver, read_manifest
from brigade.models.store import ModelStore, NoModel
from tests.conftest import LocalPlace
from tests.models.test_document_model import tiny_model

OLD, MIDDLE, NEW = (f"doc-classification-model-{day}" for day in ("2026-01-05", "2026-02-02", "2026-03-02"))
TEXTS = ["some words", "Oil prices rose on Monday", "texto teste"]


# --------------------------------------------------------------------------------------------- models to find


def write_model(root: Path, name: str, run_id: str = "run-1", seed: int = 0, **changes) -> dict:
    """Writes a whole model as training does, the manifest last, and returns its manifest.

    changes: other values for the manifest's keys; `golden`, what to add to the golden probabilities; `metrics`.
    """
    model = tiny_model(seed=seed)
    shift = changes.pop("golden", 0)
    folder = root / name / "runs" / run_id
    folder.mkdir(parents=True)
    model.save(folder)
    lines = [
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


def latest_of(place) -> str:
    """The name of the model that a new store serves."""
    place.sync()
    return ModelStore(place.uri).current().name


# ---------------------------------------------------------------------------------------------------- finding


def test_the_newest_promoted_model_serves_and_predicts_as_it_was_trained(place):
    write_model(place.root, OLD, seed=1)
    write_model(place.root, NEW, seed=2)
    write_model(place.root, MIDDLE, seed=3)
    (place.root / "doc-classification-model-2026-13-99").mkdir()
    (place.root / "doc-classification-model-2027-01-04-copy").mkdir()
    place.sync()
    served = ModelStore(place.uri).current()
    assert served.about() == {"name": NEW, "runId": "run-1", "trainedAt": "2026-03-02T02:10:00Z"}
    assert served.model.predict(TEXTS[0]) == tiny_model(seed=2).predict(TEXTS[0])


@pytest.mark.parametrize(
    ("created", "days"),
    [
        ("2026-01-05T02:10:00Z", 34),
        ("2026-01-05T02:09:59Z", 35),  # whole ones
        ("2026-01-05T04:10:00.5+02:00", 34),
        ("2026-02-09T02:11:00Z", -1),  # a clock that is behind
        ("2026-01-05T02:10:00", None),
        ("yesterday", None),
    ],
)
def test_a_model_s_age_is_in_whole_days_and_unknown_without_a_moment(tmp_path, created, days):
    write_model(tmp_path, OLD, createdAt=created)
    now = datetime(2026, 2, 9, 2, 9, 59, 500_000, tzinfo=UTC)
    assert ModelStore(str(tmp_path)).current().age_days(now) == days


def test_a_uri_means_the_same_with_and_without_a_trailing_slash(place):
    write_model(place.root, OLD)
    place.sync()
    for uri in (place.uri.rstrip("/"), place.uri.rstrip("/") + "/"):
        assert ModelStore(uri).current().name == OLD


def test_a_model_that_is_not_promoted_is_passed_over_and_logged_once(place, caplog):
    write_model(place.root, OLD)
    write_model(place.root, NEW, promoted=False, reason="accuracy .81 below the champion's .84")
    place.sync()
    store = ModelStore(place.uri)
    assert store.current().name == OLD
    store.look()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"passed over {NEW}: not promoted (accuracy .81 below the champion's .84)"]


def break_nothing_but_the_manifest(place):
    (place.root / NEW / "manifest.json").unlink()


def break_a_listed_file_away(place):
    (place.root / NEW / "runs" / "run-1" / "metrics.json").unlink()


def break_the_weights_short(place):
    weights = place.root / NEW / "runs" / "run-1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])


def break_one_bit_of_the_weights(place):
    weights = place.root / NEW / "runs" / "run-1" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


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
    monkeypatch.setattr(model_files, "MAX_FILE_BYTES", 1000)
    store = ModelStore(str(tmp_path))
    reads = Reads(store)
    with pytest.raises(NoModel, match="too large: weights.safetensors: expected at most 1000 bytes, found"):
        store.current()
    assert [Path(path).name for path in reads.paths] == ["changed.json", "manifest.json"]


# --------------------------------------------------------------------------------------------------- manifest


def good_manifest() -> dict:
    files = [
        {"name": name, "size": 1, "sha256": "a" * 64} for name in ("model.json", "weights.safetensors", "golden.jsonl")
    ]
    own = {"formatVersion": 2, "runId": "run-1", "createdAt": "2026-01-05T02:10:00Z", "promoted": True}
    return own | {"reason": "first", "label": "superTag01", "codeVersion": "1", "files": files}


@pytest.mark.parametrize("key", good_manifest())
def test_a_manifest_without_one_of_its_keys_is_refused(key):
    manifest = good_manifest()
    del manifest[key]
    with pytest.raises(PassedOver, match=key):
        read_manifest(json.dumps(manifest).encode())


@pytest.mark.parametrize("name", ["../model.json", "a/b", "..", "/etc/passwd", "", ".hidden", "a\\b", 7, None])
def test_a_manifest_cannot_lead_out_of_its_folder(name):
    escape = good_manifest() | {"runId": name}
    with pytest.raises(PassedOver, match="runId"):
        read_manifest(json.dumps(escape).encode())
    escape = good_manifest()
    escape["files"].append({"name": name, "size": 1, "sha256": "a" * 64})
    with pytest.raises(PassedOver, match="plain name"):
        read_manifest(json.dumps(escape).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(good_manifest())), JSON)
def test_whatever_a_manifest_holds_it_is_read_or_refused(key, value):
    content = json.dumps(good_manifest() | {key: value}).encode()
    try:
        assert set(read_manifest(content).files) >= {"model.json", "weights.safetensors", "golden.jsonl"}
    except PassedOver as reason:
        assert "\n" not in str(reason) and len(str(reason)) < 300


# ------------------------------------------------------------------------------------------------- refreshing


class Reads:
    """Counts and may hold up what a store reads."""

    def __init__(self, store: ModelStore):
        self.paths: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.read, store.source.read = store.source.read, self

    def __call__(self, path: str, limit: int) -> tuple[bytes, str]:
        self.paths.append(path)
        assert self.go_on.wait(30)
        return self.read(path, limit)


def wait_until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_the_champion_serves_while_its_successor_is_verified_and_then_gives_way(place):
    write_model(place.root, OLD, seed=1)
    place.sync()
    store = ModelStore(place.uri, refresh_seconds=0.01)
    reads = Reads(store)
    assert store.current().name == OLD
    wait_until(lambda: store.current().name == OLD and not store.looking.locked())

    reads.go_on.clear()
    started = time.monotonic()
    write_model(place.root, NEW, seed=2)
    place.sync()
    reads.paths.clear()
    wait_until(lambda: store.current().name == OLD and reads.paths)  # somebody has begun to read the new one
    assert [store.current().name for _ in range(100)] == [OLD] * 100
    assert time.monotonic() - started < 15  # and nobody waits for it: it is held up for 30 seconds
    reads.go_on.set()
    wait_until(lambda: store.current().name == NEW)
    assert store.current().model.predict(TEXTS[0]) == tiny_model(seed=2).predict(TEXTS[0])


def test_a_second_run_on_the_same_date_takes_over(place):
    write_model(place.root, OLD, run_id="run-1", seed=1)
    place.sync()
    store = ModelStore(place.uri)
    assert store.current().manifest.run_id == "run-1"
    write_model(place.root, OLD, run_id="run-2", seed=2)
    place.sync()
    store.look()
    assert store.current().manifest.run_id == "run-2"


def test_when_the_newest_model_is_withdrawn_the_one_before_serves_again(place):
    write_model(place.root, OLD)
    manifest = write_model(place.root, NEW)
    place.sync()
    store = ModelStore(place.uri)
    assert store.current().name == NEW
    write_manifest(place.root, NEW, manifest | {"promoted": False})
    place.sync()
    store.look()
    assert store.current().name == OLD


def test_without_a_marker_a_look_reads_manifests_and_no_models_files_again(place):
    write_model(place.root, OLD)
    write_model(place.root, MIDDLE, golden=1)
    write_model(place.root, NEW, promoted=False)
    place.sync()
    store = ModelStore(place.uri)
    reads = Reads(store)
    served = store.current()
    assert served.name == OLD and len(reads.paths) == 1 + 3 + 4 + 4  # no marker, three manifests, two models' files
    reads.paths.clear()
    store.look()
    assert [Path(path).name for path in reads.paths] == ["changed.json"] + ["manifest.json"] * 3
    assert store.current().model is served.model and store.current().loaded_at == served.loaded_at


def test_a_rejected_model_is_read_again_when_it_was_repaired(place):
    write_model(place.root, OLD)
    write_model(place.root, NEW)
    weights = place.root / NEW / "runs" / "run-1" / "weights.safetensors"
    whole = weights.read_bytes()
    break_one_bit_of_the_weights(place)
    place.sync()
    store = ModelStore(place.uri)
    assert store.current().name == OLD
    weights.unlink()
    weights.write_bytes(whole)
    place.sync()
    store.look()
    assert store.current().name == NEW


def test_a_refresh_that_fails_is_logged_and_the_old_model_keeps_serving(tmp_path, monkeypatch, caplog):
    write_model(tmp_path, OLD)
    store = ModelStore(str(tmp_path), refresh_seconds=0.01)
    served = store.current()

    def out_of_reach():
        raise ConnectionError("storage\nis out of reach")

    monkeypatch.setattr(store.source, "folders", out_of_reach)
    wait_until(lambda: store.current().model is served.model and "out of reach" in caplog.text)
    assert "the look for a model failed: ConnectionError: storage is out of reach" in caplog.text
    monkeypatch.undo()
    write_model(tmp_path, NEW)
    wait_until(lambda: store.current().name == NEW)


def test_when_every_model_is_gone_the_old_one_keeps_serving(tmp_path, caplog):
    write_model(tmp_path, OLD)
    store = ModelStore(str(tmp_path))
    served = store.current()
    shutil.rmtree(tmp_path / OLD)
    store.look()
    assert store.current() is served
    assert "the old one keeps serving" in caplog.text


def test_many_first_requests_load_the_model_once(tmp_path):
    write_model(tmp_path, OLD)
    store = ModelStore(str(tmp_path))
    reads = Reads(store)
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.current())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len({id(served) for served in found}) == 1
    assert len(reads.paths) == 1 + 1 + 4


# -------------------------------------------------------------------------------------------- no model, a pin


def test_without_a_model_the_message_says_where_it_looked_and_what_it_passed_over(place):
    write_model(place.root, OLD, promoted=False, reason="the first\nmodel is poor")
    place.sync()
    with pytest.raises(NoModel) as problem:
        ModelStore(place.uri).current()
    line = str(problem.value)
    assert line == (
        f"no model to serve: looked in {place.uri} for doc-classification-model-YYYY-MM-DD, passed over: "
        f"{OLD}: not promoted (the first model is poor)"
    )


@pytest.mark.parametrize("uri", ["/nowhere/at/all", "gs://no-such-bucket/output"])
def test_where_there_is_nothing_there_is_no_model(uri, storage_emulator):
    with pytest.raises(NoModel, match=f"in {uri}"):
        ModelStore(uri).current()


def test_while_there_is_no_model_requests_do_not_each_look_for_one(tmp_path, monkeypatch):
    store = ModelStore(str(tmp_path))
    looks = []
    folders = store.source.folders
    monkeypatch.setattr(store.source, "folders", lambda: looks.append(1) or folders())
    for _ in range(50):
        with pytest.raises(NoModel):
            store.current()
    assert len(looks) == 1
    write_model(tmp_path, OLD)
    store.next_look = 0.0  # as after RETRY_SECONDS
    assert store.current().name == OLD and len(looks) == 2


def test_a_pinned_model_serves_whatever_is_newer_and_whether_it_is_promoted_or_not(place):
    write_model(place.root, OLD, promoted=False)
    write_model(place.root, NEW)
    place.sync()
    served = ModelStore(place.uri, pin=OLD).current()
    assert (served.name, served.manifest.promoted) == (OLD, False)


def test_a_pinned_run_serves_after_a_later_run_took_its_date_by_the_manifest_that_it_kept(place):
    write_model(place.root, OLD, run_id="run-1", seed=1)
    write_model(place.root, OLD, run_id="run-2", seed=2)
    place.sync()
    assert ModelStore(place.uri, pin=f"{OLD}/run-1").current().manifest.run_id == "run-1"
    assert ModelStore(place.uri, pin=f"{OLD}/run-2").current().manifest.run_id == "run-2"
    with pytest.raises(NoModel, match=f"for {OLD}/run-3, passed over: {OLD}: no manifest.json of run run-3"):
        ModelStore(place.uri, pin=f"{OLD}/run-3").current()


def test_a_pinned_model_that_is_not_there_is_not_replaced_by_another(place):
    write_model(place.root, NEW)
    place.sync()
    with pytest.raises(NoModel, match=f"for {OLD}, passed over: none"):
        ModelStore(place.uri, pin=OLD).current()
