"""Tables as they come: wild values, nothing to learn, one row, one class, a label that is always the same."""

import json
import math
from datetime import date
from pathlib import Path

import pytest

from brigade.training.errors import TrainingError
from brigade.training.run import train
from tests.training.tables.made_up_tables import changed, definition, houses, written


def strictly(constant: str):
    raise ValueError(f"{constant} is no JSON")


def figures(summary: dict) -> dict:
    text = (Path(summary["path"]) / "runs" / summary["runId"] / "metrics.json").read_text("utf-8")
    return json.loads(text, parse_constant=strictly)


@pytest.mark.long
def test_a_table_of_wild_values_is_learned(spark, tmp_path, quick):
    wild = [math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, None]
    rows = changed(
        houses(300),
        size=lambda at: wild[at // 10 % 7] if at % 10 == 0 else 40.0 + at % 90,
        rooms=None,
        garden=lambda at: None if at % 3 else True,
        place=lambda at: f"seen only once {at}" if at > 240 else ["", " ", "a" * 3000, "\n", None][at % 5],
        price=lambda at: wild[at // 50 % 3] if at % 50 == 0 else 1e6 + at % 90,
        valued=lambda at: wild[at % 7],
    )
    summary = train(spark, written(spark, tmp_path / "p", rows), str(tmp_path / "m"), definition=definition())
    assert summary["unlabelled"] == 6
    assert summary["rows"] == 300
    assert summary["mae"] < 26  # the labels spread over 90
    found = figures(summary)
    assert found["baselines"]["valued"]["rows"] < summary["tested_on"]
    assert {one["feature"]: one["share"] for one in found["importance"]}["rooms"] == 0


@pytest.mark.long
def test_a_label_that_is_always_the_same_is_predicted_and_warned_of(spark, tmp_path, quick):
    rows = changed(houses(80), price=5.0, valued=None)
    summary = train(spark, written(spark, tmp_path / "p", rows), str(tmp_path / "m"), definition=definition())
    assert (summary["mae"], summary["r2"], summary["coverage"]) == (pytest.approx(0, abs=1e-5), None, 1.0)
    assert figures(summary)["test"]["mae"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "rows", "said"),
    [
        ("classification", changed(houses(60), sold="yes"), "expected at least two classes in sold, found only 'yes'"),
        ("classification", changed(houses(60), sold=None), "expected labels in sold, found none on any of 60 rows"),
        ("classification", changed(houses(300), sold=str), "expected at most 200 classes in sold, found more"),
        ("regression", changed(houses(60), price=math.nan), "expected numbers in price, found none on any of 60 rows"),
        ("regression", houses(2)[1:], "expected at least 20 rows with a label, found 1"),
        ("regression", [], "expected rows, found none"),
        (
            "regression",
            changed(houses(60), eventTimestamp=houses(1)[0]["eventTimestamp"]),
            "expected rows of at least three moments to split by time, found 1 in eventTimestamp",
        ),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused_in_a_line(spark, tmp_path, quick, task, rows, said):
    data = written(spark, tmp_path / "p", rows)
    with pytest.raises(TrainingError) as problem:
        train(spark, data, str(tmp_path / "m"), definition=definition(task), day=date(2026, 1, 5))
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)
    assert not (tmp_path / "m").exists()
