"""What a Spark job leaves in the buckets, beside what it writes through the storage API."""

import time

from brigade.storage import folder_at
from local.spark_jobs import spark_environment, sync_bucket


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
