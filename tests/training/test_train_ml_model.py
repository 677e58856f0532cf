"""TRAIN, piece by piece: the split, the counted features, the averaged classifier, its calibration, its figures, the
gate. Whole runs are in test_train_ml_model_spark.py."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import Row
from scipy.sparse import csr_matrix, vstack
from scipy.special import softmax
from sklearn import metrics as reference
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.utils import murmurhash3_32

from brigade.models.document_model import Calibration, DocumentModel, FeatureParameters, hashed_counts
from brigade.training import run as tm

WORDS = {
    "corn & <b>grain</b>": ["wheat", "maize", "harvest", "bushel", "silo", "acre", "crop", "seed"],
    "oil": ["barrel", "crude", "refinery", "pipeline", "drilling", "tanker", "opec", "gasoline"],
    "ship": ["harbour", "vessel", "cargo", "freight", "captain", "anchor", "deck", "port"],
}
LABELS = list(WORDS)
INDEX = {label: number for number, label in enumerate(LABELS)}
PARTS = {"test": 0.1, "validation": 0.1, "train": 0.8}
FEATURES = FeatureParameters(hash_bits=12, ngrams=1)
EVENTS = "payload string, superTag01 string, eventId string, eventTimestamp timestamp"
START = datetime(2024, 1, 1, tzinfo=UTC)


def texts(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Short documents that their words tell apart, and their labels: [(payload, label)]."""
    choose = random.Random(seed)
    found = []
    for label in (LABELS[number % 3] for number in range(count)):
        words = choose.choices(WORDS[label], k=5) + choose.choices(["the", "of", "a", "price", "said"], k=3)
        found.append((" ".join(words), label))
    return found


def confused(count: int, share: float, seed: int = 1) -> list[tuple[str, str]]:
    """The same, of which a share has any label."""
    choose = random.Random(seed)
    return [(text, choose.choice(LABELS) if choose.random() < share else label) for text, label in texts(count, seed)]


def events(spark, rows: list[tuple[str, str]], prefix: str = "e", hours: list[int] | None = None):
    """Events of these texts and labels, an hour after one another if nothing else is said."""
    hours = hours or range(len(rows))
    times = (START + timedelta(hours=hour) for hour in hours)
    rows = [(*row, f"{prefix}{number}", at) for number, (row, at) in enumerate(zip(rows, times, strict=True))]
    return spark.createDataFrame(rows, EVENTS)


def documents(spark, rows: list[tuple[str, str]], **others):
    return tm.labelled_documents(events(spark, rows, **others), "superTag01")


def blocks_of(rows: list[tuple[str, str]], parameters: FeatureParameters = FEATURES, part="train") -> list[tm.Block]:
    return list(tm.count_features((Row(payload=a, label=b, part=part) for a, b in rows), parameters, INDEX))


# ------------------------------------------------------------------------------------------------------------ documents


def test_a_label_of_blanks_is_none_a_missing_text_is_empty_and_equal_texts_share_a_place(spark):
    rows = [("one", " oil "), ("one", None), ("two", ""), (None, "  "), ("", "ship")]
    found = documents(spark, rows).collect()
    assert [row.label for row in found] == ["oil", None, None, None, "ship"]
    assert [row.payload for row in found] == ["one", "one", "two", "", ""]
    places = [row.place for row in found]
    assert (places[0] == places[1], places[3] == places[4], len(set(places))) == (True, True, 3)


def test_the_split_has_its_fractions_no_text_in_two_parts_and_no_empty_part(spark):
    rows = [(f"text {number % 900}", "a") for number in range(1000)]
    found = tm.split(documents(spark, rows), PARTS).collect()
    payloads = {name: [row.payload for row in found if row.part == name] for name in PARTS}
    assert {name: len(one) / 1000 for name, one in payloads.items()} == pytest.approx(PARTS, abs=0.02)
    assert sum(len(set(one)) for one in payloads.values()) == 900
    assert sorted(sum(payloads.values(), [])) == sorted(text for text, _ in rows)
    known = {row.payload: row.part for row in tm.split(documents(spark, rows), PARTS, many=True).collect()}
    assert sum({row.payload: row.part for row in found}[text] == known[text] for text in known) > 0.9 * len(known)
    few = tm.split(documents(spark, texts(tm.MIN_DOCUMENTS)), PARTS).collect()
    assert {row.part for row in few} == set(PARTS)


