"""The document model: its features against scikit-learn's, its probabilities, and its files."""

import itertools
import json
import math
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from brigade.models.document_model import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    WORD,
    Calibration,
    DocumentModel,
    FeatureParameters,
    ModelFormatError,
    gram_places,
    grams,
    hashed_counts,
    weighted,
    words_of,
)

TEXTS = [
    "Oil prices rose 3% on Monday; oil stocks fell.",
    "texto teste: ação, coração e São Paulo",
    "ACAO e\u0301 decomposed, Ǆ title case, İstanbul",
    "日本語 のテキスト 日本語 のテキスト",
    "a I ? !",
    "don't under_score 12 345 x2",
    "",
]


def tiny_model(classes: int = 3, hash_bits: int = 8, seed: int = 0) -> DocumentModel:
    """A model with random weights, the same ones for the same seed."""
    random = np.random.default_rng(seed)
    parameters = FeatureParameters(hash_bits=hash_bits)
    return DocumentModel(
        classes=[f"class-{index}" for index in range(classes)],
        parameters=parameters,
        places=np.arange(parameters.size, dtype=np.int32),
        idf=random.uniform(1, 5, parameters.size).astype(np.float32),
        weights=random.normal(size=(parameters.size, classes)).astype(np.float32),
        intercept=random.normal(size=classes).astype(np.float32),
        calibration=Calibration(3.0, 0.4, -0.2),
    )


def reference_counts(text: str, parameters: FeatureParameters) -> dict[int, int]:
    """The same features by scikit-learn's words and its MurmurHash3, and pairs' hashes by Python's whole numbers."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.utils import murmurhash3_32

    analyze = HashingVectorizer(ngram_range=(1, 1)).build_analyzer()
    text = unicodedata.normalize("NFC", text[: parameters.max_characters])
    hashes = [murmurhash3_32(word, positive=True) for word in analyze(text)]
    found = Counter(hash_ % parameters.size for hash_ in hashes)
    if parameters.ngrams == 2:
        for one, two in itertools.pairwise(hashes):
            mixed = (one * 0x9E3779B1 + two) % 2**32
            for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
                mixed = (mixed ^ mixed >> shift) * factor % 2**32
            found[mixed % parameters.size] += 1
    return found


# -------------------------------------------------------------------------------------------- text → features


@pytest.mark.parametrize("ngrams", [1, 2])
@pytest.mark.parametrize("hash_bits", [4, 18])
def test_a_documents_places_and_counts_are_those_of_scikit_learn(hash_bits, ngrams):
    parameters = FeatureParameters(hash_bits=hash_bits, ngrams=ngrams)

    @settings(max_examples=100, deadline=None)
    @given(
        st.text(st.characters(max_codepoint=0x2FF, exclude_characters="İ"))
        | st.lists(st.sampled_from(["oil", "Oil", "ação", "x", "12"])).map(" ".join)
    )
    def agree(text):
        places, counts = hashed_counts(text, parameters)
        expected = reference_counts(text, parameters)
        assert dict(zip(places.tolist(), counts.tolist(), strict=True)) == expected
        assert places.tolist() == sorted(expected)

    for text in TEXTS:
        if "日" not in text and "İ" not in text:  # which scikit-learn takes for one word, and for two
            agree = example(text)(agree)
    agree()


def test_a_vocabulary_is_spread_as_hashing_vectorizer_spreads_it():
    """HashingVectorizer takes the hash's absolute value, so places differ; counts do not if none collide."""
    from sklearn.feature_extraction.text import HashingVectorizer

    text = " ".join(f"word{n} " * (n % 5 + 1) for n in range(200))
    _, counts = hashed_counts(text, FeatureParameters(hash_bits=26))
    row = HashingVectorizer(n_features=2**26, ngram_range=(1, 2), norm=None, alternate_sign=False).transform([text])
    assert sorted(counts.tolist()) == sorted(row.data.tolist())


@pytest.mark.parametrize(
    "text, words",
    [
        ("Straße STRASSE naïve cafe\u0301", ["straße", "strasse", "naïve", "café"]),
        ("請求書 を 送る", ["請", "求", "書", "を", "送", "る"]),
        ("हिन्दी में प्रश्न", ["हिन्दी", "में", "प्रश्न"]),
        ("مَرْحَبًا بالعالم", ["مَرْحَبًا", "بالعالم"]),
        ("שלום, עולם!", ["שלום", "עולם"]),
        ("ใบ 😀ok👍", ["ใ", "บ", "😀", "ok", "👍"]),
    ],
)
def test_words_are_those_of_the_language_accents_kept(text, words):
    assert grams(text, FeatureParameters(ngrams=1)) == words


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(st.characters(max_codepoint=0x310)) | st.text("aİK\u0307Ǆ é_1\n"))
def test_the_quick_way_to_words_finds_the_same_words(text):
    assert words_of(text, FeatureParameters()) == WORD.findall(unicodedata.normalize("NFC", text).lower())


def test_grams_stand_where_their_places_do():
    text, parameters = "oil prices rose oil prices", FeatureParameters()
    assert grams(text, parameters)[5:] == ["oil prices", "prices rose", "rose oil", "oil prices"]
    places = np.concatenate(gram_places(text, parameters)).tolist()
    assert len(set(zip(grams(text, parameters), places, strict=True))) == len(set(places)) == 6
    for word, place in zip(grams(text, parameters)[:5], places, strict=False):
        assert gram_places(word, parameters)[0].tolist() == [place]


def test_documents_values_are_those_of_scikit_learns_tf_idf_one_by_one_and_together():
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    model = tiny_model(hash_bits=12)
    rows = [hashed_counts(text * 3, model.parameters) for text in (*TEXTS[:3], "")]
    starts = np.cumsum([0, *(len(places) for places, _ in rows)])
    places, counts = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    matrix = csr_matrix((counts, places, starts), shape=(4, model.parameters.size))
    transformer = TfidfTransformer(sublinear_tf=True)
    transformer.idf_ = model.idf
    np.testing.assert_allclose(
        weighted(starts, places, counts, model.idf), transformer.transform(matrix).data, rtol=1e-5
    )
    for text, start, end in zip(TEXTS[:3], starts, starts[1:], strict=False):
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


def test_what_stands_behind_the_longest_text_is_not_read():
    parameters = FeatureParameters(max_characters=10)
    assert (
        hashed_counts("0123456789 more", parameters)[0].tolist() == hashed_counts("0123456789", parameters)[0].tolist()
    )


# ------------------------------------------------------------------------------------- scores → probabilities


@settings(max_examples=200, deadline=None)
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


@settings(max_examples=200, deadline=None)
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


# ------------------------------------------------------------------------------------------------------ files


def test_what_is_saved_is_read_back_and_predicts_the_same(tmp_path):
    model = tiny_model()
    model.classes[0] = "ação"
    model.save(tmp_path)
    read = DocumentModel.from_bytes(*files(tmp_path))
    assert (read.classes, read.parameters, read.calibration) == (model.classes, model.parameters, model.calibration)
    for text in TEXTS:
        np.testing.assert_array_equal(read.probabilities(text), model.probabilities(text))


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


@settings(max_examples=100, deadline=None)
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
