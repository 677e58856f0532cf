"""What the check before training says of data, alone and beside what the champion has learned."""

from collections import Counter
from dataclasses import replace

import pytest

from brigade.pipelines.definition import CheckSection
from brigade.pipelines.load import load
from brigade.profiles.check import Problem, check, errors
from brigade.profiles.profile import Profile
from brigade.profiles.rules import Rules, rules_of, thresholds_of
from brigade.profiles.thresholds import Thresholds

RULES = rules_of(None)
DAY = "2026-11-02"


def profile(events: int = 1000, **fields: dict) -> Profile:
    """A profile of one day: documents of two classes from two sources, whose fields are replaced by those given."""
    half = events // 2
    day = {
        "events": {"hour": {"09": events}},
        "payload": {"presence": {"there": events}, "words": {"20": events}, "damage": {"fine": events}},
        "superTag01": {"presence": {"there": events}, "value": {"1": half, "2": events - half}},
        "eventSource": {"presence": {"there": events}, "value": {"7": half, "8": events - half}},
    } | fields
    counted = {
        name: {aspect: Counter(buckets) for aspect, buckets in aspects.items()}
        for name, aspects in day.items()
        if aspects is not None
    }
    names = {"superTag01": {"1": "Grain", "2": "Crude", "3": "Ship"}, "eventSource": {"7": "doc.contract", "8": "mail"}}
    return Profile({DAY: counted}, names)


def labels(**classes: int) -> dict:
    return {"presence": {"there": sum(classes.values())}, "value": {name[1:]: n for name, n in classes.items()}}


def told(found: list[Problem]) -> list[tuple[str, str]]:
    return [(one.severity, one.rule) for one in found]


def with_rules(**rules: object) -> Rules:
    return replace(RULES, section=replace(RULES.section, **rules))


def test_data_like_those_of_the_champion_have_no_problem():
    assert check(profile(), None, RULES) == [] == check(profile(1500), profile(), RULES, repeated=0.1)
    assert check(profile(), Profile(), RULES) == []  # a champion that was written before there were profiles


def test_too_few_events_stop():
    (one,) = check(profile(12), None, RULES)
    assert one == Problem("error", "least_events", "", "expected at least 20 events, found 12")
    assert check(profile(12), None, with_rules(least_events=12)) == []
    assert told(check(Profile(), None, RULES)) == [("error", "least_events")]


def test_too_few_labels_stop():
    few = {"presence": {"there": 3, "missing": 997}, "value": {"1": 3, "missing": 997}}
    (one,) = check(profile(superTag01=few), None, RULES)
    assert told([one]) == [("error", "least_labelled")]
    assert one.message == "superTag01: expected a label on at least 1 % of the events, found 0.3 %"
    assert check(profile(superTag01=few), None, with_rules(least_labelled=0.002)) == []
    half = {"presence": {"there": 500, "missing": 500}, "value": {"1": 500}}
    assert told(check(profile(superTag01=half), None, with_rules(least_labelled=0.6))) == [("error", "least_labelled")]


def test_too_many_that_repeat_others_stop_if_it_is_known_how_many_do():
    (one,) = check(profile(), None, RULES, repeated=0.93)
    assert one.message == "expected at most 80 % of the events to repeat others, found 93 %"
    assert check(profile(), None, RULES, repeated=0.8) == []
    assert check(profile(), None, replace(RULES, most_repeated=1.0), repeated=1.0) == []


@pytest.mark.parametrize(
    ("now", "before", "most", "found"),
    [
        (990, 500, None, [("error", "most_of_one_source")]),  # it gave half
        (990, None, None, []),  # the first training: nobody knows better
        (990, 970, None, []),  # it always did
        (960, 955, None, []),
        (900, 500, None, []),  # less than 95 %
        (900, 500, 0.8, [("error", "most_of_one_source")]),  # the definition says so
        (900, None, 0.8, [("error", "most_of_one_source")]),
        (1000, None, 1.0, []),
    ],
)
def test_one_source_that_gives_nearly_all_stops(now, before, most, found):
    def source(of_first: int) -> dict:
        return {"presence": {"there": 1000}, "value": {"7": of_first, "8": 1000 - of_first}}

    champion = None if before is None else profile(eventSource=source(before))
    rules = with_rules(most_of_one_source=most)
    problems = check(profile(eventSource=source(now)), champion, rules)
    assert told([one for one in problems if one.rule == "most_of_one_source"]) == found
    if found and before:
        line = f"found {now / 10:g} % from 'doc.contract', {before / 10:g} % of what the champion has learned"
        assert problems[0].message.endswith(line)


def test_a_class_that_is_no_more_stops_and_a_new_one_is_told():
    before = profile(superTag01=labels(_1=600, _2=380, _3=20))
    now = profile(superTag01=labels(_1=600, _3=20, _4=380))
    found = [one for one in check(now, before, RULES) if "class" in one.rule]
    assert told(found) == [("error", "vanished_class"), ("warning", "new_class")]
    expected = "superTag01: expected the classes that the champion has learned, found"
    assert found[0].message == f"{expected} none of 'Crude' (380 of 1,000)"
    assert found[1].message == f"{expected} new ones: one without a name (380 of 1,000)"
    other = with_rules(vanished_class="nothing", new_class="error")
    assert told([one for one in check(now, before, other) if "class" in one.rule]) == [("error", "new_class")]