def test_a_few_texts_that_come_many_times_fill_every_part_too(spark):
    rows = events(spark, [(f"sheet {number % 15}", "oil") for number in range(60)])
    even = {row.part for row in tm.part_documents(rows, None, tm.Options(), many=True).collect()}
    assert even == {"test", "train"}  # their hashes are not spread evenly
    found, tally = tm.parted(rows, None, tm.Options(), many=True)
    found.unpersist()
    assert set(tally) == set(PARTS) and sum(one.total() for one in tally.values()) == 60


def test_events_are_counted_and_those_with_a_label(spark):
    rows = events(spark, [("one", "oil"), ("two", None), ("three", "ship")])
    assert tm.counted(rows, "superTag01") == (3, 2)
    assert tm.counted(rows, "missing") == (3, 0)


def test_another_seed_is_another_random_split(spark):
    rows = events(spark, [(f"text {number}", "a") for number in range(200)])
    parts = (tm.split(tm.labelled_documents(rows, "superTag01", seed), PARTS) for seed in (0, 1))
    first, second = ({row.payload for row in part.where("part = 'test'").collect()} for part in parts)
    assert len(first) == pytest.approx(20, abs=3)
    assert len(first & second) < len(first) / 2


def test_by_time_the_newest_texts_test_and_a_copy_stays_with_its_first_appearance(spark):
    rows = [(f"text {number}", "a") for number in (*range(200), *range(5))]
    hours = random.Random(4).sample(range(200), 200)
    found = tm.split(documents(spark, rows, hours=[*hours, *range(500, 505)]), PARTS, "time").collect()
    hour = {f"text {number}": at for number, at in enumerate(hours)}
    of = {name: [hour[row.payload] for row in found if row.part == name] for name in PARTS}
    assert {name: len(one) / 205 for name, one in of.items()} == pytest.approx(PARTS, abs=0.03)
    assert max(of["train"]) < min(of["validation"]) <= max(of["validation"]) < min(of["test"])
    assert len({(row.payload, row.part) for row in found}) == 200


def test_what_a_fixed_test_set_has_too_is_neither_trained_nor_validated_on(spark):
    rows = texts(200) + [("no label", None)] * 3
    held = [(f"new {number}", "oil") for number in range(20)] + [(rows[n][0], "oil") for n in (3, 4, 4)]
    held = events(spark, [*held, (rows[9][0], None)], prefix="held")
    same_event = spark.createDataFrame([("another text", "ship", "e7", START)], EVENTS)
    texts_again = {n for n, (text, _) in enumerate(rows) if text in (rows[3][0], rows[4][0])}
    found = tm.part_documents(events(spark, rows), held.union(same_event), tm.Options()).collect()
    parts = {
        name: sorted(row.eventId for row in found if row.part == name)
        for name in ("test", "validation", "train", "repeated", "unlabelled")
    }
    assert parts["repeated"] == sorted(f"e{n}" for n in texts_again | {7})
    assert parts["test"] == sorted(["e7", *(f"held{n}" for n in range(23))])
    assert parts["unlabelled"] == ["e200", "e201", "e202"]
    assert sorted(parts["train"] + parts["validation"]) == sorted({f"e{n}" for n in range(200)} - {*parts["repeated"]})
    assert len(parts["validation"]) == pytest.approx(20, abs=3)
    assert len(found) == len(rows) + 24  # the test documents without a label do not count


# ------------------------------------------------------------------------------------------------------------- features


def rows_of(counts: tm.Counts) -> list[tuple[list, list]]:
    ends = zip(counts.starts, counts.starts[1:], strict=False)
    return [(counts.places[a:b].tolist(), counts.counts[a:b].tolist()) for a, b in ends]


