"""Files wherever they lie: local ones by any spelling, and packed ones that are cut off."""

import gzip
import io
import os
import time
import zlib
from functools import partial

import pytest

from brigade import storage
from brigade.storage import ChangedMeanwhile, folder_at, list_files, open_to_read

BUFFERED = io.BufferedReader


def test_a_file_uri_is_a_local_path_to_every_operation(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.json").write_text("{}")
    assert [name for name, _ in list_files(f"file://{tmp_path}/a")] == [f"{tmp_path}/a/x.json"]
    assert list(folder_at(f"file:{tmp_path}/a").files()) == ["x.json"]


@pytest.mark.parametrize("size", [8192, 131072], ids=["buffers until Python 3.13", "from 3.14 on"])
def test_of_a_gzip_file_that_is_cut_off_all_that_is_there_is_read(tmp_path, monkeypatch, size):
    lines = [f"{number} {os.urandom(20).hex()}\n".encode() for number in range(3000)]
    packed = gzip.compress(b"".join(lines))
    for cut in (len(packed) // 2, len(packed) - 2000, len(packed) - 1):
        (tmp_path / "cut.gz").write_bytes(packed[:cut])
        there = zlib.decompressobj(31).decompress(packed[:cut])
        monkeypatch.setattr(storage.io, "BufferedReader", partial(BUFFERED, buffer_size=size))
        read = []
        with open_to_read(str(tmp_path / "cut.gz")) as stream, pytest.raises(EOFError):
            for line in stream:
                read.append(line)
        assert b"".join(read) == there[: there.rfind(b"\n") + 1]


def test_no_version_of_a_local_file_comes_twice(tmp_path):
    """Inode numbers are used again, and a clock may stand still between two writes or be put back."""
    folder, file, ahead = folder_at(str(tmp_path)), tmp_path / "changed.json", time.time_ns() + 3_600_000_000_000
    folder.write("changed.json", b"first")
    os.utime(file, ns=(ahead, ahead))
    versions = [folder.read("changed.json", 100)[1]]
    for number in range(20):
        folder.write("changed.json", b"%03d" % number)
        versions.append(folder.read("changed.json", 100)[1])
    times = [int(version.rpartition("-")[2]) for version in versions]
    assert times == sorted(set(times)), "a version's time is later than that of each version before it"
    with pytest.raises(ChangedMeanwhile):
        folder.write("changed.json", b"late", versions[0])
