"""Labels, texts, and the split into train, validation and test."""

import random

import pytest

from brigade.training.documents import MIN_DOCUMENTS, count_documents, labelled_documents, part_documents, parted, split
from brigade.training.options import Options
from tests.training.made_up_documents import EVENTS, START, documents, events, texts

PARTS = {"test": 0.1, "validation": 0.1, "train": 0.8}


def test_a_label_of_blanks_is_none_a_missing_text_is_empty_and_equal_texts_share_a_place(spark):
    rows = [("one", " oil "), ("one", None), ("two", ""), (None, "  "), ("", "ship")]
    found = documents(spark, rows).collect()
    assert [row.label for row in found] == ["oil", None, None, None, "ship"]
    assert [row.payload for row in found] == ["one", "one", "two", "", ""]
    places = [row.place for row in found]
    assert (places[0] == places[1], places[3] == places[4], len(set(places))) == (True, True, 3)


def test_the_split_has_its_fractions_no_text_in_two_parts_and_no_empty_part(spark):
    rows = [(f"text {number % 900}", "a") for number in range(1000)]
    found = split(documents(spark, rows), PARTS).collect()
    payloads = {name: [row.payload for row in found if row.part == name] for name in PARTS}
    assert {name: len(one) / 1000 for name, one in payloads.items()} == pytest.approx(PARTS, abs=0.02)
    assert sum(len(set(one)) for one in payloads.values()) == 900
    assert sorted(sum(payloads.values(), [])) == sorted(text for text, _ in rows)
    known = {row.payload: row.part for row in split(documents(spark, rows), PARTS, many=True).collect()}
    assert sum({row.payload: row.part for row in found}[text] == known[text] for text in known) > 0.9 * len(known)
    few = split(documents(spark, texts(MIN_DOCUMENTS)), PARTS).collect()
    assert {row.part for row in few} == set(PARTS)


def test_a_few_texts_that_come_many_times_fill_every_part_too(spark):
    rows = events(spark, [(f"sheet {number % 15}", "oil") for number in range(60)])
    even = {row.part for row in part_documents(rows, None, Options(), many=True).collect()}
    assert even == {"test", "train"}  # their hashes are not spread evenly
    found = parted(rows, None, Options(), many=True)
    found.documents.unpersist()
    assert set(found.tally) == set(PARTS) and sum(found.counts.values()) == 60


def test_events_are_counted_and_those_with_a_label(spark):
    rows = events(spark, [("one", "oil"), ("two", None), ("three", "ship")])
    assert count_documents(rows, "superTag01") == (3, 2)
    assert count_documents(rows, "missing") == (3, 0)


def test_another_seed_is_another_random_split(spark):
    rows = events(spark, [(f"text {number}", "a") for number in range(200)])
    parts = (split(labelled_documents(rows, "superTag01", seed), PARTS) for seed in (0, 1))
    first, second = ({row.payload for row in part.where("part = 'test'").collect()} for part in parts)
    assert len(first) == pytest.approx(20, abs=3)
    assert len(first & second) < len(first) / 2


def test_by_time_the_newest_texts_test_and_a_copy_stays_with_its_first_appearance(spark):
    rows = [(f"text {number}", "a") for number in (*range(200), *range(5))]
    hours = random.Random(4).sample(range(200), 200)
    found = split(documents(spark, rows, hours=[*hours, *range(500, 505)]), PARTS, "time").collect()
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
    found = part_documents(events(spark, rows), held.union(same_event), Options()).collect()
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
