"""What a Spark job leaves in the buckets, beside what it writes through the storage API, and why it has failed."""

import time

import pytest

from brigade.storage import folder_at
from local.spark_jobs import last_error, last_words, spark_environment, sync_bucket

FULL = """Traceback (most recent call last):
  File "/code/spark_sql.py", line 93, in <module>
    sys.exit(main())
py4j.protocol.Py4JJavaError: An error occurred while calling o227.toRdd.
: org.apache.spark.SparkException: Job aborted due to stage failure
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2)
Caused by: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
\t... 1 more
"""
NOISE = "26/11/28 07:00:00 ERROR Utils: Exception while deleting\njava.io.IOException: Failed to delete: /tmp/spark\n"


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (FULL, "Caused by: java.io.IOException: No space left on device"),
        (f"{FULL}spark_sql.py: no space left on device\n{NOISE}", "spark_sql.py: no space left on device"),
        ("usage: spark_sql.py [-h]\nspark_sql.py: error: found nothing\n", "spark_sql.py: error: found nothing"),
    ],
)
def test_the_one_line_that_people_see_of_a_failed_job_is_its_cause(tmp_path, output, cause):
    (log := tmp_path / "job.log").write_text(output)
    assert (last_words(output), last_error(log, 1)) == (cause, cause)


def test_what_a_job_wrote_through_the_storage_api_stays_as_it_is(cloud, storage_emulator, tmp_path, monkeypatch):
    assert spark_environment(tmp_path)["STORAGE_EMULATOR_HOST"].startswith("http://127.0.0.1:")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    started, models = time.time(), folder_at("gs://ml_output/models/")
    models.write("model/runs/r/weights.safetensors", b"0" * (9 << 20))  # more than one request
    models.write("model/manifest.json", b"{}")
    models.write("changed.json", b"before")
    models.write("changed.json", b"after")
    written = {blob.name: blob.generation for blob in cloud.list_blobs("ml_output", prefix="models/")}
    assert len(written) == 3
    (storage_emulator / "ml_output" / "models" / "of_spark.txt").write_text("new")
    sync_bucket(cloud, storage_emulator / "ml_output", started)
    found = {blob.name: blob.generation for blob in cloud.list_blobs("ml_output", prefix="models/")}
    assert found.pop("models/of_spark.txt") and found == written
    assert models.read("changed.json", 100)[0] == b"after"
