"""Findings: one line each, ranked, and what they come to."""

import json

from brigade.monitoring.findings import LOOK_AT, Touched, findings_of, percent, verdict
from brigade.monitoring.performance import Figure, Performance, Worse
from brigade.monitoring.volume import Volume
from brigade.profiles.compare import Difference
from brigade.profiles.profile import KINDS

SCRIPT = Difference(
    "payload", "script", "error", 0.9, 0.24, 1e-30, "2026-11-04",
    (("cyrillic", 0.0, 0.2), ("latin", 1.0, 0.8)), ("cyrillic",), 1000,
)  # fmt: skip
LENGTH = Difference(
    "payload", "length", "warning", 0.1, 0.1, 1e-6, "2026-11-02", (("10 – 20", 0.1, 0.2),), ("27",), 1000
)
FELL = Worse("agreement", "accuracy fell", 0.1, 0.25, 1e-9, "2026-11-05", ("a>b",), True)
FIGURE = Figure(0.75, 0.7, 0.8, 300)


def performance(*worse: Worse) -> Performance:
    return Performance("accuracy", FIGURE, FIGURE, bool(worse), 1e-9, None, worse=worse)


def test_a_finding_says_what_how_much_and_since_when():
    (found,) = findings_of([SCRIPT], None, None, {("payload", "script", SCRIPT.grown): Touched(("e1", "e2"), 0.3)})
    assert found["message"] == "payload, script: cyrillic 0.0 % → 20.0 % of 1,000 events, since 2026-11-04"
    assert found["to"] == [["cyrillic", 0.0, 0.2]] and found["from"] == [["latin", 1.0, 0.8]]
    assert (found["effect"], found["examples"]) == (0.3, ["e1", "e2"])
    assert found["lookAt"] == LOOK_AT["script"]
    json.dumps(found)


def test_decay_comes_first_then_errors_then_what_does_most_to_predictions():
    other = Difference(
        "payload", "words", "warning", 0.1, 0.2, 1e-6, "2026-11-02", (("1 – 2", 0.1, 0.2),), ("7",), 1000
    )
    touched = {
        ("payload", "length", LENGTH.grown): Touched((), 0.5),
        ("payload", "words", other.grown): Touched((), 0.1),
    }
    found = findings_of([other, LENGTH, SCRIPT], performance(FELL), Volume(1000, 10, 1e-6, "2026-11-02"), touched)
    assert [(one["kind"], one["aspect"]) for one in found] == [
        ("decay", "agreement"), ("drift", "script"), ("drift", "length"), ("drift", "words"), ("volume", "hour"),
    ]  # fmt: skip


def test_each_decay_of_one_aspect_has_its_own_events():
    two = [Worse("agreement", f"class {name} is found less often", 0.1, 0.3, 1e-9, "2026-11-05", (f"{name}>c",), True)
           for name in "ab"]  # fmt: skip
    touched = {("prediction", "agreement", one.grown): Touched((one.grown[0],)) for one in two}
    found = findings_of([], performance(*two), None, touched)
    assert sorted(one["examples"] for one in found) == [["a>c"], ["b>c"]]


def test_a_decay_tells_shares_as_its_words_do():
    label = Worse("agreement", "what is predicted as a has the label b more often", 0.01, 0.12, 1e-9, "2026-11-05", (),
                  True, of_right=False)  # fmt: skip
    error = Worse("error", "errors are larger", 7.9788, 16.0, 1e-9, "2026-11-05", (), True)
    found = [one["message"] for one in findings_of([], performance(FELL, label, error), None, {})]
    assert found == [
        "accuracy fell: 90.0 % → 75.0 %, since 2026-11-05",
        "what is predicted as a has the label b more often: 1.0 % → 12.0 %, since 2026-11-05",
        "errors are larger: 7.979 → 16, since 2026-11-05",
    ]


def test_the_verdict_counts_errors_alone_and_decay_more():
    assert verdict([]) == "ok"
    assert verdict(findings_of([LENGTH], None, None, {})) == "ok"
    assert verdict(findings_of([SCRIPT], None, None, {})) == "drift"
    assert verdict(findings_of([SCRIPT], performance(FELL), None, {})) == "decay"


def test_every_aspect_has_something_to_look_at():
    assert set(KINDS) <= set(LOOK_AT)


def test_words_are_told_by_their_buckets_alone():
    word = Difference("payload", "word", "error", 0.9, 0.2, 1e-9, "2026-11-04", (("17", 0.1, 0.4),), ("17",), 1000)
    assert "words of bucket 17 10.0 % → 40.0 %" in findings_of([word], None, None, {})[0]["message"]


def test_a_share_is_never_nothing_where_there_is_something():
    assert (percent(0.0), percent(0.0001), percent(0.1234), percent(1.0)) == ("0.0 %", "< 0.1 %", "12.3 %", "100.0 %")
