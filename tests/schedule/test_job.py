"""The Cloud Scheduler job that calls the trigger, made by create_job.py in the Cloud Scheduler stand-in."""

import json
import threading

import pytest
from google.cloud import scheduler_v1
from werkzeug.serving import make_server

from brigade.schedule import workflow_client
from brigade.schedule.job import connect
from local.cloud_scheduler import CloudScheduler
from local.control_plane import create_app
from scheduler.create_job import main

PARENT = "projects/brigade-test/locations/us-central1"
NAME = f"{PARENT}/jobs/brigade-retrain"
ACCOUNT = "brigade-scheduler@brigade-test.iam.gserviceaccount.com"
URL = "https://trigger-abc.run.app"
TEMPLATE = "projects/brigade-test/regions/us-central1/workflowTemplates/retrain"
FLAGS = ["--project=brigade-test", "--region=us-central1"]


@pytest.fixture(scope="module")
def server():
    """The address of the stand-in; its clock stands still."""
    server = make_server("127.0.0.1", 0, create_app(None, CloudScheduler()), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(server) -> scheduler_v1.CloudSchedulerClient:
    """A client of a Cloud Scheduler without jobs."""
    client = connect(server)
    for job in client.list_jobs(parent=PARENT):
        client.delete_job(name=job.name)
    return client


@pytest.fixture
def run(client, server, capsys):
    """Runs the program with more flags and returns its summary."""

    def run(*flags: str) -> dict:
        assert main([*FLAGS, f"--api_endpoint={server}", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_the_job_is_created_with_an_oidc_token_for_the_trigger(run, client):
    summary = run(f"--trigger_url={URL}", f"--service_account={ACCOUNT}")
    assert set(summary.pop("changes")) >= {"schedule", "timeZone", "httpTarget.uri", "httpTarget.oidcToken.audience"}
    assert summary == {
        "job": NAME,
        "action": "created",
        "state": "ENABLED",
        "dryRun": False,
        "schedule": "0 2 * * 1",
        "timeZone": "Etc/UTC",
        "uri": URL,
    }
    job = client.get_job(name=NAME)
    assert (job.schedule, job.time_zone, job.http_target.uri) == ("0 2 * * 1", "Etc/UTC", URL)
    assert (job.http_target.http_method, job.http_target.body) == (scheduler_v1.HttpMethod.POST, b"{}")
    token = job.http_target.oidc_token
    assert (token.service_account_email, token.audience) == (ACCOUNT, URL)
    assert (job.attempt_deadline.seconds, job.retry_config.retry_count) == (180, 3)


def test_the_job_of_a_look_has_its_own_name_time_and_question_and_the_trigger_s_own_audience(run, client):
    summary = run(f"--trigger_url={URL}/", f"--service_account={ACCOUNT}", "--look")
    name = f"{PARENT}/jobs/brigade-look"
    assert (summary["job"], summary["schedule"], summary["uri"]) == (name, "0 6 * * 1", f"{URL}/?look=1")
    assert client.get_job(name=name).http_target.oidc_token.audience == f"{URL}/"
    assert run("--look", "--pause")["job"] == name


def test_a_second_run_finds_it_unchanged_and_a_third_changes_what_it_says(run, client):
    flags = [f"--trigger_url={URL}", f"--service_account={ACCOUNT}"]
    run(*flags)
    before = client.get_job(name=NAME)
    again = run(*flags)
    assert (again["action"], again["changes"]) == ("unchanged", {})
    assert client.get_job(name=NAME) == before

    changed = run(
        *flags, "--schedule=30 3 * * MON", "--time_zone=Europe/Berlin", "--retries=0", "--deadline_seconds=15"
    )
    assert changed["action"] == "updated"
    assert changed["changes"] == {
        "attemptDeadline": ["180s", "15s"],
        "retryConfig.retryCount": [3, None],
        "schedule": ["0 2 * * 1", "30 3 * * MON"],
        "timeZone": ["Etc/UTC", "Europe/Berlin"],
    }
    job = client.get_job(name=NAME)
    assert (job.schedule, job.time_zone) == ("30 3 * * MON", "Europe/Berlin")
    assert (job.attempt_deadline.seconds, job.retry_config.retry_count) == (15, 0)


def test_a_dry_run_shows_each_difference_and_changes_nothing(run, client, caplog):
    planned = run("--trigger_url=http://127.0.0.1:8081/", "--dry_run")
    assert (planned["action"], planned["state"], planned["dryRun"]) == ("create", None, True)
    assert list(client.list_jobs(parent=PARENT)) == []

    run(f"--trigger_url={URL}", f"--service_account={ACCOUNT}")
    before = client.get_job(name=NAME)
    caplog.set_level("INFO", "create_job")
    planned = run("--trigger_url=http://127.0.0.1:8081/", "--dry_run", "--schedule=0 5 * * 1")
    assert (planned["action"], planned["state"]) == ("update", "ENABLED")
    assert planned["changes"] == {
        "httpTarget.oidcToken.audience": [URL, None],
        "httpTarget.oidcToken.serviceAccountEmail": [ACCOUNT, None],
        "httpTarget.uri": [URL, "http://127.0.0.1:8081/"],
        "schedule": ["0 2 * * 1", "0 5 * * 1"],
    }
    lines = [record.getMessage() for record in caplog.records if record.name == "create_job"]
    assert "schedule: '0 2 * * 1' → '0 5 * * 1'" in lines and len(lines) == 4
    assert client.get_job(name=NAME) == before


def test_what_cloud_scheduler_adds_by_itself_is_no_difference(run, client):
    run(f"--trigger_url={URL}", f"--service_account={ACCOUNT}")
    job = client.get_job(name=NAME)
    job.http_target.headers["User-Agent"] = "Google-Cloud-Scheduler"
    job.retry_config.max_doublings = 5
    client.update_job(job=job, update_mask={"paths": ["http_target", "retry_config"]})
    assert run(f"--trigger_url={URL}", f"--service_account={ACCOUNT}")["action"] == "unchanged"


def test_a_job_is_paused_stays_so_when_it_is_updated_and_is_resumed(run, client):
    flags = [f"--trigger_url={URL}", f"--service_account={ACCOUNT}"]
    run(*flags)
    assert run("--pause") == {"job": NAME, "action": "paused", "state": "PAUSED"}
    assert run("--pause") == {"job": NAME, "action": "unchanged", "state": "PAUSED"}
    assert run(*flags, "--schedule=0 4 * * 1")["state"] == "PAUSED"
    assert run("--resume") == {"job": NAME, "action": "resumed", "state": "ENABLED"}
    assert run("--resume") == {"job": NAME, "action": "unchanged", "state": "ENABLED"}


def test_run_calls_the_trigger_now(run, client):
    called = threading.Event()

    def trigger(environ, start_response):
        assert environ["REQUEST_METHOD"] == "POST" and environ["HTTP_X_CLOUDSCHEDULER_SCHEDULETIME"]
        called.set()
        start_response("200 OK", [])
        return [b""]

    server = make_server("127.0.0.1", 0, trigger)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    run(f"--trigger_url=http://127.0.0.1:{server.server_port}/")
    assert run("--run") == {"job": NAME, "action": "started", "state": "ENABLED"}
    assert called.wait(60)
    thread.join()
    server.server_close()


def test_direct_schedules_the_template_itself_and_warns_what_that_means(run, client, server, monkeypatch, caplog):
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", server)
    content = {
        "id": "retrain",
        "placement": {"managed_cluster": {"cluster_name": "brigade"}},
        "jobs": [
            {"step_id": "train", "pyspark_job": {"main_python_file_uri": "gs://c/t.py", "args": ["gs://in/", "today"]}}
        ],
        "parameters": [
            {"name": "PARQUET", "fields": ["jobs['train'].pysparkJob.args[0]"]},
            {"name": "DATE", "fields": ["jobs['train'].pysparkJob.args[1]"]},
        ],
    }
    dataproc = workflow_client.connect(TEMPLATE, server)
    template = dataproc.create_workflow_template(parent=TEMPLATE.partition("/workflowTemplates/")[0], template=content)
    flags = [f"--direct={TEMPLATE}", f"--service_account={ACCOUNT}"]
    summary = run(*flags)
    assert (summary["action"], summary["schedule"]) == ("created", "0 2 1 * *")
    target = client.get_job(name=NAME).http_target
    assert target.uri == f"https://dataproc.googleapis.com/v1/{TEMPLATE}:instantiate"
    assert json.loads(target.body) == {"parameters": {"PARQUET": "gs://in/", "DATE": "today"}}
    assert target.oauth_token.service_account_email == ACCOUNT and not target.oidc_token.service_account_email
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    for meaning in ("calendar months", "whether or not there is a model", "not caught up", "waits a month"):
        assert meaning in warning
    assert run(*flags)["action"] == "unchanged"
    template.jobs[0].pyspark_job.args[0] = "gs://other/"
    dataproc.update_workflow_template(template=template)
    assert list(run(*flags)["changes"]) == ["httpTarget.body"]

    # and back to the trigger: no token stays that a trigger does not understand
    run(f"--trigger_url={URL}", f"--service_account={ACCOUNT}")
    target = client.get_job(name=NAME).http_target
    assert target.oidc_token.audience == URL and not target.oauth_token.service_account_email


def test_direct_needs_a_template_that_is_there(client, server, monkeypatch, capsys, caplog):
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", server)
    flags = [f"--direct={TEMPLATE}-other", f"--service_account={ACCOUNT}", f"--api_endpoint={server}"]
    assert main([*FLAGS, *flags]) == 1
    assert f"{TEMPLATE}-other does not exist; import it with: gcloud dataproc workflow-" in caplog.text
    assert capsys.readouterr().out == ""
    assert list(client.list_jobs(parent=PARENT)) == []


@pytest.mark.parametrize("flags", [["--pause"], ["--resume"], ["--run"]])
def test_a_job_that_is_not_there_is_status_1_and_one_line(client, server, flags, capsys, caplog):
    assert main([*FLAGS, f"--api_endpoint={server}", *flags]) == 1
    assert capsys.readouterr().out == ""
    (line,) = [record.getMessage() for record in caplog.records if record.name == "create_job"]
    assert line.startswith(f"{NAME} does not exist; create it with: python scheduler/create_job.py --project=")


def test_a_refusal_is_status_1_and_says_why(client, server, capsys, caplog):
    flags = ["--trigger_url=http://127.0.0.1:8081/", "--time_zone=Mars/Olympus"]
    assert main([*FLAGS, f"--api_endpoint={server}", *flags]) == 1
    assert "Mars/Olympus" in caplog.text and capsys.readouterr().out == ""


HTTP = "--trigger_url=http://t"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "one of the arguments --trigger_url --direct --pause --resume --run is required"),
        ([HTTP, "--pause"], "not allowed with argument"),
        (["--trigger_url=trigger"], "expected an http:// or https:// address, found 'trigger'"),
        (["--trigger_url=https://t.run.app"], "--service_account: expected who calls the https:// address, found none"),
        ([f"--direct={TEMPLATE}"], "--service_account: expected who calls the https:// address, found none"),
        (["--direct=retrain"], "expected projects/P/regions/R/workflowTemplates/T, found 'retrain'"),
        (["--pause", "--dry_run"], "--dry_run: expected with --trigger_url or --direct, found neither"),
        ([HTTP, "--service_account=me"], "expected an e-mail address, found 'me'"),
        ([HTTP, "--schedule=0 2 * *"], "expected five fields of unix-cron"),
        ([HTTP, "--retries=6"], "expected 0 to 5, found '6'"),
        ([HTTP, "--deadline_seconds=14"], "expected 15 to 1800, found '14'"),
        ([HTTP, "--deadline_seconds=1m"], "expected 15 to 1800, found '1m'"),
        ([HTTP, "--region=here"], "expected a region, such as us-central1, found 'here'"),
        ([HTTP, "--project=P/Q"], "expected a project's id, found 'P/Q'"),
        ([HTTP, "--name=a b"], "expected letters, digits, - and _, found 'a b'"),
        ([HTTP, "--api_endpoint=ftp://x"], "expected HOST:PORT or http://HOST:PORT"),
        ([HTTP, "extra"], "unrecognized arguments: extra"),
    ],
)
def test_wrong_arguments_are_status_2_and_say_what_was_expected(flags, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        main(FLAGS + flags)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err