@pytest.mark.parametrize("hash_bits", [4, 12])  # with few places words and pairs share them
@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_blocks_hold_each_documents_counts_and_keep_validation_apart(monkeypatch, block_rows, hash_bits):
    monkeypatch.setattr(tm, "BLOCK_ROWS", block_rows)
    both = FeatureParameters(hash_bits=hash_bits)
    data = [*texts(30), ("", "oil"), ("? !", "ship"), ("oil oil oil oil", "oil")]
    parts = ["validation" if number % 4 == 1 else "train" for number in range(len(data))]
    given = (Row(payload=text, label=label, part=part) for (text, label), part in zip(data, parts, strict=True))
    blocks = list(tm.count_features(given, both, INDEX))
    for validation, name in ((False, "train"), (True, "validation")):
        own = [row for row, part in zip(data, parts, strict=True) if part == name]
        taken = [block for block in blocks if block.validation is validation]
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
    counts = tm.Counts.of([np.array([5, 2, 5]), np.array([], np.int32), np.array([7])])
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
    matrix = tm.weigh(block, model)
    assert matrix.sparse(700).shape == (42, 700)
    for number, (text, _) in enumerate(data):
        columns, values = model.features(text)
        start, end = matrix.starts[number : number + 2]
        np.testing.assert_array_equal(matrix.columns[start:end], columns)
        np.testing.assert_array_equal(matrix.values[start:end], values)
    assert matrix.values.dtype == np.float32


def test_document_frequencies_are_those_counted_by_hand_apart_for_validation(monkeypatch):
    monkeypatch.setattr(tm, "BLOCK_ROWS", 4)
    both = FeatureParameters(hash_bits=8)
    data = {"train": texts(30), "validation": texts(11, seed=9)}
    blocks = [block for part, rows in data.items() for block in blocks_of(rows, both, part)]
    (found,) = tm.document_frequencies(blocks, both)
    for one, rows in zip(found, data.values(), strict=True):
        assert one.documents == len(rows)
        for ngrams, places in enumerate(one.places, 1):
            parameters = FeatureParameters(hash_bits=8, ngrams=ngrams)
            by_hand = Counter(place for text, _ in rows for place in {*hashed_counts(text, parameters)[0].tolist()})
            assert places.tolist() == [by_hand[place] for place in range(256)]
    words = [murmurhash3_32("wheat", positive=True) % 256, murmurhash3_32("barrel", positive=True) % 256]
    for place, word in zip(words, ("wheat", "barrel"), strict=True):
        assert found[0].places[0][place] >= sum(word in text for text, _ in data["train"]) > 0
    total = found[0] + found[1]
    assert (total.documents, total.places[1].sum()) == (41, sum(one.places[1].sum() for one in found))


def test_rare_places_are_used_only_while_documents_are_few():
    words, both = np.array([0, 1, 2, 0, 0, 0], np.int32), np.array([0, 1, 2, 1, 2, 3], np.int32)
    found = {
        (documents, ngrams): tm.used_places(tm.Frequencies([words, both], documents), ngrams, 10).tolist()
        for documents in (99, 100)
        for ngrams in (1, 2)
    }
    # From 100 documents on, words of two documents and pairs of three.
    assert found == {(99, 1): [1, 2], (99, 2): [1, 2, 3, 4, 5], (100, 1): [2], (100, 2): [2, 5]}


def test_of_too_many_places_the_most_frequent_stay_in_ascending_order():
    words, both = np.array([3, 9, 0, 4, 7, 4, 8], np.int32), np.array([12, 9, 20, 4, 7, 4, 8], np.int32)
    frequencies = tm.Frequencies([words, both], 1000)
    assert tm.used_places(frequencies, 1, 4).tolist() == [1, 3, 4, 6]  # of equals the first
    assert tm.used_places(frequencies, 1, 2).tolist() == [1, 6]
    assert tm.used_places(frequencies, 2, 2).tolist() == [0, 2]
    assert tm.used_places(frequencies, 1, 6).dtype == np.int32


def tf_idf_by_hand(rows: list[str]) -> tuple[csr_matrix, np.ndarray]:
    """scikit-learn's (1 + ln count) · idf of the same hashed words, of length 1, and its idf."""
    words = [(number, word) for number, text in enumerate(rows) for word in text.split() if len(word) > 1]
    places = [murmurhash3_32(word, positive=True) % FEATURES.size for _, word in words]
    cells = np.ones(len(words)), ([number for number, _ in words], places)
    transformer = TfidfTransformer(sublinear_tf=True)
    return transformer.fit_transform(csr_matrix(cells, (len(rows), FEATURES.size))), transformer.idf_


