"""What findings ask for, and all that holds it back."""

from datetime import UTC, date, datetime, timedelta

import pytest

from brigade.models.history import EARLY, LOOP, OPERATOR, TRAINING
from brigade.schedule.loop import LEAST_LABELLED, Models, early_training, withdrawal
from brigade.schedule.periods import period_of
from tests.schedule.written_findings import BETTER, DECAYED, DRIFT, DRIFTED, FORMER, SERVING, WORSE, findings

NOW = datetime(2026, 2, 23, 6, tzinfo=UTC)  # some hours after the look
PERIOD = period_of(NOW.date(), date(2026, 1, 5))
BAD = DECAYED | {"former": BETTER}


def models(*entries: dict, days: tuple[str, ...] = ("2026-01-05", "2026-02-02"), **changes) -> Models:
    known = {"serving": (SERVING, "run-1"), "former": (FORMER, "run-1")} | changes
    return Models(known["serving"], known["former"], {date.fromisoformat(day) for day in days}, entries)


def entry(what: str, at: str, by: str = LOOP, model: str = SERVING, run_id: str = "run-1") -> dict:
    return {"at": at, "what": what, "model": model, "runId": run_id, "by": by, "who": "w", "why": "y", "figures": {}}


def early(found, known=None, now=NOW):
    return early_training(now, period_of(now.date(), date(2026, 1, 5)), found, known or models())


def back(found, known=None, now=NOW):
    return withdrawal(now, found, known or models())


# ------------------------------------------------------------------------------------------------ what is asked for


@pytest.mark.parametrize(
    ("changes", "would"),
    [
        ({}, False),
        (DECAYED, True),
        (DRIFTED, True),
        (DRIFTED | {"labelled": LEAST_LABELLED}, True),
        (DRIFTED | {"labelled": LEAST_LABELLED - 1}, False),
        (DECAYED | {"labelled": 40}, True),  # its test has seen enough to say so
        ({"verdict": "ok", "findings": [DRIFT | {"severity": "warning"}]}, False),
        ({"verdict": "drift", "findings": [DRIFT | {"kind": "volume"}]}, False),  # fewer events are nothing to learn
        (DECAYED | {"validation": {"stops": True, "reasons": ["a class vanished"]}}, False),
        (DECAYED | {"validation": None}, True),  # training itself checks, and stops
    ],
)
def test_decay_and_strong_drift_with_labels_ask_for_a_training(changes, would):
    assert early(findings(**changes)).would is would


@pytest.mark.parametrize(
    ("changes", "would"),
    [
        ({}, False),
        (BAD, True),
        (DECAYED, False),
        (BAD | {"performance": WORSE | {"isWorse": False}}, False),
        (BAD | {"performance": None}, False),
        (BAD | {"former": BETTER | {"isBetter": False}}, False),
        (BAD | {"former": BETTER | {"passes": False}}, False),
        (BAD | {"former": BETTER | {"servingBetter": 140}}, False),  # says isBetter, but the counts do not
        (BAD | {"former": BETTER | {"name": "doc-classification-model-2025-12-08"}}, False),  # not the one that follows
        (BAD | {"former": BETTER | {"runId": "run-2"}}, False),
        (BAD | {"validation": {"stops": True, "reasons": ["x"]}}, True),  # nothing is learned from the data
    ],
)
def test_a_model_that_is_worse_than_the_one_before_it_is_withdrawn(changes, would):
    assert back(findings(**changes)).would is would


def test_without_findings_nothing_is_asked_for():
    assert not early(None).would and not back(None).would
    assert early(None).reason == "no findings of the last 8 days"


def test_a_verdict_has_the_figures_that_it_rests_on():
    for verdict in (early(findings(**BAD)), back(findings(**BAD)), back(findings())):
        assert verdict.figures["findingsCreatedAt"] == "2026-02-23T02:20:00Z" and verdict.figures["labelled"] == 1500
    assert "accuracy 0.91 in its test, 0.82 now" in back(findings(**BAD)).reason
    assert "160 are the former model's and 40 the serving one's" in back(findings(**BAD)).reason


