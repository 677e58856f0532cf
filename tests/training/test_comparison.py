"""What champion and challenger are compared on, and what the decision rests on if that is too little."""

import json
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import train_ml_model
from brigade.training.champion import Champion
from brigade.training.comparison import by_own_tests, variance, what_lacks
from brigade.training.evaluation import Evaluation
from brigade.training.gate import judge
from brigade.training.memory import Memory
from brigade.training.run import train
from tests.models.written_models import tiny_model
from tests.training.made_up_documents import texts
from tests.training.whole_runs import contents, labelled, parquet, quick_training

MODELS = ["doc-classification-model-2026-01-05", "doc-classification-model-2026-02-02"]


def evaluation(**counts: int) -> Evaluation:
    """An evaluation of so many documents of each class, all right."""
    found = Evaluation()
    found.pairs.update({(name, name): count for name, count in counts.items()})
    return found


@pytest.mark.parametrize(
    ("fair", "lack"),
    [
        ({"a": 25, "b": 25}, ""),
        ({"a": 25, "b": 24}, "fewer than the 50 that a comparison needs"),
        ({}, "fewer than the 50 that a comparison needs"),
        ({"a": 60}, "but none of class 'b'"),
        ({"a": 60, "b": 1}, ""),
    ],
)
def test_a_comparison_needs_fifty_documents_and_one_of_each_class_that_both_know(fair, lack):
    test = evaluation(a=90, b=10, unknown=3)
    assert what_lacks(evaluation(**fair), test, {"a", "b", "never tested"}) == lack


def test_the_uncertainty_of_macro_f1_is_about_that_of_repeated_tests():
    choose = np.random.default_rng(2)
    truth = np.repeat([0, 1, 2], [60, 30, 15])
    scores = []
    for _ in range(400):
        guesses = np.where(choose.random(len(truth)) < 0.8, truth, choose.integers(0, 3, len(truth)))
        scores.append(f1_score(truth, guesses, average="macro"))
    classes = {str(one): {"f1": np.mean(scores), "documents": count} for one, count in Counter(truth.tolist()).items()}
    assert 0.6 * np.var(scores) < variance(classes) < 2.5 * np.var(scores)
    assert variance({"a": {"f1": 1.0, "documents": 3}}) > 0.01  # three right ones are no certainty
    assert variance(classes | {"untested": {"f1": 0.0, "documents": 0}}) == variance(classes)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"test": {}},
        {"test": []},
        {"test": {"macroF1": 0.1, "documents": "many"}},
        {"test": {"macroF1": 0.1, "documents": 9, "classes": {}}},
    ],
)
def test_without_figures_of_the_champions_test_it_stays_unless_by_force(metrics):
    champion = Champion("m", tiny_model(), "", {}, metrics)
    test = evaluation(a=5)
    found = by_own_tests(champion, Memory("how"), test, 4, "neither has learned 4 of 5")
    promoted, reason = judge(1.0, found, 0.01, None)
    assert not promoted and "own test figures are missing; --force" in reason
    assert judge(1.0, found, 0.01, "checked")[0]


# More than two models differ by that are right about half, and less than one gains that knows its test by heart.
BY_CHANCE = 0.2


def coins(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts whose labels say nothing: a model is right about half of those that it has not learned, whatever it is."""
    choose = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(3000)]
    return [(" ".join(choose.choice(words, 12)), ("a", "b")[choose.integers(2)]) for _ in range(count)]


def followed(spark, tmp_path: Path, data: str, test: str | None = None, capsys=None, **options) -> dict:
    """The metrics and the manifest of a run after the champion's."""
    summary = train(
        spark, data, f"{tmp_path}/models", test_path=test, day=date(2026, 2, 2), alpha=1e-5, ngrams=1, **options
    )
    folder = tmp_path / "models" / MODELS[1] / "runs" / summary["runId"]
    return (
        contents(folder, "metrics.json")
        | {"manifest": contents(folder, "manifest.json"), "summary": summary}
        | {"report": (folder / "report.html").read_text("utf-8")}
    )


@pytest.fixture(scope="module")
def coined(spark, tmp_path_factory):
    """A champion that has learned 400 texts with labels by coin: where it lies, and its data."""
    folder = tmp_path_factory.mktemp("coins")
    data = parquet(spark, folder / "parquet", labelled(coins(400, 1)))
    with quick_training(folder / "scratch"):
        train(spark, data, f"{folder}/models", day=date(2026, 1, 5), alpha=1e-5, ngrams=1)
    return folder, data


@pytest.mark.long
@pytest.mark.parametrize("options", [{"seed": 1}, {"seed": 2}])
def test_a_champion_that_knows_the_test_documents_by_heart_does_not_win_by_it(spark, coined, quick, options):
    folder, data = coined
    found = followed(spark, folder, data, tolerance=BY_CHANCE, **options)
    comparison, manifest, summary = found["comparison"], found["manifest"], found["summary"]
    assert (manifest["promoted"], summary["promoted"]) == (True, True), manifest["reason"]
    tested = found["test"]["documents"]
    assert comparison["testDocuments"] == summary["tested_on"] == tested
    assert comparison["neitherLearned"] == summary["neither_learned"] < tested / 2
    assert summary["compared"] == "each on its own test documents"
    said = f"neither model has learned {comparison['neitherLearned']} of the {tested} test documents"
    assert said in manifest["reason"] and "so each model's own test decides" in manifest["reason"]
    assert len(manifest["reason"]) < 300 and said[1:] in found["report"]
    assert abs(found["champion"]["macroF1"] - 0.5) < 0.2  # not what it says of documents that it has learned


@pytest.mark.long
def test_a_test_set_that_the_champion_trained_on_counts_for_nothing(spark, coined, quick, tmp_path):
    folder, data = coined
    rows = [one | {"eventId": f"other{n}"} for n, one in enumerate(labelled(coins(400, 2)))]
    other = parquet(spark, tmp_path / "other", rows)
    found = followed(spark, folder, other, test=data, tolerance=BY_CHANCE)
    assert found["test"]["documents"] == 400
    assert found["comparison"]["neitherLearned"] < 60  # the champion's own test part
    assert found["manifest"]["promoted"]


@pytest.mark.long
def test_enough_new_documents_decide_on_the_same_ones(spark, quick, tmp_path, capsys):
    rows = list(dict(texts(900, seed=4)).items())
    some = parquet(spark, tmp_path / "some", labelled(rows[:300]))
    train(spark, some, f"{tmp_path}/models", day=date(2026, 1, 5), alpha=1e-4, ngrams=1)
    everything = parquet(spark, tmp_path / "all", labelled(rows))
    found = followed(spark, tmp_path, everything)
    comparison = found["comparison"]
    assert (comparison["on"], comparison["addedTolerance"]) == ("on the same documents", 0)
    assert 50 <= comparison["neitherLearned"] < comparison["testDocuments"]
    assert found["champion"]["documents"] == comparison["neitherLearned"]
    assert "on the same documents, tolerance 0.01; neither model has learned" in found["manifest"]["reason"]
    capsys.readouterr()
    arguments = [everything, f"{tmp_path}/models", "--date=2026-02-02", "--alpha=1e-4", "--ngrams=1"]
    assert train_ml_model.main(arguments) == 0  # the same data again: neither has learned any test document
    again = json.loads(capsys.readouterr().out)
    assert again["neither_learned"] == again["tested_on"] and again["promoted"]
