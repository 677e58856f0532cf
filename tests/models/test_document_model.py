"""The document model: its scores, its probabilities, and its files."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.manifest import DESCRIPTION_FILE, WEIGHTS_FILE, ModelFormatError
from brigade.models.text_features import FeatureParameters, hashed_counts, weighted
from tests.models.test_text_features import LANGUAGES
from tests.models.written_models import tiny_model

# --------------------------------------------------------------------------------------------- text → scores


def test_documents_values_are_those_of_scikit_learns_tf_idf_one_by_one_and_together():
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    model = tiny_model(hash_bits=12)
    rows = [hashed_counts(text * 3, model.parameters) for text in (*LANGUAGES[:3], "")]
    starts = np.cumsum([0, *(len(places) for places, _ in rows)])
    places, counts = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    matrix = csr_matrix((counts, places, starts), shape=(4, model.parameters.size))
    transformer = TfidfTransformer(sublinear_tf=True)
    transformer.idf_ = model.idf
    np.testing.assert_allclose(
        weighted(starts, places, counts, model.idf), transformer.transform(matrix).data, rtol=1e-5
    )
    for text, start, end in zip(LANGUAGES[:3], starts, starts[1:], strict=False):
        columns, values = model.features(text * 3)
        np.testing.assert_array_equal(columns, places[start:end])
        np.testing.assert_array_equal(values, weighted(starts, places, counts, model.idf)[start:end])


def test_values_and_scores_are_rounded_once_from_what_exact_arithmetic_gives():
    model = tiny_model(hash_bits=12)
    text = " ".join(f"word{number} " * (number % 7 + 1) for number in range(300))
    places, counts = hashed_counts(text, model.parameters)
    values = [
        (1 + math.log(count)) * float(model.idf[place])
        for place, count in zip(places.tolist(), counts.tolist(), strict=True)
    ]
    length = math.sqrt(math.fsum(value * value for value in values))
    exact = np.array([value / length for value in values]).astype(np.float32)
    np.testing.assert_array_equal(model.features(text)[1], exact)
    rows = model.weights[places].astype(np.float64)
    scores = [math.fsum(column) for column in (exact[:, None].astype(np.float64) * rows).T]
    np.testing.assert_allclose(model.scores(text), scores + model.intercept, rtol=0, atol=1e-12)


def test_words_that_training_did_not_know_leave_only_the_intercept():
    model = tiny_model()
    model.places = model.places[:0]
    np.testing.assert_array_equal(model.scores("words that nobody knows"), model.intercept)


# ------------------------------------------------------------------------------------- scores → probabilities


@settings(max_examples=200)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.builds(Calibration, st.floats(1e-3, 1e3), st.floats(1e-3, 10), st.floats(-5, 5)),
)
def test_probabilities_sum_to_one_and_keep_the_order_of_the_scores(scores, calibration):
    likely = calibration.probabilities(np.array(scores, np.float32))
    assert likely.dtype == np.float64
    assert (likely >= 0).all() and (likely <= 1).all()
    assert math.isclose(likely.sum(), 1, abs_tol=1e-9)
    assert (np.diff(likely[np.argsort(scores, kind="stable")]) >= 0).all()


@settings(max_examples=200)
@given(st.text())
def test_any_text_has_a_prediction(text):
    model = tiny_model()
    predicted = model.predict(text)
    assert predicted["label"] in model.classes
    assert math.isclose(sum(predicted["scores"].values()), 1, abs_tol=1e-5)
    assert predicted["confidence"] == max(predicted["scores"].values()) == predicted["scores"][predicted["label"]]


def test_a_prediction_names_the_likeliest_classes_in_their_order():
    predicted = tiny_model(classes=20).predict("some words", top=4)
    assert len(predicted["scores"]) == 4
    assert list(predicted["scores"].values()) == sorted(predicted["scores"].values(), reverse=True)


def test_with_a_slope_near_zero_a_calibration_is_a_temperature():
    from scipy.special import softmax

    scores = np.array([[1.5, -0.5, 0.2], [0.1, 0.3, -2.0]])
    found = Calibration(scale=4e6, slope=1e-6, center=0.3).probabilities(scores)
    np.testing.assert_allclose(found, softmax(scores * 4, axis=1), atol=1e-6)


def test_a_smaller_scale_means_less_confidence_and_the_same_label():
    model = tiny_model()
    before = model.predict("some words")
    model.calibration = Calibration(0.3, 0.4, -0.2)
    after = model.predict("some words")
    assert after["label"] == before["label"] and after["confidence"] < before["confidence"]


# ------------------------------------------------------------------------------------------------ explanations


def test_the_parts_of_all_words_add_up_to_the_score():
    model = tiny_model(hash_bits=20)
    text = " ".join(f"word{number}" for number in range(30)) + " word1 word1"
    for index, label in enumerate(model.classes):
        said_for = sum(one["weight"] for one in model.explain(text, label, top=1000))
        model.weights[:, index] *= -1
        said_against = sum(one["weight"] for one in model.explain(text, label, top=1000))
        model.weights[:, index] *= -1
        assert said_for - said_against + model.intercept[index] == pytest.approx(model.scores(text)[index], abs=1e-4)


def test_at_most_ten_words_explain_a_prediction_and_none_explain_an_unknown_text():
    model = tiny_model(hash_bits=20)
    assert len(model.explain(" ".join(f"word{number}" for number in range(200)), "class-0")) == 10
    model.places = model.places[:0]
    assert model.explain("words that nobody knows", "class-0") == []


@settings(max_examples=200)
@given(st.text())
def test_any_text_has_an_explanation(text):
    model = tiny_model(hash_bits=6)
    for one in model.explain(text, "class-1"):
        assert one["weight"] >= 0 and one["term"]


# ------------------------------------------------------------------------------------------------------ files


def test_what_is_saved_is_read_back_and_predicts_the_same(tmp_path):
    model = tiny_model()
    model.classes[0] = "ação"
    model.save(tmp_path)
    read = DocumentModel.from_bytes(*files(tmp_path))
    assert (read.classes, read.parameters, read.calibration) == (model.classes, model.parameters, model.calibration)
    for text in LANGUAGES:
        np.testing.assert_array_equal(read.probabilities(text), model.probabilities(text))


def test_a_model_that_does_not_name_how_words_are_counted_predicts_as_when_it_was_written(tmp_path):
    model = tiny_model()
    model.save(tmp_path)
    description, weights = files(tmp_path)
    written = json.loads(description)
    written["features"] = {"hash_bits": 8, "ngrams": 2, "max_characters": 200_000}
    former = DocumentModel.from_bytes(json.dumps(written).encode(), weights)
    assert former.parameters == FeatureParameters(hash_bits=8, shortest=2, beginning=0)
    for text in LANGUAGES:
        np.testing.assert_array_equal(former.probabilities(text), model.probabilities(text))


def files(folder) -> tuple[bytes, bytes]:
    return (folder / DESCRIPTION_FILE).read_bytes(), (folder / WEIGHTS_FILE).read_bytes()


@pytest.fixture
def saved(tmp_path) -> tuple[dict, bytes]:
    """A saved model's description, parsed, and its weights' bytes."""
    tiny_model().save(tmp_path)
    description, weights = files(tmp_path)
    return json.loads(description), weights


@pytest.mark.parametrize("missing", ["formatVersion", "classes", "features", "calibration"])
def test_a_description_without_a_key_is_refused(saved, missing):
    description, weights = saved
    del description[missing]
    with pytest.raises(ModelFormatError):
        DocumentModel.from_bytes(json.dumps(description).encode(), weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formatVersion": 1}, "expected model format 2, found 1"),
        ({"classes": ["one", "two"]}, "expected weights of shape"),
        ({"features": {"hash_bits": 7, "ngrams": 2, "max_characters": 10}}, "expected ascending places below 128"),
        ({"features": {"unknown": 1}}, "cannot be read"),
        ({"calibration": {"scale": 0}}, "expected a calibration of finite numbers"),
        ({"calibration": {"scale": "NaN"}}, "expected a calibration of finite numbers"),
        ({"calibration": {"temperature": 1}}, "cannot be read"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_with_what_was_expected(saved, change, message):
    description, weights = saved
    with pytest.raises(ModelFormatError, match=message):
        DocumentModel.from_bytes(json.dumps(description | change).encode(), weights)


@pytest.mark.parametrize("tensor", ["places", "idf", "weights", "intercept"])
def test_weights_without_a_tensor_are_refused(saved, tensor):
    model = tiny_model()
    tensors = {name: getattr(model, name) for name in ("places", "idf", "weights", "intercept")}
    del tensors[tensor]
    with pytest.raises(ModelFormatError):
        DocumentModel.from_bytes(json.dumps(saved[0]).encode(), save(tensors))


@settings(max_examples=100)
@given(st.data())
def test_files_cut_short_anywhere_are_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save(folder)
    description, weights = files(folder)
    if data.draw(st.booleans()):
        description = description[: data.draw(st.integers(0, len(description) - 1))]
    else:
        weights = weights[: data.draw(st.integers(0, len(weights) - 1))]
    with pytest.raises(ModelFormatError):
        DocumentModel.from_bytes(description, weights)


def test_a_block_of_texts_has_the_scores_of_each():
    model = tiny_model(classes=4, hash_bits=10)
    texts = ["oil prices rose on Monday", "", "a", "texto teste, texto teste", "原油 prices"] * 3
    found = model.block_scores(texts)
    assert found.shape == (15, 4) and (found == np.array([model.scores(text) for text in texts])).all()
    model.places = model.places[:0]
    assert (model.block_scores(texts) == model.intercept).all()
