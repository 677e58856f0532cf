"""Sessions and their settings, and what brigade.spark takes from Spark's internals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade import spark as sessions
from brigade.spark import SESSION, caching, plans_for, run_to_last_shuffle, separate_session, settings, shuffle_for
from tests.conftest import ROOT
from tests.conversion.outputs import convert
from tests.conversion.sample_events import line, written


def counted(spark, path: Path) -> DataFrame:
    """The lines of a file behind a shuffle, counted as `lines` before it."""
    lines = spark.read.text(str(path)).observe("lines", F.count(F.lit(1)).alias("lines"))
    return lines.repartition(3, "value")


def test_what_precedes_the_last_shuffle_runs_once_and_is_counted(spark, tmp_path):
    file = written(tmp_path / "lines.txt", "a", "b", "c")
    rows, count = run_to_last_shuffle(counted(spark, file), "lines")
    file.unlink()  # so that whoever reads it again fails
    assert count == 3 and rows.columns == ["value"]
    assert sorted(row.value for row in rows.collect()) == ["a", "b", "c"]
    assert rows.where("value > 'a'").count() == 2


def test_nothing_to_run_is_counted_as_nothing(spark, tmp_path):
    lines = counted(spark, written(tmp_path / "lines.txt", "a"))
    rows, count = run_to_last_shuffle(lines.where("false"), "lines")
    assert (rows.count(), count) == (0, 0)


def test_a_separate_session_has_the_settings_that_results_depend_on_and_leaves_the_callers_as_they_are(spark):
    changed = {"spark.sql.session.timeZone": "America/Sao_Paulo"}
    spark.range(1).createOrReplaceTempView("events")
    with settings(spark, changed), separate_session(spark, {"spark.sql.shuffle.partitions": "7"}) as session:
        found = {name: session.conf.get(name) for name in SESSION}
        assert found == SESSION and session.conf.get("spark.sql.shuffle.partitions") == "7"
        assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
        assert not session.catalog.tableExists("events")
        session.createDataFrame([(1,), (2,)], "number INT").createOrReplaceTempView("events")
        assert spark.table("events").count() == 1 and session.table("events").count() == 2
    assert SparkSession.getActiveSession()._jsparkSession.equals(spark._jsparkSession)
    spark.catalog.dropTempView("events")


def test_a_conversion_leaves_views_settings_and_cached_frames_of_its_caller(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"))
    mine = spark.range(3).persist()
    mine.createOrReplaceTempView("events")
    names = "spark.sql.shuffle.partitions", "spark.sql.files.openCostInBytes"
    before = [spark.conf.get(name, None) for name in names]
    convert(spark, tmp_path)
    assert [spark.conf.get(name, None) for name in names] == before
    assert spark.table("events").count() == 3
    assert mine.storageLevel.useMemory
    spark.catalog.dropTempView("events")


def test_frames_are_cached_until_the_block_ends_also_by_an_error(spark):
    with pytest.raises(ZeroDivisionError), caching() as cache:
        frame = cache(spark.range(2))
        assert frame.storageLevel.useMemory
        raise ZeroDivisionError
    assert not frame.storageLevel.useMemory


def test_a_comparison_of_many_rows_has_more_tasks_than_there_are_cores(spark, monkeypatch):
    monkeypatch.setattr(sessions, "ROWS_A_TASK", 10)
    assert shuffle_for(spark, 19) == {"spark.sql.shuffle.partitions": "2"}  # cores
    assert shuffle_for(spark, 75) == {"spark.sql.shuffle.partitions": "7"}


def test_queries_over_many_rows_are_planned_anew_after_each_shuffle_and_those_over_few_are_not(spark, monkeypatch):
    monkeypatch.setattr(sessions, "ROWS_A_TASK", 10)
    with settings(spark, plans_for(spark, 10)):
        assert "AdaptiveSparkPlan" not in plan_of(spark.range(2).groupBy("id").count())
    with settings(spark, plans_for(spark, 11)):
        assert "AdaptiveSparkPlan" in plan_of(spark.range(2).groupBy("id").count())


def plan_of(frame):
    return frame._jdf.queryExecution().executedPlan().toString()


def test_a_program_that_python_starts_has_workers_of_the_same_python(tmp_path):
    """Spark takes PATH's python3, which need not have what a job imports."""
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    foreign = ("SPARK_", "PYSPARK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"PATH": f"{tmp_path}:{environment['PATH']}", "SPARK_LOCAL_IP": "127.0.0.1"}
    program = "from brigade.spark import open_session; print(open_session('x').sparkContext.parallelize([2]).sum())"
    ran = subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "2\n"), ran.stderr
