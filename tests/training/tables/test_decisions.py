"""What is decided without Spark: the interval, what a champion has learned, the gate of an error, the workers."""

import numpy as np
import pytest

from brigade.training.comparison import Comparison
from brigade.training.errors import TrainingError
from brigade.training.evaluation import Evaluation
from brigade.training.gate import MAE, decide_promotion, judge
from brigade.training.tables.boosting import check_barrier, workers_for
from brigade.training.tables.comparison import margin_of, unlearned
from brigade.training.tables.evaluation import Errors, Frame, baselines, residual_bounds, value_metrics
from brigade.training.tables.parts import Split

OWN = Split("random", 7, 0.1)


@pytest.mark.parametrize("rows", [5, 30, 200, 5000])
def test_nine_in_ten_new_rows_lie_in_the_interval(rows):
    draw = np.random.default_rng(rows)
    inside = []
    for _ in range(300):
        residuals = draw.exponential(1, rows) - 1
        below, above = residual_bounds(np.zeros(rows), residuals.tolist(), 0.9)
        new = draw.exponential(1, 200) - 1
        inside.append(((-below <= new) & (new <= above)).mean())
    # Of five rows, one of six new ones lies beyond the largest or the smallest each.
    assert np.mean(inside) >= (0.9 if rows > 18 else 4 / 6) - 0.01
    assert np.mean(inside) <= 0.97


def test_an_interval_holds_its_value_even_if_all_errors_point_one_way():
    assert residual_bounds(np.zeros(3), [1.0, 2.0, 3.0], 0.9) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("split", "condition"),
    [
        (OWN.about(), "true"),
        (OWN.about() | {"share": 0.2}, "true"),
        (OWN.about() | {"share": 0.05}, None),
        (OWN.about() | {"seed": 8}, None),
        (OWN.about() | {"rule": 2}, None),
        (Split("time", 7, 0.1, (5, 9)).about(), "moment >= 9"),
        (None, None),
        ("random", None),
    ],
)
def test_what_a_champion_has_not_learned_follows_from_its_split(split, condition):
    assert unlearned({"split": split}, OWN)[1] == condition


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted"),
    [
        (10.0, None, True),
        (10.0, 10.0, True),
        (10.1, 10.0, True),
        (10.11, 10.0, False),
        (0.0, 0.0, True),
        (1e-9, 0, False),
    ],
)
def test_an_error_may_be_higher_by_a_share_of_the_champions(challenger, champion, promoted):
    found, reason = decide_promotion(challenger, champion, 0.01, metric=MAE)
    assert found == promoted
    assert "mean absolute error" in reason


def test_an_error_that_is_too_high_says_so_and_can_be_forced():
    comparison = Comparison(12.0, 10.0, {}, 100, 90, "how", "on the same rows", "basis")
    assert judge(12.0, comparison, 0.1, None, MAE) == (
        False,
        "mean absolute error 12, the serving model's 10 on the same rows, "
        "which is higher by more than the tolerance 0.1 of it; basis",
    )
    assert judge(12.0, comparison, 0.1, "we know", MAE)[0]


def test_many_rows_are_learned_by_all_cores_and_few_by_one():
    assert (workers_for(1000, 10, None, 8), workers_for(1_000_000, 28, None, 8), workers_for(10, 1, 3, 8)) == (1, 8, 3)


def test_executors_that_come_and_go_are_refused():
    class Session:
        class sparkContext:
            @staticmethod
            def getConf():
                return {"spark.dynamicAllocation.enabled": "TRUE"}

    with pytest.raises(TrainingError, match="spark.dynamicAllocation.enabled=false"):
        check_barrier(Session)


def test_errors_of_partitions_add_up_to_those_of_all_rows():
    import pyarrow

    from brigade.models.table_model import Interval

    draw = np.random.default_rng(3)
    label, predicted = draw.normal(10, 3, 90), draw.normal(10, 3, 90)
    names = {
        "label": label, "moment": np.arange(90), "place": draw.integers(-9, 9, 90),
        "baseline": np.where(np.arange(90) % 3 == 0, np.nan, label + 1),
    }  # fmt: skip
    batch = pyarrow.RecordBatch.from_arrays([pyarrow.array(one) for one in names.values()], list(names))

    class Model:
        interval, features = Interval(1.0, 2.0), []

    from brigade.training.tables.evaluation import errors_of

    frame = Frame(10.0, 0, 89)
    whole = errors_of(batch, predicted, Model, frame)
    parts = sum((errors_of(batch.slice(at, 30), predicted[at : at + 30], Model, frame) for at in (0, 30, 60)), Errors())
    np.testing.assert_allclose(parts.sums, whole.sums)
    np.testing.assert_allclose(parts.moments, whole.moments)
    assert value_metrics(parts) == value_metrics(whole)
    assert parts.worst == whole.worst
    figures = value_metrics(whole)
    error = predicted - label
    assert figures["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert figures["rmse"] == pytest.approx((error**2).mean() ** 0.5, rel=1e-5)
    assert figures["r2"] == pytest.approx(1 - (error**2).sum() / ((label - label.mean()) ** 2).sum(), rel=1e-4)
    assert figures["coverage"] == pytest.approx(((error <= 1) & (-error <= 2)).mean(), abs=1e-4)
    assert baselines(whole, "b")["b"] == {
        "mae": 1.0, "modelMae": pytest.approx(np.abs(error)[np.arange(90) % 3 != 0].mean(), rel=1e-5),
        "ratio": pytest.approx(np.abs(error)[np.arange(90) % 3 != 0].mean(), rel=1e-5), "rows": 60,
    }  # fmt: skip


def test_a_margin_grows_with_the_uncertainty_of_both_tests():
    few, many = Errors(), Errors()
    few.sums[:4], many.sums[:4] = (25, 25, 0, 50), (2500, 2500, 0, 5000)
    assert margin_of(value_metrics(few), few) > 5 * margin_of(value_metrics(many), many) > 0
    assert isinstance(margin_of({"classes": {"a": {"f1": 0.5, "documents": 9}}}, evaluated()), float)


def evaluated() -> Evaluation:
    found = Evaluation()
    found.pairs["a", "a"] += 5
    found.pairs["b", "a"] += 5
    return found
