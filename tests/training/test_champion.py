"""The champion at the gate: one that cannot be read ends the run, and one of a later date goes on serving."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

import train_ml_model
from brigade.models.store import ModelStore
from brigade.storage import LocalFolder
from brigade.training import run as training_run
from brigade.training.gate import keeps_serving
from tests.training.made_up_documents import texts
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, parquet, said

LATER = "doc-classification-model-2026-02-02"


@pytest.fixture(scope="module")
def data(spark, tmp_path_factory) -> str:
    return parquet(spark, tmp_path_factory.mktemp("data") / "parquet", labelled(texts(150)))


class Failing:
    """A read of the models that fails, after the first `fine` ones."""

    def __init__(self, error: Exception, fine: int):
        self.error, self.fine, self.read = error, fine, LocalFolder.read

    def __call__(self, folder, path, limit):
        if path.endswith("manifest.json") and "runs" not in path:
            self.fine -= 1
            if self.fine < 0:
                raise self.error
        return self.read(folder, path, limit)


ERRORS = [
    ConnectionError("503 no answer"),
    PermissionError(13, "Permission denied"),
    TimeoutError("after 20 seconds"),
    RuntimeError("a bug"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_champion_that_cannot_be_read_ends_the_run_before_the_training(
    spark, data, tmp_path, capsys, monkeypatch, error
):
    (tmp_path / "models" / MODEL).mkdir(parents=True)
    monkeypatch.setattr(LocalFolder, "read", lambda *found: Failing(error, 0)(*found))
    monkeypatch.setattr(training_run, "read_sources", lambda *_: pytest.fail("it has begun"))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK]) == 1
    line = said(capsys)
    assert f"found {type(error).__name__}" in line and "nothing is promoted" in line


@pytest.mark.long
@pytest.mark.parametrize("error", ERRORS[:4:3])
def test_a_champion_that_cannot_be_read_at_the_gate_ends_the_run_there(
    spark, data, quick, tmp_path, capsys, monkeypatch, error
):
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in (tmp_path / "models").rglob("*") if path.is_file()}
    failing = Failing(error, 1)
    monkeypatch.setattr(LocalFolder, "read", lambda *found: failing(*found))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK]) == 1
    assert f"found {type(error).__name__}" in said(capsys)
    assert before == {path: path.read_bytes() for path in (tmp_path / "models").rglob("*") if path.is_file()}


def test_a_model_that_cannot_be_written_is_one_line(spark, data, quick, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFolder, "write", full)
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK]) == 1
    assert "No space left on device; no new model serves" in said(capsys)


# ----------------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("champion", "challenger", "keeps"),
    [(None, MODEL, False), (MODEL, MODEL, False), (MODEL, LATER, False), (LATER, MODEL, True)],
)
def test_a_champion_of_a_later_date_keeps_serving(champion, challenger, keeps):
    assert keeps_serving(champion, challenger) is keeps


@pytest.mark.parametrize("days", [1, 30, 12_000])
def test_a_date_later_than_today_is_refused(days, capsys):
    day = datetime.now(UTC).date() + timedelta(days=days)
    with pytest.raises(SystemExit) as ended:
        train_ml_model.main(["input", "models", f"--date={day}"])
    assert ended.value.code == 2
    assert f"--date: expected today, UTC, or an earlier date, found {day}" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_is_promoted_in_its_summary_only_if_it_serves(spark, data, quick, tmp_path, capsys, caplog):
    door = [data, f"{tmp_path}/models", *QUICK[:-1]]
    assert train_ml_model.main([*door, f"--date={LATER[-10:]}"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["promoted"], first["serving"]) == (True, LATER)
    assert train_ml_model.main([*door, "--date=2026-01-05"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (
        (second["promoted"], second["serving"])
        == (False, LATER)
        == (False, ModelStore(f"{tmp_path}/models").current().name)
    )
    why = f"but {LATER} goes on serving, since its date is later: withdraw it to let this one serve"
    assert why in second["reason"] and why in caplog.text
    folder = tmp_path / "models" / MODEL / "runs" / second["runId"]
    assert contents(folder, "manifest.json")[
        "promoted"
    ]  # it passed the gate: withdrawn, the other one leaves it the place
    page = Page((folder / "report.html").read_text("utf-8"))
    assert [text for attributes, text in page.all("b") if attributes.get("class") == "yes"] == []
    assert "passed the gate, does not serve" in {text for _, text in page.all("span")}
    assert date.fromisoformat(MODEL[-10:]) < date.fromisoformat(LATER[-10:])
