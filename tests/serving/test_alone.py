"""The built folder of the functions alone, with its own requirements: what `gcloud functions deploy` takes."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local import emulators, guard, package
from tests.conftest import ROOT
from tests.models.written_models import OLD, tiny_model, write_model

ELSEWHERE = ("sklearn", "scipy", "pandas", "pyspark", "apache_beam", "train_ml_model")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """`source`, the function's folder as `make package` builds it, and `venv` beside it with its requirements."""
    place = tmp_path_factory.mktemp("alone")
    package.write_folder(place / "source", ROOT / "cloud_function")
    uv = str(ROOT / ".venv" / "bin" / "uv")
    python = str(place / "venv" / "bin" / "python")
    requirements = str(place / "source" / "requirements.txt")
    for command in (
        [uv, "venv", "-q", f"--python={sys.executable}", str(place / "venv")],
        [uv, "pip", "install", "-q", f"--python={python}", f"--requirement={requirements}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def port(alone, tmp_path_factory):
    """Where `predict` listens, started there as the platform starts it, with one model."""
    models = tmp_path_factory.mktemp("models")
    write_model(models, OLD, seed=1)
    port = emulators.free_port()
    command = [alone / "venv" / "bin" / "functions-framework", "--target=predict", "--host=127.0.0.1", f"--port={port}"]
    with open(models / "function.log", "wb") as output:
        process = guard.start(
            command,
            env={"PATH": os.environ["PATH"], "MODELS_URI": str(models)},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=alone / "source",
        )
    emulators.wait_for_port(port, process)
    yield port
    guard.stop(process)


def answer(port: int, path: str, body: bytes | None = None) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=30) as response:
        return json.load(response)


def test_the_folder_alone_serves(port):
    assert answer(port, "/healthz") == {"status": "ok"}
    assert answer(port, "/model")["name"] == OLD
    body = json.dumps({"instances": [{"payload": "some words"}], "explain": True}).encode()
    (prediction,) = answer(port, "/", body)["predictions"]
    assert prediction.pop("explanation")
    assert prediction == tiny_model(seed=1).predict("some words")


def test_nothing_is_installed_there_that_serving_does_not_need(alone):
    python = alone / "venv" / "bin" / "python"
    program = "import importlib.util as u, sys; print([one for one in sys.argv[1:] if u.find_spec(one)])"
    found = subprocess.run([python, "-c", program, *ELSEWHERE, "numpy"], cwd=alone, capture_output=True, text=True)
    assert found.stdout.strip() == "['numpy']", found.stderr


def test_an_operators_commands_run_with_the_same_requirements(alone, tmp_path):
    write_model(tmp_path, OLD)
    command = [alone / "venv" / "bin" / "python", "-m", "brigade.models", "list", tmp_path, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert [row["state"] for row in json.loads(done.stdout)["models"]] == ["serving"]


def test_a_local_folder_is_served_without_the_clouds_clients(alone, tmp_path):
    """They take a second to import: storage is for gs:// only, Pub/Sub for the first message."""
    clients = "('google.cloud.storage', 'google.cloud.pubsub', 'google.pubsub', 'grpc')"
    program = f"import sys, main; print([name for name in sys.modules if name.startswith({clients})])"
    python = alone / "venv" / "bin" / "python"
    found = subprocess.run(
        [python, "-c", program],
        cwd=alone / "source",
        env={"PATH": os.environ["PATH"], "MODELS_URI": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsecret\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsecretsecret",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsecret",
    ],
)
def test_a_body_that_breaks_off_ends_its_request_and_nothing_else(port, request_):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 500 " not in received.split(b"\r\n")[0] and b"secret" not in received
    assert answer(port, "/healthz") == {"status": "ok"}


def test_a_body_in_chunks_above_the_limit_is_refused(port):
    chunk = b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(12):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.startswith(b"HTTP/1.1 413 ") and b"found 12582912" in received


def test_an_unknown_path_is_refused_with_one_line(port):
    with pytest.raises(urllib.error.HTTPError) as refused:
        answer(port, "/other")
    assert refused.value.code == 404 and refused.value.read().count(b"\n") == 1
