"""The folder of dated models: a run that is written, and the champion that is read."""

import json
import logging

import numpy as np
import pytest

from brigade.models.document_model import DocumentModel
from brigade.models.folder import find_champion, write_run
from brigade.models.text_features import FeatureParameters
from brigade.storage import ABSENT, folder_at

MODEL, EARLIER = "doc-classification-model-2026-01-05", "doc-classification-model-2025-12-08"
RUN = {
    "formatVersion": 2, "runId": "r1", "createdAt": "2026-01-05T00:00:00Z", "promoted": True, "reason": "first model",
    "label": "superTag01", "codeVersion": "0" * 12,
}  # fmt: skip


@pytest.fixture
def files(tmp_path_factory) -> dict[str, bytes]:
    """The files of a run, as training hands them on."""
    folder = tmp_path_factory.mktemp("run")
    places, weights = np.arange(8, dtype=np.int32), np.eye(8, 2, dtype=np.float32)
    model = DocumentModel(["oil", "ship"], FeatureParameters(3, 1), places, np.ones(8), weights, np.zeros(2))
    model.save(folder)
    golden = {"payload": "barrel", "probabilities": model.probabilities("barrel").tolist()}
    (folder / "golden.jsonl").write_text(json.dumps(golden) + "\n")
    (folder / "report.html").write_text("<p>ship")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_run_that_is_killed_while_it_writes_leaves_no_manifest(files, tmp_path, monkeypatch):
    steps = len(files) + 5  # the run's manifest, the date's between two markers, and the history
    for step in range(steps + 1):
        models, left = folder_at(str(tmp_path / f"models{step}")), iter(range(step))
        write = models.write

        def write_some(path, content, *version, left=left, write=write):
            if next(left, None) is None:
                raise KeyboardInterrupt(path)
            write(path, content, *version)

        monkeypatch.setattr(models, "write", write_some)
        if step < steps:
            with pytest.raises(KeyboardInterrupt):
                write_run(models, MODEL, RUN, files)
        else:
            write_run(models, MODEL, RUN, files)
        assert (tmp_path / f"models{step}" / MODEL / "manifest.json").exists() is (step >= steps - 2)
        assert (find_champion(models) is not None) is (step >= steps - 2)


def test_a_change_is_marked_before_and_after_the_manifest_is_replaced(files, tmp_path, monkeypatch):
    models, written = folder_at(str(tmp_path)), []
    monkeypatch.setattr(models, "write", lambda *given: written.append(given))
    write_run(models, MODEL, RUN, files)
    entry, _, version = written.pop()
    assert entry.startswith("history/") and version == ABSENT
    run = f"{MODEL}/runs/r1"
    expected = [*(f"{run}/{name}" for name in files), f"{run}/manifest.json"]
    assert [path for path, _ in written] == [*expected, "changed.json", f"{MODEL}/manifest.json", "changed.json"]
    before, after = json.loads(written[-3][1]), json.loads(written[-1][1])
    assert [(one["what"], one["model"], one["runId"], one["done"]) for one in (before, after)] == [
        ("trained", MODEL, "r1", False),
        ("trained", MODEL, "r1", True),
    ]


def test_a_promoted_run_of_the_day_goes_on_serving_when_another_is_rejected(files, place):
    models = folder_at(place.uri)
    for run_id, promoted, serves in (("a", False, "a"), ("b", False, "b"), ("c", True, "c"), ("d", False, "c")):
        write_run(models, MODEL, RUN | {"runId": run_id, "promoted": promoted}, files)
        manifest = json.loads(place.read(f"{MODEL}/manifest.json"))
        assert (manifest["runId"], manifest["promoted"]) == (serves, serves == "c")
        assert json.loads(place.read(f"{MODEL}/runs/{run_id}/manifest.json"))["promoted"] is promoted
    assert place.read(f"{MODEL}/runs/d/weights.safetensors") == files["weights.safetensors"]


def test_the_champion_is_the_newest_promoted_model_that_can_be_read(files, place, caplog):
    models = folder_at(place.uri)
    assert find_champion(models) is None
    write_run(models, EARLIER, RUN, files)
    write_run(models, MODEL, RUN, files)
    write_run(models, "doc-classification-model-2026-03-02", RUN | {"promoted": False}, files)
    models.write("doc-classification-model-2026-03-30/manifest.json", b"{}")
    models.write("doc-classification-model-2026-04-27/runs/r1/model.json", files["model.json"])
    models.write("doc-classification-model-latest/manifest.json", b"no model's name")
    with caplog.at_level(logging.WARNING):
        name, model, _ = find_champion(models)
    assert (name, model.classes) == (MODEL, ["oil", "ship"])
    passed = sorted(record.getMessage().split(":")[0] for record in caplog.records)
    assert passed == [f"passing over doc-classification-model-{day}" for day in ("2026-03-30", "2026-04-27")]
    models.write(f"{MODEL}/runs/r1/weights.safetensors", files["weights.safetensors"][:-1] + b"?")
    assert find_champion(models)[0] == EARLIER
