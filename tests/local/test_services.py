"""`make up` and `make down`: two at the same time, one that is interrupted, and what earlier services left."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local import services
from tests.conftest import ROOT

pytestmark = pytest.mark.faults


@pytest.fixture
def folder(tmp_path):
    """For services; none of them runs when the test has ended."""
    yield tmp_path / "the cloud"
    killed(tmp_path)


def call(*flags: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "local.services", *flags, f"--folder={folder}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen) -> tuple[str, str]:
    """What a call printed on standard output and error; it has to end well."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output, errors


def processes(folder: Path, kind: str = "local.services serve") -> list[tuple[int, str]]:
    """(process id, command) of the processes whose files lie there, by default of those that watch all others."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    found = [line.split(None, 1) for line in listed.splitlines() if kind in line]
    return [(int(number), command) for number, command in found if str(folder) in command]


def killed(folder: Path) -> None:
    """All services die, and nothing has been written or tidied at their end."""
    for number, _ in processes(folder):
        os.kill(number, signal.SIGKILL)
    end = time.monotonic() + 60
    while processes(folder, "local."):
        assert time.monotonic() < end, "the services still run"
        time.sleep(0.05)


def client(exports: str) -> storage.Client:
    """Of the storage that `make up` named."""
    (address,) = re.findall(r"^export STORAGE_EMULATOR_HOST=(.*)$", exports, re.M)
    options = {"api_endpoint": address}
    return storage.Client("brigade-local", credentials=AnonymousCredentials(), client_options=options)


def test_two_calls_at_the_same_time_start_one_cloud_and_print_the_same(folder):
    first, second = (call("up", "--empty", folder=folder) for _ in range(2))
    (exports, _), (again, _) = finished(first), finished(second)
    assert exports == again and "export PUBSUB_EMULATOR_HOST=127.0.0.1:" in exports
    assert len(processes(folder)) == 1
    assert finished(call("up", folder=folder))[0] == exports
    ending = [call("down", folder=folder) for _ in range(2)]
    told = sorted(finished(one)[1].splitlines()[-1] for one in ending)
    assert told == ["ended", "nothing to end: `make up` has not been called, or its services have ended"]
    assert processes(folder) == [] and services.running(folder) is None


def test_a_call_begins_nothing_while_another_one_is_at_work(folder):
    with services.alone(folder):
        second = call("up", "--empty", folder=folder)
        assert "is at work; waiting for its end" in second.stderr.readline()
        assert processes(folder) == []
    finished(second)
    assert len(processes(folder)) == 1
    finished(call("down", folder=folder))


def test_a_call_after_one_that_was_interrupted_waits_for_what_that_one_began(folder):
    interrupted = call("up", "--empty", folder=folder)
    end = time.monotonic() + 60
    while not processes(folder):
        assert time.monotonic() < end, "nothing was started"
        time.sleep(0.01)
    interrupted.kill()
    interrupted.communicate()
    (began,) = processes(folder)
    finished(call("up", "--empty", folder=folder))
    assert processes(folder) == [began]
    assert finished(call("down", folder=folder))[1].endswith("ended\n") and processes(folder) == []


def test_what_services_that_were_killed_left_can_be_gone_on_with_at_once_and_later(folder):
    exports, _ = finished(call("up", "--empty", folder=folder))
    client(exports).create_bucket("ml_input").blob("input/a.jsonl").upload_from_string("one\n")
    killed(folder)

    exports, told = finished(call("up", "--keep", "--empty", folder=folder))
    assert "goes on with 1 files in buckets" in told
    (blob,) = client(exports).list_blobs("ml_input")
    assert (blob.name, blob.download_as_bytes()) == ("input/a.jsonl", b"one\n")
    killed(folder)

    exports, told = finished(call("up", "--empty", folder=folder))
    (former,) = re.findall(r"^# starts from empty; 1 files of earlier services are kept in (.*)$", told, re.M)
    assert list(client(exports).list_buckets()) == []
    assert (Path(former) / ".cloudstorage" / "ml_input" / "input" / "a.jsonl").read_text() == "one\n"

    (way,) = re.findall(r"^# to go back to them: make down; (.*); make up KEEP=1$", told, re.M)
    finished(call("down", folder=folder))
    subprocess.run(["sh", "-c", way], check=True)
    exports, _ = finished(call("up", "--keep", "--empty", folder=folder))
    assert client(exports).bucket("ml_input").blob("input/a.jsonl").download_as_bytes() == b"one\n"
    finished(call("down", folder=folder))


@pytest.mark.parametrize("bucket", ["ml_output", "somebodys-own"])
def test_a_folder_with_files_of_the_user_is_kept_under_another_name(folder, bucket, capsys):
    for _ in range(2):
        (folder / ".cloudstorage" / bucket).mkdir(parents=True)
        (folder / ".cloudstorage" / bucket / "file").touch()
        services.make_room(folder, keep=False)
    assert list(folder.iterdir()) == []
    former, told = [path for path in folder.parent.iterdir() if path != folder], capsys.readouterr().err
    assert len(former) == 2 and all(str(path) in told for path in former)


def test_a_folder_without_files_of_the_user_is_emptied_without_a_word(folder, capsys):
    for name in ("ml_code", "dataproc-staging", "_resumable"):
        (folder / ".cloudstorage" / name).mkdir(parents=True)
        (folder / ".cloudstorage" / name / "file").touch()
    services.make_room(folder, keep=False)
    assert list(folder.parent.iterdir()) == [folder] and list(folder.iterdir()) == []
    assert capsys.readouterr() == ("", "")
