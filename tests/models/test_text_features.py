"""The features of a text, against scikit-learn's."""

import itertools
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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


def test_what_stands_behind_the_longest_text_is_not_read():
    parameters = FeatureParameters(max_characters=10)
    assert (
        hashed_counts("0123456789 more", parameters)[0].tolist() == hashed_counts("0123456789", parameters)[0].tolist()
    )