def test_features_are_the_tf_idf_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(tm, "BLOCK_ROWS", 7)
    rows = texts(60)
    blocks = blocks_of(rows)
    (found,) = tm.document_frequencies(blocks, FEATURES)
    frequencies = found[0].places[0]
    expected, expected_idf = tf_idf_by_hand([text for text, _ in rows])
    np.testing.assert_allclose(tm.inverse_frequencies(frequencies, 60, 1), expected_idf, rtol=1e-6)
    np.testing.assert_allclose(tm.inverse_frequencies(frequencies, 60, 1.5), expected_idf**1.5, rtol=1e-6)
    places = tm.used_places(found[0], 1, 10_000)
    idf = tm.inverse_frequencies(frequencies[places], 60, 1)
    model = DocumentModel(LABELS, FEATURES, places, idf, np.zeros((len(places), 3)), np.zeros(3))
    matrices = [tm.weigh(block, model).sparse(len(places)) for block in blocks]
    np.testing.assert_allclose(vstack(matrices).toarray(), expected.toarray()[:, places], atol=1e-6)
    assert set(places) == set(expected.nonzero()[1])


# ------------------------------------------------------------------------------------------------------------- training


def matrix_of(rows: list[tuple[str, str]], labels: list[str], width: int = 300) -> tm.Matrix:
    """A matrix of random features; what is in it does not matter, only that it does not rest."""
    choose = np.random.default_rng(len(rows))
    dense = choose.normal(size=(len(rows), width)) * (choose.random((len(rows), width)) < 0.05)
    sparse = csr_matrix(dense.astype(np.float32))
    classes = np.array([labels.index(label) for _, label in rows], np.int32)
    return tm.Matrix(sparse.indptr, sparse.indices, sparse.data, classes, False)


def learn_by_hand(parts: list, start: tuple, classes: int, alpha: float, seed: int, passes: int) -> tuple:
    """scikit-learn's SGDClassifier over (features, classes) of `parts`, so many times, from (weights, intercept, t)."""
    one = SGDClassifier(loss="hinge", alpha=alpha, random_state=seed)
    one.partial_fit(parts[0][0][:1], parts[0][1][:1], classes=range(classes))
    one.coef_, one.intercept_, one.t_ = start[0].astype(one.coef_.dtype), start[1].astype(one.coef_.dtype), start[2]
    for number in range(passes):
        one.set_params(random_state=seed + number)
        for features, own in parts:
            one.partial_fit(features, own)
    return one.coef_, one.intercept_, one.t_


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kept, passes", [(3, 2), (2, 1)])
def test_a_partition_is_gone_through_twice_while_its_blocks_are_few(monkeypatch, classes, kept, passes):
    monkeypatch.setattr(tm, "KEPT_BLOCKS", kept)
    monkeypatch.setattr(tm, "EPOCHS", 2)
    labels = LABELS[:classes]
    rows = [(text, label) for text, label in confused(150, 1) if label in labels]
    matrices = [matrix_of(rows[at : at + 20], labels) for at in (0, 20, 40)]
    width = 1 if classes == 2 else classes
    choose = np.random.default_rng(8)
    start = choose.normal(size=(width, 300)), choose.normal(size=width), 25.0
    shared = tm.Weights(*(np.float32(part) for part in start))
    (found,) = tm.epoch(iter(matrices), shared, classes, 1e-3, 5, 240)
    parts = [(matrix.sparse(300), matrix.classes) for matrix in matrices]
    expected, other = (learn_by_hand(parts, start, classes, 1e-3, 5, n) for n in (passes, 3 - passes))
    for one, own, wrong in zip(found.floating().parts, expected, other, strict=True):
        np.testing.assert_allclose(one, np.asarray(own) * 60 / 240, rtol=1e-3, atol=1e-4)  # 60 of 240 documents
        assert np.abs(one - np.asarray(wrong) * 60 / 240).max() > 0.005


def test_a_partition_without_documents_takes_no_part():
    assert list(tm.epoch(iter([]), None, 3, 1e-4, 0, 10)) == []


@hypothesis_settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 9), order=st.randoms(use_true_random=False))
def test_weights_add_up_to_the_same_in_any_order(seed, count, order):
    choose = np.random.default_rng(seed)
    shapes = [(3, 4), (3,), ()]
    many = [
        tm.Weights(*(np.float32(choose.normal(scale=10.0 ** choose.integers(-4, 4), size=shape)) for shape in shapes))
        for _ in range(count)
    ]
    waiting = list(many)
    while len(waiting) > 1:  # any two, in any brackets
        order.shuffle(waiting)
        waiting.append(waiting.pop() + waiting.pop())
    found, straight = waiting[0].floating(), reduce(lambda one, other: one + other, many).floating()
    for number, (one, other) in enumerate(zip(found.parts, straight.parts, strict=True)):
        assert (one.tobytes(), one.dtype) == (other.tobytes(), np.float32)
        np.testing.assert_allclose(one, sum(np.float64(w.parts[number]) for w in many), rtol=1e-6, atol=1e-6)


