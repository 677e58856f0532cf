"""The figures, compared with scikit-learn's."""

import math
from collections import Counter

import numpy as np
import pytest
from pyspark.sql import Row
from sklearn import metrics as reference
from sklearn.dummy import DummyClassifier

from brigade.models.document_model import Calibration, DocumentModel
from brigade.training.evaluation import WORST_MISTAKES, Evaluation, evaluate, evaluate_rows, macro_f1, majority, metrics
from brigade.training.features import scores_of, weigh
from tests.training.made_up_documents import LABELS, confused, documents, texts
from tests.training.small_trainings import FEATURES, blocks_of
from tests.training.whole_runs import contents, run_folder


@pytest.fixture(scope="module")
def weak_model() -> DocumentModel:
    """A model that is often wrong, and that does not know the class "ship"."""
    weights = np.random.default_rng(3).normal(size=(FEATURES.size, 3)).astype(np.float32)
    places, ones = np.arange(FEATURES.size, dtype=np.int32), np.ones(FEATURES.size, np.float32)
    return DocumentModel([*LABELS[:2], "other"], FEATURES, places, ones, weights, np.zeros(3), Calibration(2, 0.4, 0.1))


def test_the_figures_are_those_of_scikit_learn_over_any_number_of_partitions(spark, weak_model):
    rows = texts(120)
    evaluation = evaluate(documents(spark, rows).repartition(3).rdd, weak_model)
    found = metrics(evaluation)
    sure = np.array([weak_model.probabilities(text) for text, _ in rows])
    truth, guesses = [label for _, label in rows], [weak_model.classes[one] for one in sure.argmax(axis=1)]
    columns = reference.precision_recall_fscore_support(truth, guesses, labels=LABELS, zero_division=0)
    assert 0 < found["accuracy"] < 1
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, guesses), abs=1e-4)
    assert found["macroF1"] == pytest.approx(columns[2].mean(), abs=1e-4)
    assert found["documents"] == 120
    for label, *figures in zip(LABELS, *columns, strict=True):
        names = ("precision", "recall", "f1", "documents")
        assert [found["classes"][label][name] for name in names] == pytest.approx(figures, abs=1e-4)
    names = [*LABELS, "other"]
    table = reference.confusion_matrix(truth, guesses, labels=names)
    wrong = [[a, b, table[i, j]] for i, a in enumerate(names) for j, b in enumerate(names) if i != j and table[i, j]]
    assert sorted(found["confusions"]) == sorted(wrong)
    assert [one[2] for one in found["confusions"]] == sorted((one[2] for one in wrong), reverse=True)
    likely = [one[names.index(label)] if label != "ship" else 1e-12 for one, label in zip(sure, truth, strict=True)]
    assert found["logLoss"] == pytest.approx(-np.log(likely).mean(), abs=1e-4)
    right, sure = np.array(truth) == np.array(guesses), sure.max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).mean() for one in set(bins))
    assert len(set(bins)) > 3
    assert found["expectedCalibrationError"] == pytest.approx(gap, abs=1e-4)
    assert [one["documents"] for one in found["calibration"]] == [int((bins == one).sum()) for one in sorted({*bins})]
    mistakes = sorted((round(float(p), 4) for p, fine in zip(sure, right, strict=True) if not fine), reverse=True)
    assert [one[0] for one in evaluation.worst] == mistakes[:WORST_MISTAKES]


def test_the_log_loss_of_known_classes_is_that_of_scikit_learn(weak_model):
    rows = [Row(payload=text, label=label) for text, label in texts(60) if label != "ship"]
    (first,), (second,) = evaluate_rows(rows[:15], weak_model), evaluate_rows(rows[15:], weak_model)
    probabilities = [weak_model.probabilities(row.payload) for row in rows]
    expected = reference.log_loss([row.label for row in rows], probabilities, labels=weak_model.classes)
    assert (first + second).log_loss / len(rows) == pytest.approx(expected)


def test_a_label_that_the_model_does_not_know_is_a_mistake_of_the_greatest_loss(weak_model):
    (found,) = evaluate_rows([Row(payload="a <tale>", label="ship")], weak_model)
    assert (found.documents, found.accuracy) == (1, 0)
    assert found.log_loss == pytest.approx(-math.log(1e-12))
    assert [(label, text) for _, label, _, text in found.worst] == [("ship", "a <tale>")]
    assert macro_f1(found) == 0


def test_macro_f1_is_the_mean_over_the_classes_that_documents_have():
    found = Evaluation()
    found.pairs.update({("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 2, ("b", "never asked for"): 2})
    assert macro_f1(found) == pytest.approx((2 * 3 / (4 + 3) + 2 * 2 / (4 + 3)) / 2)


def test_validation_scores_matrices_as_serving_scores_texts(weak_model):
    (block,) = blocks_of(confused(80, 1))
    matrix = weigh(block, weak_model)
    expected = [weak_model.scores(text) for text, _ in texts(80)]
    np.testing.assert_allclose(scores_of(matrix, weak_model), expected, atol=1e-5)


def test_the_majority_is_the_dummy_classifier_of_scikit_learn():
    trained = {LABELS[0]: 20, LABELS[1]: 55, LABELS[2]: 25}
    rows = [label for _, label in texts(100)] + [LABELS[1]] * 7
    evaluation = Evaluation()
    evaluation.pairs.update((label, LABELS[number % 3]) for number, label in enumerate(rows))
    found = metrics(majority(evaluation, trained))
    known = [label for label, count in trained.items() for _ in range(count)]
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((100, 1)), known)
    cells = np.zeros((len(rows), 1))
    assert found["accuracy"] == pytest.approx(dummy.score(cells, rows), abs=1e-4)
    assert found["logLoss"] == pytest.approx(reference.log_loss(rows, dummy.predict_proba(cells)), abs=1e-4)
    expected = reference.f1_score(rows, dummy.predict(cells), average="macro", zero_division=0)
    assert found["macroF1"] == pytest.approx(expected, abs=1e-4)
    assert found["expectedCalibrationError"] == pytest.approx(abs(dummy.score(cells, rows) - 0.55), abs=1e-4)


def test_the_majority_is_that_of_the_documents(runs):
    figures = contents(run_folder(runs, 0), "metrics.json")
    labels = Counter(label for _, label in [*texts(40, seed=5), *texts(110)[:2]])
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    trained = Counter(
        label if number % 8 == 0 else wrong[label] for number, (_, label) in enumerate(texts(110)) if number > 1
    )
    commonest = max(trained, key=lambda name: (trained[name], name))
    assert figures["majority"]["accuracy"] == pytest.approx(labels[commonest] / 42, abs=1e-4)
