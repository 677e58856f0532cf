"""Partitions that learn together or side by side, and the average of their weights."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC
from sklearn.utils import murmurhash3_32

from brigade.training import mixing
from brigade.training.features import joined
from brigade.training.mixing import Weights, learn, learn_apart, learn_together, partitions_for
from tests.training.made_up_documents import LABELS, confused, texts
from tests.training.small_trainings import FEATURES, matrix_of, tf_idf_by_hand, trainer_of

pytestmark = pytest.mark.filterwarnings("ignore:Liblinear failed to converge")  # within the passes that it gets


def svm_by_hand(features, own, scale, alpha: float) -> tuple[np.ndarray, float]:
    """Weights and intercept of scikit-learn's LinearSVC on scaled features, the scale folded in."""
    one = LinearSVC(C=1 / (alpha * len(own)), tol=0.1, max_iter=10, random_state=5).fit(features.multiply(scale), own)
    return one.coef_[0] * scale, one.intercept_[0]


@pytest.mark.parametrize("classes", [2, 3])
def test_each_class_is_learned_by_an_svm_of_its_own_on_features_scaled_for_it(classes):
    labels = LABELS[:classes]
    matrix = matrix_of([(text, label) for text, label in confused(150, 1) if label in labels], labels)
    scales = np.random.default_rng(8).uniform(0.1, 3, (1 if classes == 2 else classes, 300)).astype(np.float32)
    found = learn(matrix, scales, 1e-3, 5)
    assert found.coefficients.shape == scales.shape
    for row, scale in enumerate(scales):
        own = matrix.classes == (1 if classes == 2 else row)
        weights, intercept = svm_by_hand(matrix.sparse(300), own, scale.astype(np.float64), 1e-3)
        np.testing.assert_allclose(found.coefficients[row], weights, rtol=1e-4, atol=1e-6)
        assert found.intercepts[row] == pytest.approx(intercept, rel=1e-4)
        plain, _ = svm_by_hand(matrix.sparse(300), own, np.ones(300), 1e-3)
        assert np.abs(plain - weights).max() > 0.05


def test_classes_that_have_all_documents_or_none_are_learned_without_a_word():
    matrix = matrix_of([("wheat barrel", "oil")] * 20, LABELS)
    found = learn(matrix, np.ones((3, 300), np.float32), 1e-3, 0)
    assert not found.coefficients.any()
    assert found.intercepts.tolist() == [-1, 1, -1]


def test_rows_learned_by_several_tasks_are_together_what_one_task_learns_in_whatever_order_documents_come():
    rows = confused(150, 0.5)
    matrices = [matrix_of(rows[a:b], LABELS) for a, b in ((0, 40), (40, 90), (90, 150))]
    for number, matrix in enumerate(matrices):
        matrix.order = (0, number)
    scales = np.random.default_rng(3).uniform(0.5, 2, (3, 300)).astype(np.float32)
    expected = learn(joined(matrices), scales, 1e-3, 0).fixed()
    shuffled = [matrices[2], matrices[0], matrices[1]]
    (one,), (other,) = (learn_together(shuffled, scales, 1e-3, 0, own) for own in (range(0, 3, 2), range(1, 3, 2)))
    assert not other.coefficients[0].any()
    for found, own in zip((one + other).parts, expected.parts, strict=True):
        np.testing.assert_array_equal(found, own)
    assert list(learn_together([], scales, 1e-3, 0, range(3))) == []


@pytest.mark.parametrize("limit", [("TOGETHER", 40), ("MAX_CELLS", 400)])  # the cells of about 27 documents
def test_a_large_partition_is_learned_piece_by_piece_and_averaged(monkeypatch, limit):
    monkeypatch.setattr(mixing, *limit)
    rows = confused(100, 0.5)
    matrices = [matrix_of(rows[at : at + 20], LABELS) for at in range(0, 100, 20)]
    scales = np.ones((3, 300), np.float32)
    learned = list(learn_apart(iter(matrices), scales, 1e-3, 0, 200))
    assert len(learned) == 3
    for at, found in enumerate(learned):
        matrix = joined(matrices[2 * at : 2 * at + 2])
        expected = learn(matrix, scales, 1e-3, 0).coefficients * len(matrix.classes) / 200
        np.testing.assert_allclose(found.floating().coefficients, expected, rtol=1e-3, atol=1e-6)


def test_partitions_are_large_enough():
    counts = 10, 2499, 5000, 9_999, 30_000, 30_001, 60_000, 10**7
    assert [partitions_for(count, 8) for count in counts] == [1, 1, 2, 3, 8, 2, 4, 8]
    assert partitions_for(10**7, 1) == 1


