"""Counted words and pairs, document frequencies, and weighted features."""

import math
from collections import Counter

import numpy as np
import pytest
from pyspark.sql import Row
from scipy.sparse import vstack
from sklearn.utils import murmurhash3_32

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import FeatureParameters, hashed_counts
from brigade.training.features import (
    Counts,
    Frequencies,
    count_features,
    document_frequencies,
    inverse_frequencies,
    used_places,
    weigh,
)
from tests.training.made_up_documents import INDEX, LABELS, texts
from tests.training.small_trainings import FEATURES, blocks_of, tf_idf_by_hand


def rows_of(counts: Counts) -> list[tuple[list, list]]:
    ends = zip(counts.starts, counts.starts[1:], strict=False)
    return [(counts.places[a:b].tolist(), counts.counts[a:b].tolist()) for a, b in ends]


@pytest.mark.parametrize("hash_bits", [4, 12])  # with few places words and pairs share them
@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_blocks_hold_each_documents_counts_and_keep_folds_apart(monkeypatch, block_rows, hash_bits):
    monkeypatch.setattr("brigade.training.features.BLOCK_ROWS", block_rows)
    both = FeatureParameters(hash_bits=hash_bits)
    data = [*texts(30), ("", "oil"), ("? !", "ship"), ("oil oil oil oil", "oil")]
    folds = [number % 4 for number in range(len(data))]
    given = (Row(payload=text, label=label, fold=fold) for (text, label), fold in zip(data, folds, strict=True))
    blocks = list(count_features(given, both, INDEX))
    assert {block.fold for block in blocks if block.validation} == {0}
    for number in range(4):
        own = data[number::4]
        taken = [block for block in blocks if block.fold == number]
        assert all(0 < len(block.classes) <= block_rows for block in taken)
        assert len(taken) == math.ceil(len(own) / block_rows)
        assert np.concatenate([block.classes for block in taken]).tolist() == [INDEX[label] for _, label in own]
        for ngrams in (1, 2):
            parameters = FeatureParameters(hash_bits=hash_bits, ngrams=ngrams)
            expected = [tuple(part.tolist() for part in hashed_counts(text, parameters)) for text, _ in own]
            assert [row for block in taken for row in rows_of(block.grams[ngrams - 1])] == expected
    assert all(counts.counts.dtype == np.float32 for block in blocks for counts in block.grams)


def test_without_pairs_words_alone_are_counted():
    (block,) = blocks_of(texts(5))
    assert len(block.grams) == 1


def test_places_are_counted_document_by_document():
    counts = Counts.of([np.array([5, 2, 5]), np.array([], np.int32), np.array([7])])
    assert rows_of(counts) == [([2, 5], [1, 2]), ([], []), ([7], [1])]


@pytest.mark.parametrize("ngrams", [1, 2])
def test_weighing_a_block_gives_exactly_the_features_that_serving_computes(ngrams):
    parameters = FeatureParameters(hash_bits=10, ngrams=ngrams)
    choose = np.random.default_rng(2)
    places = np.sort(choose.choice(parameters.size, 700, replace=False)).astype(np.int32)  # so that some are unknown
    idf = choose.uniform(1, 5, 700).astype(np.float32)
    model = DocumentModel(LABELS, parameters, places, idf, np.zeros((700, 3), np.float32), np.zeros(3, np.float32))
    data = [*texts(40), ("", "oil"), ("said " * 50, "oil")]
    (block,) = blocks_of(data, FeatureParameters(hash_bits=10))
    matrix = weigh(block, model)
    assert matrix.sparse(700).shape == (42, 700)
    for number, (text, _) in enumerate(data):
        columns, values = model.features(text)
        start, end = matrix.starts[number : number + 2]
        np.testing.assert_array_equal(matrix.columns[start:end], columns)
        np.testing.assert_array_equal(matrix.values[start:end], values)
    assert matrix.values.dtype == np.float32


