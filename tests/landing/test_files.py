"""Files appear whole, once, and under a name that tells what is in them, in a folder and in a bucket."""

import google_crc32c
import pytest
from google.cloud import storage

from brigade.landing.files import DifferentContent, Files, StagedFileLost, size_and_checksum
from tests.landing.landed import files, land, lines, message


def test_a_file_s_name_tells_its_time_range_and_holds_no_colon(tmp_path):
    land([message(5), message(9)], tmp_path)
    (path,) = files(tmp_path)
    assert path.name.startswith("20261101T235900.000005Z-20261101T235900.000009Z-2-")
    assert ":" not in path.name


def test_compressed_files_hold_the_same_lines(tmp_path):
    land([message(number) for number in range(20)], tmp_path / "plain")
    land([message(number) for number in range(20)], tmp_path / "gzip", compress=True)
    assert [path.suffix for path in files(tmp_path / "gzip")] == [".gz"]
    assert lines(tmp_path / "gzip") == lines(tmp_path / "plain")


def test_a_file_gets_its_name_once_and_is_never_replaced(place):
    uri, _ = place
    path, here = f"{uri}/input/dt=2026-11-01/file.jsonl", Files()
    first, again, other = (here.stage(path, pieces) for pieces in ([b"fir", b"st\n"], [b"first\n"], [b"other\n"]))
    about = 6, int.from_bytes(google_crc32c.Checksum(b"first\n").digest(), "big")
    assert len({first, again, other}) == 3 and size_and_checksum(path) is None
    assert here.name(first, path, *about) is True
    assert here.name(first, path, *about) is False  # the bundle that did it is run again
    assert here.name(again, path, *about) is False  # the batch was staged twice, which its messages' repetition does
    with pytest.raises(DifferentContent):
        here.name(other, path, *size_and_checksum(other.partition("#")[0]))
    assert size_and_checksum(path) == about
    assert [size_and_checksum(one.partition("#")[0]) for one in (first, again)] == [None, None]
    with pytest.raises(StagedFileLost):
        here.name(first, f"{path}.2", *about)


def test_a_staged_object_is_deleted_with_its_generation_so_that_versioning_keeps_no_copy(bucket, monkeypatch):
    deleted, delete = [], storage.Blob.delete
    monkeypatch.setattr(
        storage.Blob, "delete", lambda blob, *rest, **more: (deleted.append(blob), delete(blob, *rest, **more))
    )
    path, here = f"gs://{bucket.name}/input/dt=2026-11-01/file.jsonl", Files()
    staged = here.stage(path, [b"first\n"])
    name, _, generation = staged.partition("#")
    size, checksum = size_and_checksum(name)
    assert here.name(staged, path, size, checksum) is True
    assert [(f"gs://{bucket.name}/{one.name}", str(one.generation)) for one in deleted] == [(name, generation)]
    assert int(generation) > 0


def test_a_bucket_that_is_not_there_fails_at_once(storage_emulator):
    from google.api_core.exceptions import NotFound

    with pytest.raises(NotFound):
        Files().stage("gs://no-such-bucket/input/file.jsonl", [b"x\n"])
