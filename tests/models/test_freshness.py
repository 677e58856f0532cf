"""How soon a change reaches a serving process, what a look costs when there is none, and what a withdrawal does."""

import shutil
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import ClassVar

import pytest

from brigade.models import store as store_module
from brigade.models.manifest import change_marker
from brigade.models.store import ModelStore, NoModel
from tests.models.written_models import NEW, OLD, Reads, write_manifest, write_model


def mark(place, what: str = "trained") -> None:
    """Writes the marker as whoever replaces a manifest does."""
    (place.root / "changed.json").write_bytes(change_marker(what, NEW, "run-1", done=True))
    place.sync()


def requests_of(store: ModelStore) -> list[str]:
    """The requests that a store's client sends to the storage emulator from now on."""
    sent: list[str] = []
    session = store.models.bucket().client._http
    session.hooks["response"].append(lambda response, **_: sent.append(response.request.url))
    return sent


@pytest.fixture
def store(place) -> ModelStore:
    """A store that serves the old model and knows the marker."""
    write_model(place.root, OLD, seed=1)
    mark(place)
    store = ModelStore(place.uri)
    assert store.current().name == OLD
    return store


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
def test_a_look_when_nothing_has_changed_is_two_small_requests(store):
    sent = requests_of(store)
    store.look()
    assert len(sent) == 2 and "changed.json" in sent[0] and "manifest.json" in sent[1]
    assert store.current().name == OLD


def test_a_look_when_nothing_has_changed_reads_the_marker_and_the_serving_manifest_alone(store):
    reads = Reads(store)
    checked_at, store.checked_at = store.checked_at, None
    store.look()
    assert reads.paths == ["changed.json", f"{OLD}/manifest.json"] and store.checked_at >= checked_at


def test_a_new_marker_brings_the_new_model(store, place):
    write_model(place.root, NEW, seed=2)
    mark(place)
    store.look()
    assert store.current().name == NEW


@pytest.mark.parametrize("accident", ["gone", "replaced", "damaged"])
def test_the_next_look_finds_a_serving_manifest_that_somebody_touched_by_hand(store, place, accident):
    manifest = write_model(place.root, NEW, seed=2)
    mark(place)
    store.look()
    assert store.current().name == NEW
    path = place.root / NEW / "manifest.json"
    if accident == "gone":
        path.unlink()
    elif accident == "replaced":
        write_manifest(place.root, NEW, manifest | {"promoted": False})
    else:
        path.write_bytes(b"{")
    place.sync()
    store.look()
    assert store.current().name == ModelStore(place.uri).current().name == OLD


def test_what_was_copied_by_hand_is_found_after_an_hour(store, place):
    write_model(place.root, NEW, seed=2)
    place.sync()
    store.look()
    assert store.current().name == OLD
    store.next_full_look = 0.0  # as when FULL_LOOK_SECONDS have passed
    store.look()
    assert store.current().name == NEW


@pytest.mark.parametrize("content", [None, b"x" * 5000])
def test_without_a_marker_or_with_one_that_is_too_large_every_look_is_a_full_one(store, place, content):
    marker = place.root / "changed.json"
    marker.unlink() if content is None else marker.write_bytes(content)
    place.sync()
    store.look()
    write_model(place.root, NEW, seed=2)
    place.sync()
    store.look()
    assert store.current().name == NEW


def test_a_look_that_failed_does_not_count_as_one(store, place, monkeypatch):
    write_model(place.root, NEW, seed=2)
    mark(place)
    with monkeypatch.context() as patch:
        patch.setattr(store.models, "folders", unreachable)
        store.look()
    assert store.current().name == OLD
    store.look()
    assert store.current().name == NEW


def unreachable(*_):
    raise ConnectionError("storage is out of reach")


def test_what_changes_during_a_look_is_found_by_the_next_one(store, place, monkeypatch):
    latest = store.latest

    def and_then_somebody_promotes(names):
        found = latest(names)
        write_model(place.root, NEW, seed=2)
        mark(place)
        return found

    mark(place)
    with monkeypatch.context() as patch:
        patch.setattr(store, "latest", and_then_somebody_promotes)
        store.look()
    assert store.current().name == OLD
    store.look()
    assert store.current().name == NEW


def test_while_there_is_no_model_every_look_is_a_full_one(place):
    mark(place)
    store = ModelStore(place.uri)
    with pytest.raises(NoModel):
        store.current()
    write_model(place.root, OLD)
    place.sync()
    store.next_look = 0.0  # as after RETRY_SECONDS
    assert store.current().name == OLD


# ------------------------------------------------------------------------------------------------- withdrawal


def withdraw(place, name: str, **changes) -> None:
    manifest = write_model(place.root / "scratch", name, seed=1)
    write_manifest(place.root, name, manifest | {"promoted": False, "reason": "withdrawn: wrong labels"} | changes)
    shutil.rmtree(place.root / "scratch")
    mark(place, "withdrawn")


