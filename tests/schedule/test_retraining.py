"""A workflow starts, or not, and with what: against the Dataproc stand-in."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import requests
import yaml
from google.api_core.exceptions import BadRequest

from brigade.schedule import trigger
from tests.conftest import ROOT
from tests.schedule.dataproc_server import CONTENT, REGION, TEMPLATE
from tests.schedule.dated_models import write_manifest


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
    job = dataproc.held.jobs.get(timeout=60)
    assert dataproc.held.jobs.empty()
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
    monkeypatch.setattr(trigger, "clock", lambda: datetime.fromisoformat("2026-01-12T02:00:00Z"))
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
