"""The command line."""

from datetime import date

import pytest

import train_ml_model
from brigade.training.arguments import parse_arguments


@pytest.mark.parametrize(
    "argument",
    [
        "date=", "date=tomorrow", "date=2026-02-30", "date=20260105", "date=2026-W02-1",
        "hash_bits=9", "hash_bits=25", "hash_bits=many", "tolerance=-0.1", "tolerance=1.1", "tolerance=nan",
        "tolerance=", "tolerance=defaults", "split=", "pipeline=no-such-name", "pipeline=",
        "alpha=0", "alpha=2", "alpha=x", "partitions=0", "partitions=1.5", "idf_power=-1", "ngrams=3", "split=none",
        "unknown=1",
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_status_2(argument, capsys):
    with pytest.raises(SystemExit) as ended:
        train_ml_model.main(["input", "models", f"--{argument}"])
    assert ended.value.code == 2
    assert "usage: train_ml_model.py" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["label_column", "split", "tolerance"])
def test_default_is_as_if_the_flag_were_not_given(flag):
    given = ["input", "models", "--pipeline=wine"]
    assert parse_arguments([*given, f"--{flag}=default"]) == parse_arguments(given)
    assert parse_arguments([*given, f"--{flag}", "default"]) == parse_arguments(given)


def test_what_is_given_beside_a_pipeline_stays():
    found = parse_arguments(["i", "m", "--pipeline=wine", "--label_column=a", "--split=time", "--tolerance=0"])
    assert (found.label_column, found.split, found.tolerance) == ("a", "time", 0.0)


@pytest.mark.parametrize(
    ("arguments", "day"),
    [([], None), (["--date", "today"], None), (["--date=today"], None), (["--date", "2026-01-05"], date(2026, 1, 5))],
)
def test_the_date_is_a_day_or_today_which_is_the_run_s_own(arguments, day):
    assert parse_arguments(["input", "models", *arguments]).date == day


def test_models_are_written_to_cloud_storage_or_a_local_folder_alone(capsys):
    with pytest.raises(SystemExit) as ended:
        train_ml_model.main(["input", "hdfs://models"])
    assert ended.value.code == 2
    assert "OUTPUT: expected gs://bucket/prefix or a local path, found 'hdfs://models'" in capsys.readouterr().err
