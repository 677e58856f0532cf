"""Whole looks at tables: houses whose size is told in another unit, and prices that have risen."""

from datetime import date

import pytest

from brigade.monitoring.run import monitor as look
from brigade.training.run import train
from tests.monitoring.made_up_looks import look_of
from tests.training.tables.made_up_tables import changed, definition, houses, written
from tests.training.whole_runs import quick_training

pytestmark = pytest.mark.long
LATER = {"dt": "2026-11-02"}


@pytest.fixture(scope="module")
def models(spark, tmp_path_factory):
    """Models of the price of houses, and of whether they are sold."""
    folder = tmp_path_factory.mktemp("houses")
    with quick_training(tmp_path_factory.mktemp("runs") / "scratch"):
        data = written(spark, folder / "learned", houses(1200))
        for task in ("regression", "classification"):
            train(spark, data, f"{folder}/models", day=date(2026, 11, 1), definition=definition(task))
    return f"{folder}/models"


@pytest.fixture
def watched(spark, models, tmp_path):
    def of(rows: list[dict], task: str) -> dict:
        path = written(spark, tmp_path / "input", rows)
        return look_of(look(spark, path, models, f"{tmp_path}/out", prefix=f"houses-{task}"))

    return of


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_houses_like_those_that_were_learned_raise_nothing(watched, task):
    found = watched(changed(houses(600, 3), **LATER), task)
    assert (found["verdict"], found["findings"], found["events"]) == ("ok", [], 600)
    assert found["performance"]["metric"] == {"regression": "mae", "classification": "accuracy"}[task]
    assert found["window"] == {"since": "2026-11-02", "until": "2026-11-02"}
    assert found["labelled"] == 588 == found["performance"]["now"]["events"]


def test_another_unit_is_found_and_named(watched):
    rows = [row | LATER | {"size": 10.76 * row["size"]} for row in houses(600, 3)]
    found = watched(rows, "regression")
    assert found["verdict"] == "decay", "the prices are wrong as well"
    assert {"decay", "drift"} == {one["kind"] for one in found["findings"]}
    size = next(one for one in found["findings"] if one["field"] == "size")
    assert size["aspect"] == "number" and size["severity"] == "error" and "unit" in size["lookAt"]


def test_prices_that_have_risen_are_larger_errors(watched):
    rows = [row | LATER | {"price": row["price"] and row["price"] + 40} for row in houses(600, 3)]
    found = watched(rows, "regression")
    first = found["findings"][0]
    assert (first["kind"], first["aspect"], first["severity"]) == ("decay", "error", "error")
    assert found["performance"]["isWorse"] and found["performance"]["coverage"]["now"]["value"] < 0.8
