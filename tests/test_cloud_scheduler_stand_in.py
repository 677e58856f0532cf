"""The Cloud Scheduler stand-in, through Google's own client and `gcloud`; a local server receives the
requests."""

import datetime
import json
import os
import queue
import shutil
import subprocess
import threading
import time
import uuid
import zoneinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.api_core.exceptions import AlreadyExists, BadRequest, Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import scheduler_v1
from google.protobuf import field_mask_pb2
from werkzeug.serving import make_server

from local.cloud_scheduler import CloudScheduler, Cron
from local.control_plane import create_app

PARENT = "projects/brigade-test/locations/us-central1"


@pytest.fixture(scope="module")
def endpoint():
    """The address of the stand-in."""
    scheduler = CloudScheduler()
    scheduler.start()
    server = make_server("127.0.0.1", 0, create_app(None, scheduler), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    scheduler.stop()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def client(endpoint) -> scheduler_v1.CloudSchedulerClient:
    return scheduler_v1.CloudSchedulerClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
    )


class Target(ThreadingHTTPServer):
    """Keeps the requests that come and answers them with `answer`."""

    answer = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: queue.Queue = queue.Queue()
        self.uri = f"http://127.0.0.1:{self.server_port}/retrain?x=1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.put((self.path, self.headers, body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def target():
    server = Target()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def job(uri: str, **settings) -> scheduler_v1.Job:
    http = scheduler_v1.HttpTarget(
        uri=uri, http_method="POST", body=b'{"a": 1}', headers={"Content-Type": "application/json"}
    )
    name = f"{PARENT}/jobs/j{uuid.uuid4().hex[:8]}"
    return scheduler_v1.Job(
        {"name": name, "schedule": "0 2 * * 1", "time_zone": "Etc/UTC", "http_target": http} | settings
    )


def attempted(client: scheduler_v1.CloudSchedulerClient, name: str) -> scheduler_v1.Job:
    end = time.monotonic() + 60
    while not (found := client.get_job(name=name)).last_attempt_time:
        assert time.monotonic() < end, "no attempt was recorded"
        time.sleep(0.05)
    return found