def test_weights_that_need_more_than_32_bits_get_them():
    large = tm.Weights(np.float32([[100, -2]]), np.float32([3]), np.float32(9))
    assert [part.dtype for part in large.fixed().parts] == [np.int32] * 3
    found = large + large  # 200 is too much for them
    assert [part.dtype for part in found.parts] == [np.int64, np.int32, np.int32]
    np.testing.assert_array_equal((found + large).floating().coefficients, [[300, -6]])


def train(spark, partitions: list[list[tuple[str, str]]], held=(), classes=LABELS, **settings) -> tm.Trainer:
    """A trainer on partitions of just these rows, and one more of `held` for validation."""
    blocks = [blocks_of(rows) for rows in partitions] + [blocks_of(held, part="validation")] * bool(held)
    (frequencies,) = tm.document_frequencies([block for part in blocks for block in part], FEATURES)
    lying = spark.sparkContext.parallelize(blocks, len(blocks)).flatMap(lambda part: part)
    settings = tm.Settings(**{"ngrams": 1, "idf_power": 1.0} | settings)
    return tm.Trainer(tm.Prepared.of(lying, frequencies[0], list(classes), FEATURES, settings), settings, 0)


def test_a_round_is_the_average_of_the_partitions_by_their_documents(spark):
    rows = confused(120, 0.7, seed=6)
    partitions = [rows[:60], rows[60:110], [], rows[110:]]
    trainer = train(spark, partitions, alpha=1e-3)
    matrix, _ = tf_idf_by_hand([text for text, _ in rows])
    matrix = matrix[:, trainer.plan.places].astype(np.float32)
    labels, ends = np.array([INDEX[label] for _, label in rows]), [0, 60, 110, 120]
    coefficients, intercepts, updates, rounds = np.zeros((3, matrix.shape[1])), np.zeros(3), 1.0, []
    for number in range(3):
        trainer.advance(1)
        learned = [
            learn_by_hand([(matrix[a:b], labels[a:b])], (coefficients, intercepts, updates), 3, 1e-3, 4 * number, 4)
            for a, b in zip(ends, ends[1:], strict=False)
        ]
        coefficients, intercepts, updates = (
            np.average([one[part] for one in learned], axis=0, weights=np.diff(ends)) for part in range(3)
        )
        rounds.append(np.column_stack([coefficients, intercepts]))
        found = np.column_stack([trainer.weights.coefficients, trainer.weights.intercepts])
        assert np.abs(found - rounds[-1]).max() < 1e-3 * np.abs(rounds[-1]).max()
        assert trainer.weights.updates == pytest.approx(updates, rel=1e-5)
        plain = np.mean([one[0] for one in learned], axis=0)  # each partition alike: something else
        assert np.abs(plain - coefficients).max() > 0.05 * np.abs(coefficients).max()
    model = trainer.model()  # the mean of all rounds but the first
    expected, found = np.mean(rounds[1:], axis=0), np.column_stack([model.weights.T, model.intercept])
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    trainer.average_from_here()
    assert np.abs(trainer.model().weights.T - rounds[-1][:, :-1]).max() < 1e-3 * np.abs(rounds[-1]).max()
    trainer.matrices.unpersist()


@pytest.mark.parametrize("classes", [LABELS[:2], LABELS])
def test_what_words_tell_apart_is_learned(spark, classes):
    rows = [row for row in texts(90) if row[1] in classes]
    trainer = train(spark, [rows[::2], rows[1::2]], classes=classes)
    trainer.advance(3)
    model = trainer.model()
    trainer.matrices.unpersist()
    fresh = [row for row in texts(60, seed=2) if row[1] in classes]
    assert [model.predict(text)["label"] for text, _ in fresh] == [label for _, label in fresh]
    assert (model.classes, model.weights.shape[1]) == (classes, len(classes))


