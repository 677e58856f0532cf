"""The Dataproc stand-in, through Google's own client and the real `spark-submit`."""

import re
import signal
import subprocess
import time
import uuid

import pytest
import requests
import yaml
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud import dataproc_v1

from local import emulators, spark_jobs, workflows
from local.spark_jobs import SparkJob
from tests.conftest import ControlPlane, start_control_plane
from tests.local.workflow_steps import PARENT, message, nodes, step, template
from tests.waiting import wait_until

POLLING = DEFAULT_POLLING.with_delay(initial=0.2, maximum=0.5)
ARGUMENT = "jobs['convert'].pysparkJob.args[0]"
WHERE = {"project_id": "brigade-test", "region": "us-central1"}
_Node = dataproc_v1.WorkflowNode.NodeState
_Job = dataproc_v1.JobStatus.State


@pytest.fixture(scope="module")
def templates(control_plane) -> dataproc_v1.WorkflowTemplateServiceClient:
    return control_plane.client(dataproc_v1.WorkflowTemplateServiceClient)


@pytest.fixture(scope="module")
def jobs(control_plane) -> dataproc_v1.JobControllerClient:
    return control_plane.client(dataproc_v1.JobControllerClient)


def test_a_template_that_gcloud_imports_runs_in_its_order_and_its_output_is_in_storage(
    gcloud, templates, jobs, cloud, control_plane, tmp_path
):
    stale = cloud.bucket("ml_output").blob("output/stale.txt")
    stale.upload_from_string("to be deleted by the job")
    (tmp_path / "template.yaml").write_text(yaml.safe_dump({k: v for k, v in template().items() if k != "id"}))
    for _ in range(2):  # created, then replaced
        gcloud("dataproc", "workflow-templates", "import", "brigade", "--source=template.yaml")
    name = f"{PARENT}/workflowTemplates/brigade"
    assert templates.get_workflow_template(name=name).version == 2

    asked = {
        "name": name,
        "request_id": uuid.uuid4().hex,
        "parameters": {"INPUT": "gs://ml_input/raw/", "PARQUET": "gs://ml_input/parquet"},
    }
    operation = templates.instantiate_workflow_template(request=asked)
    again = templates.instantiate_workflow_template(request=asked)
    operation.result(timeout=300, polling=POLLING)

    assert again.operation.name == operation.operation.name
    listed = [job.reference.job_id for job in jobs.list_jobs(**WHERE)]
    ran = [jobs.get_job(**WHERE, job_id=nodes(operation)[name].job_id) for name in ("train", "convert")]
    assert listed.index(ran[0].reference.job_id) < listed.index(ran[1].reference.job_id)  # newest first
    assert {job.labels["app"] for job in ran} == {"brigade"}
    assert ran[0].status_history[-1].state_start_time >= ran[1].status.state_start_time
    metadata = operation.metadata
    assert (metadata.template, metadata.version, metadata.state) == (name, 2, metadata.State.DONE)
    assert [node.step_id for node in metadata.graph.nodes] == ["convert", "train"]
    assert {node.state for node in metadata.graph.nodes} == {_Node.COMPLETED}
    assert list(nodes(operation)["train"].prerequisite_step_ids) == ["convert"]

    parquet = [blob.name for blob in cloud.list_blobs("ml_input", prefix="parquet")]
    assert "parquet/_SUCCESS" in parquet and len([n for n in parquet if n.endswith(".parquet")]) in (1, 2)
    assert not [blob.name for blob in cloud.list_blobs("ml_input") if blob.name.endswith(".crc")]
    model = [blob.name for blob in cloud.list_blobs("ml_output", prefix="output/")]
    assert model == ["output/model.txt"]
    assert cloud.bucket("ml_output").blob("output/model.txt").download_as_bytes() == b"label first,label second"
    log = control_plane.state_dir / "jobs" / f"{ran[0].reference.job_id}.log"
    assert "read back: label first,label second" in log.read_text()


def test_a_job_that_fails_ends_the_workflow_and_what_depends_on_it_does_not_run(templates, jobs, cloud):
    body = template(jobs=[step("convert", "fail", "-", "-"), step("train", after=("convert",))], parameters=[])
    operation = templates.instantiate_inline_workflow_template(parent=PARENT, template=message(body))
    with pytest.raises(GoogleAPICallError, match="Job convert-.* failed"):
        operation.result(timeout=300, polling=POLLING)
    assert nodes(operation)["convert"].state == _Node.FAILED
    assert "[ValueError: no documents to learn from]" in nodes(operation)["convert"].error
    assert not nodes(operation)["train"].job_id
    job = jobs.get_job(**WHERE, job_id=nodes(operation)["convert"].job_id)
    assert job.status.state == _Job.ERROR
    assert "[ValueError: no documents to learn from]" in job.status.details