# ---------------------------------------------------------------------------------------------- what holds it back


HELD = [
    ("findings are of", {"now": NOW + timedelta(days=8)}),
    ("findings are of", {"now": NOW - timedelta(days=1)}),
    ("which does not serve", {"known": models(serving=(SERVING, "run-2"))}),
    ("which does not serve", {"known": models(serving=None)}),
    ("a person holds", {"known": models(entry("pinned", "2026-01-20T00:00:00Z", OPERATOR))}),
    ("withdrawn by operator", {"known": models(entry("withdrawn", "2026-02-17T00:00:00Z", OPERATOR, FORMER))}),
    ("promoted by operator", {"known": models(entry("promoted", "2026-02-20T00:00:00Z", OPERATOR))}),
    ("withdrawn by loop", {"known": models(entry("withdrawn", "2026-02-17T23:59:00Z", LOOP, "m", "r"))}),
    ("withdrawn by loop", {"known": models(entry("withdrawn", "2026-02-23T03:00:00Z", LOOP, "m", "r"),),
                           "now": NOW + timedelta(days=7)}),  # since when there are no new findings
    ("a training on 2026-02-17", {"known": models(days=("2026-02-02", "2026-02-17"))}),
    ("a training on 2026-02-23", {"known": models(days=("2026-02-02", "2026-02-23")), "now": NOW + timedelta(days=7)}),
]  # fmt: skip


@pytest.mark.parametrize("asked", [early, back])
@pytest.mark.parametrize(("said", "given"), HELD)
def test_each_of_these_holds_both_back(asked, said, given):
    verdict = asked(findings(**BAD), **given)
    assert not verdict.would and said in verdict.reason, verdict.reason


FREE = [
    models(entry("pinned", "2026-01-20T00:00:00Z", OPERATOR), entry("unpinned", "2026-01-30T00:00:00Z", OPERATOR)),
    models(entry("withdrawn", "2026-02-16T09:00:00Z", OPERATOR, FORMER)),  # seven days, by the date
    models(entry("promoted", "2026-02-22T00:00:00Z", TRAINING)),  # the gate: its day is the model's
    models(days=("2026-02-02", "2026-02-16")),
]


@pytest.mark.parametrize("asked", [early, back])
@pytest.mark.parametrize("known", FREE)
def test_these_hold_neither_back(asked, known):
    assert asked(findings(**BAD), known).would


def test_a_period_has_one_training_ahead_of_time_at_most():
    before = entry(EARLY, "2026-02-09T06:00:00Z", model="doc-classification-model-2026-02-09", run_id="")
    verdict = early(findings(**DECAYED), models(before))
    assert not verdict.would and "had its training ahead of time on 2026-02-09" in verdict.reason
    assert back(findings(**BAD), models(before)).would
    of_the_last = entry(EARLY, "2026-02-01T06:00:00Z", model="doc-classification-model-2026-02-01", run_id="")
    assert early(findings(**DECAYED), models(of_the_last)).would


def test_a_call_that_comes_again_on_the_day_goes_on_with_the_training_that_was_begun():
    begun = entry(EARLY, "2026-02-23T06:00:00Z", model="doc-classification-model-2026-02-23", run_id="")
    assert early(findings(**DECAYED), models(begun)).would
    assert not early(findings(**DECAYED), models(begun, days=("2026-02-02", "2026-02-23"))).would
    assert not back(findings(**BAD), models(begun)).would


def test_a_run_that_a_person_lets_serve_again_is_not_withdrawn_twice():
    flap = entry("withdrawn", "2026-02-03T00:00:00Z"), entry("promoted", "2026-02-05T00:00:00Z", OPERATOR)
    verdict = back(findings(**BAD), models(*flap))
    assert not verdict.would and "a person has let this run serve again" in verdict.reason
    other = entry("withdrawn", "2026-02-03T00:00:00Z", run_id="run-0")
    assert back(findings(**BAD), models(other)).would