def test_document_frequencies_are_those_counted_by_hand_apart_for_validation(monkeypatch):
    monkeypatch.setattr("brigade.training.features.BLOCK_ROWS", 4)
    both = FeatureParameters(hash_bits=8)
    data = {1: texts(30), 0: texts(11, seed=9)}
    blocks = [block for fold, rows in data.items() for block in blocks_of(rows, both, fold)]
    (found,) = document_frequencies(blocks, both)
    for one, rows in zip(found, (data[1], data[0]), strict=True):
        assert one.documents == len(rows)
        for ngrams, places in enumerate(one.places, 1):
            parameters = FeatureParameters(hash_bits=8, ngrams=ngrams)
            by_hand = Counter(place for text, _ in rows for place in {*hashed_counts(text, parameters)[0].tolist()})
            assert places.tolist() == [by_hand[place] for place in range(256)]
    words = [murmurhash3_32("wheat", positive=True) % 256, murmurhash3_32("barrel", positive=True) % 256]
    for place, word in zip(words, ("wheat", "barrel"), strict=True):
        assert found[0].places[0][place] >= sum(word in text for text, _ in data[1]) > 0
    total = found[0] + found[1]
    assert (total.documents, total.places[1].sum()) == (41, sum(one.places[1].sum() for one in found))


def test_rare_places_are_kept_while_there_are_few_the_most_frequent_first(monkeypatch):
    words, both = np.array([0, 1, 2, 0, 0, 0], np.int32), np.array([0, 1, 2, 1, 2, 3], np.int32)
    found = {}
    for enough in (6, 4, 3, 2, 0):
        monkeypatch.setattr("brigade.training.features.ENOUGH_PLACES", enough)
        for ngrams in (1, 2):
            found[enough, ngrams] = used_places(Frequencies([words, both], 100), ngrams, 10).tolist()
    assert [found[enough, 1] for enough in (6, 2, 0)] == [[1, 2], [1, 2], [2]]
    # Words of two documents and pairs of three stay; then come words of one and pairs of two, then pairs of one.
    assert [found[enough, 2] for enough in (6, 4, 3, 2, 0)] == [
        [1, 2, 3, 4, 5],
        [1, 2, 4, 5],
        [1, 2, 5],
        [2, 5],
        [2, 5],
    ]


def test_how_many_places_are_kept_has_no_cliff_as_documents_grow(monkeypatch):
    monkeypatch.setattr("brigade.training.features.ENOUGH_PLACES", 300)
    both, kept = FeatureParameters(hash_bits=16), []
    choose = np.random.default_rng(4)
    data = [(" ".join(f"w{word}" for word in choose.zipf(1.4, 12) if word < 10**6), "oil") for _ in range(400)]
    for count in range(10, 400, 10):
        (found,) = document_frequencies(blocks_of(data[:count], both), both)
        kept.append(len(used_places(found[0], 2, 10_000)))
    assert all(one <= other for one, other in zip(kept, kept[1:], strict=False)), kept
    assert kept[0] < 300 < kept[-1]


def test_of_too_many_places_the_most_frequent_stay_in_ascending_order():
    words, both = np.array([3, 9, 0, 4, 7, 4, 8], np.int32), np.array([12, 9, 20, 4, 7, 4, 8], np.int32)
    frequencies = Frequencies([words, both], 1000)
    assert used_places(frequencies, 1, 4).tolist() == [1, 3, 4, 6]  # of equals the first
    assert used_places(frequencies, 1, 2).tolist() == [1, 6]
    assert used_places(frequencies, 2, 2).tolist() == [0, 2]
    assert used_places(frequencies, 1, 6).dtype == np.int32


def test_features_are_the_tf_idf_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("brigade.training.features.BLOCK_ROWS", 7)
    rows = texts(60)
    blocks = blocks_of(rows)
    (found,) = document_frequencies(blocks, FEATURES)
    frequencies = found[0].places[0]
    expected, expected_idf = tf_idf_by_hand([text for text, _ in rows])
    np.testing.assert_allclose(inverse_frequencies(frequencies, 60, 1), expected_idf, rtol=1e-6)
    np.testing.assert_allclose(inverse_frequencies(frequencies, 60, 1.5), expected_idf**1.5, rtol=1e-6)
    places = used_places(found[0], 1, 10_000)
    idf = inverse_frequencies(frequencies[places], 60, 1)
    model = DocumentModel(LABELS, FEATURES, places, idf, np.zeros((len(places), 3)), np.zeros(3))
    matrices = [weigh(block, model).sparse(len(places)) for block in blocks]
    np.testing.assert_allclose(vstack(matrices).toarray(), expected.toarray()[:, places], atol=1e-6)
    assert set(places) == set(expected.nonzero()[1])
