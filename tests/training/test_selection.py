"""The choice of the settings, and the fit as a whole."""

import hashlib
import random

import numpy as np
import pytest

from brigade.models.document_model import Calibration
from brigade.training.mixing import Trainer
from brigade.training.options import Options, Settings
from brigade.training.selection import choices, fit, rounds_for
from tests.training.made_up_documents import LABELS, confused
from tests.training.whole_runs import contents, run_folder


def test_fewer_documents_are_gone_through_more_often():
    assert [rounds_for(count, 4) for count in (10, 500, 1000, 2500, 5000, 10**7)] == [40, 40, 20, 8, 4, 4]
    assert rounds_for(1000, 2) == 10


def test_regularisation_falls_with_the_documents_without_a_step():
    alphas = {count: choices(count)["alpha"] for count in (20, 100, 999, 1000, 10_000, 10**7)}
    assert set(alphas[10_000]) == set(alphas[10**7]) == {1e-4, 1e-5}
    assert alphas[20] == pytest.approx((5e-3, 5e-2, 5e-4))
    assert alphas[999] == pytest.approx(alphas[1000], rel=0.002)


def test_the_candidate_that_does_best_on_the_validation_documents_is_taken(runs, second):
    figures = contents(second["folder"], "metrics.json")
    tried = {(one["alpha"], one["ngrams"]): one["accuracy"] for one in figures["candidates"]}
    assert len(tried) == len(figures["candidates"]) == 4
    assert {(alpha, 2) for alpha in choices(figures["documents"]["trained"])["alpha"]} < set(tried)
    assert figures["validation"]["documents"] == figures["documents"]["trained"]  # by cross-validation
    best = figures["chosen"]["alpha"], figures["chosen"]["ngrams"]
    assert tried[best] == max(tried.values())
    (only,) = contents(run_folder(runs, 0), "metrics.json")["candidates"]  # where both are given
    assert (only["alpha"], only["ngrams"]) == (1e-4, 1)


def frame(spark, rows: list[tuple[str, str]]):
    parts = [(text, label, "validation" if number % 10 == 3 else "train") for number, (text, label) in enumerate(rows)]
    return spark.createDataFrame(
        [(*row, f"e{number}", hash_of(row[0])) for number, row in enumerate(parts)],
        "payload string, label string, part string, eventId string, place long",
    )


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")


@pytest.mark.long
def test_the_order_of_the_input_changes_no_weight(spark, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "calibrate", lambda trainer: Calibration())  # which takes most of the time
    whole = frame(spark, confused(120, 0.3))
    rows = whole.collect()
    random.Random(5).shuffle(rows)
    shuffled = spark.createDataFrame(rows, whole.schema).repartition(5)
    for name, data in (("one", whole), ("two", shuffled)):
        fitted = fit(data, LABELS, 3, Options(hash_bits=12, ngrams=2, alpha=1e-4))
        (tmp_path / name).mkdir()
        fitted.model.save(tmp_path / name)
        assert fitted.validation.documents == 12
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert np.abs(fitted.model.weights).max() > 0


def test_settings_that_are_given_are_used_and_not_chosen(spark, quick):
    given = {"ngrams": 1, "alpha": 3e-5, "idf_power": 1.0}
    trials = fit(frame(spark, confused(60, 0.3)), LABELS, 1, Options(hash_bits=12, **given)).trials
    assert [trial.settings for trial in trials] == [Settings(**given)]
