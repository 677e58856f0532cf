"""In how many documents of each class a feature occurs, and the scales that follow."""

import math

import numpy as np
import pytest

from brigade.training.tally import Tally
from tests.training.made_up_documents import LABELS, confused
from tests.training.small_trainings import matrix_of


def test_each_class_counts_its_own_documents_in_any_order_of_adding():
    rows = confused(120, 0.5)
    matrices = [matrix_of(rows[a:b], LABELS) for a, b in ((0, 30), (30, 80), (80, 120))]
    one, two, three = (Tally.of([matrix], 3, 300) for matrix in matrices)
    expected = np.zeros((3, 300), int)
    for matrix in matrices:
        for row, label in zip(matrix.sparse(300).toarray(), matrix.classes, strict=True):
            expected[label] += row != 0
    for found in (one + two + three, three + one + two, Tally.of(matrices, 3, 300)):
        np.testing.assert_array_equal(found.documents, expected)
        assert found.documents.dtype.kind == "i"


def test_a_scale_is_the_root_of_the_log_count_ratio():
    tally = Tally(np.array([[9, 0, 4], [0, 1, 4], [1, 0, 4]], np.int32))
    found = tally.scales()
    # Of the first class 10, 1 and 5 documents, one more for each feature than there are; of the others 2, 2 and 9.
    assert found[0] == pytest.approx(
        [math.sqrt(abs(math.log(a / 16 / (b / 13)))) for a, b in ((10, 2), (1, 2), (5, 9))], rel=1e-6
    )
    assert (found.shape, found.dtype) == ((3, 3), np.float32)


def test_two_classes_share_one_row_and_a_feature_that_tells_nothing_has_no_scale():
    first, second = np.array([[7, 3, 0], [3, 7, 0]], np.int32), np.array([[3, 7, 0], [7, 3, 0]], np.int32)
    np.testing.assert_allclose(Tally(first).scales(), Tally(second).scales(), rtol=1e-6)
    assert Tally(first).scales().shape == (1, 3)
    assert Tally(first).scales()[0, 2] == 0
