"""Which table models serve: those that compute what training computed, and that name a kind that is known."""

import json

import pytest

from brigade.models import table_model
from brigade.models.store import ModelStore
from tests.models.written_models import sha256, tiny_model, write_manifest
from tests.models.written_tables import NEWER_WINE, ROW, ROWS, WINE, golden_lines, wine_model, write_wine

PROBABILITIES = wine_model().probabilities(ROW).tolist()


def golden(probabilities: list, **changes) -> list[str]:
    return [json.dumps({"row": ROW | changes, "probabilities": probabilities})]


def passed_over(root) -> str:
    """Why the newer model is passed over; the older one serves."""
    store = ModelStore(str(root), prefix="wine-model")
    assert store.current().name == WINE
    return store.passed_over[NEWER_WINE]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_table_model_serves_with_all_that_its_pipeline_says(tmp_path, classes):
    model = wine_model(classes)
    write_wine(tmp_path, model=model)
    served = ModelStore(str(tmp_path), prefix="wine-model").current()
    assert served.model.predict_many(ROWS) == model.predict_many(ROWS)
    assert (
        served.contract.id == "eventId"
        and served.contract.about() == served.contract.of(model.pipeline["event"]).about()
    )
    fields = {"alcohol": ("alcohol",), "colour": ("colour",), "organic": ("details", "bio")}
    assert served.fields == fields | {model.pipeline["model"]["label"]: (model.pipeline["model"]["label"],)}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "golden.jsonl holds no row"),
        (["{}"], "cannot be read (KeyError)"),
        (['{"row": [], "probabilities": [0.5, 0.5]}'], "golden.jsonl: row: expected an object, found list"),
        (golden(PROBABILITIES[:1]), "line 1: expected 2 probabilities, found shape (1,)"),
        (golden([None, None]), "line 1: probabilities differ by nan; at most 1e-05"),
        (golden(PROBABILITIES, alcohol=8), "line 1: probabilities differ by 0."),
        (golden_lines(wine_model(), 2e-5), "line 1: probabilities differ by 2e-05; at most 1e-05 is allowed"),
    ],
)  # fmt: skip
def test_a_table_model_that_computes_other_probabilities_is_passed_over(tmp_path, lines, reason):
    write_wine(tmp_path)
    write_wine(tmp_path, NEWER_WINE, lines=lines or [" "])
    assert reason in passed_over(tmp_path)


def test_a_value_may_differ_in_the_digits_that_float32_do_not_have(tmp_path):
    model = wine_model(0)
    largest = max(abs(model.value(row)) for row in ROWS)
    write_wine(tmp_path, model=model, golden=0.9e-5 * largest)
    write_wine(tmp_path, NEWER_WINE, model=model, golden=1.1e-5 * largest)
    assert "golden.jsonl line 1: value differs by" in passed_over(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "image"}, "model.json: kind: expected text or table, found 'image'"),
        ({"kind": None}, "model.json: kind: expected text or table, found 'None'"),
        ({"kind": "text"}, "manifest.json does not list weights.safetensors"),
        ({"formatVersion": 3}, "expected formatVersion 2, found 3"),
        ({"task": "clustering"}, "expected task classification or regression, found 'clustering'"),
        ({"pipeline": None}, "expected the pipeline's definition, found NoneType"),
        ({"pipeline": {"name": "wine"}}, "cannot be read (KeyError)"),
        ({"pipeline": {"event": []}}, "cannot be read (TypeError)"),
    ],
)
def test_a_description_that_cannot_be_served_is_passed_over_with_the_reason(tmp_path, changes, reason):
    write_wine(tmp_path)
    manifest = write_wine(tmp_path, NEWER_WINE)
    file = tmp_path / NEWER_WINE / "runs" / "run-1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    for entry in manifest["files"]:
        if entry["name"] == "model.json":
            entry |= {"size": file.stat().st_size, "sha256": sha256(file)}
    write_manifest(tmp_path, NEWER_WINE, manifest)
    assert reason in passed_over(tmp_path)


def test_without_xgboost_a_table_model_is_passed_over_with_what_is_missing(tmp_path, monkeypatch):
    write_wine(tmp_path)

    def read_booster(content: bytes):
        raise ModuleNotFoundError("No module named 'xgboost'", name="xgboost")

    monkeypatch.setattr(table_model, "read_booster", read_booster)
    store = ModelStore(str(tmp_path), prefix="wine-model")
    with pytest.raises(Exception, match="needs xgboost, which is not installed here"):
        store.current()


def test_trees_beside_a_text_model_are_a_file_like_any_other(tmp_path):
    from tests.models.written_models import OLD, write_model

    manifest = write_model(tmp_path, OLD)
    trees = tmp_path / OLD / "runs" / "run-1" / "weights.ubj"
    trees.write_bytes(b"anything")
    manifest["files"].append({"name": "weights.ubj", "size": 8, "sha256": sha256(trees)})
    write_manifest(tmp_path, OLD, manifest)
    assert ModelStore(str(tmp_path)).current().model.predict("a text") == tiny_model().predict("a text")
