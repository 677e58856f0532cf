"""The trigger that knows what four weeks are, and the job that calls it."""

import json
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from functions_framework import create_app
from gcp_storage_emulator.server import create_server
from hypothesis import given, settings
from hypothesis import strategies as st

from local.emulators import free_port
from scheduler import create_job
from scheduler import main as room
from scheduler.main import decide, moment_of, next_period_starts, request_id

SOURCE = str(Path(__file__).parent.parent / "scheduler" / "main.py")
ANCHOR = date(2026, 1, 5)
TEMPLATE = "projects/brigade-test/regions/us-central1/workflowTemplates/retrain"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ----------------------------------------------------------------------------------------------- the decision


@pytest.mark.parametrize(
    ("now", "models", "start", "period"),
    [
        # the period's edges
        ("2026-01-05T00:00:00Z", [], True, "2026-01-05"),
        ("2026-01-05T02:00:00Z", [], True, "2026-01-05"),
        ("2026-02-01T23:59:59Z", [], True, "2026-01-05"),
        ("2026-02-02T00:00:00Z", [], True, "2026-02-02"),
        # before the first period
        ("2026-01-04T23:59:59Z", [], False, "2026-01-05"),
        ("2025-06-01T00:00:00Z", ["2025-06-01"], False, "2026-01-05"),
        # a model of this period, of its first and last day, of its neighbours
        ("2026-01-12T02:00:00Z", ["2026-01-05"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-02-01"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-01-04"], True, "2026-01-05"),
        ("2026-02-09T02:00:00Z", ["2026-02-01"], True, "2026-02-02"),
        ("2026-01-26T02:00:00Z", ["2026-02-02"], True, "2026-01-05"),
        # the first week's run failed; the second's, third's and last's may still come
        ("2026-01-12T02:00:00Z", [], True, "2026-01-05"),
        ("2026-01-26T02:00:00Z", ["2025-12-08"], True, "2026-01-05"),
        # periods were missed altogether
        ("2026-06-15T02:00:00Z", ["2026-01-05"], True, "2026-05-25"),
        # the moment counts in UTC, wherever the clock that tells it stands
        ("2026-02-01T22:00:00-03:00", [], True, "2026-02-02"),
        ("2026-02-02T00:30:00+01:00", [], True, "2026-01-05"),
        # summer time starts on 2026-03-29 in Lisbon: 01:30 there is 00:30 in UTC
        ("2026-03-30T01:00:00+01:00", ["2026-03-02"], True, "2026-03-30"),
        ("2026-03-30T00:59:59+01:00", ["2026-03-02"], False, "2026-03-02"),
        # over the year's end, and over 29 February 2028
        ("2026-12-31T23:00:00Z", ["2026-12-07"], False, "2026-12-07"),
        ("2027-01-04T02:00:00Z", ["2026-12-31"], True, "2027-01-04"),
        ("2028-02-28T02:00:00Z", ["2028-02-27"], True, "2028-02-28"),
        ("2028-03-26T23:59:59Z", ["2028-02-29"], False, "2028-02-28"),
        ("2028-03-27T00:00:00Z", ["2028-02-29"], True, "2028-03-27"),
    ],
)
def test_a_workflow_starts_when_its_period_has_no_model(now, models, start, period):
    decision = decide(at(now), ANCHOR, {date.fromisoformat(day) for day in models})
    assert (decision.start, decision.period_start.isoformat()) == (start, period)
    assert decision.period_start.isoformat() in decision.reason


