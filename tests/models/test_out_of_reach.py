"""Storage that does not answer, or refuses: nobody takes that for a model that is not there."""

import json
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from brigade.models import verification
from brigade.models.__main__ import main
from brigade.models.folder import find_champion, is_promoted, write_run
from brigade.models.manifest import model_dates
from brigade.models.store import ModelStore, NoModel
from brigade.storage import folder_at, storage_errors
from tests.models.written_models import NEW, OLD, write_model

URI = "gs://models/output"
LISTED = {"prefixes": [f"output/{NEW}/"], "items": []}


class Server(ThreadingHTTPServer):
    """Says nothing of a client that no longer waits for its answer: standard error is the command's."""

    def handle_error(self, request, client_address):
        assert isinstance(sys.exception(), ConnectionError)


class Storage:
    """Cloud Storage that lists a model, and answers everything else, or the listing too, with an error."""

    def __init__(self, status: int, lists: bool):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                listing = lists and "prefix=output" in self.path
                content = json.dumps(LISTED if listing else {"error": {"code": status, "message": "no"}}).encode()
                self.send_response(200 if listing else status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()


@pytest.fixture(params=[(503, True), (503, False), (403, True), (403, False), (401, True), (500, True), (429, True)])
def broken(request, monkeypatch):
    """Storage that answers with an error, whether a listing works or not."""
    storage = Storage(*request.param)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{storage.server.server_port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setattr("brigade.storage.CALL_SECONDS", 0.2)  # of retries
    yield storage
    storage.server.shutdown()
    storage.server.server_close()


def test_a_champion_out_of_reach_is_an_error_and_no_absence(broken):
    with pytest.raises(storage_errors()):
        find_champion(folder_at(URI))


def test_a_rejected_run_takes_no_date_of_which_nothing_is_known(broken, monkeypatch):
    models = folder_at(URI)
    with pytest.raises(storage_errors()):
        is_promoted(models, NEW)
    written = []
    monkeypatch.setattr(models, "write", lambda path, *_: written.append(path))
    with pytest.raises(storage_errors()):
        write_run(models, NEW, {"runId": "r1", "promoted": False}, {})
    assert f"{NEW}/manifest.json" not in written


def test_the_list_of_models_and_a_look_at_one_end_in_one_line(broken, capsys):
    for arguments in (["list", URI], ["show", URI, NEW], ["promote", URI, NEW], ["withdraw", URI, NEW]):
        assert main(arguments) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n"), "damaged" in printed.err) == ("", 1, False)
        assert printed.err.startswith(f"{arguments[0]}: {URI}: ")


def test_a_look_that_storage_does_not_answer_says_so_and_names_no_model_as_missing(broken):
    with pytest.raises(NoModel, match=f"cannot look in {URI}"):
        ModelStore(URI).current()


def test_the_trigger_hears_of_it(broken):
    with pytest.raises(storage_errors()):
        model_dates(folder_at("gs://models/elsewhere"), date(2026, 1, 1))


# ------------------------------------------------------------------------------------------------ on this machine


@pytest.fixture
def models(tmp_path) -> Path:
    write_model(tmp_path, OLD, seed=1)
    write_model(tmp_path, NEW, seed=2)
    return tmp_path


def refused(*_, **__):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("call", ["os.listdir", "pathlib.Path.stat", "brigade.storage.open"])
def test_a_folder_without_permission_is_not_an_empty_one(models, monkeypatch, call):
    folder = folder_at(str(models))
    monkeypatch.setattr(call, refused, raising=False)
    with pytest.raises(PermissionError):
        find_champion(folder)


@pytest.mark.parametrize(
    "error", [MemoryError("no memory left"), OSError(5, "Input/output error"), AssertionError("a bug")]
)
def test_what_fails_while_a_whole_model_is_read_is_no_damage(models, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(verification.DocumentModel, "from_bytes", fails)
    with pytest.raises(type(error)):
        find_champion(folder_at(str(models)))
    store = ModelStore(str(models))
    with pytest.raises(NoModel, match="cannot look in"):
        store.current()
    assert store.rejected == {}  # so that the next look tries it again


def test_a_damaged_model_is_still_passed_over(models, caplog):
    weights = models / NEW / "runs" / "run-1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert find_champion(folder_at(str(models))).name == OLD
    assert f"passing over {NEW}: half-written: weights.safetensors" in caplog.text


def test_a_manifest_of_any_size_is_read_to_a_limit(models):
    manifest = json.loads((models / NEW / "manifest.json").read_text())
    manifest["files"].append({"name": "huge.bin", "size": 1 << 50, "sha256": "0" * 64})
    (models / NEW / "manifest.json").write_text(json.dumps(manifest))
    assert find_champion(folder_at(str(models))).name == OLD