def start_workflow(templates, steps: list[dict], **request):
    """The operation of a workflow of these steps."""
    body = message(template(jobs=steps, parameters=[]))
    return templates.instantiate_inline_workflow_template({"parent": PARENT, "template": body, **request})


@pytest.mark.long
def test_independent_steps_run_side_by_side_and_a_third_waits_for_both(templates, jobs, cloud, tmp_path):
    left, right = str(tmp_path / "left"), str(tmp_path / "right")
    steps = [
        step("left", "meet", left, right),
        step("right", "meet", right, left),
        step("after", "meet", "-", right, after=("left", "right")),
    ]
    operation = start_workflow(templates, steps)
    operation.result(timeout=200, polling=POLLING)

    ran = {name: jobs.get_job(**WHERE, job_id=node.job_id) for name, node in nodes(operation).items()}
    began = {name: job.status_history[-1].state_start_time for name, job in ran.items()}
    assert began["after"] >= max(ran["left"].status.state_start_time, ran["right"].status.state_start_time)


@pytest.mark.long
def test_a_failed_step_stops_what_has_not_begun_and_one_that_runs_beside_it_ends_well(templates, cloud, tmp_path):
    running, release = tmp_path / "running", tmp_path / "release"
    steps = [
        step("beside", "meet", str(running), str(release)),
        step("failing", "fail", "-", str(running)),
        step("after", "meet", "-", "-", after=("failing",)),
        step("later", "meet", "-", "-", after=("beside",)),
    ]
    operation = start_workflow(templates, steps)
    wait_until(lambda: not operation.done() and nodes(operation)["failing"].state == _Node.FAILED)
    release.touch()
    with pytest.raises(GoogleAPICallError, match="Job failing-.* failed"):
        operation.result(timeout=200, polling=POLLING)

    found = nodes(operation)
    assert found["beside"].state == _Node.COMPLETED
    assert {found[name].state for name in ("after", "later")} == {_Node.FAILED}
    assert not found["after"].job_id and not found["later"].job_id


def test_a_workflow_that_is_cancelled_ends_its_jobs_and_starts_no_other(templates, jobs, cloud, tmp_path):
    running, never = tmp_path / "running", str(tmp_path / "never")
    steps = [step("one", "meet", str(running), never), step("two", "meet", "-", "-", after=("one",))]
    operation = start_workflow(templates, steps)
    wait_until(running.exists)
    templates.cancel_operation({"name": operation.operation.name})
    with pytest.raises(GoogleAPICallError, match="The workflow was cancelled"):
        operation.result(timeout=200, polling=POLLING)
    found = nodes(operation)
    assert jobs.get_job(**WHERE, job_id=found["one"].job_id).status.state == _Job.CANCELLED
    assert not found["two"].job_id


@pytest.mark.long
def test_a_request_id_is_a_tag_of_workflows_that_run_and_can_be_used_again_after_the_end(templates, cloud, tmp_path):
    steps = [step("one", "meet", "-", str(tmp_path / "release"))]
    first, second = (start_workflow(templates, steps, request_id="period-7") for _ in range(2))
    other = start_workflow(templates, steps, request_id="period-8")
    assert first.operation.name == second.operation.name != other.operation.name
    (tmp_path / "release").touch()
    first.result(timeout=200, polling=POLLING)
    third = start_workflow(templates, steps, request_id="period-7")
    assert third.operation.name not in (first.operation.name, other.operation.name)
    third.result(timeout=200, polling=POLLING)


def run_alone(body: dict, submit) -> workflows.Operation:
    """The operation, at its end, of a workflow whose jobs go to `submit`."""
    found = message(body)._pb
    operation = workflows.Operation("projects/p/regions/r/operations/1", workflows.metadata_for(found, "cluster"))
    workflows.run(found, operation, submit)
    return operation


