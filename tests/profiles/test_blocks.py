"""What is counted of a block of events, and that parts add up."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.models.text_features import words_of
from brigade.profiles.blocks import Look
from brigade.profiles.buckets import bucket_of_class, bucket_of_value, of_numbers
from brigade.profiles.profile import ALL, MOST_NAMED, Profile, bounds_of_bucket, bucket_of_number
from tests.models.written_models import tiny_model
from tests.profiles.blocks import WATCHED, block, profile_in, seen

MODEL = tiny_model()
TEXT = st.none() | st.text(max_size=40) | st.sampled_from(["oil prices rose", "нефть", "<p>oil</p>", "cafÃ© oil", " "])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "payload": TEXT,
            "kind": st.none() | st.text(max_size=3) | st.sampled_from(["a", "b", ""]),
            "size": st.none() | st.floats(),
            "superTag01": st.none() | st.sampled_from(["class-0", " class-0", "class-1", "new", ""]),
            "day": st.sampled_from(["2026-11-02", "2026-11-03"]),
            "hour": st.none() | st.integers(0, 23),
        }
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(EVENTS, st.lists(st.integers(0, 30), max_size=4))
def test_the_profiles_of_parts_add_up_to_that_of_the_whole(events, cuts):
    ends = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    parts = [events[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]
    whole = profile_in([block(events)], MODEL)
    assert sum((profile_in([block(part)], MODEL) for part in parts), Profile()).text() == whole.text()
    assert profile_in([block(part) for part in parts], MODEL).text() == whole.text()
    assert Profile.of(whole.text()) == whole and whole.events == len(events)


@settings(max_examples=60)
@given(st.lists(st.floats() | st.sampled_from([0.0, 1.0, 1.1, -1.1, 1e-9, 1e-300]), min_size=1, max_size=50))
def test_a_number_lies_within_the_bounds_of_its_bucket(values):
    found = of_numbers("field", "number", np.arange(len(values)), np.array(values))
    for value, code in zip(values, found.codes, strict=True):
        bucket = found.buckets[code]
        if bucket == "missing":
            assert not np.isfinite(value)
            continue
        low, high = bounds_of_bucket(bucket)
        assert low - abs(low) * 1e-9 <= value <= high + abs(high) * 1e-9
        assert bucket == bucket_of_number(value) or np.isclose(abs(value), min(abs(low), abs(high)), rtol=1e-9)


def test_the_largest_numbers_have_a_bucket_too():
    low, high = bounds_of_bucket(bucket_of_number(sys.float_info.max))
    assert low < sys.float_info.max <= high
    low, high = bounds_of_bucket(bucket_of_number(-sys.float_info.max))
    assert low <= -sys.float_info.max < high


def test_what_is_missing_or_empty_is_counted_by_its_presence_alone():
    events = [{"payload": None}, {"payload": " \n"}, {"payload": "oil", "kind": "", "size": 2.0, "superTag01": "A"}]
    whole = profile_in([block(events)]).total()
    presence = {name: dict(aspects["presence"]) for name, aspects in whole.items() if name != "events"}
    assert presence == {
        "payload": {"missing": 1, "empty": 1, "there": 1},
        "kind": {"missing": 2, "empty": 1},
        "size": {"missing": 2, "there": 1},
        "superTag01": {"missing": 2, "there": 1},
    }
    assert dict(whole["payload"]["length"]) == {bucket_of_number(3): 1}
    assert whole["payload"]["word"][ALL] == 1 and "value" not in whole["kind"]


@pytest.mark.parametrize(
    ("text", "aspect", "bucket"),
    [
        ("Oil prices", "script", "latin"),
        ("Цены на нефть", "script", "cyrillic"),
        ("原油価格", "script", "han"),
        ("أسعار النفط", "script", "arabic"),
        ("12 % !", "script", "none"),
        ("ꙮ ᚠᚢᚦᚨ", "script", "other"),
        ("abcd", "accents", "zero"),
        ("äbcd", "accents", bucket_of_number(250)),
        ("Цены", "accents", bucket_of_number(1000)),
        ("plain < 3 & more", "markup", "zero"),
        ("<b>12</b>", "markup", bucket_of_number(778)),
        ("A&amp;B&#8211;", "markup", bucket_of_number(858)),
        ("café “déjà vu” — naïve", "damage", "fine"),
        ("Größe: 3 Ω, d’été", "damage", "fine"),
        ("cafÃ©", "damage", "damaged"),
        ("itâ€™s", "damage", "damaged"),
        ("Ð½ÐµÑ„Ñ‚ÑŒ", "damage", "damaged"),
        ("caf\ufffd", "damage", "damaged"),
        ("oil prices rose", "words", bucket_of_number(3)),
        ("!", "words", "zero"),
    ],
)
def test_what_a_text_looks_like(text, aspect, bucket):
    assert dict(seen([{"payload": text}], "payload", aspect)) == {bucket: 1}


def test_a_word_counts_once_for_each_text_that_has_it():
    found = seen([{"payload": "oil oil Oil"}, {"payload": "oil wheat"}, {"payload": "wheat"}], "payload", "word")
    assert found.pop(ALL) == 3 and sorted(found.values()) == [2, 2]


def test_labels_are_cleaned_before_they_are_counted():
    found = seen([{"superTag01": one} for one in (" A", "A ", "A", "\t", "{}")], "superTag01", "value")
    assert found == {bucket_of_value("A"): 3}
    assert seen([{"superTag01": " \t"}], "superTag01", "presence") == {"empty": 1}


def test_categories_have_names_as_long_as_they_are_few():
    few = [{"kind": f"category {number}" + "x" * 100} for number in range(50)]
    many = [{"kind": f"{number}"} for number in range(MOST_NAMED + 200)]
    names = profile_in([block(few)]).names["kind"]
    assert names[bucket_of_value(few[7]["kind"])] == few[7]["kind"][:64]
    assert "kind" not in profile_in([block(many)]).names
    parts = [profile_in([block(part)]) for part in (many[:400], many[400:])]
    assert "kind" in parts[0].names and "kind" not in (parts[0] + parts[1]).names


def test_no_text_is_in_a_profile():
    events = [{"payload": "zebra crossing"}, {"payload": "<zebra>", "superTag01": "class-1"}]
    text = profile_in([block(events)], MODEL).text()
    assert "zebra" not in text and "class-1" in text and len(json.loads(text)) == 4


def test_predictions_are_the_model_s_own():
    events = [{"payload": f"oil {number}", "superTag01": f"class-{number % 4}"} for number in range(40)]
    told = [MODEL.predict(one["payload"]) for one in events]
    found = profile_in([block(events)], MODEL).total()["prediction"]
    for number, name in enumerate(MODEL.classes):
        bucket = bucket_of_class(name)
        assert found["label"][bucket] == sum(one["label"] == name for one in told)
        right = [one["label"] == name for one, event in zip(told, events, strict=True) if event["superTag01"] == name]
        assert found["agreement"][f"{bucket}>{bucket}"] == sum(right), number
    assert sum(count for key, count in found["agreement"].items() if key.startswith("new>")) == 10
    for twentieth, count in found["confidence"].items():
        assert count == sum(int(one["confidence"] * 20) == int(twentieth) for one in told)
    assert profile_in([block(events)], MODEL).names["prediction"][bucket_of_class("class-2")] == "class-2"


@pytest.mark.parametrize("shortest", [1, 2])
def test_words_that_a_model_does_not_know_are_counted_as_it_reads_them(shortest):
    model = tiny_model(hash_bits=20)
    parameters = type(model.parameters)(hash_bits=20, shortest=shortest)
    known = [one for one in words_of("a oil price", parameters)]
    places = np.concatenate([model_places(word, parameters) for word in known])
    model.parameters, model.places = parameters, np.sort(places)
    size = len(places)
    model.idf, model.weights = model.idf[:size], model.weights[:size]
    found = seen([{"payload": "a oil price x wheat"}], "payload", "unknown", model)
    share = {1: 2 / 5, 2: 1 / 3}[shortest]
    assert found == {bucket_of_number(np.ceil(1000 * share)): 1}


def model_places(word: str, parameters) -> np.ndarray:
    from brigade.models.text_features import gram_places

    return gram_places(word, parameters)[0]


def test_rows_are_the_buckets_of_each_event():
    events = [{"eventId": number, "payload": "oil " * number, "kind": "a"} for number in range(4)]
    rows = [row for found in Look(WATCHED).rows([block(events)], MODEL) for row in found.to_pylist()]
    profile = profile_in([block(events)], MODEL).total()
    for field, aspects in profile.items():
        for aspect, buckets in aspects.items():
            own = [row["bucket"] for row in rows if (row["field"], row["aspect"]) == (field, aspect)]
            assert {bucket: own.count(bucket) for bucket in set(own)} == dict(buckets)
    assert {row["eventId"] for row in rows} == {"0", "1", "2", "3"}


def test_without_the_data_s_aspects_only_the_model_s_are_left():
    found = profile_in([block([{"payload": "oil", "superTag01": "class-0"}])], MODEL, of_data=False).total()
    assert found.keys() == {"payload", "prediction"} and found["payload"].keys() == {"unknown"}
