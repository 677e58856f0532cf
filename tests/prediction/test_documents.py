"""Documents, predicted in bulk: the same as serving says, each once, and what a second run does."""

from collections import Counter
from datetime import date

import pytest

from brigade.conversion.errors import ConversionError
from brigade.errors import WrongInput
from brigade.models.store import NoModel
from brigade.prediction import run as runs
from brigade.prediction.errors import PredictionError
from brigade.serving.texts import predicted
from tests.conversion.sample_events import line
from tests.conversion.sample_events import written as landed
from tests.models.written_models import NEW, OLD, tiny_model, write_model
from tests.prediction.predictions import DAYS, counts, documents, model_in, run, texts, told, written

DAYS_AS_DATES = [date.fromisoformat(day) for day in DAYS]


@pytest.fixture
def folder(spark, tmp_path):
    """A folder with a model and 60 documents."""
    write_model(tmp_path / "models", OLD, run_id="run-old")
    written(spark, tmp_path / "input", documents(60))
    return tmp_path


def labels(rows: list[dict]) -> dict[str, str]:
    return {row["eventId"]: row["label"] for row in rows}


def when(rows: list[dict]) -> dict:
    return {row["eventId"]: row["predictedAt"] for row in rows}


def test_each_document_has_the_prediction_that_serving_gives(spark, folder):
    done = run(spark, folder)
    assert counts(done) == {"events": 60, "predicted": 60} and done["rows"] == 60
    rows, given = told(spark, folder), {one["eventId"]: one for one in documents(60)}
    assert len(rows) == 60 and set(rows[0]) == {
        "eventId", "label", "confidence", "scores", "predictedAt", "dt", "model", "runId",
    }  # fmt: skip
    for row in rows:
        (served,) = predicted(model_in(folder), [given[row["eventId"]]["payload"]], explain=False)
        assert (row["label"], row["dt"]) == (served["label"], given[row["eventId"]]["dt"])
        assert row["confidence"] == row["scores"][0]["score"] == pytest.approx(served["confidence"], abs=1e-6)
        assert {one["label"]: one["score"] for one in row["scores"]} == pytest.approx(served["scores"], abs=1e-6)
        assert (row["model"], row["runId"]) == (OLD, "run-old")
    assert done["predictions"] == f"{folder}/predictions/model={OLD}/runId=run-old"
    assert sorted(path.name for path in (folder / "predictions").glob("*/*/dt=*")) == [f"dt={day}" for day in DAYS]


@pytest.mark.long
def test_ten_thousand_documents_have_the_probabilities_of_serving(spark, tmp_path):
    write_model(tmp_path / "models", NEW, model=tiny_model(classes=8, hash_bits=12))
    given = documents(10_000)
    written(spark, tmp_path / "input", given)
    assert counts(run(spark, tmp_path)) == {"events": 10_000, "predicted": 10_000}
    rows, model = {row["eventId"]: row for row in told(spark, tmp_path)}, model_in(tmp_path)
    assert len(rows) == 10_000
    for one in given:
        likely = dict(zip(model.classes, model.probabilities(one["payload"]), strict=True))
        scores = rows[one["eventId"]]["scores"]
        assert len(scores) == 5 and max(abs(likely[two["label"]] - two["score"]) for two in scores) <= 1e-6
        assert rows[one["eventId"]]["label"] == model.predict(one["payload"])["label"]


@pytest.mark.long
def test_what_was_predicted_is_not_predicted_again_and_a_new_model_writes_its_own(spark, folder, caplog):
    caplog.set_level("INFO")
    run(spark, folder)
    first = when(told(spark, folder))
    assert counts(run(spark, folder)) == {"events": 60, "already_there": 60}
    assert "60 events, 0 of them in files to read" in caplog.text
    written(spark, folder / "input", documents(90, prefix="new"), "more")
    done = run(spark, folder)
    assert "150 events, 90 of them in files to read" in caplog.text
    assert counts(done) == {"events": 150, "predicted": 90, "already_there": 60} and done["rows"] == 150
    assert {name: at for name, at in when(told(spark, folder)).items() if name in first} == first
    write_model(folder / "models", NEW, run_id="run-new", seed=5)
    assert counts(run(spark, folder)) == {"events": 150, "predicted": 150}
    rows = told(spark, folder)
    assert Counter(row["runId"] for row in rows) == {"run-old": 150, "run-new": 150}
    assert labels(rows[:150]) != labels(rows[150:])
    assert counts(run(spark, folder, model=f"{OLD}/run-old")) == {"events": 150, "already_there": 150}


