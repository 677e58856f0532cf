"""Whole runs of tables: the files that they write, their figures, their repetition, the champion's comparison."""

import json
import random
from pathlib import Path

import pytest

from brigade.models.folder import find_champion
from brigade.models.table_model import TableModel
from brigade.storage import folder_at
from brigade.training.run import train
from tests.training.tables.made_up_tables import definition, houses, written
from tests.training.whole_runs import contents, profile_in

FILES = ["data.json", "golden.jsonl", "manifest.json", "metrics.json", "model.json", "profile.json", "report.html"]
FILES += ["weights.ubj"]


def folder_of(summary: dict) -> Path:
    return Path(summary["path"]) / "runs" / summary["runId"]


def model_of(summary: dict) -> TableModel:
    return TableModel.from_bytes(*((folder_of(summary) / name).read_bytes() for name in ("model.json", "weights.ubj")))


@pytest.mark.parametrize("name", ["price", "sold"])
def test_a_run_writes_the_files_of_a_model(house_runs, name):
    assert sorted(path.name for path in folder_of(house_runs[name]).iterdir()) == FILES


@pytest.mark.parametrize(("name", "aspect"), [("price", "error"), ("sold", "agreement")])
def test_all_rows_are_in_the_profile_of_a_table_s_run_and_of_errors_the_test_part(house_runs, name, aspect):
    summary = house_runs[name]
    found = profile_in(folder_of(summary))
    total = found.total()
    assert (found.events, total["prediction"][aspect].total()) == (summary["rows"], summary["tested_on"])
    assert total["size"]["number"].total() == total["size"]["presence"]["there"]
    if name == "price":
        covered = total["prediction"]["covered"]
        assert covered["yes"] / summary["tested_on"] == pytest.approx(summary["coverage"], abs=1e-4)


def test_a_regression_learns_what_makes_the_price(house_runs):
    summary, rows = house_runs["price"], houses(600)
    assert summary["r2"] > 0.98
    assert summary["mae"] < 12  # the noise alone has a mean error of 6.4
    assert summary["baselines"]["valued"]["ratio"] < 0.15
    assert summary["baselines"]["mean"]["mae"] > 60
    model = model_of(summary)
    near, far = ({**rows[7], "place": place, "size": 100.0} for place in ("lake", "wood"))
    assert model.value(near) - model.value(far) == pytest.approx(90, abs=20)
    assert model.features[3].categories == ("lake", "town", "wood")


def test_the_interval_holds_nine_in_ten_of_rows_that_come_later(house_runs):
    model = model_of(house_runs["price"])
    later = [row for row in houses(2000, seed=9) if row["price"] is not None]
    answers = model.predict_many(later)
    inside = [one["low"] <= row["price"] <= one["high"] for one, row in zip(answers, later, strict=True)]
    assert 0.85 <= sum(inside) / len(later) <= 0.99
    assert 0.8 <= house_runs["price"]["coverage"] <= 1


def test_the_parts_add_up_and_rows_without_a_label_are_counted_and_not_learned(house_runs):
    for name in ("price", "sold"):
        found = house_runs[name]
        assert (found["rows"], found["unlabelled"]) == (600, 12)
        assert found["trained_on"] + found["validated_on"] + found["tested_on"] == 588
        figures = contents(folder_of(found), "metrics.json")
        assert figures["documents"]["trained"] == found["trained_on"] + found["validated_on"]


def test_the_newest_rows_test_and_the_next_ones_validate(house_runs):
    data = contents(folder_of(house_runs["price"]), "data.json")["split"]
    known = sorted(int(row["eventTimestamp"].timestamp() * 1e6) for row in houses(600) if row["price"] is not None)
    tests = [one for one in known if one >= data["testSince"]]
    assert len(tests) == house_runs["price"]["tested_on"] == round(0.2 * 588)
    assert known[-len(tests) :] == tests
    assert data["validationSince"] < data["testSince"]


def test_the_same_rows_give_the_same_bits(house_runs):
    first, second = folder_of(house_runs["price"]), folder_of(house_runs["price again"])
    for name in ("weights.ubj", "model.json", "golden.jsonl", "profile.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.long
def test_two_workers_give_the_same_bits_however_the_rows_lie(spark, tmp_path, quick):
    rows = houses(400)
    lying = {"one": rows, "other": random.Random(1).sample(rows, len(rows))}
    found = []
    for name, one in lying.items():
        path = written(spark, tmp_path / name, one)
        if name == "other":
            spark.read.parquet(path).repartition(5).write.parquet(path := f"{tmp_path}/spread")
        run = train(spark, path, f"{tmp_path}/models/{name}", definition=definition(), partitions=2)
        assert run["workers"] == 2
        found.append(folder_of(run))
    for name in ("weights.ubj", "model.json", "golden.jsonl", "profile.json"):
        assert (found[0] / name).read_bytes() == (found[1] / name).read_bytes()


def test_golden_rows_are_predicted_as_training_did(house_runs):
    for name, key in (("price", "value"), ("sold", "probabilities")):
        lines = (folder_of(house_runs[name]) / "golden.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == 20
        model = model_of(house_runs[name])
        for line in map(json.loads, lines):
            found = model.value(line["row"]) if key == "value" else model.probabilities(line["row"]).tolist()
            assert found == line[key]


def test_a_model_carries_its_definition(house_runs):
    assert model_of(house_runs["sold"]).pipeline == definition("classification").about()


def test_the_importance_names_what_counts_most(house_runs):
    importance = contents(folder_of(house_runs["price"]), "metrics.json")["importance"]
    assert [one["feature"] for one in importance][0] in ("size", "rooms")
    assert sum(one["share"] for one in importance) == pytest.approx(1, abs=0.001)


def test_the_worst_errors_are_kept_with_their_rows_and_errors_over_time(house_runs):
    moments = contents(folder_of(house_runs["price"]), "metrics.json")["moments"]
    assert sum(one["rows"] for one in moments) == house_runs["price"]["tested_on"]
    assert [one["since"] for one in moments] == sorted(one["since"] for one in moments)


def test_a_classification_is_calibrated_and_right(house_runs):
    found = house_runs["sold"]
    assert found["macroF1"] > 0.85
    assert found["expectedCalibrationError"] < 0.1
    assert model_of(found).classes == ["no", "yes"]


def test_champion_and_challenger_are_compared_on_rows_that_neither_has_learned(house_runs):
    again = house_runs["sold again"]
    assert again["compared"] == "on the same rows"
    assert again["neither_learned"] == again["tested_on"] > 50
    figures = contents(folder_of(again), "metrics.json")["comparison"]
    assert figures["champion"] == house_runs["sold"]["model"]
    assert figures["macroF1"] == figures["championMacroF1"]  # it has learned the same rows
    assert again["promoted"]


def test_a_champion_is_one_of_the_same_pipeline(house_runs):
    models = folder_at(str(house_runs["folder"] / "models"))
    assert find_champion(models, "houses-regression").name == house_runs["price"]["model"]
    assert find_champion(models, "houses-classification").name == house_runs["sold again"]["model"]
