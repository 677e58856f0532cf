"""The trigger, over HTTP and by hand, against the Dataproc stand-in, whose jobs wait until a test ends them."""

import json
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import requests
import yaml
from flask import request as flask_request
from functions_framework import create_app
from google.api_core.exceptions import BadRequest
from werkzeug.serving import make_server

from brigade.schedule.workflow_client import connect
from local.cloud_scheduler import CloudScheduler
from local.control_plane import create_app as create_control_plane
from scheduler import main as room

ROOT = Path(__file__).parents[2]
SOURCE = str(ROOT / "scheduler" / "main.py")
REGION = "projects/brigade-test/regions/us-central1"
TEMPLATE = f"{REGION}/workflowTemplates/retrain"
CONTENT = {
    "id": "retrain",
    "labels": {"team": "documents"},
    "placement": {"managed_cluster": {"cluster_name": "brigade"}},
    "jobs": [
        {
            "step_id": "train",
            "pyspark_job": {
                "main_python_file_uri": "gs://ml_code/train_ml_model.py",
                "args": ["gs://ml_input/parquet/", "gs://ml_output/output/", "--date", "today"],
            },
        }
    ],
    "parameters": [
        {"name": "DATE", "fields": ["jobs['train'].pysparkJob.args[3]"]},
        {"name": "PARQUET", "fields": ["jobs['train'].pysparkJob.args[0]"]},
        {"name": "TEAM", "fields": ["labels['team']"]},
    ],
}


class Held:
    """In place of the machine's places for Spark jobs."""

    def __init__(self) -> None:
        self.jobs = []

    def submit(self, job) -> None:
        self.jobs.append(job)


class Dataproc:
    """The stand-in as a server. `requests` are the calls that it got: (method, path, body)."""

    def __init__(self) -> None:
        self.held, self.requests, self.answers = Held(), [], []
        app = create_control_plane(self.held, CloudScheduler())

        @app.before_request
        def note():
            self.requests.append((flask_request.method, flask_request.path, flask_request.get_json(silent=True)))
            return self.answers.pop(0) if self.answers else None

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        self.client = connect(TEMPLATE, self.uri)

    def operations(self) -> list:
        return list(self.client.list_operations({"name": f"{REGION}/operations"}).operations)

    def started(self) -> list[dict]:
        """The bodies of the calls that start a workflow."""
        return [body for method, path, body in self.requests if path.endswith(":instantiate")]

    def end(self) -> None:
        """Ends all workflows, as failed ones."""
        for operation in self.operations():
            self.client.cancel_operation({"name": operation.name})
        while any(not operation.done for operation in self.operations()):
            threading.Event().wait(0.01)


@pytest.fixture
def dataproc():
    server = Dataproc()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.client.create_workflow_template(parent=REGION, template=CONTENT)
    server.requests.clear()
    yield server
    server.answers.clear()
    server.end()
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture
def models(dataproc, tmp_path, monkeypatch) -> Path:
    """The folder of models of a whole environment."""
    monkeypatch.setenv("WORKFLOW_TEMPLATE", TEMPLATE)
    monkeypatch.setenv("MODELS_URI", str(tmp_path))
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-05")
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", dataproc.uri)
    return tmp_path