def test_a_document_that_has_changed_or_moved_is_predicted_again(spark, folder):
    run(spark, folder)
    before = told(spark, folder)
    given = documents(60)
    given[4] |= {"payload": "quite another text"}
    given[6] |= {"dt": DAYS[1]}
    written(spark, folder / "input", given)  # the files of all three days are new
    done = run(spark, folder)
    assert counts(done) == {"events": 60, "predicted": 2, "already_there": 58, "replaced": 2} and done["rows"] == 60
    rows = told(spark, folder)
    changed = {row["eventId"] for row, old in zip(rows, before, strict=True) if row != old}
    assert changed == {"e4", "e6"} and {row["dt"] for row in rows if row["eventId"] == "e6"} == {DAYS[1]}
    written(spark, folder / "input", documents(60))  # and back: the newest prediction counts, not one of the same text
    assert counts(run(spark, folder)) == {"events": 60, "predicted": 2, "already_there": 58, "replaced": 2}
    assert labels(told(spark, folder)) == labels(before)


def test_days_are_done_again_and_no_other_day_is_touched(spark, folder):
    run(spark, folder)
    before, files = when(told(spark, folder)), {path for path in (folder / "predictions").rglob("*.parquet")}
    done = run(spark, folder, days=(DAYS_AS_DATES[1], DAYS_AS_DATES[1]))
    assert counts(done) == {"events": 20, "predicted": 20, "replaced": 20} and done["rows"] == 60
    after = when(told(spark, folder))
    assert {name for name, at in after.items() if at != before[name]} == {f"e{at}" for at in range(1, 60, 3)}
    kept = {path for path in files if path.exists()}
    assert {path.parent.name for path in files - kept} == {f"dt={DAYS[1]}"}


@pytest.mark.long
def test_missing_does_only_what_is_not_there(spark, folder):
    run(spark, folder)
    given = documents(60) + documents(3, prefix="new")
    given[4] |= {"payload": "quite another text"}
    written(spark, folder / "input", given)
    done = run(spark, folder, missing=True, days=(DAYS_AS_DATES[0], DAYS_AS_DATES[1]))
    assert counts(done) == {"events": 42, "predicted": 2, "already_there": 40}
    assert counts(run(spark, folder, missing=True)) == {"events": 63, "predicted": 1, "already_there": 62}
    assert counts(run(spark, folder)) == {"events": 63, "predicted": 1, "already_there": 62, "replaced": 1}
    assert counts(run(spark, folder, full=True)) == {"events": 63, "predicted": 63}
    assert len(told(spark, folder)) == 63


@pytest.mark.long
def test_a_run_that_fails_half_way_goes_on_where_it_stopped(spark, folder, monkeypatch):
    monkeypatch.setattr(runs, "EVENTS_A_CORE", 10)  # a portion for each of the three days
    whole = runs.predict_portion
    done = []

    def fails_at_the_second(*arguments):
        if len(done) == 1:
            raise PredictionError("no space left")
        done.append(whole(*arguments))
        return done[-1]

    monkeypatch.setattr(runs, "predict_portion", fails_at_the_second)
    for settings in ({}, {"days": (DAYS_AS_DATES[0], DAYS_AS_DATES[2])}):
        done.clear()
        with pytest.raises(PredictionError, match="no space left"):
            run(spark, folder, **settings)
        monkeypatch.setattr(runs, "predict_portion", whole)
        replaced = {"replaced": 40} if settings else {}
        assert counts(run(spark, folder, **settings)) == {"events": 60, "predicted": 40, "already_there": 20} | replaced
        assert len(told(spark, folder)) == 60
        monkeypatch.setattr(runs, "predict_portion", fails_at_the_second)
    monkeypatch.setattr(runs, "predict_portion", whole)
    again = run(spark, folder, days=(DAYS_AS_DATES[0], DAYS_AS_DATES[2]))  # the first one has come to its end
    assert counts(again) == {"events": 60, "predicted": 60, "replaced": 60}


