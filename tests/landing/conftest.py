"""What several tests of landing need: gRPC's channels as they were, a bucket, and a place to land."""

import time
from functools import partial

import grpc
import pytest

from tests.landing.landed import lines, objects


@pytest.fixture(autouse=True)
def channels_as_they_are(monkeypatch):
    """The program adapts gRPC's channels to an emulator for its whole process, which here goes on with other tests."""
    monkeypatch.setattr(grpc, "insecure_channel", grpc.insecure_channel)


@pytest.fixture
def bucket(storage_emulator):
    from google.cloud import storage

    name = f"landing-{time.monotonic_ns()}"
    return storage.Client(project="brigade-test").create_bucket(name)


@pytest.fixture(params=["a folder", "a bucket"])
def place(request, tmp_path):
    """Where to land: a path or a gs:// URI, and a function that reads the lines of what one finds there."""
    if request.param == "a folder":
        yield str(tmp_path), partial(lines, tmp_path)
    else:
        bucket = request.getfixturevalue("bucket")
        yield f"gs://{bucket.name}", partial(objects, bucket)
