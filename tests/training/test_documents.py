"""Labels, words, and the documents' parts."""

import unicodedata

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from brigade.conversion.lines import parse_lines
from brigade.conversion.query import run_query
from brigade.events.labels import label_of
from brigade.models.text_features import FeatureParameters, words_of
from brigade.training.documents import SPLIT_RULE, labelled_documents, part_documents, parted, words_hash
from brigade.training.options import Options
from tests.training.made_up_documents import EVENTS, START, documents, events, texts

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(-(2**63), 2**63 - 1).map(str) | st.from_regex(
    r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,5}([eE][+-]?[0-9])?", fullmatch=True
)
VALUES = (ANY_TEXT | st.none() | st.booleans() | st.just([]) | st.just({"a": "b"})).map(orjson.dumps) | NUMBERS.map(
    str.encode
)


def test_a_label_of_blanks_is_none_a_missing_text_is_empty_and_equal_texts_share_a_place(spark):
    rows = [("one", " oil "), ("one", None), ("two", ""), (None, "  "), ("", "ship")]
    found = documents(spark, rows).collect()
    assert [row.label for row in found] == ["oil", None, None, None, "ship"]
    assert [row.payload for row in found] == ["one", "one", "two", "", ""]
    places = [row.place for row in found]
    assert (places[0] == places[1], places[3] == places[4], len(set(places))) == (True, True, 3)


def test_one_label_has_one_class_however_it_is_written(spark):
    odd = [" Spam", "Spam\t", "\u00a0Spam", "Spam\u200b", "\ufeffSpam\r\n", "\u3000Spam\x00"]
    cafe = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    found = documents(spark, [("text", label) for label in (*odd, *cafe, "spam")]).collect()
    assert [row.label for row in found] == ["Spam"] * len(odd) + ["caf\u00e9"] * 2 + ["spam"]


@settings(max_examples=3, phases=[Phase.generate])  # each is a job of Spark
@given(values=st.lists(VALUES, min_size=60, max_size=60))
def test_training_and_serving_read_the_same_label_whatever_stands_in_the_json(spark, values):
    values += [
        *b"1.50 1e3 1E4 -0.0 1.0 1e22 1e-7 0.00012 12345678.9 9223372036854775807 true 7 157805018.80593e+9".split(),
        b'" 7\xc2\xa0"',
    ]
    event = b'{"eventId":"%d","eventTimestamp":"2019-04-02T21:55:57Z","doc":{"docId":"d","payload":"text","metadata":'
    data = [event % number + b'{"superTag01":' + value + b"}}}" for number, value in enumerate(values)]
    lines = spark.createDataFrame([(one.decode(), "file") for one in data], "value string, file string")
    rows = labelled_documents(run_query(parse_lines(lines)), "superTag01").collect()
    served = {number: label_of(orjson.loads(one), "superTag01") for number, one in enumerate(data)}
    assert {int(row.eventId): row.label for row in rows} == served


def test_near_copies_share_their_words_and_the_place_follows_from_them(spark):
    same = [
        "The price of OIL",
        "the  price\nof oil",
        " The price, of oil! ",
        "the price of oil\r\n",
        "a The price of oil",
    ]
    same += ["THE PRICE\u00a0OF OIL"]
    other = ["the price of oils", "price the of oil", "café au lait", "", "no words: ?"]
    rows = documents(
        spark, [(text, "a") for text in (*same, *other, unicodedata.normalize("NFD", "Café au LAIT"), "!")]
    )
    found = rows.collect()
    of = [row.words for row in found]
    assert len({*of[: len(same)]}) == 1 and len({*of}) == 1 + len(other)
    assert (of[-2], of[-1]) == (of[len(same) + 2], of[len(same) + 3])
    assert len({(row.words, row.place) for row in found}) == len({*of}) == len({row.place for row in found})
    seeded = labelled_documents(events(spark, [("The price of OIL", "a")]), "superTag01", seed=1).collect()[0]
    assert seeded.words == of[0] and seeded.place != found[0].place


@settings(max_examples=200)
@given(ANY_TEXT, ANY_TEXT)
def test_words_are_those_of_two_characters_and_their_hash_stays(one, other):
    words = [words_of(text, FeatureParameters(shortest=2)) for text in (one, other)]
    assert (words_hash.func(one) == words_hash.func(other)) is (words[0] == words[1])
    assert words_hash.func(one) == words_hash.func(f" {one}\n\n".replace(" ", "  "))


def test_a_split_that_an_earlier_run_made_is_made_again(spark):
    """Another hash or order moves documents between parts: SPLIT_RULE is then to be raised."""
    rows = [(f"text {number} of many", f"class {number % 4}") for number in range(10, 70)]
    found = part_documents(events(spark, [("Oil, and gas", "class 1"), *rows]), None, Options()).collect()
    parts = {name: sorted(int(row.eventId[1:]) for row in found if row.part == name) for name in ("test", "validation")}
    hashes = {row.payload: (row.words, row.place) for row in found}
    pinned = (2, (-5551593534768476686, 1473722083795684043), [5, 7, 25, 42, 51, 52], [19, 27, 28, 37, 38, 53])
    assert (SPLIT_RULE, hashes["Oil, and gas"], parts["test"], parts["validation"]) == pinned


@pytest.mark.long
def test_parts_hold_every_document_and_do_not_depend_on_how_the_events_lie(spark):
    rows = [(f"text of {number % 900 + 10}", ("a", "b", None)[number % 3]) for number in range(1000)]
    given = events(spark, rows)
    found = parted(given, None, Options())
    parts = {row.eventId: row.part for row in found.documents.collect()}
    found.documents.unpersist()
    again = part_documents(given.repartition(7).orderBy("payload"), None, Options()).collect()
    assert parts == {row.eventId: row.part for row in again} and len(parts) == 1000
    assert sum(found.counts.values()) == 1000 and found.counts["unlabelled"] == 333
    assert set(found.counts) == {"test", "validation", "train", "unlabelled"}


@pytest.mark.long
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
