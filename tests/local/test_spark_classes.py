"""The archive of the classes that Spark loads: a job leaves it, the next ones use it, Java takes it."""

import subprocess
from pathlib import Path

import pytest
from google.cloud.dataproc_v1.types import PySparkJob

from local import spark_classes
from local.spark_jobs import spark_environment, spark_submit_command


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """Where the archive lies for the length of a test."""
    place = tmp_path / "ein Büro" / "classes.jsa"
    place.parent.mkdir()
    monkeypatch.setattr(spark_classes, "archive", lambda: place)
    return place


@pytest.fixture
def job(tmp_path) -> Path:
    folder = tmp_path / "job"
    (folder / "tmp").mkdir(parents=True)
    return folder


def file_of(size: int, place: Path) -> Path:
    with open(place, "wb") as file:
        file.truncate(size)
    return place


def test_a_job_leaves_an_archive_only_where_there_is_none(archive, job):
    assert f'-XX:ArchiveClassesAtExit="{job}/classes.jsa"' in spark_classes.java_options(job)
    file_of(180_000_000, job / "classes.jsa")
    spark_classes.keep(job)
    assert archive.stat().st_size == 180_000_000 and list(job.iterdir()) == [job / "tmp"]
    assert f'-XX:SharedArchiveFile="{archive}"' in spark_classes.java_options(job)
    assert "AtExit" not in spark_classes.java_options(job)


def test_an_archive_of_few_classes_is_not_kept_and_one_that_is_there_is_replaced(archive, job):
    file_of(35_000_000, archive)
    assert f'-XX:ArchiveClassesAtExit="{job}/classes.jsa"' in spark_classes.java_options(job)
    file_of(30_000_000, job / "classes.jsa")
    spark_classes.keep(job)
    assert archive.stat().st_size == 35_000_000
    file_of(180_000_000, job / "classes.jsa")
    spark_classes.keep(job)
    assert archive.stat().st_size == 180_000_000


def test_a_job_that_left_nothing_changes_nothing(archive, job):
    spark_classes.keep(job)
    assert list(archive.parent.iterdir()) == []


def test_where_an_archive_cannot_be_kept_no_job_makes_one(archive, job, monkeypatch):
    monkeypatch.setattr("local.spark_classes.os.access", lambda path, mode: path != archive.parent)
    assert spark_classes.java_options(job) == ""


@pytest.mark.long
def test_java_takes_the_archive_that_a_job_has_left_and_passes_over_another(archive, job):
    program = job / "count.py"
    program.write_text(
        "from pyspark.sql import SparkSession\nprint(SparkSession.builder.getOrCreate().range(3).count())\n"
    )
    message = PySparkJob.pb(PySparkJob(main_python_file_uri=str(program)))

    def run(**more: str) -> None:
        command = spark_submit_command(message, job, "local[1]")
        environment = spark_environment(job) | more
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=job, timeout=300)
        assert done.stdout == "3\n", done.stderr

    run()
    spark_classes.keep(job)
    run(JAVA_TOOL_OPTIONS="-Xshare:on")  # which ends where the archive cannot be used
    archive.unlink()
    file_of(spark_classes.USEFUL, archive)
    run()
