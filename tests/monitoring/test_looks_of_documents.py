"""Whole looks at documents: the same ones, others, wrong labels, a bad model, and a model without a profile."""

import json
import logging
import shutil
from importlib import resources

import pytest

import monitor
from brigade.monitoring.run import monitor as look
from brigade.profiles.profile import Profile
from tests.monitoring.made_up_looks import (
    CYRILLIC,
    LEARNED,
    MODEL,
    NEXT,
    WEEK,
    documents,
    look_of,
    trained,
    wrong_label,
)
from tests.prediction.predictions import written
from tests.training.whole_runs import quick_training

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def models(spark, tmp_path_factory):
    """A model of four weeks of documents."""
    folder = tmp_path_factory.mktemp("watched")
    with quick_training(tmp_path_factory.mktemp("runs") / "scratch"):
        trained(spark, folder, documents(1400, LEARNED, 1), MODEL)
    return folder / "models"


@pytest.fixture
def watched(spark, models, tmp_path):
    """Looks at these documents; what it wrote."""

    def of(rows: list[dict], **settings) -> dict:
        path = written(spark, tmp_path / "input", rows)
        return look_of(look(spark, path, str(models), f"{tmp_path}/out", **settings))

    return of


def test_documents_like_those_that_were_learned_raise_nothing(watched):
    found = watched(documents(560, [LEARNED[0], *WEEK], 2))
    assert (found["verdict"], found["findings"]) == ("ok", [])
    assert found["window"] == {"since": "2026-10-29", "until": WEEK[-1]}, "what was learned is not looked at again"
    assert (
        found["events"] == found["labelled"] == sum(row["dt"] in WEEK for row in documents(560, [LEARNED[0], *WEEK], 2))
    )
    assert found["performance"]["now"]["value"] > 0.95 and not found["performance"]["isWorse"]
    assert found["validation"] == {"stops": False, "reasons": []}
    assert found["former"] is None
    assert "no drift" in found["page"] and "Nothing that is more than chance" in found["page"]


def test_another_script_is_found_with_its_day_its_examples_and_no_text(watched, caplog):
    def change(at: int, row: dict) -> dict:
        row = row | {"superTag01": None}
        return row | {"payload": row["payload"].translate(CYRILLIC)} if at % 5 == 0 and row["dt"] >= WEEK[3] else row

    rows = documents(490, WEEK, 2, change)
    with caplog.at_level(logging.WARNING, logger="monitor"):
        found = watched(rows)
    script = next(one for one in found["findings"] if one["aspect"] == "script")
    assert found["verdict"] == "drift" and script["severity"] == "error" and script["field"] == "payload"
    assert script["since"] == WEEK[3]
    changed = {row["eventId"] for row in rows if not row["payload"].isascii()}
    assert len(script["examples"]) == 5 and set(script["examples"]) <= changed
    assert script["effect"] > 0.1 and "cyrillic 0.0 % → 11" in script["message"]
    late = next(one for one in found["findings"] if (one["field"], one["aspect"]) == ("superTag01", "presence"))
    assert (late["severity"], found["labelled"], found["performance"]) == ("warning", 0, None)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("finding: ")]
    assert len(lines) == len(found["findings"])
    told = " ".join([json.dumps(found["findings"]), found["page"], found["profile"], *lines]).lower()
    page = resources.files("brigade.monitoring").joinpath("report.html.j2").read_text("utf-8").lower()
    words = {word for row in rows for word in row["payload"].split() if len(word) > 4} - {"price", "anchor"}  # of SVG
    told = told.replace("corn &amp; &lt;b&gt;grain&lt;/b&gt;", "")
    assert not [word for word in words if word in told and word not in page]
    assert all(example in found["page"] for example in script["examples"])


def test_wrong_labels_are_a_decay_since_their_day(watched):
    def change(at: int, row: dict) -> dict:
        return wrong_label(row) if at % 4 == 0 and row["dt"] >= WEEK[4] else row

    found = watched(documents(490, WEEK, 3, change))
    first = found["findings"][0]
    assert (found["verdict"], first["kind"], first["severity"]) == ("decay", "decay", "error")
    assert found["performance"]["isWorse"] and found["performance"]["since"] == WEEK[4]
    assert first["examples"] and found["performance"]["p"] < 1e-4


