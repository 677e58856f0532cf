"""The command line."""

import json

import pytest

import spark_sql
from tests.conversion.outputs import days, numbers, quarantined
from tests.conversion.sample_events import line, written


@pytest.mark.long
def test_a_full_run_replaces_what_the_first_wrote_and_a_trailing_slash_changes_nothing(spark, tmp_path, capsys):
    written(tmp_path / "first" / "a.jsonl", line("e1", eventTimestamp="2019-04-01T00:00:00Z"), "{broken")
    written(tmp_path / "second" / "b.jsonl", line("e2", eventTimestamp="2020-02-02T00:00:00Z"))
    output = tmp_path / "parquet"
    assert spark_sql.main([f"{tmp_path}/first//", f"{output}/", "--quarantine_path", f"{tmp_path}/bad/"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["parquet"], summary["quarantine"]) == (str(output), f"{tmp_path}/bad")
    assert (days(output), len(quarantined(tmp_path / "bad"))) == (["dt=2019-04-01"], 1)

    again = [f"{tmp_path}/second", str(output), "--quarantine_path", f"{tmp_path}/bad", "--full"]
    assert spark_sql.main(again) == 0
    assert numbers(json.loads(capsys.readouterr().out)) == [1, 1, 0, 0]
    assert (days(output), quarantined(tmp_path / "bad")) == (["dt=2020-02-02"], [])


@pytest.mark.long
def test_a_session_in_another_zone_writes_the_same_days(spark, tmp_path, capsys):
    written(tmp_path / "input" / "a.jsonl", line(eventTimestamp="2019-04-03T01:00:00Z"))
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    try:
        assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet"]) == 0
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert days(tmp_path / "parquet") == ["dt=2019-04-03"]


def test_a_query_file_that_is_not_there_is_one_line_and_status_2(capsys):
    assert spark_sql.main(["in", "out", "--sql=nowhere.sql"]) == 2
    assert "nowhere.sql" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["only one"], ["in", "out", "--unknown"], ["in", "out", "more"]])
def test_wrong_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        spark_sql.main(arguments)
    assert ended.value.code == 2
    assert "usage: spark_sql.py" in capsys.readouterr().err