def test_a_rare_class_may_come_and_go_by_chance():
    before = profile(superTag01=labels(_1=600, _2=391, _3=9))
    assert not [one for one in check(profile(), before, RULES) if "class" in one.rule]
    assert not [one for one in check(before, profile(), RULES) if "class" in one.rule]
    assert not [
        one
        for one in check(profile(), profile(100, superTag01=labels(_1=60, _2=35, _3=5)), RULES)
        if "class" in one.rule
    ]  # five are too few, however many more there are now
    less = profile(100, superTag01=labels(_1=50, _2=50))  # of 40 in 1,000 there would be four
    assert not [
        one for one in check(less, profile(superTag01=labels(_1=500, _2=460, _3=40)), RULES) if "class" in one.rule
    ]


def test_a_regression_has_no_classes():
    rules = replace(RULES, is_class=False)
    before, now = profile(superTag01=labels(_1=900, _2=100)), profile(superTag01=labels(_1=1000))
    assert not [one for one in check(now, before, rules) if "class" in one.rule]


def test_a_feature_without_values_stops_and_another_column_is_told():
    empty = {"presence": {"missing": 1000}, "value": {"missing": 1000}}
    found = check(profile(eventSource=empty), profile(), RULES)
    assert told(found) == [("warning", "columns")]  # and not once more as drift
    assert found[0].message == "eventSource: expected values, as 100 % of the champion's events have, found none"
    rules = replace(RULES, features=("eventSource",))
    assert told(check(profile(eventSource=empty), profile(), rules))[0] == ("error", "columns")
    never = profile(eventSource=empty)
    assert check(never, never, rules) == []  # a column that never had a value, such as the colour of wines


def test_a_column_that_is_gone_is_told_and_one_that_holds_something_else_stops():
    found = check(profile(eventSource=None), profile(), RULES)
    assert told(found) == [("warning", "columns")] and "eventSource: expected this column" in found[0].message
    size = {"presence": {"there": 1000}}
    before = profile(size=size | {"number": {"24": 1000}})
    now = profile(size=size | {"value": {"a1": 1000}})
    rules = replace(RULES, features=("payload", "size"))
    (one,) = [one for one in check(now, before, rules) if one.rule == "columns"]
    assert one == Problem(
        "error", "columns", "size", "size: expected numbers, as in the champion's data, found categories"
    )
    assert told(check(now, before, RULES)) == [("warning", "columns")]


def test_a_feature_that_is_empty_more_often_stops_and_drift_is_told():
    empty = {"presence": {"there": 550, "empty": 450}, "words": {"20": 550, "zero": 450}, "damage": {"fine": 1000}}
    found = check(profile(payload=empty), profile(), RULES)
    assert told(found)[0] == ("error", "drift") and found[0].field == "payload"
    assert "0 % missing or empty before and 45 % now" in found[0].message
    assert {one.severity for one in found[1:]} <= {"warning"}
    assert check(profile(payload=empty), profile(), with_rules(drift="nothing")) == []
    source = {"presence": {"there": 550, "missing": 450}, "value": {"7": 275, "8": 275}}
    assert told(check(profile(eventSource=source), profile(), RULES)) == [("warning", "drift")]  # nothing learns of it
    filled = check(profile(), profile(payload=empty), RULES)  # the same the other way round is a repair
    assert filled and not errors(filled)
    shifted = profile(superTag01=labels(_1=900, _2=100))
    assert told(check(shifted, profile(), RULES)) == [("warning", "drift")]
    assert told(check(shifted, profile(), with_rules(drift="error"))) == [("error", "drift")]
    assert check(shifted, profile(), with_rules(drift="nothing")) == []
    assert check(shifted, profile(), replace(RULES, thresholds=Thresholds(psi=5))) == []


def test_what_a_model_makes_of_the_data_is_not_compared():
    predicted = {"label": {"a": 1000}}
    before = profile(prediction={"label": {"b": 1000}})
    assert check(profile(prediction=predicted), before, RULES) == []


def test_errors_come_first_and_say_so_themselves():
    now = profile(15, superTag01=labels(_1=15))
    gone = check(profile(eventSource=None, superTag01=labels(_1=500, _3=500)), profile(), RULES)
    assert told(gone)[:2] == [("error", "vanished_class"), ("warning", "columns")] and len(errors(gone)) == 1
    found = check(now, profile(superTag01=labels(_1=500, _2=500)), with_rules(least_events=20))
    assert [one.severity for one in found] == sorted(one.severity for one in found)
    assert errors(found) == [one for one in found if one.severity == "error"]
    assert found[0].about() == {
        "severity": "error", "rule": "least_events", "field": "", "message": "expected at least 20 events, found 15",
    }  # fmt: skip


def test_the_rules_are_those_of_the_definition():
    assert rules_of(None) == rules_of(load("documents"))
    assert rules_of(None, label="superTag02").label == "superTag02"
    wine, sales = rules_of(load("wine")), rules_of(load("sales"))
    assert (wine.label, wine.is_class, wine.most_repeated) == ("good", True, 1.0) and "ph" in wine.features
    assert (sales.label, sales.is_class) == ("weekly_sales", False)
    documents = load("documents")
    monitoring = replace(documents.monitoring, psi=0.4, source="docId", check=CheckSection(most_duplicates=0.3))
    changed = rules_of(replace(documents, monitoring=monitoring))
    assert (changed.source, changed.most_repeated, changed.thresholds.psi) == ("docId", 0.3, 0.4)
    assert thresholds_of(None) == Thresholds()