@pytest.mark.long
def test_more_partitions_learn_about_as_well(spark):
    rows, fresh, accuracies = confused(600, 0.1), texts(200, seed=77), {}
    for partitions in (1, 2, 8, 32):
        trainer = train(spark, [rows[at::partitions] for at in range(partitions)])
        trainer.advance(2)
        model = trainer.model()
        trainer.matrices.unpersist()
        right = sum(model.predict(text)["label"] == label for text, label in fresh)
        accuracies[partitions] = right / len(fresh)
    assert max(accuracies.values()) - min(accuracies.values()) <= 0.03, accuracies
    assert min(accuracies.values()) > 0.95


def test_validation_is_seen_only_once_all_are_taken(spark):
    held = [("zebra zebra giraffe", "ship")] * 6
    trainer = train(spark, [texts(60), texts(40, seed=3)], held)
    trainer.advance(2)
    assert trainer.validate().documents == 6
    zebra = murmurhash3_32("zebra", positive=True) % FEATURES.size
    assert zebra not in trainer.plan.places
    before = trainer.weights.updates
    trainer.take_all(106)
    trainer.advance(1)
    # The weighted mean over partitions of 60, 40 and 6 documents, each of which is gone through four times.
    assert trainer.weights.updates - before == pytest.approx(4 * (60**2 + 40**2 + 6**2) / 106)
    trainer.matrices.unpersist()


def test_fewer_documents_are_gone_through_more_often():
    assert [tm.rounds_for(count, 4) for count in (10, 500, 1000, 2500, 5000, 10**7)] == [40, 40, 20, 8, 4, 4]
    assert tm.rounds_for(1000, 2) == 10


# ---------------------------------------------------------------------------------------------------------- calibration


def likely(scores: np.ndarray, one: Calibration) -> np.ndarray:
    return softmax(one.scale * np.tanh(one.slope * (np.float64(scores) - one.center)), axis=1)


