"""Which days are looked at, and what earlier looks leave."""

import json
from collections import Counter
from datetime import date

from brigade.monitoring.looks import earlier_looks, labelled_before, window_of
from brigade.profiles.profile import PREDICTION, Profile
from brigade.storage import folder_at

RUN = ("doc-classification-model-2026-11-01", "r1")


def look(folder, day: str, until: str, *days: str, run=RUN, pipeline="doc-classification-model", count=1) -> None:
    own = folder / "monitor" / day
    own.mkdir(parents=True)
    found = {"formatVersion": 1, "pipeline": pipeline, "model": {"name": run[0], "runId": run[1]}}
    profile = Profile({one: {PREDICTION: {"agreement": Counter({"a>a": count})}} for one in days})
    (own / "profile.json").write_text(profile.text())
    (own / "findings.json").write_text(json.dumps(found | {"window": {"since": until, "until": until}}))


def looks_in(folder):
    return earlier_looks(folder_at(str(folder)), "doc-classification-model")


def test_a_look_goes_on_where_the_newest_ended(tmp_path):
    look(tmp_path, "2026-11-09", "2026-11-08")
    look(tmp_path, "2026-11-16", "2026-11-15")
    look(tmp_path, "2026-11-17", "2026-11-16", pipeline="wine-model")
    (tmp_path / "monitor" / "2026-11-18").mkdir()  # a look that did not end
    assert [one.name for one in looks_in(tmp_path)] == ["2026-11-16", "2026-11-09"]
    assert window_of(None, None, looks_in(tmp_path), None) == (date(2026, 11, 15), date.max)


def test_damaged_findings_are_passed_over_with_a_warning(tmp_path, caplog):
    look(tmp_path, "2026-11-09", "2026-11-08")
    for day, content in [("2026-11-10", "{"), ("2026-11-11", "[]"), ("2026-11-12", '{"formatVersion": 2}')]:
        (tmp_path / "monitor" / day).mkdir()
        (tmp_path / "monitor" / day / "findings.json").write_text(content)
    assert [one.name for one in looks_in(tmp_path)] == ["2026-11-09"]
    assert len(caplog.records) == 3


def test_the_first_look_begins_behind_what_the_model_has_learned(tmp_path):
    learned = date(2026, 10, 31)
    assert looks_in(tmp_path) == []
    assert window_of(None, None, [], learned) == (date(2026, 11, 1), date.max)
    assert window_of(None, None, [], None) == (date.min, date.max)


def test_what_a_newer_model_has_learned_is_not_looked_at(tmp_path):
    look(tmp_path, "2026-11-09", "2026-11-08")
    for last, first in [(11, 12), (1, 8)]:
        assert window_of(None, None, looks_in(tmp_path), date(2026, 11, last)) == (date(2026, 11, first), date.max)


def test_what_is_asked_for_counts_more(tmp_path):
    look(tmp_path, "2026-11-09", "2026-11-08")
    days = date(2026, 1, 1), date(2026, 1, 2)
    assert window_of(days, None, looks_in(tmp_path), None) == days
    assert window_of(None, date(2026, 1, 5), looks_in(tmp_path), None) == (date(2026, 1, 5), date.max)


def test_earlier_days_of_the_same_model_are_seen_again_each_once(tmp_path):
    look(tmp_path, "2026-11-03", "2026-11-03", "2026-11-01", "2026-11-02", count=1)
    look(tmp_path, "2026-11-05", "2026-11-05", "2026-11-02", "2026-11-03", count=2)
    look(tmp_path, "2026-11-06", "2026-11-06", "2026-10-31", run=("doc-classification-model-2026-10-01", "r0"))
    found = labelled_before(folder_at(str(tmp_path)), looks_in(tmp_path), RUN, "2026-11-03")
    counts = {day: fields[PREDICTION]["agreement"]["a>a"] for day, fields in found.items()}
    assert counts == {"2026-11-01": 1, "2026-11-02": 2}
