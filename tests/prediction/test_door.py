"""The command line of PREDICT: what it understands, and what it says of what it does not."""

import argparse
import json
from datetime import date

import pytest

import predict
from brigade.cli import date_range
from tests.models.written_models import NEW, OLD, write_model
from tests.prediction.predictions import documents, written

ARGUMENTS = ["landing/input", "predictions", "--models=models"]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2026-11-01..2026-11-07", (date(2026, 11, 1), date(2026, 11, 7))),
        ("2024-02-29", (date(2024, 2, 29), date(2024, 2, 29))),
        ("2026-11-01..2026-11-01", (date(2026, 11, 1), date(2026, 11, 1))),
    ],
)
def test_days_are_two_dates_or_one(text, days):
    assert date_range(text) == days


@pytest.mark.parametrize(
    "text", ["", "..", "2026-11-01..", "..2026-11-01", "20261101", "2026-11-31", "2026-W44-7", "2026-11-1", "a..b"]
)
def test_other_texts_are_no_days(text):
    with pytest.raises(argparse.ArgumentTypeError) as told:
        date_range(text)
    assert str(told.value) == f"expected YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD, found {text}"


def test_the_first_day_is_not_after_the_last():
    with pytest.raises(
        argparse.ArgumentTypeError, match="expected the earlier date first, found 2026-11-02..2026-11-01"
    ):
        date_range("2026-11-02..2026-11-01")


@pytest.mark.parametrize(
    ("more", "prefix"),
    [
        ([], "doc-classification-model"),
        (["--pipeline=sales"], "sales-model"),
        (["--model=wine-model-2026-01-05"], "wine-model"),
        (["--model=wine-model-2026-01-05/run-1", "--pipeline=wine"], "wine-model"),
    ],
)
def test_the_model_s_prefix_is_the_pipeline_s_or_that_of_its_name(more, prefix):
    assert predict.parse_arguments([*ARGUMENTS, *more]).prefix == prefix


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (ARGUMENTS[:2], "--models"),
        (["", *ARGUMENTS[1:]], "found nothing"),
        ([*ARGUMENTS, "--dates=yesterday"], "--dates: expected YYYY-MM-DD"),
        ([*ARGUMENTS, "--model=newest"], "expected doc-classification-model-YYYY-MM-DD, with or without /RUN_ID"),
        ([*ARGUMENTS, "--model=wine-model-2026-01-05", "--pipeline=sales"], "expected sales-model-YYYY-MM-DD"),
        ([*ARGUMENTS[:2], "--models=s3://bucket/models"], "expected gs://bucket/prefix or a local path"),
        ([*ARGUMENTS, "--full", "--missing"], "expected --full, or --dates and --missing; found both"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_why(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        predict.main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_a_run_ends_with_one_line_of_json_and_one_that_fails_with_one_line_of_text(spark, tmp_path, capsys):
    write_model(tmp_path / "models", OLD)
    written(spark, tmp_path / "input", documents(6))
    arguments = [f"{tmp_path}/input", f"{tmp_path}/predictions/", f"--models={tmp_path}/models/"]
    assert predict.main([*arguments, f"--summary={tmp_path}/summary.json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    summary = json.loads(line)
    assert (summary["events"], summary["predicted"], summary["rows"], summary["refused"]) == (6, 6, 6, {})
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert predict.main([*arguments, f"--model={NEW}"]) == 1
    output = capsys.readouterr()
    (line,) = [text for text in output.err.splitlines() if text.startswith("predict.py: ")]
    assert f"no model to serve: looked in {tmp_path}/models/ for {NEW}" in line
    assert (output.out, "Traceback" in output.err) == ("", False)
