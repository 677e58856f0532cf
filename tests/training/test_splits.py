"""Which part a document is in: the fractions, rare classes, near copies, and time."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brigade.training.documents import FRACTIONS, MIN_DOCUMENTS, labelled_documents, left_out, parted
from brigade.training.errors import TrainingError
from brigade.training.options import Options
from brigade.training.splits import COUNTED, cuts, seats, split
from tests.training.made_up_documents import EVENTS, START, documents, events, texts

BY_TIME = Options(split="time")


def tallied(spark, rows: list[tuple[str, str]], held=None, options=None, **others) -> dict[str, Counter]:
    """How many documents each part has of each label."""
    found = parted(events(spark, rows, **others), held, options or Options())
    found.documents.unpersist()
    return found.tally


def of_classes(sizes: dict[str, int]) -> list[tuple[str, str]]:
    """As many different texts of each class."""
    return [(f"text of {label} {number + 10}", label) for label, size in sizes.items() for number in range(size)]


def test_the_split_has_its_fractions_no_text_in_two_parts_and_no_empty_part(spark):
    rows = [(f"text {number % 900 + 10}", "a") for number in range(1000)]
    found = split(documents(spark, rows), FRACTIONS).collect()
    payloads = {name: [row.payload for row in found if row.part == name] for name in FRACTIONS}
    assert {name: len(one) / 1000 for name, one in payloads.items()} == pytest.approx(FRACTIONS, abs=0.02)
    assert sum(len(set(one)) for one in payloads.values()) == 900
    assert sorted(sum(payloads.values(), [])) == sorted(text for text, _ in rows)
    few = split(documents(spark, texts(MIN_DOCUMENTS)), FRACTIONS).collect()
    assert {row.part for row in few} == set(FRACTIONS)


def test_a_class_of_many_texts_has_the_same_fractions(spark):
    sizes = {"many": 5 * COUNTED, "just counted": COUNTED, "few": 30}
    found = tallied(spark, of_classes(sizes))
    for label, size in sizes.items():
        shares = {part: found[part][label] / size for part in FRACTIONS}
        assert shares == pytest.approx(FRACTIONS, abs=0.02)


def test_another_seed_is_another_random_split(spark):
    rows = events(spark, [(f"text {number + 10}", "a") for number in range(200)])
    parts = (split(labelled_documents(rows, "superTag01", seed), FRACTIONS) for seed in (0, 1))
    first, second = ({row.payload for row in part.where("part = 'test'").collect()} for part in parts)
    assert len(first) == pytest.approx(20, abs=3)
    assert len(first & second) < len(first) / 2


def test_a_few_texts_that_come_many_times_fill_every_part_too(spark):
    found = tallied(spark, [(f"sheet {number % 15 + 10}", "oil") for number in range(60)])
    assert set(found) == set(FRACTIONS) and sum(map(Counter.total, found.values())) == 60


@pytest.mark.parametrize("seed", [0, 2, 7])
def test_a_rare_class_is_in_train_then_in_test_then_in_validation(spark, seed):
    sizes = {"ham": 80, "alone": 1, "pair": 2, "fraud": 3, "ten": 10}
    found = tallied(spark, of_classes(sizes), options=Options(seed=seed))
    assert [[found[part][label] for part in ("train", "test", "validation")] for label in sizes] == [
        [64, 8, 8], [1, 0, 0], [1, 1, 0], [1, 1, 1], [8, 1, 1]
    ]  # fmt: skip


def test_two_documents_in_two_thousand_are_learned_and_tested(spark):
    found = tallied(spark, of_classes({"ham": 2000, "spam": 2}))
    assert [found[part]["spam"] for part in ("train", "test", "validation")] == [1, 1, 0]
    assert found["test"].total() == pytest.approx(200, abs=40)


def test_beside_a_fixed_test_set_a_rare_class_is_in_train_then_in_validation(spark):
    held = events(spark, [("another text", "pair")], prefix="held")
    found = tallied(spark, of_classes({"ham": 80, "alone": 1, "pair": 2}), held)
    assert [found["train"][label] for label in ("ham", "alone", "pair")] == [72, 1, 1]
    assert (found["validation"]["pair"], found["test"]) == (1, Counter(pair=1))


def test_more_classes_than_a_part_has_texts_share_it(spark):
    found = tallied(spark, of_classes({f"class {number}": 2 for number in range(100, 400)}))
    assert len(found["train"]) == 300 and left_out(found) == {}
    assert (found["test"].total(), found["validation"].total()) == (60, 48)


SIZES = st.dictionaries(st.text(max_size=3), st.integers(1, 40) | st.integers(1, 10**6), min_size=1, max_size=60)


@given(SIZES, st.sampled_from([[0.1, 0.1], [0.1]]), st.integers(0, 3))
def test_every_class_keeps_a_text_for_train_and_no_part_is_too_large(sizes, fractions, seed):
    taken = seats(sizes, fractions, seed)
    total = sum(sizes.values())
    assert taken == seats(dict(reversed(sizes.items())), fractions, seed)
    for label, size in sizes.items():
        assert min(taken[label]) >= 0 and sum(taken[label]) < size
        assert all(one <= max(size / 10, 1) + 1 for one in taken[label])
        if len(sizes) <= total / 10:
            assert taken[label][0] >= min(size - 1, 1)
        if size > 10:
            assert taken[label][0] >= size / 10 - 1
    for number in range(len(fractions)):
        assert sum(one[number] for one in taken.values()) <= max(total / 10, 1) * 2 + 1


def test_near_copies_share_a_part_so_a_coin_is_not_foretold(spark):
    choose = random.Random(3)
    shapes = [str, str.upper, str.title, "{}\n".format, "  {}".format, lambda one: one.replace(" ", "\n\n")]
    shapes += [lambda one: one.replace(" ", "\u00a0 "), lambda one: one + "!"]
    rows = [(shape(f"order number {n} is late"), choose.choice("ab")) for n in range(10, 50) for shape in shapes]
    for options in (Options(), BY_TIME):
        found = parted(events(spark, rows), None, options)
        parts = {}
        for row in found.documents.collect():
            parts.setdefault(row.payload.lower().split()[2], set()).add(row.part)
        found.documents.unpersist()
        assert len(parts) == 40 and all(len(one) == 1 for one in parts.values())
        assert found.counts == {"test": 32, "validation": 32, "train": 256}


def test_a_text_with_several_labels_counts_for_the_rarest(spark):
    rows = [(f"both {number}", label) for number in range(10, 13) for label in ("ham", "fraud")]
    found = tallied(spark, rows + of_classes({"ham": 80}))
    assert [found[part]["fraud"] for part in ("train", "test", "validation")] == [1, 1, 1]


def test_by_time_the_newest_texts_test_and_a_copy_stays_with_its_first_appearance(spark):
    rows = [(f"text {number}", "a") for number in (*range(10, 210), *range(10, 15))]
    hours = random.Random(4).sample(range(200), 200)
    found = split(documents(spark, rows, hours=[*hours, *range(500, 505)]), FRACTIONS, "time").collect()
    hour = {f"text {number}": at for number, at in enumerate(hours, 10)}
    of = {name: [hour[row.payload] for row in found if row.part == name] for name in FRACTIONS}
    assert {name: len(one) / 205 for name, one in of.items()} == pytest.approx(FRACTIONS, abs=0.03)
    assert max(of["train"]) < min(of["validation"]) <= max(of["validation"]) < min(of["test"])
    assert len({(row.payload, row.part) for row in found}) == 200


@pytest.mark.parametrize(
    "moments, parts",
    [
        ([40, 40, 40], [40, 40, 40]),  # the documents of each month, the oldest first
        ([10] * 12, [100, 10, 10]),
        ([118, 1, 1], [118, 1, 1]),
        ([100, 7, 6, 7], [100, 7, 13]),
        ([1, 1, 118], [1, 1, 118]),
        ([1] * 40, [32, 4, 4]),
    ],
)
def test_by_time_the_parts_are_as_even_as_ties_allow(spark, moments, parts):
    hours = [700 * month for month, count in enumerate(moments) for _ in range(count)]
    found = tallied(spark, [(f"text {n + 10}", "ab"[n % 2]) for n in range(len(hours))], options=BY_TIME, hours=hours)
    assert [found[name].total() for name in ("train", "validation", "test")] == parts


def test_of_two_moments_the_newer_tests_and_the_older_is_split_at_random(spark):
    rows = [(f"text {n + 10}", "ab"[n % 2]) for n in range(120)]
    found = tallied(spark, rows, options=BY_TIME, hours=[5] * 20 + [3] * 100)
    assert {name: labels.total() for name, labels in found.items()} == {"test": 20, "validation": 10, "train": 90}
    held = events(spark, [("another text", "a")], prefix="held")
    found = tallied(spark, rows, held, BY_TIME, hours=[5] * 20 + [3] * 100)
    assert {name: labels.total() for name, labels in found.items()} == {"test": 1, "validation": 20, "train": 100}


def test_one_moment_cannot_be_split_by_time(spark):
    with pytest.raises(TrainingError, match="time cannot split them"):
        tallied(spark, of_classes({"a": 30, "b": 30}), options=BY_TIME, hours=[7] * 60)


def test_by_time_goes_by_the_event_s_own_time_and_by_publication_without_one(spark):
    schema = f"{EVENTS}, publishTime timestamp"
    at = {n: START + timedelta(days=n) for n in range(100)}
    rows = [(f"text {n + 10}", "ab"[n % 2], f"e{n}", at[n], START) for n in range(100)]
    rows[95] = (*rows[95][:3], None, at[50])
    rows[5] = (*rows[5][:3], None, at[98])
    found = split(labelled_documents(spark.createDataFrame(rows, schema), "superTag01"), FRACTIONS, "time").collect()
    parts = {name: {int(row.eventId[1:]) for row in found if row.part == name} for name in FRACTIONS}
    assert parts["test"] == {*range(90, 95), *range(96, 100), 5}
    assert parts["validation"] == {*range(80, 90)}


@pytest.mark.long
def test_many_moments_are_cut_near_their_fractions(spark):
    rows = [(f"text {n + 10}", "ab"[n % 2]) for n in range(3000)]
    for hours in (range(3000), [0] * 1500 + [*range(1500, 3000)]):
        found = tallied(spark, rows, options=BY_TIME, hours=list(hours))
        shares = {name: labels.total() / 3000 for name, labels in found.items()}
        assert shares == pytest.approx(FRACTIONS, abs=0.006)


@example([1, 1, 118], [0.1, 0.1])
@given(st.lists(st.integers(1, 100), min_size=3, max_size=40), st.sampled_from([[0.1, 0.1], [0.1]]))
def test_cuts_leave_a_moment_for_every_part(counts, fractions):
    ends = cuts(counts, fractions)
    assert ends[0] > 0 and ends == sorted(set(ends)) and ends[-1] < len(counts)
    first = sum(counts[: ends[0]])
    others = [sum(counts[:end]) for end in range(1, len(counts) - len(fractions) + 1)]
    assert abs(first - sum(counts) / 10) == min(abs(one - sum(counts) / 10) for one in others)
