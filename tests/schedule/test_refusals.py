"""What Google's services refuse, in one line: the trigger by hand and the job, against stand-ins that refuse."""

import threading

import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError
from werkzeug.serving import make_server

from brigade.schedule import retraining, workflow_client
from brigade.schedule.refusals import Refusal, asking
from local import emulators
from scheduler import create_job
from scheduler.main import main
from tests.schedule.dataproc_server import IMPORT, TEMPLATE

NOW = "--now=2026-01-12T02:00:00Z"
LOOK = "look at the network, and on one machine whether `make up` runs"
MAY = "SECURITY.md says who may do what"


def refused(code: int, status: str, message: str) -> tuple[dict, int]:
    return {"error": {"code": code, "message": message, "status": status}}, code


def told(caplog, name: str = "scheduler") -> str:
    """The one line that people see."""
    (line,) = [record.getMessage() for record in caplog.records if record.name == name]
    return line


@pytest.fixture
def impatient(monkeypatch):
    """Nothing is asked a second time."""
    monkeypatch.setattr(workflow_client, "RETRY", None)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (refused(404, "NOT_FOUND", "Not found: it"), f"{TEMPLATE} does not exist; import it with: {IMPORT}"),
        (
            refused(403, "PERMISSION_DENIED", "Not authorized\nto requested resource."),
            f"Dataproc does not let this account use {TEMPLATE}: Not authorized to requested resource.; {MAY}",
        ),
        (refused(503, "UNAVAILABLE", "busy"), f"Dataproc cannot be reached for {TEMPLATE}: busy; {LOOK}"),
        (refused(504, "DEADLINE_EXCEEDED", "late"), f"Dataproc cannot be reached for {TEMPLATE}: late; {LOOK}"),
        (refused(400, "INVALID_ARGUMENT", "no"), f"Dataproc, {TEMPLATE}: BadRequest: no"),
        (refused(500, "INTERNAL", "oops"), f"Dataproc, {TEMPLATE}: InternalServerError: oops"),
    ],
)
@pytest.mark.parametrize("call", ["list operations", "get template", "instantiate"])
def test_whatever_dataproc_answers_is_one_line_without_an_address(
    models, dataproc, impatient, caplog, capsys, answer, line, call
):
    good = [None, None, None, None]  # from the stand-in
    good[["list operations", "get template", "instantiate"].index(call)] = answer
    dataproc.answers = good
    assert main([NOW]) == 1
    assert told(caplog) == line and capsys.readouterr().out == ""


def test_a_dataproc_that_is_not_there_is_one_line_in_the_system_s_words(models, impatient, monkeypatch, caplog):
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", f"http://127.0.0.1:{emulators.free_port()}")
    assert main(["--dry_run", NOW]) == 1
    assert told(caplog) == f"Dataproc cannot be reached for {TEMPLATE}: [Errno 111] Connection refused; {LOOK}"


def test_an_empty_template_s_start_is_refused_in_dataproc_s_words(models, dataproc, caplog):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    parent, _, name = TEMPLATE.partition("/workflowTemplates/")
    dataproc.client.create_workflow_template(parent=parent, template={"id": name})
    assert main([NOW]) == 1
    assert told(caplog).startswith(f"Dataproc, {TEMPLATE}: BadRequest: placement is missing")


def test_a_bucket_that_is_not_there_is_named_with_the_command_that_creates_it(
    models, dataproc, storage_emulator, monkeypatch, caplog
):
    monkeypatch.setenv("MODELS_URI", "gs://there-is-no-such-bucket/output/")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "brigade-test")
    assert main(["--dry_run", NOW]) == 1
    uri, create = "gs://there-is-no-such-bucket/output/", "gcloud storage buckets create gs://there-is-no-such-bucket"
    assert told(caplog) == f"{uri} does not exist; create its bucket with: {create}"


@pytest.fixture
def cloud_scheduler():
    """cloud_scheduler(answer): the address of one that answers so to everything."""
    servers = []

    def start(answer: tuple[dict, int]) -> str:
        from flask import Flask

        app = Flask(__name__)
        app.before_request(lambda: answer)
        servers.append(make_server("127.0.0.1", 0, app))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("flags", [["--pause"], ["--run"], ["--trigger_url=http://t/"]])
def test_whatever_cloud_scheduler_answers_is_one_line_without_an_address(cloud_scheduler, flags, caplog, capsys):
    address = cloud_scheduler(refused(403, "PERMISSION_DENIED", "The principal lacks cloudscheduler.jobs.get"))
    place = ["--project=brigade-test", "--region=us-central1", f"--api_endpoint={address}"]
    assert create_job.main([*place, *flags]) == 1
    line = told(caplog, "create_job")
    assert line.startswith("Cloud Scheduler does not let this account use projects/brigade-test/locations/us-central1")
    assert line.endswith(f": The principal lacks cloudscheduler.jobs.get; {MAY}") and capsys.readouterr().out == ""


def test_a_cloud_scheduler_that_is_not_there_is_one_line_in_the_system_s_words(caplog):
    place = ["--project=brigade-test", "--region=us-central1"]
    place.append(f"--api_endpoint=http://127.0.0.1:{emulators.free_port()}")
    assert create_job.main([*place, "--run"]) == 1
    assert told(caplog, "create_job").startswith("Cloud Scheduler cannot be reached for projects/brigade-test/")
    assert f": [Errno 111] Connection refused; {LOOK}" in told(caplog, "create_job")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.Unauthenticated("no"), f"S does not let this account use N: no; {MAY}"),
        (exceptions.PermissionDenied("no"), f"S does not let this account use N: no; {MAY}"),
        (exceptions.ServiceUnavailable("no"), f"S cannot be reached for N: no; {LOOK}"),
        (
            exceptions.RetryError("after 30 s", exceptions.ServiceUnavailable("GET http://h/x: no")),
            f"S cannot be reached for N: no; {LOOK}",
        ),
        (DefaultCredentialsError("none"), "S knows no credentials of this account: none; gcloud auth"),
        (PermissionError(13, "Permission denied", "/models"), "S, N: PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_errors_of_both_transports_are_told_alike(error, words):
    with pytest.raises(Refusal) as refusal, asking("S", "N", "do this"):
        raise error
    assert str(refusal.value).startswith(words)
    assert retraining.failure(refusal.value) == str(refusal.value)
