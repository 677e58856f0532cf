"""What differs between two profiles: which aspect, in what, by how much, since when."""

import numpy as np
import pytest

from brigade.profiles.compare import differences
from brigade.profiles.profile import Profile, bucket_of_number
from brigade.profiles.thresholds import Thresholds
from tests.profiles.made_up_profiles import WEEK, profile, words

USUAL = Thresholds()
CATEGORY = ("eventSource", "value")
NUMBERS = ("alcohol", "number")
WORDS = ("payload", "word")


def numbers(values) -> dict[str, int]:
    names, found = np.unique([bucket_of_number(value) for value in values], return_counts=True)
    return {str(name): int(count) for name, count in zip(names, found, strict=True)}


def test_the_same_shares_do_not_differ():
    before, now = {"a": 9000, "b": 1000}, {"a": 890, "b": 110}
    assert differences(profile({CATEGORY: before}), profile({CATEGORY: now}), USUAL) == []


def test_a_category_of_its_own_is_named_with_its_shares():
    reference = profile({CATEGORY: {"17": 9000, "3": 1000}}, names={"eventSource": {"17": "doc.contract"}})
    current = profile({CATEGORY: {"17": 850, "3": 100, "9": 50}}, names={"eventSource": {"9": "doc.new"}})
    (found,) = differences(reference, current, USUAL)
    assert (found.field, found.aspect, found.events) == ("eventSource", "value", 1000)
    assert ("doc.new", 0.0, 0.05) in found.changes and ("doc.contract", 0.9, 0.85) in found.changes
    assert found.grown == ("9",)
    assert found.p < 1e-6 and found.distance > 0.1


def test_the_severity_follows_the_stability_index():
    reference = profile({CATEGORY: {"a": 5000, "b": 5000}})
    (slight,) = differences(reference, profile({CATEGORY: {"a": 600, "b": 400}}), USUAL)
    (strong,) = differences(reference, profile({CATEGORY: {"a": 800, "b": 200}}), USUAL)
    assert (slight.severity, strong.severity) == ("warning", "error")
    (told,) = differences(reference, profile({CATEGORY: {"a": 600, "b": 400}}), Thresholds(psi=0.01))
    assert told.severity == "error"


def test_a_million_events_raise_nothing_trifling():
    reference = profile({CATEGORY: {"a": 500_000, "b": 500_000}})
    current = profile({CATEGORY: {"a": 510_000, "b": 490_000}})
    assert differences(reference, current, USUAL) == []
    (found,) = differences(reference, current, Thresholds(distance=0.005))
    assert found.p < 1e-30


def test_the_more_aspects_the_surer_each_must_be():
    before, now, any_distance = {"a": 5000, "b": 5000}, {"a": 560, "b": 440}, Thresholds(distance=0)
    assert len(differences(profile({CATEGORY: before}), profile({CATEGORY: now}), any_distance)) == 1
    many = {(f"field{number}", "value"): before for number in range(20)}
    same = {(f"field{number}", "value"): {"a": 500, "b": 500} for number in range(20)}
    assert differences(profile(many), profile(same | {("field7", "value"): now}), any_distance) == []


def test_a_class_needs_less_to_be_told_than_an_aspect_of_texts():
    before, now = {"latin": 5000, "cyrillic": 5000}, {"latin": 565, "cyrillic": 435}
    others = {(f"field{number}", "script"): before for number in range(10)}
    same = {key: {"latin": 500, "cyrillic": 500} for key in others}
    for aspect, number in (("value", 1), ("script", 0)):
        reference = profile(others | {("superTag01", aspect): before})
        current = profile(same | {("superTag01", aspect): now})
        assert len(differences(reference, current, Thresholds(distance=0))) == number