def test_an_id_that_comes_twice_has_one_prediction_and_what_has_no_text_none(spark, folder):
    given = [
        *documents(6),
        *documents(3, seed=1),
        *({"eventId": f"empty{at}", "payload": text, "dt": DAYS[0]} for at, text in enumerate((None, "", " \u3000\n"))),
        *({"eventId": name, "payload": "a text", "dt": DAYS[0]} for name in (None, "")),
    ]
    written(spark, folder / "input", given)
    expected = {"events": 14, "predicted": 6, "duplicates": 3, "empty_payload": 3, "missing_field": 2}
    assert counts(run(spark, folder)) == expected
    assert [row["eventId"] for row in told(spark, folder)] == [f"e{at}" for at in range(6)]
    # What is refused is looked at again, with its file, and the counts are those of all events.
    assert counts(run(spark, folder)) == {"events": 14, "already_there": 8, "duplicates": 1} | {
        "empty_payload": 3, "missing_field": 2,
    }  # fmt: skip


def test_landed_lines_are_converted_first(spark, tmp_path):
    write_model(tmp_path / "models", OLD)
    lines = [line(f"e{at}", {"payload": text}) for at, text in enumerate(texts(9))]
    landed(tmp_path / "input" / "dt=2026-11-01" / "a.jsonl", *lines, lines[0], "{broken")
    done = run(spark, tmp_path)
    assert done["conversion"] == {"lines": 11, "converted": 9, "duplicates": 1, "quarantined": 1}
    assert counts(done) == {"events": 9, "predicted": 9} and done["input"] == f"{tmp_path}/parquet"
    assert counts(run(spark, tmp_path)) == {"events": 9, "already_there": 9}
    landed(tmp_path / "input" / "dt=2026-11-02" / "b.jsonl", line("later"), line("e1", {"payload": "changed"}))
    done = run(spark, tmp_path)
    assert done["rows"] == 10 and counts(done)["predicted"] == 2
    assert labels(told(spark, tmp_path))["e1"] == model_in(tmp_path).predict("changed")["label"]


def test_the_latest_promoted_model_that_is_whole_predicts(spark, folder, caplog):
    write_model(folder / "models", NEW, golden=0.1)  # computes something else than it did in training
    assert run(spark, folder)["model"] == OLD
    assert f"passed over {NEW}" in caplog.text
    with pytest.raises(NoModel, match=f"{NEW}: golden.jsonl line 1: probabilities differ"):
        run(spark, folder, model=NEW)
    weights = folder / "models" / OLD / "runs" / "run-old" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(NoModel, match="is not the file of the manifest: its SHA-256 differs"):
        run(spark, folder)
    assert len(told(spark, folder)) == 60


def test_input_that_cannot_be_predicted_is_told_in_one_line(spark, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "other").mkdir()
    pq.write_table(pa.table({"name": ["1"]}), folder / "other" / "a.parquet")
    with pytest.raises(ConversionError, match="expected parquet of this project in .*/other; it lacks the columns"):
        runs.predict(spark, f"{folder}/other", f"{folder}/predictions", f"{folder}/models")
    with pytest.raises(ConversionError, match="found no file there"):
        runs.predict(spark, f"{folder}/nothing", f"{folder}/predictions", f"{folder}/models")
    with pytest.raises(WrongInput, match="lies in the input path"):
        runs.predict(spark, f"{folder}/input", f"{folder}/input/predictions", f"{folder}/models")