def test_a_workflow_that_takes_longer_than_its_dagtimeout_is_ended():
    submitted = []

    def submit(job) -> SparkJob:  # it waits for a place and never gets one
        submitted.append(SparkJob(job))
        return submitted[-1]

    operation = run_alone(template(dagTimeout="0.2s", jobs=[step("one"), step("two", after=("one",))]), submit)
    assert operation.error == {"code": workflows.DEADLINE_EXCEEDED, "message": "dagTimeout has passed in step one"}
    (job,) = submitted
    assert job.snapshot().status.state == _Job.CANCELLED


def test_a_job_that_cannot_be_submitted_fails_the_workflow():
    def submit(job) -> SparkJob:
        raise RuntimeError("no room")

    operation = run_alone(template(jobs=[step("one"), step("two", after=("one",))]), submit)
    assert operation.error == {"code": workflows.INTERNAL, "message": "Step one: no room"}
    assert [node.state for node in operation.metadata.graph.nodes] == [_Node.FAILED, _Node.FAILED]


def test_a_request_id_has_letters_digits_underscores_and_hyphens(templates):
    for request_id in ("a" * 41, "period 7"):
        with pytest.raises(BadRequest, match="expected at most 40 letters, digits, _ and -"):
            start_workflow(templates, [step("one")], request_id=request_id)


@pytest.mark.faults
def test_a_stand_in_that_is_told_to_stop_takes_the_job_that_runs_with_it(storage_emulator, cloud, tmp_path):
    marker = tmp_path / "pid"
    program = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    cloud.bucket("ml_code").blob("sleep.py").upload_from_string(program)
    port = emulators.free_port()
    process = start_control_plane(tmp_path, storage_emulator, port)
    client = ControlPlane(f"http://127.0.0.1:{port}", tmp_path).client(dataproc_v1.JobControllerClient)
    pyspark = {"main_python_file_uri": "gs://ml_code/sleep.py"}
    placement = {"cluster_name": "brigade-cluster"}
    first, _, third = (client.submit_job(**WHERE, job={"placement": placement, "pyspark_job": pyspark}) for _ in "abc")
    cancelled = client.cancel_job(**WHERE, job_id=third.reference.job_id)  # it waits for one of the others
    assert cancelled.status.state == _Job.CANCELLED
    end = time.monotonic() + 60
    while not marker.exists() or not marker.read_text():
        assert time.monotonic() < end, "the job did not start"
        time.sleep(0.05)
    running = client.get_job(**WHERE, job_id=first.reference.job_id)
    assert running.status.state == _Job.RUNNING

    process.send_signal(signal.SIGTERM)

    process.wait(60)
    process.stdin.close()
    state = subprocess.run(["ps", "-o", "stat=", "-p", marker.read_text()], capture_output=True, text=True).stdout
    assert not state.strip() or state.startswith("Z")


def bad(**changes) -> dict:
    return template(parameters=[]) | changes


def parameter(*fields: str, name: str = "INPUT") -> dict:
    return {"name": name, "fields": list(fields)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (bad(jobs=[step("ab")]), "stepId 'ab'"),
        (bad(jobs=[step("-convert")]), "stepId '-convert'"),
        (bad(jobs=[step("convert"), step("convert")]), "more than once"),
        (bad(jobs=[step("convert", after=("clean",))]), "unknown clean"),
        (bad(jobs=[step("one", after=("two",)), step("two", after=("one",))]), "in a circle"),
        (
            bad(jobs=[{"stepId": "convert", "sparkSqlJob": {"queryFileUri": "gs://a/b.sql"}}]),
            "expected pysparkJob",
        ),
        (bad(dagTimeout="599s"), "dagTimeout is 599s"),
        (bad(placement={"managedCluster": {}}), "managedCluster.clusterName is missing"),
        (bad(placement={"clusterSelector": {}}), "clusterSelector.clusterLabels is missing"),
        (bad(parameters=[parameter(ARGUMENT, name="input")]), "parameter name 'input'"),
        (bad(parameters=[parameter(ARGUMENT, "jobs[convert].pysparkJob.args[0]")]), "one is allowed"),
        (bad(parameters=[parameter("jobs['convert'].pysparkJob.args[9]")]), r"no \[9\] among 3"),
        (bad(parameters=[parameter("jobs['clean'].pysparkJob.args[0]")]), r"no \[clean\] among 2"),
        (bad(parameters=[parameter("jobs['convert'].pysparkJob.arguments[0]")]), "no field 'arguments'"),
        (
            bad(parameters=[parameter("placement.managedCluster.config.configBucket")]),
            "parameters reach numInstances only",
        ),
        (bad(colour="red"), 'no field named "colour"'),
    ],
)
def test_a_template_that_dataproc_would_refuse_is_refused(control_plane, body, expected):
    answer = requests.post(f"{control_plane.endpoint}/v1/{PARENT}/workflowTemplates", json=body | {"id": "refused"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert re.search(expected, error["message"])


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"placement": {}, "jobs": []}, "placement is missing"),
        ({"placement": {}}, "placement is missing"),
        ({"jobs": []}, "jobs is empty"),
    ],
)
def test_an_unfinished_template_is_kept_and_its_start_is_refused(templates, changes, missing):
    body = message(bad(id=f"unfinished-{uuid.uuid4().hex[:8]}", **changes))
    name = templates.create_workflow_template(parent=PARENT, template=body).name
    kept = templates.get_workflow_template(name=name)
    assert (kept.placement, kept.jobs) == (body.placement, body.jobs)
    with pytest.raises(BadRequest, match=missing):
        templates.instantiate_workflow_template(name=name)
    with pytest.raises(BadRequest, match=missing):
        templates.instantiate_inline_workflow_template(parent=PARENT, template=body)


