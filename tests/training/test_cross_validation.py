"""Few documents: how many folds, and that each is scored by a model that has not learned it."""

import random

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from brigade.models.text_features import FeatureParameters
from brigade.training.cross_validation import FOLDS, VALIDATED, Training, folds_for
from brigade.training.evaluation import Evaluation, evaluate_scores
from brigade.training.options import Options, Settings
from brigade.training.selection import candidates, counted_blocks, fit, select
from tests.training.made_up_documents import INDEX, LABELS, confused, texts
from tests.training.small_trainings import FEATURES, blocks_of
from tests.training.test_selection import frame

PLAIN = Training(LABELS, FEATURES, Settings(ngrams=1, alpha=1e-3), seed=0)


def in_folds(rows: list[tuple[str, str]], folds: int = FOLDS) -> list:
    return [block for fold in range(folds) for block in blocks_of(rows[fold::folds], fold=fold)]


def test_so_many_folds_are_validated_that_their_documents_are_enough_or_all():
    assert [folds_for(count) for count in (1, 40, 500, 501, 1000, 2500, 4999, 5000, 10**7)] == [
        10, 10, 10, 10, 5, 2, 2, 1, 1,
    ]  # fmt: skip
    assert all(folds_for(count) * count >= min(count, VALIDATED) * FOLDS for count in range(1, 12_000))


def test_each_document_is_scored_by_a_model_that_has_not_learned_it():
    choose = random.Random(3)
    rows = [(f"own{number} said", choose.choice(LABELS)) for number in range(150)]  # only memory tells them apart
    blocks = in_folds(rows)
    scores, classes = PLAIN.scored(blocks, FOLDS)
    assert sorted(classes.tolist()) == sorted(INDEX[label] for _, label in rows)
    assert (scores.argmax(axis=1) == classes).mean() < 0.6
    model = PLAIN.model(blocks)
    assert sum(model.predict(text)["label"] == label for text, label in rows) > 140


def test_the_scores_are_those_that_serving_computes_with_a_model_of_the_other_folds():
    rows = [(f"{text} own{number}", label) for number, (text, label) in enumerate(texts(60))]
    scores, classes = PLAIN.scored(in_folds(rows, 5), 2)
    assert len(classes) == 24
    model = PLAIN.model(in_folds([row for number, row in enumerate(rows) if number % 5 != 1], 4))
    expected = [model.scores(text) for text, _ in rows[1::5]]
    assert np.abs(scores[12:] - expected).max() < 0.2  # its blocks are in another order
    exact = PLAIN.model([block for block in in_folds(rows, 5) if block.fold != 1])
    np.testing.assert_allclose(scores[12:], [exact.scores(text) for text, _ in rows[1::5]], atol=1e-5)


def test_a_fold_that_has_all_the_words_is_scored_without_any():
    blocks = [*blocks_of(texts(9), fold=0), *blocks_of([("?", label) for label in LABELS], fold=1)]
    scores, classes = PLAIN.scored(blocks, FOLDS)
    assert (scores.shape, len(classes)) == ((12, 3), 12)
    assert not scores[:9].any()


def test_few_documents_are_learned_about_as_well_as_by_the_plain_pipeline():
    """On average over draws around the sizes at which rules begin; a single draw tells little."""
    above = [better_than_plain(count) for count in (30, 90, 99, 102, 120, 300)]
    assert sum(above) / len(above) > -0.01, above
    assert min(above) > -0.06, above  # no cliff


def better_than_plain(count: int) -> float:
    """By how much the accuracy of so many documents' model is above the plain pipeline's, on fresh documents."""
    choose = random.Random(7)
    own = {label: [f"{label[:2]}word{number}" for number in range(400)] for label in LABELS}

    def rows(number: int) -> list[tuple[str, str]]:
        labels = [choose.choice(LABELS) for _ in range(number)]
        return [
            (" ".join(choose.choices(own[one], k=8) + choose.choices(sum(own.values(), []), k=12)), one)
            for one in labels
        ]

    train, fresh = rows(count), rows(1000)
    plain = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC()).fit(*zip(*train, strict=True))
    expected = plain.score(*zip(*fresh, strict=True))
    wide = FeatureParameters(hash_bits=18, ngrams=1)  # so that hardly two words share a place
    blocks = [block for fold in range(FOLDS) for block in blocks_of(train[fold::FOLDS], wide, fold)]

    def attempt(settings: Settings) -> tuple[Training, Evaluation]:
        training = Training(LABELS, wide, settings, 0)
        return training, evaluate_scores(*training.scored(blocks, FOLDS), LABELS)

    training, *_ = select(attempt, candidates(count, {"ngrams": 1}))
    model = training.model(blocks)
    found = sum(model.predict(text)["label"] == label for text, label in fresh) / len(fresh)
    return found - expected


def test_folds_have_the_classes_evenly_and_each_text_in_one(spark):
    (blocks,) = counted_blocks(frame(spark, [*texts(60), *texts(60)]), LABELS, 1, FEATURES, FOLDS).glom().collect()
    counted = np.zeros((FOLDS, 3), int)
    for block in blocks:
        counted[block.fold] += np.bincount(block.classes, minlength=3)
    assert counted.sum() == 120
    assert not (counted % 2).any(), counted  # each text comes twice
    assert counted[1:].min() >= 2, counted  # of 18 texts of each class, beside the validation part's
    assert counted[1:].max() <= 6, counted


def test_few_documents_are_all_validated_and_learned_whatever_their_order(spark, quick, tmp_path):
    whole = frame(spark, confused(120, 0.3))
    rows = whole.collect()
    random.Random(5).shuffle(rows)
    shuffled = spark.createDataFrame(rows, whole.schema).repartition(5)
    for name, data in (("one", whole), ("two", shuffled)):
        fitted = fit(data, LABELS, 1, Options(hash_bits=12))
        (tmp_path / name).mkdir()
        fitted.model.save(tmp_path / name)
        assert fitted.validation.documents == 120
        assert len(fitted.trials) == 2
    for file in ("weights.safetensors", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert 0.5 < fitted.validation.accuracy < 0.95  # a share has any label: what was learned would be right
