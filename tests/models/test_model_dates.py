"""Which dates have a model, as the trigger asks."""

from datetime import date

import pytest
from gcp_storage_emulator.server import create_server

from brigade.models.manifest import model_dates
from brigade.storage import folder_at
from local.emulators import free_port
from tests.schedule.dated_models import write_manifest


def test_folders_without_a_manifest_or_a_date_are_no_models(tmp_path):
    write_manifest(tmp_path, "2026-01-05")
    write_manifest(tmp_path, "2026-01-06", name="model.json")
    write_manifest(tmp_path, "2026-01-99")
    write_manifest(tmp_path, "2026-01-07-copy")
    assert model_dates(folder_at(str(tmp_path))) == model_dates(folder_at(f"{tmp_path}/")) == {date(2026, 1, 5)}


@pytest.mark.parametrize("uri", ["gs://models/some/output", "gs://models/some/output/", "gs://models"])
def test_models_are_found_in_a_bucket(uri, monkeypatch):
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="models")
    server.start()
    from google.cloud import storage

    bucket = storage.Client().bucket("models")
    prefix = "some/output/" if "some" in uri else ""
    for name in (
        "doc-classification-model-2026-01-05/manifest.json",
        "doc-classification-model-2026-02-02/runs/run-1/manifest.json",
        "doc-classification-model-2026-03-02/model.json",
        "deeper/doc-classification-model-2026-03-30/manifest.json",
    ):
        bucket.blob(prefix + name).upload_from_string("{}")
    try:
        assert model_dates(folder_at(uri)) == {date(2026, 1, 5)}
    finally:
        server.stop()


def test_models_before_a_date_are_not_looked_into(tmp_path, monkeypatch):
    for day in ("2026-01-05", "2026-02-02", "2026-03-02"):
        write_manifest(tmp_path, day)
    models, looked = folder_at(str(tmp_path)), []
    files = models.files
    monkeypatch.setattr(models, "files", lambda name: looked.append(name) or files(name))
    assert model_dates(models, date(2026, 2, 2)) == {date(2026, 2, 2), date(2026, 3, 2)}
    assert len(looked) == 2
