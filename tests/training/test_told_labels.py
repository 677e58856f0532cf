"""Labels that are not learned, or that look alike: the log, the summary and the report name them."""

import json
import logging

import pytest

import train_ml_model
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, model_of, parquet, said


def by_day(rows: list[tuple[str, str]]) -> list[dict]:
    """Documents that are a day apart, all published at once."""
    days = [{"eventTimestamp": f"2024-{n // 28 + 1:02}-{n % 28 + 1:02}T00:00:00Z"} for n in range(len(rows))]
    return [row | day | {"publishTime": "2025-01-01T00:00:00Z"} for row, day in zip(labelled(rows), days, strict=True)]


@pytest.mark.long
def test_labels_that_are_not_learned_or_look_alike_are_named_in_log_summary_and_report(
    spark, quick, capsys, caplog, tmp_path
):
    caplog.set_level(logging.WARNING, logger="train_ml_model")
    labels = ["ham", "Spam", "spam", " ham\u00a0"]
    rows = [(f"{labels[n % 4]} text {n + 10}", labels[n % 4]) for n in range(110)]
    rows += [(f"new text {n + 10}", "<b>fraud</b>") for n in range(7)]
    data = parquet(spark, tmp_path / "parquet", by_day(rows))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK, "--split=time"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["left_out"], summary["alike"]) == ({"<b>fraud</b>": 7}, [["Spam", "spam"]])
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    assert model_of(folder).classes == ["Spam", "ham", "spam"]
    assert contents(folder, "metrics.json")["leftOut"] == {"<b>fraud</b>": 7}
    assert contents(folder, "data.json")["splitRule"] == 2
    said_in_log = "\n".join(record.getMessage() for record in caplog.records)
    assert "not learned, because no document in train has it: '<b>fraud</b>' (7)" in said_in_log
    assert "though case, width or blanks alone differ: 'Spam' and 'spam'" in said_in_log
    told = [text for _, text in Page((folder / "report.html").read_text("utf-8")).all("b")]
    assert {"<b>fraud</b>", "Spam", "spam"} <= set(told)


def test_a_run_with_one_class_to_train_with_says_what_became_of_the_other(spark, quick, capsys, tmp_path):
    rows = [(f"text {n + 10}", "ham") for n in range(80)] + [(f"new text {n + 10}", "fraud") for n in range(3)]
    data = parquet(spark, tmp_path / "parquet", by_day(rows))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK, "--split=time"]) == 1
    assert "found only 'ham'; none of these is in the training part: 'fraud' (3)" in said(capsys)


def test_a_class_of_three_in_eighty_three_documents_is_learned_with_any_seed(spark, quick, capsys, tmp_path):
    rows = [(f"ham text {n + 10}", "ham") for n in range(80)] + [(f"fraud {n + 10} money", "fraud") for n in range(3)]
    data = parquet(spark, tmp_path / "parquet", labelled(rows))
    assert train_ml_model.main([data, f"{tmp_path}/models", *QUICK, "--seed=2"]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    assert model_of(folder).classes == ["fraud", "ham"] and summary["left_out"] == {}
    assert contents(folder, "metrics.json")["test"]["classes"]["fraud"]["documents"] == 1
