"""Two who decide at once: nobody's decision is lost, and something whole serves."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from brigade.models.commands import decide
from brigade.models.decisions import Refused
from brigade.models.manifest import change_marker
from brigade.models.store import ModelStore
from brigade.storage import ChangedMeanwhile, folder_at
from tests.models.written_models import MIDDLE, NEW, OLD, manifest_of, serving


def test_of_two_operators_who_withdraw_each_others_last_model_one_is_told_to_try_again(models, monkeypatch):
    first, second = ModelStore(models.uri), ModelStore(models.uri)
    latest = first.latest

    def meanwhile(names):
        found = latest(names)  # the first one sees that the old model is left
        assert decide(second, OLD, "", promoted=False, reason="second")["serving"]["name"] == MIDDLE
        return found

    monkeypatch.setattr(first, "latest", meanwhile)
    with pytest.raises(ChangedMeanwhile, match="changed.json: expected it as it was read"):
        decide(first, MIDDLE, "", promoted=False, reason="first")
    assert serving(models) == MIDDLE
    assert manifest_of(models, OLD)["reason"] == "withdrawn: second"


def test_a_run_of_training_that_took_the_date_meanwhile_is_not_overwritten(models, monkeypatch):
    operator = ModelStore(models.uri)
    read = operator.models.read
    trained = json.dumps(manifest_of(models, NEW) | {"reason": "trained meanwhile"}).encode()

    def meanwhile(path, limit):
        if path.endswith("golden.jsonl"):
            folder_at(models.uri).write(f"{NEW}/manifest.json", trained)
        return read(path, limit)

    monkeypatch.setattr(operator.models, "read", meanwhile)
    with pytest.raises(ChangedMeanwhile, match=f"{NEW}/manifest.json: expected it as it was read"):
        decide(operator, NEW, "", promoted=True, reason="operator")
    assert models.read(f"{NEW}/manifest.json") == trained
    assert json.loads(models.read("changed.json"))["done"] is True


def claimed(age: timedelta) -> bytes:
    marker = json.loads(change_marker("promoted", OLD, "run-1", done=False))
    return json.dumps(marker | {"changedAt": (datetime.now(UTC) - age).isoformat()}).encode()


def test_while_somebody_is_at_it_others_wait_and_a_claim_that_was_given_up_lapses(models, run):
    folder_at(models.uri).write("changed.json", claimed(timedelta(seconds=5)))
    status, _, error = run("promote", NEW)
    assert status == 1 and error.startswith("promote: somebody has been changing a model since")
    folder_at(models.uri).write("changed.json", claimed(timedelta(seconds=90)))
    assert run("promote", NEW)[0] == 0


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"changedAt": 1, "done": false}', b'{"changedAt": "2026"}'])
def test_a_marker_of_somebody_elses_making_stops_nobody(models, run, content):
    folder_at(models.uri).write("changed.json", content)
    assert run("promote", NEW)[0] == 0


def test_who_has_nothing_to_change_does_not_end_somebody_elses_claim(models, run, monkeypatch):
    assert run("withdraw", MIDDLE)[0] == 0
    operator = ModelStore(models.uri)
    files, claim = operator.models.files, claimed(timedelta(seconds=1))

    def meanwhile(folder=""):
        folder_at(models.uri).write("changed.json", claim)
        return files(folder)

    monkeypatch.setattr(operator.models, "files", meanwhile)
    with pytest.raises(ChangedMeanwhile, match="changed.json: expected it as it was read"):
        decide(operator, MIDDLE, "", promoted=False, reason="once more")
    assert models.read("changed.json") == claim


def test_many_operators_at_once_never_leave_a_broken_or_an_empty_shop(models):
    """Each either has its way or is told why not; what is left is a whole manifest, and something serves."""
    start = threading.Barrier(8)
    ended: list[str] = []

    def operator(number: int) -> None:
        name, promoted = ((MIDDLE, False), (OLD, False), (NEW, True), (NEW, False))[number % 4]
        store = ModelStore(models.uri)
        start.wait(30)
        try:
            decide(store, name, "", promoted, f"operator {number}")
            ended.append("done")
        except (ChangedMeanwhile, Refused) as problem:
            ended.append(type(problem).__name__)

    threads = [threading.Thread(target=operator, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 8 and "done" in ended
    assert serving(models) in (OLD, MIDDLE, NEW)
    assert json.loads(models.read("changed.json"))["done"] is True
