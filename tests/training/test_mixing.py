"""Partitions that learn side by side, and the average of their weights."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.utils import murmurhash3_32

from brigade.training.mixing import Weights, epoch
from tests.training.made_up_documents import INDEX, LABELS, confused, texts
from tests.training.small_trainings import FEATURES, matrix_of, tf_idf_by_hand, trainer_of


def learn_by_hand(parts: list, start: tuple, classes: int, alpha: float, seed: int, passes: int) -> tuple:
    """scikit-learn's SGDClassifier over (features, classes) of `parts`, so many times, from (weights, intercept, t)."""
    one = SGDClassifier(loss="hinge", alpha=alpha, random_state=seed)
    one.partial_fit(parts[0][0][:1], parts[0][1][:1], classes=range(classes))
    one.coef_, one.intercept_, one.t_ = start[0].astype(one.coef_.dtype), start[1].astype(one.coef_.dtype), start[2]
    for number in range(passes):
        one.set_params(random_state=seed + number)
        for features, own in parts:
            one.partial_fit(features, own)
    return one.coef_, one.intercept_, one.t_


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kept, passes", [(3, 2), (2, 1)])
def test_a_partition_is_gone_through_twice_while_its_blocks_are_few(monkeypatch, classes, kept, passes):
    monkeypatch.setattr("brigade.training.mixing.KEPT_BLOCKS", kept)
    monkeypatch.setattr("brigade.training.mixing.EPOCHS", 2)
    labels = LABELS[:classes]
    rows = [(text, label) for text, label in confused(150, 1) if label in labels]
    matrices = [matrix_of(rows[at : at + 20], labels) for at in (0, 20, 40)]
    width = 1 if classes == 2 else classes
    choose = np.random.default_rng(8)
    start = choose.normal(size=(width, 300)), choose.normal(size=width), 25.0
    shared = Weights(*(np.float32(part) for part in start))
    (found,) = epoch(iter(matrices), shared, classes, 1e-3, 5, 240)
    parts = [(matrix.sparse(300), matrix.classes) for matrix in matrices]
    expected, other = (learn_by_hand(parts, start, classes, 1e-3, 5, n) for n in (passes, 3 - passes))
    for one, own, wrong in zip(found.floating().parts, expected, other, strict=True):
        np.testing.assert_allclose(one, np.asarray(own) * 60 / 240, rtol=1e-3, atol=1e-4)  # 60 of 240 documents
        assert np.abs(one - np.asarray(wrong) * 60 / 240).max() > 0.005


def test_a_partition_without_documents_takes_no_part():
    assert list(epoch(iter([]), None, 3, 1e-4, 0, 10)) == []


@hypothesis_settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 9), order=st.randoms(use_true_random=False))
def test_weights_add_up_to_the_same_in_any_order(seed, count, order):
    choose = np.random.default_rng(seed)
    shapes = [(3, 4), (3,), ()]
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
    large = Weights(np.float32([[100, -2]]), np.float32([3]), np.float32(9))
    assert [part.dtype for part in large.fixed().parts] == [np.int32] * 3
    found = large + large  # 200 is too much for them
    assert [part.dtype for part in found.parts] == [np.int64, np.int32, np.int32]
    np.testing.assert_array_equal((found + large).floating().coefficients, [[300, -6]])


