"""The Cloud Scheduler stand-in, through Google's own client and `gcloud`; a local server receives the
requests."""

import base64
import contextlib
import datetime
import json
import queue
import threading
import time
import uuid
import zoneinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from google.api_core.exceptions import AlreadyExists, BadRequest, Conflict, NotFound
from google.cloud import scheduler_v1
from google.protobuf import field_mask_pb2
from werkzeug.serving import make_server

from local.cloud_scheduler import CloudScheduler, Cron
from local.control_plane import create_app
from tests.conftest import ControlPlane

PARENT = "projects/brigade-test/locations/us-central1"


START = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)  # a Thursday


@contextlib.contextmanager
def served(scheduler: CloudScheduler):
    """A client of a stand-in over HTTP."""
    server = make_server("127.0.0.1", 0, create_app(None, scheduler), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ControlPlane(f"http://127.0.0.1:{server.server_port}", None).client(scheduler_v1.CloudSchedulerClient)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def client():
    """Of a stand-in with the machine's clock."""
    scheduler = CloudScheduler()
    scheduler.start()
    with served(scheduler) as client:
        yield client
    scheduler.stop()


@pytest.fixture
def scheduler() -> CloudScheduler:
    """One whose clock stands until a test turns it."""
    return CloudScheduler(standing_at=START)


@pytest.fixture
def turned(scheduler):
    """Its client."""
    with served(scheduler) as client:
        yield client


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


def fired(target) -> list[datetime.datetime]:
    """The times by the schedule of the requests that came since."""
    times = []
    while not target.requests.empty():
        times.append(datetime.datetime.fromisoformat(target.requests.get()[1]["X-CloudScheduler-ScheduleTime"]))
    return times


def test_an_enabled_job_fires_by_itself_when_its_time_has_come(target, monkeypatch):
    scheduler = CloudScheduler()
    with served(scheduler) as client:
        due = client.create_job(parent=PARENT, job=job(target.uri)).schedule_time
        monkeypatch.setattr(scheduler, "_now", lambda: due)  # the machine's clock, days later
        scheduler.start()
        _, headers, _ = target.requests.get(timeout=60)
        scheduler.stop()
    assert datetime.datetime.fromisoformat(headers["X-CloudScheduler-ScheduleTime"]) == due


def test_a_clock_that_is_turned_over_four_weeks_fires_each_of_them_once_at_its_time(scheduler, turned, target):
    weekly = turned.create_job(parent=PARENT, job=job(target.uri))
    assert weekly.schedule_time == datetime.datetime(2026, 1, 5, 2, 0, tzinfo=datetime.UTC)

    scheduler.turn_to(START + datetime.timedelta(weeks=4))

    assert fired(target) == [weekly.schedule_time + datetime.timedelta(weeks=week) for week in range(4)]
    scheduler.turn_to(START + datetime.timedelta(weeks=4))
    assert fired(target) == []
    assert turned.get_job(name=weekly.name).last_attempt_time == weekly.schedule_time + datetime.timedelta(weeks=3)


def test_a_paused_job_does_not_fire_and_one_that_is_resumed_leaves_out_what_it_missed(scheduler, turned, target):
    name = turned.create_job(parent=PARENT, job=job(target.uri)).name
    assert turned.pause_job(name=name).state == scheduler_v1.Job.State.PAUSED
    scheduler.turn_to(START + datetime.timedelta(weeks=2))
    assert fired(target) == []
    resumed = turned.resume_job(name=name)
    scheduler.turn_to(START + datetime.timedelta(weeks=3))
    assert fired(target) == [resumed.schedule_time] == [datetime.datetime(2026, 1, 19, 2, 0, tzinfo=datetime.UTC)]


def test_a_schedule_follows_its_time_zone_over_a_change_of_the_clocks(scheduler, turned, target):
    turned.create_job(parent=PARENT, job=job(target.uri, time_zone="Europe/Berlin"))
    scheduler.turn_to(datetime.datetime(2026, 3, 22, tzinfo=datetime.UTC))
    fired(target)
    scheduler.turn_to(datetime.datetime(2026, 4, 7, tzinfo=datetime.UTC))
    assert [f"{time:%m-%d %H:%M}" for time in fired(target)] == ["03-23 01:00", "03-30 00:00", "04-06 00:00"]


def test_an_hourly_job_fires_in_every_hour_of_the_day_on_which_the_clocks_go_back(target):
    start, hour = datetime.datetime(2026, 10, 24, 22, 0, tzinfo=datetime.UTC), datetime.timedelta(hours=1)
    scheduler = CloudScheduler(standing_at=start)
    with served(scheduler) as client:
        client.create_job(parent=PARENT, job=job(target.uri, schedule="0 * * * *", time_zone="Europe/Berlin"))
        scheduler.turn_to(start + 25 * hour)
    assert fired(target) == [start + number * hour for number in range(1, 26)]


def test_a_failed_attempt_is_retried_at_growing_intervals_with_the_same_time_of_the_schedule(scheduler, turned, target):
    target.answer = 503
    retries = {"retry_count": 5, "min_backoff_duration": "10s", "max_backoff_duration": "300s", "max_doublings": 2}
    name = turned.create_job(parent=PARENT, job=job(target.uri, retry_config=retries)).name
    due = began = turned.get_job(name=name).schedule_time
    for wait in (10, 20, 40, 80, 120):
        scheduler.turn_to(began)
        began += datetime.timedelta(seconds=wait)
        assert turned.get_job(name=name).schedule_time == began
        assert fired(target) == [due]
    scheduler.turn_to(began)
    assert fired(target) == [due]  # the fifth retry, and the last
    assert turned.get_job(name=name).schedule_time == due + datetime.timedelta(weeks=1)


def test_a_retry_that_succeeds_is_the_last(scheduler, turned, target):
    target.answer = 503
    name = turned.create_job(parent=PARENT, job=job(target.uri, retry_config={"retry_count": 3})).name
    due = turned.get_job(name=name).schedule_time
    scheduler.turn_to(due)
    target.answer = 200
    scheduler.turn_to(due + datetime.timedelta(days=1))
    assert fired(target) == [due, due]
    assert turned.get_job(name=name).status.code == 0


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
        ({"attempt_deadline": "14s"}, "attemptDeadline is 14s: it must be 15s to 1800s"),
        ({"attempt_deadline": "1801s"}, "attemptDeadline is 1801s"),
        ({"retry_config": {"retry_count": 6}}, "retryCount is 6: it must be 0 to 5"),
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


def test_unknown_fields_are_refused_in_a_job_and_in_a_mask(control_plane, target):
    url = f"{control_plane.endpoint}/v1/{PARENT}/jobs"
    body = {"name": f"{PARENT}/jobs/unknown", "schedule": "0 2 * * 1", "httpTarget": {"uri": target.uri}}
    answer = requests.post(url, json=body | {"colour": "red"})
    assert answer.status_code == 400 and 'no field named "colour"' in answer.json()["error"]["message"]
    assert requests.post(url, json=body).status_code == 200
    answer = requests.patch(f"{url}/unknown?updateMask=colour", json={})
    assert answer.status_code == 400 and "'colour' names a field" in answer.json()["error"]["message"]


def test_gcloud_creates_updates_pauses_resumes_runs_describes_lists_and_deletes_a_job(gcloud, target):
    def jobs(*args: str):
        return json.loads(gcloud("scheduler", "jobs", *args, "--location=us-central1", "--format=json")[0] or "null")

    create = ["--schedule=0 2 * * 1", f"--uri={target.uri}", "--http-method=POST", "--message-body=hello"]
    jobs("create", "http", "brigade-retrain", "--time-zone=Etc/UTC", *create)
    jobs(
        "update", "http", "brigade-retrain", "--schedule=30 3 * * 1", "--max-retry-attempts=2", "--attempt-deadline=60s"
    )
    found = jobs("describe", "brigade-retrain")
    assert (found["schedule"], found["attemptDeadline"], found["state"]) == ("30 3 * * 1", "60s", "ENABLED")
    assert (found["retryConfig"]["retryCount"], found["retryConfig"]["minBackoffDuration"]) == (2, "5s")
    assert (found["httpTarget"]["uri"], base64.b64decode(found["httpTarget"]["body"])) == (target.uri, b"hello")
    jobs("pause", "brigade-retrain")
    assert jobs("describe", "brigade-retrain")["state"] == "PAUSED"
    jobs("resume", "brigade-retrain")
    jobs("run", "brigade-retrain")
    assert target.requests.get(timeout=60)[2] == b"hello"
    assert f"{PARENT}/jobs/brigade-retrain" in [found["name"] for found in jobs("list")]
    jobs("delete", "brigade-retrain")
    assert (
        "NOT_FOUND" in gcloud("scheduler", "jobs", "describe", "brigade-retrain", "--location=us-central1", status=1)[1]
    )


def test_gcloud_is_told_what_is_wrong_with_a_schedule_in_the_words_that_a_client_gets(gcloud, client, target):
    schedule = "every 4 weeks"
    create = ["jobs", "create", "http", "wrong", f"--schedule={schedule}", f"--uri={target.uri}"]
    told = gcloud("scheduler", *create, "--location=us-central1", status=1)[1]
    with pytest.raises(BadRequest) as refusal:
        client.create_job(parent=PARENT, job=job(target.uri, schedule=schedule))
    message = refusal.value.message.split(": ", 1)[1]
    assert "expected the five of unix-cron" in message and message in told