def test_when_the_only_model_is_withdrawn_nothing_serves_any_more(store, place, caplog):
    withdraw(place, OLD)
    store.look()
    with pytest.raises(NoModel, match=f"{OLD}: not promoted .withdrawn: wrong labels."):
        store.current()
    assert f"{OLD} was withdrawn and serves no longer" in caplog.text
    write_model(place.root, NEW, seed=2)
    mark(place)
    store.next_look = 0.0
    assert store.current().name == NEW


def test_a_pinned_model_that_is_withdrawn_keeps_serving(place):
    write_model(place.root, OLD, seed=1)
    mark(place)
    store = ModelStore(place.uri, pin=OLD)
    assert store.current().manifest.promoted
    model = store.current().model
    withdraw(place, OLD)
    store.look()
    assert store.current().model is model and not store.current().manifest.promoted


def lose_everything(place, monkeypatch, store):
    shutil.rmtree(place.root / OLD)


def damage_the_manifest(place, monkeypatch, store):
    write_manifest(place.root, OLD, '{"promoted": false')


def reject_another_run_of_the_date(place, monkeypatch, store):
    withdraw(place, OLD, runId="run-2")


def lose_storage(place, monkeypatch, store):
    withdraw(place, OLD)
    for folder in (store.models, store.quick):
        monkeypatch.setattr(folder, "read", unreachable)


@pytest.mark.parametrize(
    "accident", [lose_everything, damage_the_manifest, reject_another_run_of_the_date, lose_storage]
)
def test_what_nobody_decided_leaves_the_model_serving(store, place, monkeypatch, accident):
    served = store.current()
    accident(place, monkeypatch, store)
    mark(place)
    store.look()
    assert store.current() is served


# ----------------------------------------------------------------------------- no CPU between requests, as on Cloud Run


class Frozen(threading.Thread):
    """A thread that has no CPU until a request waits for it."""

    started: ClassVar[list[Callable]] = []

    def start(self) -> None:
        self.started.append(self.run)


class Waits:
    """`looking`; who waits for it gives the frozen threads CPU."""

    def __init__(self):
        self.lock = threading.Lock()
        self.locked, self.release = self.lock.locked, self.lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        while blocking and Frozen.started:
            Frozen.started.pop()()
        return self.lock.acquire(blocking, timeout)


@pytest.fixture
def clock(store, monkeypatch):
    """clock(seconds): lets time pass for a store whose threads have CPU only while a request waits for them."""
    offset = [0.0]
    Frozen.started.clear()
    fake = SimpleNamespace(monotonic=lambda: time.monotonic() + offset[0])
    monkeypatch.setattr(store_module, "time", fake)
    monkeypatch.setattr(store_module, "threading", SimpleNamespace(Thread=Frozen, Lock=threading.Lock))
    store.looking = Waits()

    def pass_by(seconds: float) -> None:
        offset[0] += seconds

    return pass_by


def test_a_withdrawn_model_answers_no_request_after_the_refresh_time(store, place, clock):
    write_model(place.root, NEW, seed=2)
    mark(place)
    clock(301)
    assert {store.current().name for _ in range(3)} == {OLD}  # the thread that loads the new one has no CPU
    Frozen.started.pop()()
    assert store.current().name == NEW
    withdraw(place, NEW)
    clock(299)
    assert store.current().name == NEW
    clock(2)
    assert store.current().name == OLD


def test_without_another_model_a_withdrawn_one_is_503_at_once(store, place, clock):
    withdraw(place, OLD)
    clock(301)
    with pytest.raises(NoModel, match="withdrawn: wrong labels"):
        store.current()


def test_a_look_that_finds_nothing_new_needs_no_thread(store, clock):
    for _ in range(3):
        clock(301)
        assert store.current().name == OLD
    assert not Frozen.started


# ------------------------------------------------------------------------------------------ training on one machine


def test_a_jobs_files_come_to_the_storage_emulator_in_the_order_in_which_it_wrote_them(storage_emulator):
    """The marker's name sorts before the manifest's: a look in between would take it for all that there is."""
    from google.cloud import storage

    from local.spark_jobs import sync_bucket

    client = storage.Client(project="brigade-test")
    folder = storage_emulator / client.create_bucket("bucket-of-a-job").name
    written = ["doc/runs/run-1/weights", "doc/runs/run-1/manifest.json", "doc/manifest.json", "changed.json"]
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
        time.sleep(0.05)  # a file system's clock ticks coarsely
    sync_bucket(client, folder, since=0)
    found = [blob.name for blob in sorted(client.list_blobs("bucket-of-a-job"), key=lambda blob: blob.generation)]
    assert found == written
