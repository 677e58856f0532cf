"""Which model is promoted: the decision alone, and in whole runs."""

import json
import re

import pytest

from brigade.training.gate import decide_promotion
from tests.training.whole_runs import MODEL, contents


@pytest.mark.parametrize(
    "challenger, champion, tolerance, force, promoted, because",
    [
        (0.3, None, 0.01, None, True, "first model: macro-F1 0.3000"),
        (0.8, 0.8, 0.0, None, True, "macro-F1 0.8000, the serving model's 0.8000 on the same documents"),
        (0.9, 0.8, 0.0, None, True, "the serving model's 0.8000"),
        (0.796, 0.8, 0.01, None, True, "tolerance 0.01"),
        (0.5, 0.75, 0.25, None, True, "tolerance 0.25"),  # exactly the tolerance
        (0.7999, 0.8, 0.0, None, False, "lower by more than the tolerance 0"),
        (0.78, 0.8, 0.01, None, False, "macro-F1 0.7800, the serving model's 0.8000 on the same documents, which is"),
        (0.1, 0.8, 0.01, "new labels", True, "forced (new labels): macro-F1 0.1000, the serving model's 0.8000"),
        (0.9, 0.8, 0.01, "new labels", True, "forced (new labels): macro-F1 0.9000"),
        (0.1, None, 0.01, "--force", True, "forced (--force): macro-F1 0.1000"),
    ],
)
def test_what_is_about_as_good_as_the_champion_is_promoted(
    challenger, champion, tolerance, force, promoted, because
):  # fmt: skip
    decision, reason = decide_promotion(challenger, champion, tolerance, force)
    assert (decision, because in reason) == (promoted, True), reason


def test_a_better_model_follows_the_first_one(runs):
    first, second = json.loads(runs["manifests"][0]), json.loads(runs["manifests"][1])
    assert (first["promoted"], first["label"], first["runId"]) == (True, "accountId", runs["first"]["runId"])
    assert first["reason"] == f"first model: macro-F1 {runs['first']['macroF1']:.4f}"
    assert runs["first"]["macroF1"] < 0.5
    assert (second["promoted"], second["label"], second["runId"]) == (True, "superTag01", runs["second"]["runId"])
    assert second["reason"].startswith("macro-F1 1.0000, the serving model's 0.")


def test_a_worse_challenger_adds_its_run_and_leaves_the_manifest(runs):
    assert (runs["statuses"], runs["manifests"][2]) == ([0, 0], runs["manifests"][1])
    folders = {path.name: path for path in (runs["folder"] / "models" / MODEL / "runs").iterdir()}
    promoted = {json.loads(runs["manifests"][number])["runId"] for number in (0, 1, 3)}
    (third,) = set(folders) - promoted
    own = contents(folders[third], "manifest.json")
    assert (own["promoted"], own["runId"]) == (False, third)
    figures = contents(folders[third], "metrics.json")
    comparison = figures["comparison"]
    assert own["reason"] == (
        f"macro-F1 {figures['test']['macroF1']:.4f}, the serving model's 1.0000 each on its own test documents, which "
        f"is lower by more than the tolerance {0.01 + comparison['addedTolerance']:g}; {comparison['basis']}"
    )
    assert comparison["neitherLearned"] < comparison["testDocuments"] == 42
    assert figures["champion"]["name"] == MODEL
    assert (figures["champion"]["accuracy"], figures["champion"]["macroF1"]) == (1, 1)
    assert figures["test"]["macroF1"] < 0.7  # no ship is one


def test_force_promotes_a_worse_model_and_keeps_the_reason(runs):
    manifest = json.loads(runs["manifests"][3])
    assert (manifest["promoted"], manifest["label"]) == (True, "superTag02")
    assert re.match(
        r"forced \(ships are oil now\): macro-F1 0\.\d{4}, the serving model's 1\.0000; neither model",
        manifest["reason"],
    )