def test_a_bad_model_is_worse_than_the_one_before_it(spark, models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    bad = documents(1400, LEARNED, 4, lambda at, row: wrong_label(row) if at % 2 else row)
    with quick_training(tmp_path / "scratch"):
        trained(spark, tmp_path, bad, NEXT, force="to see what happens", accept_data="to see what happens")
    path = written(spark, tmp_path / "input", documents(490, WEEK, 2))
    found = look_of(look(spark, path, f"{tmp_path}/models", f"{tmp_path}/out"))
    assert found["model"]["name"] == NEXT
    assert found["former"]["name"] == MODEL and found["former"]["isBetter"] and found["former"]["passes"]
    assert found["former"]["formerBetter"] > 10 * found["former"]["servingBetter"]
    assert "It would serve better" in found["page"]


def test_a_model_without_a_profile_is_looked_at_as_far_as_it_goes(spark, models, tmp_path, caplog):
    shutil.copytree(models, tmp_path / "models")
    manifests = [tmp_path / "models" / MODEL / "manifest.json", *(tmp_path / "models").glob("*/runs/*/manifest.json")]
    for path in manifests:
        found = json.loads(path.read_text())
        found["files"] = [one for one in found["files"] if one["name"] != "profile.json"]
        path.write_text(json.dumps(found))
    found = look_of(
        look(spark, written(spark, tmp_path / "in", documents(70, WEEK, 2)), f"{tmp_path}/models", f"{tmp_path}/o")
    )
    assert (found["verdict"], found["findings"], found["performance"]) == ("ok", [], None)
    assert "has no profile.json" in caplog.text and "nothing to compare with" in found["page"]


def test_the_next_look_goes_on_behind_the_last_one_and_sees_its_labels_again(spark, models, tmp_path):
    folder = tmp_path / "input"
    written(spark, folder, documents(400, WEEK[:4], 2), "first")
    first = look_of(look(spark, str(folder), str(models), f"{tmp_path}/out"))
    (tmp_path / "out" / "monitor").rename(tmp_path / "out" / "kept")
    earlier = next((tmp_path / "out" / "kept").iterdir())
    (tmp_path / "out" / "monitor").mkdir()
    earlier.rename(tmp_path / "out" / "monitor" / "2026-11-05")
    written(spark, folder, documents(300, WEEK[4:], 5), "second")
    second = look_of(look(spark, str(folder), str(models), f"{tmp_path}/out"))
    assert second["window"] == {"since": WEEK[3], "until": WEEK[-1]}
    assert (first["events"], second["events"]) == (400, 400), "the last day of the first look was perhaps not whole"
    assert second["performance"]["now"]["events"] == 700
    assert Profile.of(second["profile"]).events == 400


def test_an_input_without_events_of_these_days_is_no_error(watched):
    found = watched(documents(50, LEARNED, 2))
    assert (found["events"], found["verdict"], found["performance"]) == (0, "ok", None)


def test_the_door_ends_with_a_line_of_json_and_the_status_that_was_asked_for(spark, models, tmp_path, capsys):
    rows = documents(400, WEEK, 2, lambda at, row: row | {"payload": row["payload"].translate(CYRILLIC)})
    arguments = [written(spark, tmp_path / "input", rows), f"--models={models}/", f"--output={tmp_path}/out/"]
    assert monitor.main([*arguments, f"--summary={tmp_path}/summary.json", f"--since={WEEK[0]}"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    summary = json.loads(line)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert (summary["verdict"] in ("drift", "decay"), summary["events"], summary["errors"] > 0) == (True, 400, True)
    assert summary["path"].startswith(f"{tmp_path}/out/monitor/20")
    assert monitor.main([*arguments, "--fail_on=error", f"--dates={WEEK[0]}..{WEEK[-1]}"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] > 0
    assert monitor.main([arguments[0], f"--models={tmp_path}/none", arguments[2]]) == 1
    assert "monitor.py: no model to serve" in capsys.readouterr().err
