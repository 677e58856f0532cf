"""What `make demo DRIFT=…` does to the unseen events, and how the demo tells what MONITOR has found."""

import json

import pytest

from brigade.events.event import read_event
from brigade.pipelines.load import load
from local import demo, demo_result
from local.demo_drift import FAULTS, NEW_CLASS, possible, told, with_fault
from local.demo_watched import headline

MAIL = {
    "eventId": "1",
    "eventTimestamp": "2026-11-02T09:00:00Z",
    "doc": {"docId": "d", "payload": "Segue anexa a cotação", "metadata": {"superTag01": "invoice"}},
}
WINE = {"eventId": "1", "eventTimestamp": "2026-11-02T09:00:00Z", "fixed_acidity": 7.4, "quality": 5, "alcohol": None}


def after(fault: str, event: dict = MAIL, pipeline: str | None = None) -> list[dict]:
    """200 such events after a fault."""
    definition = load(pipeline) if pipeline else None
    return [json.loads(line) for line in with_fault([json.dumps(event)] * 200, fault, definition)]


@pytest.mark.parametrize(
    ("fault", "share", "payload"),
    [
        ("language", 0.2, "сегуе анеха а цотаçãо"),
        ("html", 1, '<html><body class="mail"><p>Segue anexa a cotação</p></body></html>'),
        ("cut", 1, "Segue anexa a cotação"),
        ("empty", 0.1, "-"),
        ("mojibake", 1, "Segue anexa a cotaÃ§Ã£o"),
    ],
)
def test_a_fault_changes_the_text_of_its_share_and_nothing_else(fault, share, payload):
    found = after(fault)
    changed = [one for one in found if one["doc"]["payload"] == payload]
    assert share * 200 - 20 <= len(changed) <= share * 200 + 20
    assert all({**one, "doc": MAIL["doc"]} == MAIL and read_event(json.dumps(one).encode()) for one in found)
    assert found == after(fault)  # the same ones each time


def test_a_label_becomes_another_one_and_a_number_has_another_unit_or_is_gone():
    labels = [one["doc"]["metadata"]["superTag01"] for one in after("class")]
    assert {*labels} == {"invoice", NEW_CLASS} and 5 <= labels.count(NEW_CLASS) <= 35
    assert after("unit", WINE, "wine")[0]["fixed_acidity"] == pytest.approx(1.8 * 7.4 + 32)
    gone = [one["fixed_acidity"] for one in after("missing", WINE, "wine")]
    assert {*gone} == {7.4, None} and 20 <= gone.count(None) <= 60
    assert after("unit", WINE | {"fixed_acidity": None}, "wine")[0]["fixed_acidity"] is None


def test_each_pipeline_has_the_faults_that_its_events_can_have(tmp_path, capsys):
    assert possible(None) == possible(load("documents")) == [name for name, one in FAULTS.items() if one.of != "number"]
    assert possible(load("wine")) == ["unit", "missing"]  # whether a wine is good is computed, so no event has it
    assert possible(load("sales")) == []
    assert told("language", None) == "20% of the values of doc.payload are in Cyrillic letters"
    assert demo.main(["--pipeline=wine", "--drift=html", f"--state={tmp_path}"]) == 1
    assert "DRIFT: expected unit or missing with this pipeline, found html" in capsys.readouterr().err


def test_what_was_found_is_told_in_the_table_and_below_it():
    assert (headline("ok", []), headline("drift", ["a", "b"])) == ("no drift", "drift, 2 findings")
    assert headline("ok", ["a"]) == "no strong drift, 1 finding"
    found = [f"error: {number}" for number in range(7)]
    result = {"watched": {"events": 400, "verdict": "drift", "found": found}, "seconds": {"monitor": 9.5}}
    assert demo_result.watched_rows(result) == [("monitor", "400 unseen", "drift, 7 findings", 9.5)]
    assert demo_result.findings(result) == [*found[:5], "… and 2 more", ""]
    assert demo_result.watched_rows({}) == [] == demo_result.findings({})