def test_calibration_finds_the_one_that_the_labels_were_drawn_with(monkeypatch):
    monkeypatch.setattr(tm, "CAUTION", 0)
    true, choose = Calibration(6, 0.7, -0.8), np.random.default_rng(1)
    scores = np.float32(choose.normal(-1, 0.6, size=(20_000, 4)))
    chances = likely(scores, true)
    classes = (choose.random((len(scores), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = tm.calibrated(scores, classes)
    assert np.abs(likely(scores, found) - chances).max() < 0.03
    best, own = (reference.log_loss(classes, likely(scores, one), labels=range(4)) for one in (true, found))
    assert own <= best + 1e-6  # on these documents none is better, not even that one


def test_the_most_cautious_calibration_within_a_share_of_the_standard_error_is_taken(monkeypatch):
    choose = np.random.default_rng(2)
    scores = np.float32(choose.normal(-1, 0.6, size=(400, 3)))
    classes = (choose.random((400, 1)) > likely(scores, Calibration(6, 0.7, -0.8)).cumsum(axis=1)).sum(axis=1)
    found = {}
    for caution in (0, 0.1, 1):
        monkeypatch.setattr(tm, "CAUTION", caution)
        found[caution] = tm.calibrated(scores, classes)
    assert found[0].scale > found[0.1].scale > found[1].scale
    lost = -np.log(likely(scores, found[0])[range(400), classes])
    error = lost.std() / 20
    for caution in (0.1, 1):
        scale = found[caution].scale
        mean, next_mean = (
            -np.log(likely(scores, Calibration(one, found[0].slope, found[0].center))[range(400), classes]).mean()
            for one in (scale, scale * 0.98)
        )
        assert mean <= lost.mean() + caution * error < next_mean


def test_documents_that_are_all_classified_rightly_are_no_certainty():
    scores, classes = np.float32([[2, -2], [-2, 2]] * 10), np.array([0, 1] * 10)
    sure = tm.calibrated(scores, classes).probabilities(scores).max()
    assert sure == pytest.approx(1 - 1 / 22, abs=0.003)  # Laplace: 21 of 22


def test_calibration_takes_a_bounded_number_of_scores_from_each_partition():
    choose = np.random.default_rng(3)
    places, weights = np.arange(300, dtype=np.int32), choose.normal(size=(300, 3))
    model = DocumentModel(LABELS, FEATURES, places, np.ones(300), weights, np.zeros(3))
    matrices = [matrix_of(confused(30, 1, seed=seed), LABELS) for seed in (1, 2, 3)]
    found = list(tm.first_scores(iter(matrices), model, 40))
    assert [len(classes) for _, classes in found] == [30, 10]
    for (scores, classes), matrix in zip(found, matrices, strict=False):
        expected = matrix.sparse(300).toarray() @ model.weights
        np.testing.assert_allclose(scores, expected[: len(scores)], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(classes, matrix.classes[: len(scores)])


def test_no_calibration_of_a_coarse_grid_is_better_by_more_than_the_caution(spark):
    held = confused(90, 0.4, seed=12)
    trainer = train(spark, [confused(150, 0.4), confused(100, 0.4, seed=7)], held)
    trainer.advance(3)
    found, model = trainer.calibrate(), trainer.model()
    trainer.matrices.unpersist()
    scores = np.array([model.scores(text) for text, _ in held])
    labels = [INDEX[label] for _, label in held]

    def losses(one: Calibration) -> np.ndarray:
        return -np.log(likely(scores, one)[range(len(held)), labels])

    grid = [Calibration(k, a, c) for k in np.geomspace(0.25, 32, 15) for a in (0.1, 0.5, 1, 2) for c in (-1, 0, 1)]
    best = min(grid, key=lambda one: losses(one).mean())
    error = losses(best).std() / np.sqrt(len(held))
    assert losses(found).mean() <= losses(best).mean() + tm.CAUTION * error + 1e-3
    assert losses(Calibration(16, 1, 0)).mean() > losses(best).mean() + error  # not any calibration would do
    found.checked()


# -------------------------------------------------------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def weak_model() -> DocumentModel:
    """A model that is often wrong, and that does not know the class "ship"."""
    weights = np.random.default_rng(3).normal(size=(FEATURES.size, 3)).astype(np.float32)
    places, ones = np.arange(FEATURES.size, dtype=np.int32), np.ones(FEATURES.size, np.float32)
    return DocumentModel([*LABELS[:2], "other"], FEATURES, places, ones, weights, np.zeros(3), Calibration(2, 0.4, 0.1))


def test_the_figures_are_those_of_scikit_learn_over_any_number_of_partitions(spark, weak_model):
    rows = texts(120)
    evaluation = tm.evaluate(documents(spark, rows).repartition(3).rdd, weak_model)
    found = tm.metrics(evaluation)
    sure = np.array([weak_model.probabilities(text) for text, _ in rows])
    truth, guesses = [label for _, label in rows], [weak_model.classes[one] for one in sure.argmax(axis=1)]
    columns = reference.precision_recall_fscore_support(truth, guesses, labels=LABELS, zero_division=0)
    assert 0 < found["accuracy"] < 1
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, guesses), abs=1e-4)
    assert found["macroF1"] == pytest.approx(columns[2].mean(), abs=1e-4)
    assert found["documents"] == 120
    for label, *figures in zip(LABELS, *columns, strict=True):
        names = ("precision", "recall", "f1", "documents")
        assert [found["classes"][label][name] for name in names] == pytest.approx(figures, abs=1e-4)
    names = [*LABELS, "other"]
    table = reference.confusion_matrix(truth, guesses, labels=names)
    wrong = [[a, b, table[i, j]] for i, a in enumerate(names) for j, b in enumerate(names) if i != j and table[i, j]]
    assert sorted(found["confusions"]) == sorted(wrong)
    assert [one[2] for one in found["confusions"]] == sorted((one[2] for one in wrong), reverse=True)
    likely = [one[names.index(label)] if label != "ship" else 1e-12 for one, label in zip(sure, truth, strict=True)]
    assert found["logLoss"] == pytest.approx(-np.log(likely).mean(), abs=1e-4)
    right, sure = np.array(truth) == np.array(guesses), sure.max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).mean() for one in set(bins))
    assert len(set(bins)) > 3
    assert found["expectedCalibrationError"] == pytest.approx(gap, abs=1e-4)
    assert [one["documents"] for one in found["calibration"]] == [int((bins == one).sum()) for one in sorted({*bins})]
    mistakes = sorted((round(float(p), 4) for p, fine in zip(sure, right, strict=True) if not fine), reverse=True)
    assert [one[0] for one in evaluation.worst] == mistakes[: tm.WORST_MISTAKES]


