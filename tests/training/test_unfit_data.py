"""Data that teaches nothing, and data that is odd."""

import json
from pathlib import Path

import pytest

import train_ml_model
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, model_of, parquet, said


@pytest.fixture(scope="module")
def unfit(spark, tmp_path_factory) -> Path:
    """Parquet of 60 documents whose columns are mostly unfit as labels, parquet of none, and lines without an event."""
    folder = tmp_path_factory.mktemp("unfit")
    rows = [{"payload": f"text {n}", "docId": f"d{n}", "eventType": f"{n % 2}"} for n in range(60)]
    rows = [{"superTag01": "only", "accountId": " "} | one for one in rows]
    rows[:19] = [one | {"superTag02": f"{n % 2}"} for n, one in enumerate(rows[:19])]
    parquet(spark, folder / "columns", rows)
    parquet(spark, folder / "none", [])
    parquet(spark, folder / "equal", [one | {"payload": "the same"} for one in rows])
    parquet(spark, folder / "empty", [one | {"payload": "" if n % 2 else None} for n, one in enumerate(rows)])
    parquet(spark, folder / "wordless", [one | {"payload": "?" * n} for n, one in enumerate(rows)])
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jsonl").write_text("{broken\n{}\n")
    return folder


@pytest.mark.parametrize(
    "data, arguments, message",
    [
        ("columns", [], "expected at least two classes in superTag01, found only 'only'"),
        ("columns", ["--label_column=accountId"], "expected labels in accountId, found none on any of 60 documents"),
        ("columns", ["--label_column=superTag02"], "expected at least 20 labelled documents, found 19"),
        ("columns", ["--label_column=tag"], "expected a label column, found no tag among eventId, "),
        ("columns", ["--label_column=docId", *QUICK], "found hardly any in docId; is it an id?"),
        ("equal", ["--label_column=eventType"], "are they all the same?"),
        ("empty", ["--label_column=eventType"], "are they all the same?"),
        ("wordless", ["--label_column=eventType", *QUICK], "are the texts empty?"),
        ("columns", ["--label_column=eventType", "--split=time"], "time cannot split them"),
        ("none", [], "expected documents, found none"),
        ("columns", ["--label_column=eventType", "--test=FOLDER/none"], "expected documents to test with, found none"),
        ("nowhere", [], "/nowhere, found no file there"),
        ("broken", [], "/broken; none of its 2 lines is an event"),
    ],
)
def test_what_teaches_nothing_ends_with_one_line_and_no_model(unfit, quick, capsys, tmp_path, data, arguments, message):
    arguments = [f"{unfit}/{data}", f"{tmp_path}/models", *(one.replace("FOLDER", str(unfit)) for one in arguments)]
    assert train_ml_model.main(arguments) == 1
    assert message in said(capsys)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "data data/models",
        "data/parquet data/../data",
        "data/parquet link/models --test=link/parquet/dt=x",
        "data/. data",
    ],
)
def test_paths_that_lie_in_one_another_are_refused_before_anything_is_read(spark, capsys, tmp_path, arguments):
    (tmp_path / "data" / "parquet").mkdir(parents=True)
    (tmp_path / "link").symlink_to("data")
    places = [f"{'--test=' if '=' in one else ''}{tmp_path}/{one.removeprefix('--test=')}" for one in arguments.split()]
    assert train_ml_model.main(places) == 2
    assert "choose another" in said(capsys)
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["parquet"]


def test_odd_labels_and_texts_are_learned_as_they_are(spark, quick, capsys, tmp_path):
    odd = ["two words", 'it\'s "quoted"', "<b>bold</b> & more", "🌽", "número é ção", "עברית", "a/b\\c,d;e", "{[%s]}"]
    words = ["wheat", "oil", "ship", "grain", "cargo", "crude", "acre", "deck"]
    rows = [(f"{words[n % 8]} {n}", odd[n % 8]) for n in range(160)]
    rows += [("the only one of its class", "alone"), ("", "two words"), (None, "🌽"), ("🌽 \x00 e\u0301", "🌽")]
    data = parquet(spark, tmp_path / "parquet", labelled(rows))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    model = model_of(folder)
    assert model.classes == sorted([*odd, "alone"])
    assert (summary["documents"], summary["accuracy"] > 0.8) == (164, True)
    assert [model.predict("wheat")["label"], model.predict("grain")["label"]] == [odd[0], odd[3]]
    page = Page((folder / "report.html").read_text("utf-8"))
    assert set(odd) <= {cell for _, cell in page.all("td")}
    assert sum(contents(folder, "metrics.json")["documents"][one] for one in ("train", "validation", "test")) == 164


@pytest.mark.long
def test_many_classes_of_two_documents_end_with_a_model(spark, quick, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("brigade.training.mixing.DOCUMENTS_A_PARTITION", 150)
    rows = [(f"word{n} other{n} copy{copy}", f"class {n}") for n in range(300) for copy in range(2)]
    data = parquet(spark, tmp_path / "parquet", labelled(rows))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK, "--partitions=8"]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    model = model_of(folder)
    assert summary["classes"] == len(model.classes) == 300
    assert summary["trained_on"] + summary["validated_on"] + summary["tested_on"] == 600
    number = model.classes[17].removeprefix("class ")
    assert model.predict(f"word{number} other{number}")["label"] == f"class {number}"
    assert contents(folder, "data.json")["options"]["partitions"] == 3  # of about 540 documents, not 8