@hypothesis_settings(max_examples=50)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 9), order=st.randoms(use_true_random=False))
def test_weights_add_up_to_the_same_in_any_order(seed, count, order):
    choose = np.random.default_rng(seed)
    shapes = [(3, 4), (3,)]
    many = [
        Weights(*(np.float32(choose.normal(scale=10.0 ** choose.integers(-4, 4), size=shape)) for shape in shapes))
        for _ in range(count)
    ]
    waiting = list(many)
    while len(waiting) > 1:  # any two, in any brackets
        order.shuffle(waiting)
        waiting.append(waiting.pop() + waiting.pop())
    found, straight = waiting[0].floating(), reduce(lambda one, other: one + other, many).floating()
    for number, (one, other) in enumerate(zip(found.parts, straight.parts, strict=True)):
        assert (one.tobytes(), one.dtype) == (other.tobytes(), np.float32)
        np.testing.assert_allclose(one, sum(np.float64(w.parts[number]) for w in many), rtol=1e-6, atol=1e-6)


def test_weights_that_need_more_than_32_bits_get_them():
    large = Weights(np.float32([[100, -2]]), np.float32([3]))
    assert [part.dtype for part in large.fixed().parts] == [np.int32] * 2
    found = large + large  # 200 is too much for them
    assert [part.dtype for part in found.parts] == [np.int64, np.int32]
    np.testing.assert_array_equal((found + large).floating().coefficients, [[300, -6]])


PARTITIONS = [confused(120, 0.7, seed=6)[a:b] for a, b in ((0, 60), (60, 110), (110, 110), (110, 120))]


def expected_weights(rows: list[tuple[str, str]], trainer, columns=slice(None)) -> np.ndarray:
    """The weights [3, features] of LinearSVC on scikit-learn's TF-IDF and scales counted by hand; columns: of rows."""
    matrix, _ = tf_idf_by_hand([text for text, _ in rows])
    matrix, labels = matrix[:, trainer.plan.places], np.array([label for _, label in rows])
    found = []
    for label in LABELS:
        inside, outside = ((matrix[labels == label] > 0).sum(axis=0) + 1, (matrix[labels != label] > 0).sum(axis=0) + 1)
        scale = np.sqrt(np.abs(np.log(inside / inside.sum() / outside * outside.sum())))
        own = labels[columns] == label
        one = LinearSVC(C=1 / (1e-3 * len(own)), tol=mixing.TOLERANCE, max_iter=mixing.PASSES, random_state=0)
        found.append(one.fit(matrix[columns].multiply(scale), own).coef_[0] * np.asarray(scale)[0])
    return np.array(found)


def test_few_documents_are_learned_together_whatever_their_partitions(spark):
    trainer = trainer_of(spark, PARTITIONS)
    model, again = trainer.model(1e-3), trainer.model(1e-3)
    trainer.free()
    expected = expected_weights(sum(PARTITIONS, []), trainer)
    assert np.abs(model.weights.T - expected).max() < 1e-3 * np.abs(expected).max()
    assert model.weights.tobytes() == again.weights.tobytes()


def test_of_many_documents_the_average_of_the_partitions_is_taken_by_their_documents(spark, monkeypatch):
    monkeypatch.setattr(mixing, "TOGETHER", 119)
    trainer = trainer_of(spark, PARTITIONS)
    model = trainer.model(1e-3)
    trainer.free()
    rows, ends = sum(PARTITIONS, []), [0, 60, 110, 120]
    parts = [expected_weights(rows, trainer, slice(a, b)) for a, b in zip(ends, ends[1:], strict=False)]
    expected, alike = np.average(parts, axis=0, weights=np.diff(ends)), np.mean(parts, axis=0)
    assert np.abs(model.weights.T - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(model.weights.T - alike).max() > 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("classes", [LABELS[:2], LABELS])
def test_what_words_tell_apart_is_learned(spark, classes):
    rows = [row for row in texts(90) if row[1] in classes]
    trainer = trainer_of(spark, [rows[::2], rows[1::2]], classes=classes)
    model = trainer.model(1e-3)
    trainer.free()
    fresh = [row for row in texts(60, seed=2) if row[1] in classes]
    assert [model.predict(text)["label"] for text, _ in fresh] == [label for _, label in fresh]
    assert (model.classes, model.weights.shape[1]) == (classes, len(classes))


@pytest.mark.long
@pytest.mark.parametrize("together", [0, 600])
def test_more_partitions_learn_about_as_well(spark, monkeypatch, together):
    monkeypatch.setattr(mixing, "TOGETHER", together)
    rows, fresh, accuracies = confused(600, 0.1), texts(200, seed=77), {}
    for partitions in (1, 2, 8, 32):
        trainer = trainer_of(spark, [rows[at::partitions] for at in range(partitions)])
        model = trainer.model(1e-3)
        trainer.free()
        right = sum(model.predict(text)["label"] == label for text, label in fresh)
        accuracies[partitions] = right / len(fresh)
    assert max(accuracies.values()) - min(accuracies.values()) <= 0.03, accuracies
    assert min(accuracies.values()) > 0.95


def test_validation_is_not_learned(spark):
    rows, held = [texts(60), texts(40, seed=3)], [("zebra zebra barrel", "ship")] * 6
    trainer, without = trainer_of(spark, rows, held), trainer_of(spark, rows)
    model = trainer.model(1e-3)
    assert trainer.validate(model).documents == 6
    np.testing.assert_array_equal(model.weights, without.model(1e-3).weights)
    for one in (trainer, without):
        one.free()
    assert murmurhash3_32("zebra", positive=True) % FEATURES.size not in trainer.plan.places