def test_run_sends_the_request_and_records_the_attempt(client, target):
    created = client.create_job(parent=PARENT, job=job(target.uri))
    assert created.state == scheduler_v1.Job.State.ENABLED
    assert created.schedule_time.isoweekday() == 1 and created.schedule_time.hour == 2

    client.run_job(name=created.name)

    path, headers, body = target.requests.get(timeout=60)
    assert (path, body) == ("/retrain?x=1", b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    assert headers["X-CloudScheduler"] == "true"
    assert headers["X-CloudScheduler-JobName"] == created.name.rsplit("/", 1)[1]
    assert datetime.datetime.fromisoformat(headers["X-CloudScheduler-ScheduleTime"]).tzinfo
    assert attempted(client, created.name).status.code == 0


def test_a_failed_attempt_is_recorded_with_its_status(client, target):
    target.answer = 503
    name = client.create_job(parent=PARENT, job=job(target.uri)).name
    client.run_job(name=name)
    status = attempted(client, name).status
    assert (status.code, status.message) == (14, "HTTP 503")


def test_an_enabled_job_fires_when_its_time_has_come_and_a_paused_one_does_not(client, target, monkeypatch):
    from local import cloud_scheduler

    paused, enabled = (client.create_job(parent=PARENT, job=job(target.uri)).name for _ in range(2))
    assert client.pause_job(name=paused).state == scheduler_v1.Job.State.PAUSED
    due = client.get_job(name=enabled).schedule_time
    later = due + datetime.timedelta(seconds=1)
    monkeypatch.setattr(cloud_scheduler, "_now", lambda: later)

    _, headers, _ = target.requests.get(timeout=60)

    assert headers["X-CloudScheduler-JobName"] == enabled.rsplit("/", 1)[1]
    assert datetime.datetime.fromisoformat(headers["X-CloudScheduler-ScheduleTime"]) == due
    attempted(client, enabled)
    assert client.get_job(name=enabled).schedule_time == due + datetime.timedelta(days=7)
    assert target.requests.empty() and not client.get_job(name=paused).last_attempt_time
    assert client.resume_job(name=paused).schedule_time > due


def test_jobs_are_listed_changed_and_deleted(client, target):
    first = client.create_job(parent=PARENT, job=job(target.uri))
    with pytest.raises((AlreadyExists, Conflict)):
        client.create_job(parent=PARENT, job=first)
    changed = scheduler_v1.Job(name=first.name, schedule="30 4 * * *")
    changed = client.update_job(job=changed, update_mask=field_mask_pb2.FieldMask(paths=["schedule"]))
    assert (changed.schedule, changed.http_target.uri) == ("30 4 * * *", target.uri)
    assert first.name in [found.name for found in client.list_jobs(parent=PARENT)]
    client.delete_job(name=first.name)
    with pytest.raises(NotFound):
        client.get_job(name=first.name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "every 4 weeks"}, "the five of unix-cron"),
        ({"schedule": "0 24 * * *"}, "hour '24' is out of range"),
        ({"schedule": "0 2 * * someday"}, "day of week 'someday'"),
        ({"time_zone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"http_target": {"uri": "ftp://x"}}, "httpTarget.uri"),
    ],
)
def test_a_job_that_cannot_run_is_refused(client, settings, message):
    with pytest.raises(BadRequest, match=message):
        client.create_job(parent=PARENT, job=job("http://127.0.0.1:1", **settings))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * 1", ["03-02 02:00", "03-09 02:00", "03-16 02:00"]),  # 2026-03-02 is a Monday
        (
            "0 2 * * 1/4",
            ["03-02 02:00", "03-06 02:00", "03-09 02:00"],
        ),  # Monday and Friday, not every four weeks
        ("0 0 */28 * *", ["03-29 00:00", "04-01 00:00", "04-29 00:00"]),  # starts over every month
        ("0 0 15 * 1", ["03-02 00:00", "03-09 00:00", "03-15 00:00"]),  # day of month or day of week
        ("*/30 9-10 1 mar sun", ["03-01 09:00", "03-01 09:30", "03-01 10:00"]),
        ("0 12 * * 7", ["03-01 12:00", "03-08 12:00", "03-15 12:00"]),
        ("0 0 29 2 *", ["02-29 00:00"]),
        ("0 0 30 2 *", []),
    ],
)
def test_cron_expressions_mean_what_unix_cron_says(expression, expected):
    moment: datetime.datetime | None = datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.UTC)
    found = []
    for _ in range(max(len(expected), 1)):
        moment = Cron(expression).next_after(moment)
        if moment is None:
            break
        found.append(f"{moment:%m-%d %H:%M}")
    assert found == expected


def test_a_schedule_is_kept_in_the_jobs_time_zone():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")  # summer time begins on 2026-03-29
    before = datetime.datetime(2026, 3, 28, 3, 0, tzinfo=berlin)
    following = Cron("0 2 * * 1").next_after(before)
    assert following.astimezone(datetime.UTC) == datetime.datetime(2026, 3, 30, 0, 0, tzinfo=datetime.UTC)


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the Google Cloud CLI is not installed")
def test_gcloud_creates_runs_describes_lists_and_deletes_a_job(endpoint, target, tmp_path):
    env = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": f"{endpoint}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_PROJECT": "brigade-test",
    }

    def gcloud(*args: str):
        command = ["gcloud", "scheduler", "jobs", *args, "--location=us-central1", "--format=json"]
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout or "null")

    create = ["--schedule=0 2 * * 1", f"--uri={target.uri}", "--http-method=POST", "--message-body=hello"]
    gcloud("create", "http", "brigade-retrain", "--time-zone=Etc/UTC", *create)
    gcloud("run", "brigade-retrain")
    assert target.requests.get(timeout=60)[2] == b"hello"
    assert gcloud("describe", "brigade-retrain")["schedule"] == "0 2 * * 1"
    assert f"{PARENT}/jobs/brigade-retrain" in [found["name"] for found in gcloud("list")]
    gcloud("delete", "brigade-retrain")