def test_a_round_is_the_average_of_the_partitions_by_their_documents(spark):
    rows = confused(120, 0.7, seed=6)
    partitions = [rows[:60], rows[60:110], [], rows[110:]]
    trainer = trainer_of(spark, partitions, alpha=1e-3)
    matrix, _ = tf_idf_by_hand([text for text, _ in rows])
    matrix = matrix[:, trainer.plan.places].astype(np.float32)
    labels, ends = np.array([INDEX[label] for _, label in rows]), [0, 60, 110, 120]
    coefficients, intercepts, updates, rounds = np.zeros((3, matrix.shape[1])), np.zeros(3), 1.0, []
    for number in range(3):
        trainer.advance(1)
        learned = [
            learn_by_hand([(matrix[a:b], labels[a:b])], (coefficients, intercepts, updates), 3, 1e-3, 4 * number, 4)
            for a, b in zip(ends, ends[1:], strict=False)
        ]
        coefficients, intercepts, updates = (
            np.average([one[part] for one in learned], axis=0, weights=np.diff(ends)) for part in range(3)
        )
        rounds.append(np.column_stack([coefficients, intercepts]))
        found = np.column_stack([trainer.progress.weights.coefficients, trainer.progress.weights.intercepts])
        assert np.abs(found - rounds[-1]).max() < 1e-3 * np.abs(rounds[-1]).max()
        assert trainer.progress.weights.updates == pytest.approx(updates, rel=1e-5)
        plain = np.mean([one[0] for one in learned], axis=0)  # each partition alike: something else
        assert np.abs(plain - coefficients).max() > 0.05 * np.abs(coefficients).max()
    model = trainer.model()  # the mean of all rounds but the first
    expected, found = np.mean(rounds[1:], axis=0), np.column_stack([model.weights.T, model.intercept])
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    trainer.average_from_here()
    assert np.abs(trainer.model().weights.T - rounds[-1][:, :-1]).max() < 1e-3 * np.abs(rounds[-1]).max()
    trainer.matrices.unpersist()


def test_one_partition_learns_the_same_in_one_job_as_round_by_round(spark):
    trainer = trainer_of(spark, [confused(120, 0.7, seed=6)])
    assert trainer.own.getNumPartitions() == 1
    trainer.advance(2)
    at_once = trainer.advanced_alone(3)
    assert at_once.rounds == 5
    for _ in range(3):
        trainer.progress = trainer.progress.after(trainer.mixed())
    for one, other in ((at_once.weights, trainer.progress.weights), (at_once.sums, trainer.progress.sums)):
        assert [part.tobytes() for part in one.parts] == [part.tobytes() for part in other.parts]
    assert at_once.summed == trainer.progress.summed == 4
    trainer.matrices.unpersist()


@pytest.mark.parametrize("classes", [LABELS[:2], LABELS])
def test_what_words_tell_apart_is_learned(spark, classes):
    rows = [row for row in texts(90) if row[1] in classes]
    trainer = trainer_of(spark, [rows[::2], rows[1::2]], classes=classes)
    trainer.advance(3)
    model = trainer.model()
    trainer.matrices.unpersist()
    fresh = [row for row in texts(60, seed=2) if row[1] in classes]
    assert [model.predict(text)["label"] for text, _ in fresh] == [label for _, label in fresh]
    assert (model.classes, model.weights.shape[1]) == (classes, len(classes))


@pytest.mark.long
def test_more_partitions_learn_about_as_well(spark):
    rows, fresh, accuracies = confused(600, 0.1), texts(200, seed=77), {}
    for partitions in (1, 2, 8, 32):
        trainer = trainer_of(spark, [rows[at::partitions] for at in range(partitions)])
        trainer.advance(2)
        model = trainer.model()
        trainer.matrices.unpersist()
        right = sum(model.predict(text)["label"] == label for text, label in fresh)
        accuracies[partitions] = right / len(fresh)
    assert max(accuracies.values()) - min(accuracies.values()) <= 0.03, accuracies
    assert min(accuracies.values()) > 0.95


def test_validation_is_seen_only_once_all_are_taken(spark):
    held = [("zebra zebra giraffe", "ship")] * 6
    trainer = trainer_of(spark, [texts(60), texts(40, seed=3)], held)
    trainer.advance(2)
    assert trainer.validate().documents == 6
    zebra = murmurhash3_32("zebra", positive=True) % FEATURES.size
    assert zebra not in trainer.plan.places
    before = trainer.progress.weights.updates
    trainer.take_all(106)
    trainer.advance(1)
    # The weighted mean over partitions of 60, 40 and 6 documents, each of which is gone through four times.
    assert trainer.progress.weights.updates - before == pytest.approx(4 * (60**2 + 40**2 + 6**2) / 106)
    trainer.matrices.unpersist()
