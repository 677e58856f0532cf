"""The features of a text, against scikit-learn's."""

import itertools
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brigade.models.manifest import ModelFormatError
from brigade.models.text_features import WORD, FeatureParameters, gram_places, grams, hashed_counts, words_of

LANGUAGES = [
    "Oil prices rose 3% on Monday; oil stocks fell.",
    "texto teste: ação, coração e São Paulo",
    "ACAO e\u0301 decomposed, Ǆ title case, İstanbul",
    "日本語 のテキスト 日本語 のテキスト",
    "a I ? !",
    "don't under_score 12 345 x2",
    "",
]


def reference_counts(text: str, parameters: FeatureParameters) -> dict[int, int]:
    """The same features by scikit-learn's words and its MurmurHash3, and pairs' hashes by Python's whole numbers."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.utils import murmurhash3_32

    analyze = HashingVectorizer(token_pattern=rf"\b\w{{{parameters.shortest},}}\b").build_analyzer()
    words = analyze(unicodedata.normalize("NFC", text[: parameters.max_characters]))
    hashes = [murmurhash3_32(word, positive=True) for word in words]
    found = Counter(hash_ % parameters.size for hash_ in hashes)
    for word in words:
        if 0 < parameters.beginning < len(word):
            found[murmurhash3_32(word[: parameters.beginning], positive=True) % parameters.size] += 1
    if parameters.ngrams == 2:
        for one, two in itertools.pairwise(hashes):
            mixed = (one * 0x9E3779B1 + two) % 2**32
            for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
                mixed = (mixed ^ mixed >> shift) * factor % 2**32
            found[mixed % parameters.size] += 1
    return found


@pytest.mark.parametrize("ngrams", [1, 2])
@pytest.mark.parametrize("hash_bits", [4, 18])
@pytest.mark.parametrize("words", [{}, {"shortest": 1, "beginning": 3}])
def test_a_documents_places_and_counts_are_those_of_scikit_learn(hash_bits, ngrams, words):
    parameters = FeatureParameters(hash_bits=hash_bits, ngrams=ngrams, **words)

    @settings(max_examples=100)
    @given(
        st.text(st.characters(max_codepoint=0x2FF, exclude_characters="İ"))
        | st.lists(st.sampled_from(["oil", "Oil", "ação", "x", "12"])).map(" ".join)
    )
    def agree(text):
        places, counts = hashed_counts(text, parameters)
        expected = reference_counts(text, parameters)
        assert dict(zip(places.tolist(), counts.tolist(), strict=True)) == expected
        assert places.tolist() == sorted(expected)

    for text in LANGUAGES:
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


@settings(max_examples=300)
@given(st.text() | st.text(st.characters(max_codepoint=0x310)) | st.text("aİK\u0307Ǆ é_1\n"))
def test_the_quick_way_to_words_finds_the_same_words(text):
    for shortest in (1, 2):
        expected = WORD[shortest].findall(unicodedata.normalize("NFC", text).lower())
        assert words_of(text, FeatureParameters(shortest=shortest)) == expected


def test_words_of_one_character_and_beginnings_count_if_they_are_asked_for():
    text, parameters = "Don't test 2 testers, x", FeatureParameters(ngrams=1, shortest=1, beginning=4)
    assert grams(text, parameters) == ["don", "t", "test", "2", "testers", "x", "test…"]
    (places,) = gram_places(text, parameters)
    assert places[2] == places[6] != places[4]
    assert grams("हि न ह", FeatureParameters(ngrams=1, shortest=1)) == ["हि", "न", "ह"]


@pytest.mark.parametrize("unfit", [{"shortest": 0}, {"shortest": 3}, {"beginning": -1}, {"beginning": 100}])
def test_words_that_cannot_be_counted_are_refused(unfit):
    with pytest.raises(ModelFormatError, match="expected a shortest word of 1 or 2"):
        FeatureParameters(**unfit).checked()


def test_grams_stand_where_their_places_do():
    text, parameters = "oil prices rose oil prices", FeatureParameters()
    assert grams(text, parameters)[5:] == ["oil prices", "prices rose", "rose oil", "oil prices"]
    longer = FeatureParameters(beginning=4)
    assert grams(text, longer)[4:8] == ["prices", "pric…", "pric…", "oil prices"]
    assert len(grams(text, longer)) == sum(map(len, gram_places(text, longer))) == 11
    np.testing.assert_array_equal(gram_places(text, longer)[1], gram_places(text, parameters)[1])
    places = np.concatenate(gram_places(text, parameters)).tolist()
    assert len(set(zip(grams(text, parameters), places, strict=True))) == len(set(places)) == 6
    for word, place in zip(grams(text, parameters)[:5], places, strict=False):
        assert gram_places(word, parameters)[0].tolist() == [place]


def test_what_stands_behind_the_longest_text_is_not_read():
    parameters = FeatureParameters(max_characters=10)
    assert (
        hashed_counts("0123456789 more", parameters)[0].tolist() == hashed_counts("0123456789", parameters)[0].tolist()
    )