def test_another_unit_moves_numbers_out_of_all_bins():
    draw = np.random.default_rng(1)
    celsius = draw.normal(20, 5, 5000)
    fresh = draw.normal(20, 5, 1000)
    reference = profile({NUMBERS: numbers(celsius)})
    assert differences(reference, profile({NUMBERS: numbers(fresh)}), USUAL) == []
    (found,) = differences(reference, profile({NUMBERS: numbers(1.8 * fresh + 32)}), USUAL)
    assert found.severity == "error"
    assert max(found.changes, key=lambda change: change[2])[1] == 0, "there was nothing above the reference's numbers"


def test_zeros_and_missing_numbers_are_bins_of_their_own():
    values = np.linspace(1, 9, 4000)
    reference = profile({NUMBERS: numbers(values)})
    for value, name in [(0.0, "zero"), (float("nan"), "missing")]:
        current = numbers([*values[::5], *[value] * 40])
        (found,) = differences(reference, profile({NUMBERS: current}), USUAL)
        assert found.changes[0][0] == name and found.grown[0] == name


def test_few_words_among_many_are_found():
    before = {f"{bucket}": 2000 for bucket in range(500)}
    now = {f"{bucket}": 200 for bucket in range(500)}
    assert differences(profile({WORDS: words(10_000, **before)}), profile({WORDS: words(1000, **now)}), USUAL) == []
    (found,) = differences(
        profile({WORDS: words(10_000, **before)}), profile({WORDS: words(1000, **now | {"7": 320})}), USUAL
    )
    assert found.changes[0] == ("7", 0.2, 0.32) and found.grown[0] == "7"
    assert found.distance == pytest.approx(0.098, abs=0.002)


def test_the_day_is_the_first_of_the_new_ones():
    current = sum((profile({CATEGORY: {"a": 90, "b": 10}}, day) for day in WEEK[:4]), Profile())
    current += sum((profile({CATEGORY: {"a": 60, "b": 40}}, day) for day in WEEK[4:]), Profile())
    (found,) = differences(profile({CATEGORY: {"a": 9000, "b": 1000}}), current, USUAL)
    assert found.since == WEEK[4]


def test_what_was_other_all_the_time_is_since_the_first_day():
    current = sum((profile({CATEGORY: {"a": 60, "b": 40}}, day) for day in WEEK), Profile())
    (found,) = differences(profile({CATEGORY: {"a": 9000, "b": 1000}}), current, USUAL)
    assert found.since == WEEK[0]


def test_what_one_of_both_does_not_have_is_not_compared():
    both = {CATEGORY: {"a": 5000, "b": 5000}}
    current = profile({CATEGORY: {"a": 500, "b": 500}, NUMBERS: {"7": 1000}, WORDS: words(0)})
    assert differences(profile(both | {WORDS: words(10, a=5)}), current, USUAL) == []
    assert differences(Profile(), current, USUAL) == []


def test_hours_and_labels_beside_predictions_are_not_judged():
    before = {("events", "hour"): {"3": 1000}, ("prediction", "agreement"): {"a": 1000}}
    now = {("events", "hour"): {"9": 1000}, ("prediction", "agreement"): {"b": 1000}}
    assert differences(profile(before), profile(now), USUAL) == []


def test_the_largest_difference_comes_first():
    before = {CATEGORY: {"a": 5000, "b": 5000}, ("eventType", "value"): {"a": 5000, "b": 5000}}
    now = {CATEGORY: {"a": 600, "b": 400}, ("eventType", "value"): {"a": 900, "b": 100}}
    found = differences(profile(before), profile(now), USUAL)
    assert [one.field for one in found] == ["eventType", "eventSource"]


def test_without_a_change_hardly_anything_is_found():
    draw, looks, found = np.random.default_rng(3), 400, 0
    kinds = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    for _ in range(looks):
        aspects = [{(f"f{n}", "value"): dict(zip("abcdef", draw.multinomial(size, kinds).tolist(), strict=True))
                    for n in range(10)} for size in (4000, 500)]  # fmt: skip
        found += bool(differences(profile(aspects[0]), profile(aspects[1]), Thresholds(alpha=0.05, distance=0)))
    assert 1 <= found <= 0.08 * looks