@settings(max_examples=300, deadline=None)
@given(
    first=st.integers(0, 400),
    hour=st.integers(0, 23),
    calls=st.lists(st.integers(1, 3), min_size=8, max_size=60),
)
def test_weekly_calls_start_exactly_one_workflow_a_period_when_runs_succeed(first, hour, calls):
    """Each week the job fires once, or, as at least once means, up to three times."""
    begin = datetime(2026, 1, 5, hour, tzinfo=UTC) + timedelta(days=first)
    models, started = set(), []
    for week, times in enumerate(calls):
        for _ in range(times):
            now = begin + timedelta(weeks=week)
            decision = decide(now, ANCHOR, models)
            if decision.start:
                started.append(decision.period_start)
                models.add(now.date())  # the run's model, whether promoted or not
    days = [(begin + timedelta(weeks=week)).date() for week in range(len(calls))]
    periods = {ANCHOR + timedelta(days=(day - ANCHOR).days // 28 * 28) for day in days}
    assert started == sorted(periods)


@settings(max_examples=200, deadline=None)
@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    weeks=st.integers(0, 500),
)
def test_a_period_holds_the_moment_and_starts_on_a_monday(now, weeks):
    anchor = ANCHOR - timedelta(weeks=weeks)
    decision = decide(now, anchor, [])
    assert decision.period_start.weekday() == 0
    assert decision.start == (now.date() >= anchor)
    if decision.start:
        assert decision.period_start <= now.date() < decision.period_start + timedelta(days=28)
        assert next_period_starts(now, anchor)[0] == decision.period_start + timedelta(days=28)
    else:
        assert next_period_starts(now, anchor)[0] == anchor


def test_calls_of_a_day_share_a_request_id_and_the_next_weeks_has_another():
    identifier = request_id(at("2026-01-12T02:00:00Z"), ANCHOR)
    assert identifier == "brigade-2026-01-05-2026-01-12" and len(identifier) <= 40
    assert request_id(at("2026-01-12T23:59:59Z"), ANCHOR) == identifier
    assert request_id(at("2026-01-11T23:00:00-03:00"), ANCHOR) == identifier
    assert request_id(at("2026-01-19T02:00:00Z"), ANCHOR) != identifier


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T02:00:00Z", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05t02:00:00.123456789z", datetime(2026, 1, 5, 2, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-04T23:00:00-03:00", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05", None),
        ("2026-01-05T02:00:00", None),
        ("2026-02-30T02:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_schedule_time_is_rfc_3339_or_it_is_none(text, moment):
    assert moment_of(text) == moment


# ------------------------------------------------------------------------------------------------ the trigger


class Recorder(ThreadingHTTPServer):
    """A Google API that answers each request with `answer`, (status, object), and keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), RecorderHandler)
        self.uri = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, str, dict]] = []
        self.answers: list[tuple[int, dict]] = []


class RecorderHandler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, json.loads(body or b"{}")))
        status, answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = answer

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def api():
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(api, tmp_path, monkeypatch) -> Path:
    """A whole environment on a folder of models, which it returns, and an answering Dataproc."""
    api.answers = [(200, {"name": "projects/brigade-test/regions/us-central1/operations/op-1"})]
    monkeypatch.setenv("WORKFLOW_TEMPLATE", TEMPLATE)
    monkeypatch.setenv("MODELS_URI", str(tmp_path))
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-05")
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", api.uri)
    return tmp_path


@pytest.fixture
def trigger(environment, monkeypatch):
    """The function as functions-framework serves it."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setitem(sys.modules, "main", None)  # both rooms have one
    monkeypatch.setenv("FUNCTION_TARGET", "trigger")
    return create_app("trigger", SOURCE).test_client()


def write_manifest(root: Path, day: str, name: str = "manifest.json") -> None:
    folder = root / f"doc-classification-model-{day}"
    folder.mkdir()
    (folder / name).write_text('{"promoted": false}')


def call(trigger, scheduled: str):
    return trigger.post("/", headers={"X-CloudScheduler-ScheduleTime": scheduled})


def test_a_call_starts_the_workflow_and_does_not_wait_for_it(trigger, api):
    answer = call(trigger, "2026-01-12T02:00:00Z")
    assert answer.status_code == 200
    assert answer.json == {
        "started": True,
        "periodStart": "2026-01-05",
        "reason": "the period 2026-01-05 to 2026-02-01 has no model yet",
        "operation": "projects/brigade-test/regions/us-central1/operations/op-1",
    }
    ((method, path, body),) = api.requests
    assert method == "POST" and path.startswith(f"/v1/{TEMPLATE}:instantiate")
    assert body["requestId"] == "brigade-2026-01-05-2026-01-12"


def test_a_call_that_comes_twice_asks_for_the_same_workflow(trigger, api):
    for _ in range(2):
        assert call(trigger, "2026-01-12T02:00:00Z").status_code == 200
    assert len({body["requestId"] for _, _, body in api.requests}) == 1 and len(api.requests) == 2


def test_a_period_with_a_model_starts_nothing_even_if_it_was_not_promoted(trigger, api, environment):
    write_manifest(environment, "2026-01-05")
    answer = call(trigger, "2026-01-12T02:00:00Z")
    assert answer.status_code == 200 and api.requests == []
    assert answer.json["started"] is False and answer.json["operation"] is None
    assert answer.json["reason"] == "the period 2026-01-05 to 2026-02-01 has a model, of 2026-01-05"


def test_folders_without_a_manifest_are_no_models(trigger, api, environment):
    write_manifest(environment, "2026-01-05", name="model.json")
    write_manifest(environment, "2026-01-99")
    write_manifest(environment, "2026-01-06-copy")
    assert call(trigger, "2026-01-12T02:00:00Z").json["started"] is True


@pytest.mark.parametrize("uri", ["gs://models/some/output", "gs://models/some/output/", "gs://models"])
def test_models_are_found_in_a_bucket(uri, monkeypatch):
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="models")
    server.start()
    from google.cloud import storage

    bucket = storage.Client().bucket("models")
    prefix = "some/output/" if "some" in uri else ""
    for name in (
        "doc-classification-model-2026-01-05/manifest.json",
        "doc-classification-model-2026-02-02/runs/run-1/manifest.json",
        "doc-classification-model-2026-03-02/model.json",
        "deeper/doc-classification-model-2026-03-30/manifest.json",
    ):
        bucket.blob(prefix + name).upload_from_string("{}")
    try:
        assert room.model_dates(uri) == {date(2026, 1, 5)}
    finally:
        server.stop()


@pytest.mark.parametrize("header", [None, "", "soon", "2026-01-12"])
def test_without_a_valid_schedule_time_now_counts(trigger, header, monkeypatch):
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2096-01-02")
    answer = trigger.post("/", headers={"X-CloudScheduler-ScheduleTime": header} if header is not None else {})
    assert answer.json["started"] is False and answer.json["reason"] == "the first period starts on 2096-01-02"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "WORKFLOW_TEMPLATE",
            "",
            "WORKFLOW_TEMPLATE: expected projects/P/regions/R/workflowTemplates/T, found ''",
        ),
        ("WORKFLOW_TEMPLATE", "retrain", "WORKFLOW_TEMPLATE: expected projects/P/regions/R"),
        ("MODELS_URI", "", "MODELS_URI: expected gs://bucket/prefix or a local path, found ''"),
        ("MODELS_URI", "s3://models", "MODELS_URI: expected gs://bucket/prefix"),
        ("SCHEDULE_ANCHOR", "", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found ''"),
        ("SCHEDULE_ANCHOR", "20260105", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found '20260105'"),
        ("SCHEDULE_ANCHOR", "2026-02-30", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD"),
        ("SCHEDULE_ANCHOR", "2026-01-06", "SCHEDULE_ANCHOR: expected a Monday, found 2026-01-06, a Tuesday"),
    ],
)
def test_a_wrong_setting_answers_500_and_says_what_was_expected(trigger, api, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    answer = call(trigger, "2026-01-12T02:00:00Z")
    assert answer.status_code == 500 and api.requests == []
    assert answer.json["error"].startswith(message)


def test_the_regions_own_endpoint_is_the_default(environment, monkeypatch):
    monkeypatch.delenv("DATAPROC_API_ENDPOINT")
    assert room.get_env().endpoint == "us-central1-dataproc.googleapis.com:443"


def test_when_dataproc_refuses_the_call_fails_so_that_it_comes_again(trigger, api):
    api.answers = [(403, {"error": {"code": 403, "message": "no\npermission", "status": "PERMISSION_DENIED"}})]
    answer = call(trigger, "2026-01-12T02:00:00Z")
    assert answer.status_code == 503
    assert answer.json["error"].startswith("cannot start the workflow: Forbidden: 403")
    assert "\n" not in answer.json["error"]


def test_while_dataproc_is_unavailable_it_is_asked_again(trigger, api):
    busy = (503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})
    api.answers = [busy, *api.answers]
    assert call(trigger, "2026-01-12T02:00:00Z").json["started"] is True
    assert [body["requestId"] for _, _, body in api.requests] == ["brigade-2026-01-05-2026-01-12"] * 2


def test_only_post_starts_anything(trigger, api):
    answer = trigger.get("/")
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST" and api.requests == []


# ---------------------------------------------------------------------------------------------------- by hand


def test_a_dry_run_prints_the_decision_and_the_next_periods_and_touches_nothing(environment, api, capsys):
    assert room.main(["--dry_run", "--now=2026-01-12T02:00:00Z"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["dryRun"] and summary["due"] and not summary["started"] and summary["operation"] is None
    assert summary["nextPeriodStarts"] == [
        "2026-02-02",
        "2026-03-02",
        "2026-03-30",
        "2026-04-27",
        "2026-05-25",
    ]
    assert api.requests == [] and list(environment.iterdir()) == []


def test_by_hand_it_starts_the_workflow_too(environment, api, capsys):
    assert room.main(["--now=2026-01-12T02:00:00Z"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["started"] and summary["operation"].endswith("/op-1") and len(api.requests) == 1


def test_by_hand_a_wrong_setting_is_status_2_a_refusal_1(environment, api, monkeypatch, capsys, caplog):
    api.answers = [(404, {"error": {"code": 404, "message": "no such template", "status": "NOT_FOUND"}})]
    assert room.main(["--now=2026-01-12T02:00:00Z"]) == 1
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-06")
    assert room.main(["--dry_run"]) == 2
    with pytest.raises(SystemExit) as refusal:
        room.main(["--now=tomorrow"])
    assert refusal.value.code == 2
    assert "expected RFC 3339, such as 2026-01-12T02:00:00Z, found 'tomorrow'" in capsys.readouterr().err
    assert "no such template" in caplog.text and "2026-01-06, a Tuesday" in caplog.text


# ---------------------------------------------------------------------------------------------------- the job


PARENT = "projects/brigade-test/locations/us-central1"
FLAGS = ["--project=brigade-test", "--region=us-central1"]
ACCOUNT = "brigade-scheduler@brigade-test.iam.gserviceaccount.com"


def test_the_job_is_created_with_a_token_for_the_trigger(api, capsys):
    api.answers = [(200, {"name": f"{PARENT}/jobs/brigade-retrain", "state": "ENABLED"})]
    url = "https://trigger-abc.run.app"
    flags = [f"--trigger_url={url}", f"--service_account={ACCOUNT}", f"--api_endpoint={api.uri}"]
    assert create_job.main(FLAGS + flags) == 0
    assert json.loads(capsys.readouterr().out) == {
        "job": f"{PARENT}/jobs/brigade-retrain",
        "action": "created",
        "state": "ENABLED",
        "schedule": "0 2 * * 1",
        "timeZone": "Etc/UTC",
        "triggerUrl": url,
    }
    ((method, path, job),) = api.requests
    assert method == "POST" and path.startswith(f"/v1/{PARENT}/jobs")
    assert (job["name"], job["schedule"], job["timeZone"]) == (
        f"{PARENT}/jobs/brigade-retrain",
        "0 2 * * 1",
        "Etc/UTC",
    )
    assert job["httpTarget"]["uri"] == url
    assert job["httpTarget"]["oidcToken"] == {"serviceAccountEmail": ACCOUNT, "audience": url}
    assert job["attemptDeadline"] == "180s" and job["retryConfig"]["retryCount"] == 3


def test_a_job_that_exists_is_updated(api, capsys):
    exists = (409, {"error": {"code": 409, "message": "exists", "status": "ALREADY_EXISTS"}})
    api.answers = [exists, (200, {"name": f"{PARENT}/jobs/weekly", "state": "ENABLED"})]
    flags = ["--trigger_url=http://127.0.0.1:8081/", "--name=weekly", "--schedule=30 3 * * MON"]
    assert create_job.main([*FLAGS, *flags, f"--api_endpoint={api.uri}"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "updated"
    method, path, job = api.requests[1]
    assert method == "PATCH" and path.startswith(f"/v1/{PARENT}/jobs/weekly?updateMask=")
    assert "httpTarget" in path and "schedule" in path
    assert job["schedule"] == "30 3 * * MON" and "oidcToken" not in job["httpTarget"]


def test_a_refusal_is_one_line_and_status_1(api, capsys, caplog):
    api.answers = [(403, {"error": {"code": 403, "message": "no\npermission", "status": "PERMISSION_DENIED"}})]
    flags = ["--trigger_url=http://127.0.0.1:8081/", f"--api_endpoint={api.uri}"]
    assert create_job.main(FLAGS + flags) == 1
    assert capsys.readouterr().out == ""
    (line,) = [record.getMessage() for record in caplog.records if record.name == "create_job"]
    assert line.startswith(f"cannot create {PARENT}/jobs/brigade-retrain: Forbidden") and "\n" not in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: --trigger_url"),
        (["--trigger_url=trigger"], "expected an http:// or https:// address, found 'trigger'"),
        (["--trigger_url=https://t.run.app"], "--service_account: expected who calls the https:// trigger"),
        (["--trigger_url=http://t", "--service_account=me"], "expected an e-mail address, found 'me'"),
        (["--trigger_url=http://t", "--schedule=0 2 * *"], "expected five fields of unix-cron"),
        (["--trigger_url=http://t", "--region=here"], "expected a region, such as us-central1, found 'here'"),
        (["--trigger_url=http://t", "--project=P/Q"], "expected a project's id, found 'P/Q'"),
        (["--trigger_url=http://t", "--name=a b"], "expected letters, digits, - and _, found 'a b'"),
        (["--trigger_url=http://t", "--api_endpoint=ftp://x"], "expected HOST:PORT or http://HOST:PORT"),
        (["--trigger_url=http://t", "extra"], "unrecognized arguments: extra"),
    ],
)
def test_wrong_arguments_are_status_2_and_say_what_was_expected(flags, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        create_job.main(FLAGS + flags)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err