def test_the_log_loss_of_known_classes_is_that_of_scikit_learn(weak_model):
    rows = [Row(payload=text, label=label) for text, label in texts(60) if label != "ship"]
    (first,), (second,) = tm.evaluate_rows(rows[:15], weak_model), tm.evaluate_rows(rows[15:], weak_model)
    probabilities = [weak_model.probabilities(row.payload) for row in rows]
    expected = reference.log_loss([row.label for row in rows], probabilities, labels=weak_model.classes)
    assert (first + second).log_loss / len(rows) == pytest.approx(expected)


def test_a_label_that_the_model_does_not_know_is_a_mistake_of_the_greatest_loss(weak_model):
    (found,) = tm.evaluate_rows([Row(payload="a <tale>", label="ship")], weak_model)
    assert (found.documents, found.accuracy) == (1, 0)
    assert found.log_loss == pytest.approx(-math.log(1e-12))
    assert [(label, text) for _, label, _, text in found.worst] == [("ship", "a <tale>")]
    assert tm.macro_f1(found) == 0


def test_macro_f1_is_the_mean_over_the_classes_that_documents_have():
    found = tm.Evaluation()
    found.pairs.update({("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 2, ("b", "never asked for"): 2})
    assert tm.macro_f1(found) == pytest.approx((2 * 3 / (4 + 3) + 2 * 2 / (4 + 3)) / 2)


def test_validation_scores_matrices_as_serving_scores_texts(weak_model):
    (block,) = blocks_of(confused(80, 1))
    matrix = tm.weigh(block, weak_model)
    expected = [weak_model.scores(text) for text, _ in texts(80)]
    np.testing.assert_allclose(tm.scores_of(matrix, weak_model), expected, atol=1e-5)


def test_the_majority_is_the_dummy_classifier_of_scikit_learn():
    trained = {LABELS[0]: 20, LABELS[1]: 55, LABELS[2]: 25}
    rows = [label for _, label in texts(100)] + [LABELS[1]] * 7
    evaluation = tm.Evaluation()
    evaluation.pairs.update((label, LABELS[number % 3]) for number, label in enumerate(rows))
    found = tm.metrics(tm.majority(evaluation, trained))
    known = [label for label, count in trained.items() for _ in range(count)]
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((100, 1)), known)
    cells = np.zeros((len(rows), 1))
    assert found["accuracy"] == pytest.approx(dummy.score(cells, rows), abs=1e-4)
    assert found["logLoss"] == pytest.approx(reference.log_loss(rows, dummy.predict_proba(cells)), abs=1e-4)
    expected = reference.f1_score(rows, dummy.predict(cells), average="macro", zero_division=0)
    assert found["macroF1"] == pytest.approx(expected, abs=1e-4)
    assert found["expectedCalibrationError"] == pytest.approx(abs(dummy.score(cells, rows) - 0.55), abs=1e-4)


@pytest.mark.parametrize(
    "challenger, champion, tolerance, force, promoted, because",
    [
        (0.3, None, 0.01, None, True, "first model: macro-F1 0.3000"),
        (0.8, 0.8, 0.0, None, True, "macro-F1 0.8000, the serving model's 0.8000 on the same documents"),
        (0.9, 0.8, 0.0, None, True, "the serving model's 0.8000"),
        (0.796, 0.8, 0.01, None, True, "tolerance 0.01"),
        (0.5, 0.75, 0.25, None, True, "tolerance 0.25"),  # exactly the tolerance
        (0.7999, 0.8, 0.0, None, False, "lower by more than the tolerance 0"),
        (0.78, 0.8, 0.01, None, False, "macro-F1 0.7800, the serving model's 0.8000 on the same documents, which is"),
        (0.1, 0.8, 0.01, "new labels", True, "forced (new labels): macro-F1 0.1000, the serving model's 0.8000"),
        (0.9, 0.8, 0.01, "new labels", True, "forced (new labels): macro-F1 0.9000"),
        (0.1, None, 0.01, "--force", True, "forced (--force): macro-F1 0.1000"),
    ],
)
def test_what_is_about_as_good_as_the_champion_is_promoted(
    challenger, champion, tolerance, force, promoted, because
):  # fmt: skip
    decision, reason = tm.decide_promotion(challenger, champion, tolerance, force)
    assert (decision, because in reason) == (promoted, True), reason


def test_mlflow_that_is_asked_for_and_missing_is_said_at_once(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tm.tracking() is False
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(tm.TrainingError, match="MLFLOW_TRACKING_URI is set, and mlflow is missing: pip install"):
        tm.tracking()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "mlflow" or None)
    assert tm.tracking() is True
