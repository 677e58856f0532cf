"""Which model serves: the newest promoted one, a pinned one, or none. On a folder and on the storage emulator."""

import logging
import threading
from datetime import UTC, datetime

import pytest

from brigade.models import store as store_module
from brigade.models.store import ModelStore, NoModel
from tests.models.written_models import MIDDLE, NEW, OLD, TEXTS, tiny_model, write_model


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


def test_the_first_answer_comes_after_the_whole_look(tmp_path, monkeypatch):
    write_model(tmp_path, OLD)
    store = ModelStore(str(tmp_path))
    # The looking thread has found the model before the one that asks goes on, and its look is not over.
    monkeypatch.setattr(threading.Thread, "start", lambda thread: store.adopt(store.latest(store.candidates())))
    monkeypatch.setattr(store_module, "WAIT_SECONDS", 0)
    with pytest.raises(NoModel, match="has not answered within 0 s"):
        store.current()
    assert store.served and store.served.name == OLD and store.looking.locked()
    store.looking.release()
    assert store.current().name == OLD


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
    folders = store.models.folders
    monkeypatch.setattr(store.models, "folders", lambda: looks.append(1) or folders())
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
