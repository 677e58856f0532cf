"""Which findings are read, and what cannot be used."""

from datetime import UTC, datetime

import pytest

from brigade.schedule.findings import MOST, WrongFindings, newest_findings, read_findings
from brigade.storage import folder_at
from tests.schedule.written_findings import BETTER, DRIFT, SERVING, WORSE, document, write_findings

NOW = datetime(2026, 2, 24, 2, tzinfo=UTC)
PREFIX = "doc-classification-model"


def newest(folder, now: datetime = NOW, prefix: str = PREFIX):
    return newest_findings(folder_at(str(folder)), prefix, now)


def test_the_newest_look_that_has_ended_counts(tmp_path):
    write_findings(tmp_path, "2026-02-19", createdAt="2026-02-19T02:20:00Z")
    write_findings(tmp_path, "2026-02-23")
    (tmp_path / "2026-02-24").mkdir()  # under way
    (tmp_path / "notes").mkdir()
    assert newest(tmp_path).created_at.day == 23


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (datetime(2026, 3, 3, 2, tzinfo=UTC), True),
        (datetime(2026, 3, 3, 23, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 4, 2, tzinfo=UTC), False),
        (datetime(2026, 2, 22, 22, tzinfo=UTC), False),
        (datetime(2026, 2, 22, 23, 30, tzinfo=UTC), True),  # a clock that is a little behind
    ],
)
def test_findings_that_are_too_old_or_of_the_future_are_none(tmp_path, now, found):
    write_findings(tmp_path, "2026-02-23")
    assert (newest(tmp_path, now) is not None) is found


def test_findings_about_another_pipeline_are_passed_over(tmp_path):
    write_findings(tmp_path, "2026-02-22", labelled=5)
    write_findings(tmp_path, "2026-02-23", pipeline="wine-model")
    assert newest(tmp_path).labelled == 5 and newest(tmp_path, prefix="sales-model") is None


def test_where_nothing_was_looked_at_there_are_none(tmp_path):
    assert newest(tmp_path) is None and newest(tmp_path / "none") is None


def test_what_a_decision_needs_is_read():
    found = read_findings(
        document(performance=WORSE, former=BETTER, findings=[DRIFT] * (MOST + 9),
                 validation={"stops": True, "reasons": ["a class vanished"]})
    )  # fmt: skip
    assert (found.run, found.labelled, found.stopped_by) == ((SERVING, "run-1"), 1500, ("a class vanished",))
    assert (found.performance.then, found.performance.now, found.performance.is_worse) == (0.91, 0.82, True)
    assert (found.former.serving_better, found.former.former_better, found.former.passes) == (40, 160, True)
    assert len(found.findings) == MOST and found.findings[0].about()["findingSeverity"] == "error"
    assert found.figures()["formerBetter"] == 160 and found.figures()["now"] == 0.82


def test_what_was_not_looked_at_is_none():
    found = read_findings(document(performance=None, former=None, validation=None))
    assert (found.performance, found.former, found.stopped_by) == (None, None, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"formatVersion": 2},
        {"verdict": "fine"},
        {"createdAt": "yesterday"},
        {"createdAt": 1},
        {"model": {"name": SERVING}},
        {"model": None},
        {"labelled": "many"},
        {"labelled": True},
        {"performance": WORSE | {"isWorse": 1}},
        {"performance": WORSE | {"now": {"value": float("nan")}}},
        {"performance": WORSE | {"now": {"value": None}}},
        {"former": BETTER | {"formerBetter": -1}},
        {"former": BETTER | {"passes": None}},
        {"validation": {"stops": "no", "reasons": []}},
        {"validation": {"stops": True}},
        {"findings": {}},
        {"findings": [DRIFT | {"message": ["words"]}]},
        {"findings": [{}]},
    ],
)
def test_what_has_another_form_cannot_be_used_and_no_older_one_is_taken_for_it(tmp_path, changes):
    write_findings(tmp_path, "2026-02-20")
    write_findings(tmp_path, "2026-02-23", **changes)
    with pytest.raises(WrongFindings, match=r"^2026-02-23/findings.json: "):
        newest(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "1", "[" * 100_000, '{"formatVersion": 1}'])
def test_what_is_no_findings_at_all_cannot_be_used_either(tmp_path, content):
    write_findings(tmp_path)
    (tmp_path / "2026-02-23" / "findings.json").write_text(content)
    with pytest.raises(WrongFindings):
        newest(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    write_findings(tmp_path)
    monkeypatch.setattr("brigade.schedule.findings.MAX_BYTES", 100)
    with pytest.raises(WrongFindings, match="too large"):
        newest(tmp_path)