@pytest.fixture
def app(models, monkeypatch):
    """The function as functions-framework serves it."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setitem(sys.modules, "main", None)  # both rooms have one
    monkeypatch.setenv("FUNCTION_TARGET", "trigger")
    return create_app("trigger", SOURCE)


@pytest.fixture
def at(app, monkeypatch):
    """Calls the function at a time."""

    def call(time: str, query: str = "", method: str = "POST", scheduled: str = ""):
        monkeypatch.setattr(sys.modules["main"], "clock", lambda: datetime.fromisoformat(time))
        return app.test_client().open(
            f"/{query}", method=method, headers={"X-CloudScheduler-ScheduleTime": scheduled or time}
        )

    return call


def write_manifest(root: Path, day: str) -> None:
    folder = root / f"doc-classification-model-{day}"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"promoted": false}')


# ------------------------------------------------------------------------------------------------- a decision


def test_a_call_starts_the_workflow_and_does_not_wait_for_its_end(at, dataproc):
    answer = at("2026-01-12T02:00:00Z")
    (operation,) = dataproc.operations()
    assert answer.status_code == 200 and not operation.done
    assert answer.json == {
        "decision": "start",
        "reason": "the period 2026-01-05 to 2026-02-01 has no model yet",
        "period": {"start": "2026-01-05", "end": "2026-02-01", "number": 1},
        "dryRun": False,
        "nextDue": "2026-02-02",
        "parameters": {"DATE": "2026-01-12", "PARQUET": "gs://ml_input/parquet/", "TEAM": "documents"},
        "operation": operation.name,
    }
    (job,) = dataproc.held.jobs
    assert list(job.message.pyspark_job.args) == [*CONTENT["jobs"][0]["pyspark_job"]["args"][:3], "2026-01-12"]
    (body,) = dataproc.started()
    assert (body["requestId"], body["version"]) == ("brigade-2026-01-05-2026-01-12", 1)


def test_while_a_workflow_runs_no_other_starts_and_after_it_failed_one_does(at, dataproc):
    first = at("2026-01-05T02:00:00Z").json["operation"]
    for time, query in (
        ("2026-01-05T02:00:01Z", ""),
        ("2026-01-06T02:00:00Z", "?force=1"),
        ("2026-02-02T02:00:00Z", ""),
    ):
        answer = at(time, query).json
        assert (answer["decision"], answer["operation"], answer["parameters"]) == ("skip", first, {})
        assert answer["reason"].endswith("waits: a workflow is running")
    assert len(dataproc.operations()) == 1
    dataproc.end()
    answer = at("2026-01-12T02:00:00Z").json
    assert answer["decision"] == "start" and answer["operation"] != first
    assert len(dataproc.operations()) == 2


def test_the_project_s_own_template_gets_a_value_for_each_of_its_parameters(at, dataproc):
    content = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8")) | {"id": "retrain"}
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    requests.post(f"{dataproc.uri}/v1/{REGION}/workflowTemplates", json=content).raise_for_status()
    answer = at("2026-01-12T02:00:00Z").json
    assert answer["decision"] == "start" and len(dataproc.operations()) == 1
    assert sorted(answer["parameters"]) == sorted(one["name"] for one in content.get("parameters", []))
    assert answer["parameters"].get("DATE", "2026-01-12") == "2026-01-12"


def test_a_workflow_of_another_template_does_not_count(at, dataproc):
    dataproc.client.create_workflow_template(parent=REGION, template=CONTENT | {"id": "retrain-other"})
    name = f"{REGION}/workflowTemplates/retrain-other"
    dataproc.client.instantiate_workflow_template(
        {"name": name, "parameters": {"DATE": "x", "PARQUET": "y", "TEAM": "z"}}
    )
    assert at("2026-01-12T02:00:00Z").json["decision"] == "start"


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", 2),
        ("{}", 2),
        ('{"operation_state_matcher": "ACTIVE"}', 1),
        ('{"operation_state_matcher": "NON_ACTIVE"}', 1),
        ("operationType = WORKFLOW", 1),
        ("operationType = CREATE AND clusterName = some", 1),
        ("status.state = ACTIVE AND labels.goog-dataproc-workflow-template-id=retrain", 1),
        ("labels.goog-dataproc-workflow-template-id = other", 0),
    ],
)
def test_the_stand_in_lists_the_operations_of_a_filter(at, dataproc, filter, found):
    at("2026-01-12T02:00:00Z")
    requests.post(f"{dataproc.uri}/v1/{REGION}/clusters", json={"clusterName": "some"})
    assert len(dataproc.client.list_operations({"name": f"{REGION}/operations", "filter": filter}).operations) == found


@pytest.mark.parametrize("filter", ["operationType", "name = x", "{"])
def test_the_stand_in_refuses_a_filter_that_it_cannot_read(dataproc, filter):
    with pytest.raises(BadRequest, match="filter"):
        dataproc.client.list_operations({"name": f"{REGION}/operations", "filter": filter})


def test_a_running_workflow_is_found_on_a_later_page(at, dataproc):
    running = {"name": f"{REGION}/operations/later"}
    dataproc.answers = [
        {"operations": [{"name": f"{REGION}/operations/earlier", "done": True}], "nextPageToken": "more"},
        {"operations": [running]},
    ]
    assert at("2026-01-12T02:00:00Z").json["operation"] == running["name"]


def test_a_workflow_that_ends_during_the_call_starts_no_second_one(at, dataproc, models):
    """It runs no longer, so its model has to be seen."""
    at("2026-01-05T02:00:00Z")
    dataproc.end()

    class Lists(list):
        def pop(self, index: int):
            write_manifest(models, "2026-01-05")  # before Dataproc says that nothing runs
            return super().pop(index)

    dataproc.answers = Lists([{"operations": []}])
    answer = at("2026-01-12T02:00:00Z").json
    assert answer["reason"] == "the period 2026-01-05 to 2026-02-01 has a model, of 2026-01-05"
    assert len(dataproc.started()) == 1


@pytest.mark.parametrize("day", ["2026-01-05", "2026-02-01"])
def test_a_model_of_the_period_starts_nothing_even_if_it_was_not_promoted(at, dataproc, models, day):
    write_manifest(models, day)
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 200 and answer.json["decision"] == "skip" and dataproc.started() == []
    assert (answer.json["operation"], answer.json["nextDue"]) == (None, "2026-02-02")
    assert answer.json["reason"] == f"the period 2026-01-05 to 2026-02-01 has a model, of {day}"


def test_force_starts_one_although_the_period_has_a_model(at, dataproc, models):
    write_manifest(models, "2026-01-05")
    answer = at("2026-01-12T02:00:00Z", "?force=1").json
    assert answer["decision"] == "start" and answer["parameters"]["DATE"] == "2026-01-12"
    dataproc.end()
    assert at("2026-01-12T02:00:00Z", "?force=0").json["decision"] == "skip"
    assert len(dataproc.started()) == 1


@pytest.mark.parametrize(("query", "decision"), [("?dry_run=1", "skip"), ("?dry_run=1&force=1", "start")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dry_run_says_what_it_would_do_and_only_reads(at, dataproc, models, query, decision, method):
    write_manifest(models, "2026-01-05")
    answer = at("2026-01-12T02:00:00Z", query, method)
    assert answer.status_code == 200
    assert (answer.json["decision"], answer.json["dryRun"], answer.json["operation"]) == (decision, True, None)
    assert {method for method, _, _ in dataproc.requests} == {"GET"}
    assert (answer.json["parameters"] != {}) == (decision == "start")


def test_fifty_calls_at_once_start_one_workflow(app, dataproc, monkeypatch):
    monkeypatch.setattr(sys.modules["main"], "clock", lambda: datetime.fromisoformat("2026-01-12T02:00:00Z"))
    gate = threading.Barrier(50)

    def call(number: int):
        gate.wait()
        return app.test_client().post("/?force=1" if number % 5 == 0 else "/")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))
    assert {answer.status_code for answer in answers} == {200}
    (operation,) = dataproc.operations()
    assert {answer.json["operation"] for answer in answers} == {operation.name}
    assert Counter(answer.json["decision"] for answer in answers)["start"] == len(dataproc.started()) >= 1


# ------------------------------------------------------------------------------------------------- the moment


@pytest.mark.parametrize(
    ("now", "scheduled", "period"),
    [
        ("2026-02-02T00:00:01Z", "2026-02-02T00:00:00Z", "2026-02-02"),
        ("2026-02-01T23:59:59Z", "2026-02-02T00:00:00Z", "2026-02-02"),  # this machine's clock is behind
        ("2026-02-01T23:58:00Z", "2026-02-02T00:00:00Z", "2026-01-05"),  # but not by as much as that
        ("2026-02-02T02:00:00Z", "2026-01-26T02:00:00Z", "2026-02-02"),  # a week late: what counts is what is due now
        ("2026-02-02T02:00:00Z", "2096-01-02T02:00:00Z", "2026-02-02"),
        ("2026-02-02T02:00:00Z", "soon", "2026-02-02"),
    ],
)
def test_now_counts_but_not_before_the_call_was_meant(at, now, scheduled, period):
    assert at(now, "?dry_run=1", scheduled=scheduled).json["period"]["start"] == period


# ------------------------------------------------------------------------------------------------ bad requests


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?dryrun=1", "query: expected dry_run or force, found 'dryrun'"),
        ("?force=1&%0Ax=1", "query: expected dry_run or force, found '\\nx'"),
        ("?force=1&force=1", "force: expected it once, found it 2 times"),
        ("?dry_run=0&dry_run=1", "dry_run: expected it once, found it 2 times"),
        ("?dry_run", "dry_run: expected 0 or 1, found ''"),
        ("?force=" + "y" * 1000, f"force: expected 0 or 1, found '{'y' * 50}'"),
    ],
)
def test_another_query_is_answered_400_in_one_line_and_does_nothing(at, dataproc, query, message):
    answer = at("2026-01-12T02:00:00Z", query)
    assert (answer.status_code, answer.json) == (400, {"error": message}) and dataproc.requests == []


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("GET", "?force=1"), ("PUT", "?dry_run=1"), ("DELETE", "")])
def test_only_post_starts_anything(at, dataproc, method, query):
    answer = at("2026-01-12T02:00:00Z", query, method)
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST" and dataproc.requests == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WORKFLOW_TEMPLATE", "", "WORKFLOW_TEMPLATE: expected projects/P/regions/R/workflowTemplates/T, found ''"),
        ("WORKFLOW_TEMPLATE", "retrain", "WORKFLOW_TEMPLATE: expected projects/P/regions/R"),
        ("MODELS_URI", "", "MODELS_URI: expected gs://bucket/prefix or a local path, found ''"),
        ("MODELS_URI", "s3://models", "MODELS_URI: expected gs://bucket/prefix"),
        ("SCHEDULE_ANCHOR", "", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found ''"),
        ("SCHEDULE_ANCHOR", "20260105", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found '20260105'"),
        ("SCHEDULE_ANCHOR", "2026-02-30", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD"),
        ("SCHEDULE_ANCHOR", "9999-12-27", "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD"),
        ("SCHEDULE_ANCHOR", "2026-01-06", "SCHEDULE_ANCHOR: expected a Monday, found 2026-01-06, a Tuesday"),
    ],
)
def test_a_wrong_setting_answers_500_and_says_what_was_expected(at, dataproc, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 500 and dataproc.requests == []
    assert answer.json["error"].startswith(message)


def test_a_parameter_that_leads_nowhere_answers_500(at, dataproc):
    bad = {"id": "retrain", "version": 3, "parameters": [{"name": "DATE", "fields": ["labels['other']"]}]}
    dataproc.answers = [{"operations": []}, bad]
    answer = at("2026-01-12T02:00:00Z")
    message = "workflow template: expected a value at its parameter's labels['other'], found none"
    assert (answer.status_code, answer.json) == (500, {"error": message}) and dataproc.started() == []


def test_without_the_template_the_call_fails_so_that_it_comes_again(at, dataproc):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 503
    assert answer.json["error"].startswith("NotFound: 404 ")


def test_while_dataproc_is_unavailable_it_is_asked_again(at, dataproc):
    busy = ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, 503)
    dataproc.answers = [busy, None, busy, None, busy]
    assert at("2026-01-12T02:00:00Z").json["decision"] == "start"
    assert [body["requestId"] for body in dataproc.started()] == ["brigade-2026-01-05-2026-01-12"] * 2
    assert len(dataproc.operations()) == 1


def test_a_refusal_is_one_line(at, dataproc):
    dataproc.answers = [({"error": {"code": 403, "message": "no\npermission", "status": "PERMISSION_DENIED"}}, 403)]
    answer = at("2026-01-12T02:00:00Z")
    assert answer.status_code == 503
    assert answer.json["error"].startswith("Forbidden: 403")
    assert "\n" not in answer.json["error"]


# --------------------------------------------------------------------------------------------------- its log


def test_each_call_is_one_line_of_json_with_the_decision(at, dataproc, capsys):
    answers = [at("2026-01-12T02:00:00Z").json, at("2026-01-12T02:00:00Z", "?dry_run=1", "GET").json]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    common = {"severity": "INFO", "logger": "scheduler", "status": 200}
    started = "start: the period 2026-01-05 to 2026-02-01 has no model yet"
    waits = "skip: the period 2026-01-05 to 2026-02-01 waits: a workflow is running"
    assert lines == [common | {"message": started} | answers[0], common | {"message": waits} | answers[1]]


def test_the_severity_of_its_line_follows_the_status(at, dataproc, monkeypatch, capsys):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    answers = [
        at("2026-01-12T02:00:00Z"),
        at("2026-01-12T02:00:00Z", "?other=1"),
        at("2026-01-12T02:00:00Z", "", "PUT"),
    ]
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-06")
    answers.append(at("2026-01-12T02:00:00Z"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["severity"], line["status"]) for line in lines] == [
        ("ERROR", 503),
        ("WARNING", 400),
        ("WARNING", 405),
        ("ERROR", 500),
    ]
    assert [line["message"] for line in lines] == [answer.json["error"] for answer in answers]
    assert answers[2].headers["Allow"] == "POST"


# ---------------------------------------------------------------------------------------------------- by hand


def test_by_hand_it_does_the_same_and_prints_one_line_of_json(models, dataproc, capsys):
    assert room.main(["--dry_run", "--now=2026-01-12T02:00:00Z"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["decision"], planned["dryRun"], planned["operation"]) == ("start", True, None)
    assert dataproc.operations() == []
    assert room.main(["--now=2026-01-12T02:00:00Z"]) == 0
    done = json.loads(capsys.readouterr().out)
    (operation,) = dataproc.operations()
    assert done == planned | {"dryRun": False, "operation": operation.name}
    dataproc.end()
    write_manifest(models, "2026-01-12")
    assert room.main(["--force", "--now=2026-01-13T02:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "start" and len(dataproc.operations()) == 2


def test_by_hand_a_wrong_setting_is_status_2_a_refusal_1(models, dataproc, monkeypatch, caplog, capsys):
    dataproc.client.delete_workflow_template(name=TEMPLATE)
    assert room.main(["--now=2026-01-12T02:00:00Z"]) == 1
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-06")
    assert room.main(["--dry_run"]) == 2
    assert "Not found" in caplog.text and "2026-01-06, a Tuesday" in caplog.text
    assert capsys.readouterr().out == ""
