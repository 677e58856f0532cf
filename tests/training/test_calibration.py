"""Scores become probabilities."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as reference

from brigade.models.document_model import Calibration, DocumentModel
from brigade.training.calibration import CAUTION, calibrated, first_scores
from tests.training.made_up_documents import INDEX, LABELS, confused
from tests.training.small_trainings import FEATURES, matrix_of, trainer_of


def likely(scores: np.ndarray, one: Calibration) -> np.ndarray:
    return softmax(one.scale * np.tanh(one.slope * (np.float64(scores) - one.center)), axis=1)


def test_calibration_finds_the_one_that_the_labels_were_drawn_with(monkeypatch):
    monkeypatch.setattr("brigade.training.calibration.CAUTION", 0)
    true, choose = Calibration(6, 0.7, -0.8), np.random.default_rng(1)
    scores = np.float32(choose.normal(-1, 0.6, size=(20_000, 4)))
    chances = likely(scores, true)
    classes = (choose.random((len(scores), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = calibrated(scores, classes)
    assert np.abs(likely(scores, found) - chances).max() < 0.03
    best, own = (reference.log_loss(classes, likely(scores, one), labels=range(4)) for one in (true, found))
    assert own <= best + 1e-6  # on these documents none is better, not even that one


def test_the_most_cautious_calibration_within_a_share_of_the_standard_error_is_taken(monkeypatch):
    choose = np.random.default_rng(2)
    scores = np.float32(choose.normal(-1, 0.6, size=(400, 3)))
    classes = (choose.random((400, 1)) > likely(scores, Calibration(6, 0.7, -0.8)).cumsum(axis=1)).sum(axis=1)
    found = {}
    for caution in (0, 0.1, 1):
        monkeypatch.setattr("brigade.training.calibration.CAUTION", caution)
        found[caution] = calibrated(scores, classes)
    assert found[0].scale > found[0.1].scale > found[1].scale
    lost = -np.log(likely(scores, found[0])[range(400), classes])
    error = lost.std() / 20
    for caution in (0.1, 1):
        scale = found[caution].scale
        mean, next_mean = (
            -np.log(likely(scores, Calibration(one, found[0].slope, found[0].center))[range(400), classes]).mean()
            for one in (scale, scale * 0.98)
        )
        assert mean <= lost.mean() + caution * error < next_mean


def test_of_few_documents_the_calibration_follows_fewer_accidents(monkeypatch):
    true = Calibration(20, 0.05, 0.0)

    def distance(few: int) -> float:
        """How far the calibrations of 30 draws of 40 documents are from the true one, on average."""
        monkeypatch.setattr("brigade.training.calibration.FEW", few)
        choose, found = np.random.default_rng(4), []
        for _ in range(30):
            scores = np.float32(choose.normal(-1, 0.9, size=(40, 4)))
            classes = (choose.random((40, 1)) > likely(scores, true).cumsum(axis=1)).sum(axis=1)
            others = choose.normal(-1, 0.9, size=(500, 4))
            found.append(np.abs(likely(others, calibrated(scores, classes)) - likely(others, true)).mean())
        return float(np.mean(found))

    assert distance(few=150) < 0.8 * distance(few=0)


def test_documents_that_are_all_classified_rightly_are_no_certainty():
    scores, classes = np.float32([[2, -2], [-2, 2]] * 10), np.array([0, 1] * 10)
    sure = calibrated(scores, classes).probabilities(scores).max()
    assert sure == pytest.approx(1 - 1 / 22, abs=0.003)  # Laplace: 21 of 22


def test_calibration_takes_a_bounded_number_of_scores_from_each_partition():
    choose = np.random.default_rng(3)
    places, weights = np.arange(300, dtype=np.int32), choose.normal(size=(300, 3))
    model = DocumentModel(LABELS, FEATURES, places, np.ones(300), weights, np.zeros(3))
    matrices = [matrix_of(confused(30, 1, seed=seed), LABELS) for seed in (1, 2, 3)]
    found = list(first_scores(iter(matrices), model, 40))
    assert [len(classes) for _, classes in found] == [30, 10]
    for (scores, classes), matrix in zip(found, matrices, strict=False):
        expected = matrix.sparse(300).toarray() @ model.weights
        np.testing.assert_allclose(scores, expected[: len(scores)], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(classes, matrix.classes[: len(scores)])


@pytest.mark.long
def test_no_calibration_of_a_coarse_grid_is_better_by_more_than_the_caution(spark):
    held = confused(90, 0.4, seed=12)
    trainer = trainer_of(spark, [confused(150, 0.4), confused(100, 0.4, seed=7)], held)
    model = trainer.model(1e-3)
    found = trainer.calibrate(model)
    trainer.free()
    scores = np.array([model.scores(text) for text, _ in held])
    labels = [INDEX[label] for _, label in held]

    def losses(one: Calibration) -> np.ndarray:
        return -np.log(likely(scores, one)[range(len(held)), labels])

    grid = [Calibration(k, a, c) for k in np.geomspace(0.25, 32, 15) for a in (0.1, 0.5, 1, 2) for c in (-1, 0, 1)]
    best = min(grid, key=lambda one: losses(one).mean())
    error = losses(best).std() / np.sqrt(len(held))
    assert losses(found).mean() <= losses(best).mean() + CAUTION * error + 1e-3
    assert losses(Calibration(16, 1, 0)).mean() > losses(best).mean() + error  # not any calibration would do
    found.checked()