def test_parameters_have_to_be_known_complete_and_short(templates):
    body = template(id="parameters")
    name = templates.create_workflow_template(parent=PARENT, template=message(body)).name
    for values, expected in (
        ({"INPUT": "a"}, "no value for parameter PARQUET"),
        ({"INPUT": "a", "PARQUET": "b", "DATE": "c"}, "unknown parameter DATE"),
        ({"INPUT": "a" * 1001, "PARQUET": "b"}, "1001 characters"),
    ):
        with pytest.raises(BadRequest, match=expected):
            templates.instantiate_workflow_template(name=name, parameters=values)


def test_an_update_needs_the_current_version_and_both_kinds_of_path_lead_to_a_template(templates):
    created = templates.create_workflow_template(parent=PARENT, template=message(template(id="versions")))
    assert templates.update_workflow_template(template=created).version == 2
    with pytest.raises(BadRequest, match="version is 1, 2 is the current one"):
        templates.update_workflow_template(template=created)
    elsewhere = created.name.replace("/regions/", "/locations/")
    assert templates.get_workflow_template(name=elsewhere).name == elsewhere
    assert created.name in [found.name for found in templates.list_workflow_templates(parent=PARENT)]
    templates.delete_workflow_template(name=created.name)
    with pytest.raises(NotFound):
        templates.get_workflow_template(name=created.name)


def test_clusters_are_there_as_soon_as_they_are_asked_for(control_plane):
    clusters = control_plane.client(dataproc_v1.ClusterControllerClient)
    with pytest.raises(NotFound):
        clusters.get_cluster(**WHERE, cluster_name="other")
    made = clusters.create_cluster(**WHERE, cluster={"cluster_name": "other", "config": {}}).result(timeout=60)
    assert made.config.config_bucket == "dataproc-staging"
    assert clusters.get_cluster(**WHERE, cluster_name="other").status.state == dataproc_v1.ClusterStatus.State.RUNNING
    assert [found.cluster_name for found in clusters.list_clusters(**WHERE)] == ["other", "brigade-cluster"]
    clusters.delete_cluster(**WHERE, cluster_name="other").result(timeout=60)
    with pytest.raises(NotFound):
        clusters.get_cluster(**WHERE, cluster_name="other")


@pytest.mark.parametrize(
    "output, words",
    [
        (
            "INFO something\nspark_sql.py: expected JSON lines below input\n\n",
            "spark_sql.py: expected JSON lines below input",
        ),
        (
            'Exception in thread "main" java.lang.UnsupportedOperationException: getSubject is not supported\n'
            "\tat java.base/javax.security.auth.Subject.getSubject(Subject.java:277)\n"
            "\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)\n"
            "26/11/28 07:00:00 INFO ShutdownHookManager: Shutdown hook called\n",
            'Exception in thread "main" java.lang.UnsupportedOperationException: getSubject is not supported',
        ),
        (
            "Error: x\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: No space left\n\t... 3 more\n",
            "Caused by: java.io.IOException: No space left",
        ),
        ("\tat a.B.c(B.java:1)\n", ""),
    ],
)
def test_the_last_words_of_a_job_are_its_error_and_not_its_stack(output, words):
    assert spark_jobs.last_words(output) == words
