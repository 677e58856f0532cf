"""A newer model takes over behind running requests, and the old one serves until then."""

import contextlib
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from brigade import storage
from brigade.models import store as store_module
from brigade.models.store import ModelStore, NoModel
from tests.models.written_models import (
    MIDDLE,
    NEW,
    OLD,
    TEXTS,
    Reads,
    break_one_bit_of_the_weights,
    tiny_model,
    write_manifest,
    write_model,
)
from tests.waiting import wait_until


def test_the_champion_serves_while_its_successor_is_verified_and_then_gives_way(place):
    write_model(place.root, OLD, seed=1)
    place.sync()
    store = ModelStore(place.uri, refresh_seconds=0.01)
    reads = Reads(store)
    assert store.current().name == OLD
    wait_until(lambda: store.current().name == OLD and not store.looking.locked())

    reads.held_up = NEW
    reads.go_on.clear()
    started = time.monotonic()
    write_model(place.root, NEW, seed=2)
    place.sync()
    reads.paths.clear()
    wait_until(lambda: store.current().name == OLD and any(NEW in path for path in reads.paths))
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
    in_the_request, everywhere = ["changed.json", "manifest.json"], ["changed.json"] + ["manifest.json"] * 3
    assert [Path(path).name for path in reads.paths] == in_the_request + everywhere
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

    monkeypatch.setattr(store.models, "folders", out_of_reach)
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


@pytest.fixture
def hung_storage(monkeypatch):
    """A storage service that takes connections and never answers; it gives the requests that came."""
    listener = socket.create_server(("127.0.0.1", 0))
    came: list[socket.socket] = []

    def take() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                came.append(listener.accept()[0])

    threading.Thread(target=take, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{listener.getsockname()[1]}")
    yield came
    listener.close()
    for one in came:
        one.close()


def test_a_first_request_waits_ten_seconds_at_most():
    """The next test shortens it."""
    assert store_module.WAIT_SECONDS <= 10


def test_while_storage_hangs_a_first_request_is_told_so_and_waits_no_longer_than_that(hung_storage, monkeypatch):
    monkeypatch.setattr(store_module, "WAIT_SECONDS", 0.5)
    store = ModelStore("gs://ml_output/output/")
    with pytest.raises(NoModel, match="gs://ml_output/output/ has not answered within 0.5 s"):
        store.current()
    wait_until(lambda: hung_storage)
    assert store.looking.locked()  # the look goes on, for the next request


def test_a_look_at_hung_storage_ends_by_itself_and_is_repeated(hung_storage, monkeypatch):
    monkeypatch.setattr(storage, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(storage, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(store_module, "RETRY_SECONDS", 0.1)
    store = ModelStore("gs://ml_output/output/")
    for _ in range(2):
        store.next_look = 0.0
        with pytest.raises(NoModel, match="cannot look in gs://ml_output/output/"):
            store.current()
