"""The choice of the settings, and the fit as a whole."""

import hashlib
import random
from collections import Counter

import numpy as np
import pytest

from brigade.models.document_model import Calibration
from brigade.models.text_features import gram_places
from brigade.training.evaluation import Evaluation
from brigade.training.mixing import Trainer
from brigade.training.options import Options, Settings
from brigade.training.selection import candidates, fit, select
from tests.training.made_up_documents import LABELS, confused, texts
from tests.training.whole_runs import contents, run_folder


def test_regularisation_falls_with_the_documents_without_a_step():
    alphas = {count: candidates(count, {})[0].alpha for count in (20, 100, 1000, 10_000, 20_000, 10**7)}
    assert alphas[20] == pytest.approx(1 / 60)
    assert alphas[1000] == pytest.approx(10 * alphas[10_000])
    assert alphas[20_000] == alphas[10**7] == 3e-5


def test_words_alone_come_first_for_few_documents_and_pairs_for_many():
    orders = [[one.ngrams for one in candidates(count, {})] for count in (20, 500, 501, 10**7)]
    assert orders == [[1, 2], [1, 2], [2, 1], [2, 1]]


@pytest.mark.parametrize("right, better", [(59, False), (60, False), (64, False), (66, True)])
def test_an_earlier_candidate_stays_unless_a_later_one_is_better_by_more_than_a_standard_error(right, better):
    one, other = candidates(100, {})
    evaluations = {  # of 100 documents 60 are right, with a standard error of about 5
        settings: Evaluation(Counter({("a", "a"): count, ("a", "b"): 100 - count}))
        for settings, count in ((one, 60), (other, right))
    }
    result, trials, evaluation = select(lambda settings: (settings, evaluations[settings]), [one, other])
    assert result == trials[0].settings == (other if better else one)
    assert (len(trials), evaluation) == (2, evaluations[result])


def test_the_candidate_that_does_best_on_the_validation_documents_is_taken(runs, second):
    figures = contents(second["folder"], "metrics.json")
    tried = {(one["alpha"], one["ngrams"]): one["accuracy"] for one in figures["candidates"]}
    expected = [(one.alpha, one.ngrams) for one in candidates(figures["documents"]["trained"], {})]
    assert sorted(tried) == sorted(expected)
    assert len(figures["candidates"]) == len(expected) == 2
    assert figures["validation"]["documents"] == figures["documents"]["trained"]  # by cross-validation
    best = figures["chosen"]["alpha"], figures["chosen"]["ngrams"]
    assert tried[best] > max(tried.values()) - 0.05
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
    monkeypatch.setattr(Trainer, "calibrate", lambda trainer, model: Calibration())  # which takes most of the time
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


def test_the_final_model_learns_the_validation_part_and_its_words(spark, quick):
    rows = [(f"{text} zebra" if number % 10 == 3 else text, label) for number, (text, label) in enumerate(texts(200))]
    model = fit(frame(spark, rows), LABELS, 2, Options(hash_bits=12, ngrams=1, alpha=1e-3)).model
    (zebra,) = gram_places("zebra", model.parameters)[0]
    assert zebra in model.places
    assert (model.parameters.shortest, model.parameters.beginning) == (1, 5)


def test_settings_that_are_given_are_used_and_not_chosen(spark, quick):
    given = {"ngrams": 1, "alpha": 3e-5, "idf_power": 1.0}
    trials = fit(frame(spark, confused(60, 0.3)), LABELS, 1, Options(hash_bits=12, **given)).trials
    assert [trial.settings for trial in trials] == [Settings(**given)]
