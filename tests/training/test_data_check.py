"""Data are checked before they are learned: what stops a run, and what is kept if somebody accepts them."""

import hashlib
import json
from collections import Counter

import pytest

import train_ml_model
from brigade.models.folder import Found
from brigade.models.manifest import Manifest
from brigade.profiles.profile import PROFILE_FILE, Profile
from brigade.profiles.rules import rules_of
from brigade.training.champion import profile_of
from brigade.training.data_check import Checked, DataCheck, DataRefused, repeated_in
from tests.training.made_up_documents import texts
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, parquet, said

LATER = "doc-classification-model-2026-01-06"
GONE = "superTag01: expected the classes that the champion has learned, found none of 'ship' (50 of 150)"


def looks(events: int, there: int) -> Profile:
    presence = Counter({"there": there, "missing": events - there})
    day = {"events": {"hour": Counter({"09": events})}, "superTag01": {"presence": presence}}
    return Profile({"2026-01-05": day})


def test_what_is_wrong_stops_in_one_line_that_names_the_way_on():
    with pytest.raises(DataRefused) as told:
        DataCheck().check(looks(12, 0), rules_of(None))
    assert str(told.value) == (
        "the data do not pass the check: expected at least 20 events, found 12; superTag01: expected a label on at "
        'least 1 % of the events, found 0 %; --accept_data="reason" learns them all the same'
    )
    assert told.value.status == 1


def test_what_is_wrong_can_be_accepted_with_a_reason_that_is_kept(caplog):
    found = DataCheck(None, "a pilot").check(looks(12, 12), rules_of(None))
    problem = "expected at least 20 events, found 12"
    assert found.in_manifest() == {"acceptedData": {"reason": "a pilot", "problems": [problem]}}
    assert found.remark == "; the data were accepted (a pilot)" and found.warnings == [f"the data: {problem}"]
    assert found.about()["problems"][0]["rule"] == "least_events" and problem in caplog.text
    assert (Checked().in_manifest(), Checked().remark, Checked().warnings) == ({}, "", [])


def test_how_many_documents_repeat_others_is_counted(spark):
    def share(words: list[int]) -> float | None:
        return repeated_in(spark.createDataFrame([(one,) for one in words], "words long"))

    assert share([]) is None and share([7]) == 0
    assert share([number % 100 for number in range(1000)]) == pytest.approx(0.9, abs=0.01)
    assert share(list(range(1000))) == pytest.approx(0, abs=0.05)


class Stored:
    """A folder of models that holds one profile."""

    def __init__(self, content: bytes):
        self.content = content

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        return self.content, "1"

    def found(self) -> Found:
        entry = {PROFILE_FILE: (len(self.content), hashlib.sha256(self.content).hexdigest())}
        return Found(MODEL, None, Manifest("r", "", True, "", "superTag01", entry, {}))


def test_a_champion_s_profile_is_read_if_it_has_one_that_this_version_knows(caplog):
    stored = Stored(looks(30, 30).text().encode())
    assert profile_of(stored, stored.found()) == looks(30, 30)
    newer = Stored(b'{"formatVersion": 99}')
    assert profile_of(newer, newer.found()) is None and "a newer version of this code wrote it" in caplog.text
    old = stored.found()._replace(manifest=Manifest("r", "", True, "", "superTag01", {}, {}))
    assert profile_of(stored, old) is None


@pytest.mark.long
def test_a_class_that_vanished_stops_a_training_until_somebody_accepts_it(spark, quick, tmp_path, capsys):
    every = labelled(texts(150))
    first = parquet(spark, tmp_path / "all", every)
    less = parquet(spark, tmp_path / "less", [row for row in every if row["superTag01"] != "ship"])
    models, later = f"{tmp_path}/models", [*QUICK[:-1], "--date=2026-01-06"]
    assert train_ml_model.main([first, models, *QUICK]) == 0
    manifest = contents(tmp_path / "models" / MODEL, "manifest.json")
    assert "acceptedData" not in manifest
    capsys.readouterr()
    assert train_ml_model.main([less, models, *later]) == 1
    assert GONE in (line := said(capsys)) and line.endswith('; --accept_data="reason" learns them all the same')
    assert not (tmp_path / "models" / LATER).exists()
    assert train_ml_model.main([less, models, *later, "--accept_data=ships are sold"]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / LATER / "runs" / summary["runId"]
    assert contents(folder, "manifest.json")["acceptedData"] == {"reason": "ships are sold", "problems": [GONE]}
    assert "; the data were accepted (ships are sold)" in summary["reason"]
    assert f"the data: {GONE}" in summary["warnings"] == contents(folder, "metrics.json")["warnings"]
    assert "ships are sold" in (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_not_empty(reason, capsys):
    with pytest.raises(SystemExit) as ended:
        train_ml_model.main(["input", "models", f"--accept_data={reason}"])
    assert ended.value.code == 2 and "--accept_data: expected a reason, found none" in capsys.readouterr().err
