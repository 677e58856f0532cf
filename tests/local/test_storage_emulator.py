"""The storage emulator, through Google's own client: the guarantees of Cloud Storage that the pipeline relies
on."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed, from_http_response
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse

from local import emulators
from tests.conftest import ROOT


@pytest.fixture
def bucket(storage_emulator) -> storage.Bucket:
    client = storage.Client(project="brigade-test", credentials=AnonymousCredentials())
    return client.create_bucket(f"bucket_{uuid.uuid4().hex[:8]}")


def resumable(blob: storage.Blob, content: bytes, generation: int) -> None:
    """Upload in three chunks, as the client does with large files."""
    blob.chunk_size = 256 * 1024
    try:
        with blob.open("wb", if_generation_match=generation, ignore_flush=True) as file:
            file.write(content.ljust(600 * 1024))
    except InvalidResponse as error:  # what the client's file-like writer raises
        raise from_http_response(error.response) from error


def multipart(blob: storage.Blob, content: bytes, generation: int) -> None:
    blob.upload_from_string(content, if_generation_match=generation)


def media(blob: storage.Blob, content: bytes, generation: int) -> None:
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/{blob.bucket.name}/o"
    request = urllib.request.Request(
        f"{url}?uploadType=media&name={blob.name}&ifGenerationMatch={generation}", content, method="POST"
    )
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        assert error.code == 412 and b"conditionNotMet" in error.read()
        raise PreconditionFailed("412") from error


@pytest.mark.parametrize("upload", [media, multipart, resumable])
def test_an_object_is_created_only_if_it_does_not_exist_or_has_the_generation_asked_for(bucket, upload):
    upload(bucket.blob("a"), b"first", 0)
    with pytest.raises(PreconditionFailed):
        upload(bucket.blob("a"), b"second", 0)
    first = bucket.get_blob("a")
    assert first.download_as_bytes().rstrip() == b"first"

    upload(bucket.blob("a"), b"third", first.generation)
    with pytest.raises(PreconditionFailed):
        upload(bucket.blob("a"), b"fourth", first.generation)
    assert bucket.blob("a").download_as_bytes().rstrip() == b"third"


@pytest.mark.gcloud
def test_gcloud_copies_small_and_large_files_there_and_back(bucket, tmp_path):
    env = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": "brigade-test",
    }
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"small")
    large.write_bytes(os.urandom(9_000_000))  # from 8 MiB on it is a resumable upload
    for source, target in (
        ([str(small), str(large)], f"gs://{bucket.name}/"),
        ([f"gs://{bucket.name}/large"], str(tmp_path / "back")),
    ):
        command = ["gcloud", "storage", "cp", *source, target]
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
    assert bucket.blob("small").download_as_bytes() == b"small"
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_a_multipart_boundary_in_single_quotes_is_understood(bucket):
    parts = "--=b\r\nContent-Type: application/json\r\n\r\n{}\r\n--=b\r\n\r\ncontent\r\n--=b--"
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/{bucket.name}/o"
    headers = {"Content-Type": "multipart/related; boundary='=b'"}
    request = urllib.request.Request(f"{url}?uploadType=multipart&name=a", parts.encode(), headers)
    urllib.request.urlopen(request).read()
    assert bucket.blob("a").download_as_bytes() == b"content"


def test_of_many_who_create_the_same_object_at_once_one_wins(bucket):
    def create(number: int) -> bool:
        try:
            bucket.blob("contested").upload_from_string(str(number), if_generation_match=0)
            return True
        except PreconditionFailed:
            return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(24)))
    assert won.count(True) == 1
    assert bucket.blob("contested").download_as_bytes() == str(won.index(True)).encode()


def test_an_unfinished_upload_is_neither_listed_nor_a_file(bucket, storage_emulator):
    blob = bucket.blob("folder/growing", chunk_size=256 * 1024)
    with blob.open("wb", ignore_flush=True) as file:
        file.write(b"x" * 600 * 1024)  # two chunks are sent by now
        assert list(bucket.list_blobs()) == []
        assert not (storage_emulator / bucket.name / "folder").exists()
    assert (storage_emulator / bucket.name / "folder/growing").stat().st_size == 600 * 1024


def test_a_delete_needs_the_generation_it_names_and_leaves_nothing(bucket, storage_emulator):
    blob = bucket.blob("a/b/c")
    blob.upload_from_string("x")
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=blob.generation + 1)
    blob.delete(if_generation_match=blob.generation)
    with pytest.raises(NotFound):
        blob.download_as_bytes()
    assert (storage_emulator / bucket.name).is_dir()
    assert list((storage_emulator / bucket.name).iterdir()) == []
    assert not (storage_emulator / "_softdelete").exists()


def test_binary_content_survives_copies_and_a_wrong_checksum_is_refused(bucket):
    content = bytes(range(256)) * 5 + b"\r\n--\r\n\n\r"
    blob = bucket.blob("binary")
    blob.upload_from_string(content, content_type="text/plain", checksum="crc32c")
    assert bucket.copy_blob(blob, bucket, "copy", if_generation_match=0).download_as_bytes() == content
    rewritten = bucket.blob("rewritten")
    rewritten.rewrite(blob)
    assert rewritten.download_as_bytes(checksum="crc32c") == content
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(blob, bucket, "copy", if_generation_match=0)
    wrong = bucket.blob("wrong")
    wrong.crc32c = "AAAAAA=="
    with pytest.raises(Exception, match="CRC32C"):
        wrong.upload_from_string(content, checksum=None)
    assert bucket.get_blob("wrong") is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_with_status_0_and_finds_its_objects_again(tmp_path, monkeypatch, number):
    for expected in (None, b"kept"):
        port = emulators.free_port()
        command = [
            sys.executable,
            "-m",
            "local.storage_emulator",
            "--port",
            str(port),
            "--data_dir",
            str(tmp_path),
        ]
        process = subprocess.Popen(command, cwd=ROOT)
        emulators.wait_for_port(port, process)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        client = storage.Client(project="brigade-test", credentials=AnonymousCredentials())
        if expected is None:
            client.create_bucket("ml_input").blob("a").upload_from_string("kept")
        else:
            assert client.bucket("ml_input").blob("a").download_as_bytes() == expected
        process.send_signal(number)
        assert process.wait(30) == 0


def adopt(bucket, name: str, generation: int) -> int:
    """The status of the emulator's answer when it is to take a file of the bucket's folder into its index."""
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/adopt/{bucket.name}/{name}?ifGenerationMatch={generation}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_file_that_is_adopted_while_somebody_writes_it_keeps_all_that_is_written(storage_emulator, bucket):
    path = storage_emulator / bucket.name / "table" / "part-0"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"first ")
        file.flush()
        assert adopt(bucket, "table/part-0", 0) == 200
        file.write(b"second")
    assert path.read_bytes() == b"first second"
    blob = bucket.get_blob("table/part-0")
    assert blob.size == len(b"first ")
    assert adopt(bucket, "table/part-0", blob.generation) == 200
    assert bucket.get_blob("table/part-0").size == len(b"first second")
    assert bucket.blob("table/part-0").download_as_bytes() == b"first second"


def test_only_a_file_that_is_there_and_the_generation_asked_for_are_adopted(storage_emulator, bucket):
    bucket.blob("a").upload_from_string(b"newer")
    assert adopt(bucket, "a", 0) == 412
    assert adopt(bucket, "b", 0) == 404
    assert not bucket.blob("b").exists()
