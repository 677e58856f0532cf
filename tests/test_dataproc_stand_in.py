"""The Dataproc stand-in, through Google's own client, `gcloud` and the real `spark-submit`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
import requests
import yaml
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.api_core.future.polling import DEFAULT_POLLING
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1, storage

from local import emulators, guard

ROOT = Path(__file__).parent.parent
REGION = "projects/brigade-test/regions/us-central1"
POLLING = DEFAULT_POLLING.with_delay(initial=0.2, maximum=0.5)
ARGUMENT = "jobs['convert'].pysparkJob.args[0]"
needs_gcloud = pytest.mark.skipif(shutil.which("gcloud") is None, reason="the Google Cloud CLI is not installed")

# One program for all steps, which does what the pipeline's own do with gs:// folders.
STEP = """
import sys
import labels
from pyspark.sql import SparkSession

step, source, target = sys.argv[1:4]
if step == "fail":
    raise ValueError("no documents to learn from")
spark = SparkSession.builder.getOrCreate()
if step == "convert":
    rows = spark.read.text(source, recursiveFileLookup=True)
    for _ in range(2):
        rows.write.mode("overwrite").parquet(target)
else:
    rows = spark.read.parquet(source).rdd.map(lambda row: __import__("labels").NAME + row.value)
    Path = spark._jvm.org.apache.hadoop.fs.Path
    system = Path(target).getFileSystem(spark._jsc.hadoopConfiguration())
    with open("model.txt", "w") as file:
        file.write(",".join(sorted(rows.collect())))
    system.copyFromLocalFile(False, True, Path("model.txt"), Path(target + "/new.txt"))
    system.rename(Path(target + "/new.txt"), Path(target + "/model.txt"))
    system.delete(Path(target + "/stale.txt"), False)
    system.copyToLocalFile(Path(target + "/model.txt"), Path("back.txt"))
    print("read back:", open("back.txt").read())
"""


def step(step_id: str, *args: str, after: tuple[str, ...] = ()) -> dict:
    job = {
        "mainPythonFileUri": "gs://ml_input/code/step.py",
        "pythonFileUris": ["gs://ml_input/code/labels.py"],
        "args": list(args),
        "properties": {
            "spark.driver.memory": "1g",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        },
    }
    return {"stepId": step_id, "pysparkJob": job} | ({"prerequisiteStepIds": list(after)} if after else {})


def template(**changes) -> dict:
    """`convert` then `train`, written in the other order, with a parameter each."""
    return {
        "id": "brigade",
        "placement": {"managedCluster": {"clusterName": "brigade", "config": {}}},
        "dagTimeout": "3600s",
        "jobs": [
            step("train", "train", "-", "gs://ml_output/output", after=("convert",)),
            step("convert", "convert", "-", "gs://ml_input/parquet"),
        ],
        "parameters": [
            {"name": "INPUT", "fields": ["jobs['convert'].pysparkJob.args[1]"]},
            {
                "name": "PARQUET",
                "fields": ["jobs['convert'].pysparkJob.args[2]", "jobs[train].pysparkJob.args[1]"],
            },
        ],
    } | changes


@pytest.fixture(scope="module")
def cloud(storage_emulator) -> storage.Client:
    """The storage emulator with the buckets, the code and two documents."""
    client = storage.Client(project="brigade-test", credentials=AnonymousCredentials())
    for bucket in ("ml_input", "ml_output"):
        if not client.bucket(bucket).exists():
            client.create_bucket(bucket)
    for name, content in {
        "code/step.py": STEP,
        "code/labels.py": "NAME = 'label '",
        "raw/dt=2026-03-01/a.jsonl": "first\n",
        "raw/dt=2026-03-02/b.jsonl": "second\n",
    }.items():
        client.bucket("ml_input").blob(name).upload_from_string(content)
    return client


def start(state_dir: Path, buckets_dir: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "local.control_plane", f"--port={port}"]
    command += [f"--state_dir={state_dir}", f"--buckets_dir={buckets_dir}"]
    return guard.start(command, cwd=ROOT)


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("control plane")  # the space is on purpose


@pytest.fixture(scope="module")
def endpoint(cloud, storage_emulator, state_dir):
    """The address of the stand-in."""
    port = emulators.free_port()
    process = start(state_dir, storage_emulator, port)
    emulators.wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    assert guard.stop(process) == 0


def client_of(kind: type, endpoint: str):
    return kind(transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})


@pytest.fixture(scope="module")
def templates(endpoint) -> dataproc_v1.WorkflowTemplateServiceClient:
    return client_of(dataproc_v1.WorkflowTemplateServiceClient, endpoint)


@pytest.fixture(scope="module")
def jobs(endpoint) -> dataproc_v1.JobControllerClient:
    return client_of(dataproc_v1.JobControllerClient, endpoint)


@pytest.fixture
def gcloud(endpoint, tmp_path):
    """Runs `gcloud dataproc …`; returns its standard output and error."""
    env = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"{endpoint}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_PROJECT": "brigade-test",
        "CLOUDSDK_DATAPROC_REGION": "us-central1",
    }

    def run(*args: str) -> tuple[str, str]:
        result = subprocess.run(["gcloud", "dataproc", *args], env=env, capture_output=True, text=True, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout, result.stderr

    return run


def message(body: dict) -> dataproc_v1.WorkflowTemplate:
    return dataproc_v1.WorkflowTemplate.from_json(json.dumps(body))


def nodes(operation) -> dict[str, dataproc_v1.WorkflowNode]:
    return {node.step_id: node for node in operation.metadata.graph.nodes}


@needs_gcloud
def test_a_template_that_gcloud_imports_runs_in_its_order_and_its_output_is_in_storage(
    gcloud, templates, jobs, cloud, state_dir, tmp_path
):
    stale = cloud.bucket("ml_output").blob("output/stale.txt")
    stale.upload_from_string("to be deleted by the job")
    (tmp_path / "template.yaml").write_text(yaml.safe_dump({k: v for k, v in template().items() if k != "id"}))
    for _ in range(2):  # created, then replaced
        gcloud("workflow-templates", "import", "brigade", "--source=template.yaml")
    name = f"{REGION}/workflowTemplates/brigade"
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
    ran = list(jobs.list_jobs(project_id="brigade-test", region="us-central1"))
    assert [job.labels["goog-dataproc-workflow-step-id"] for job in ran] == [
        "train",
        "convert",
    ]  # newest first
    assert ran[0].status_history[-1].state_start_time >= ran[1].status.state_start_time
    metadata = operation.metadata
    assert (metadata.template, metadata.version, metadata.state) == (name, 2, metadata.State.DONE)
    assert [node.step_id for node in metadata.graph.nodes] == ["convert", "train"]
    assert {node.state for node in metadata.graph.nodes} == {dataproc_v1.WorkflowNode.NodeState.COMPLETED}
    assert nodes(operation)["train"].job_id == ran[0].reference.job_id
    assert list(nodes(operation)["train"].prerequisite_step_ids) == ["convert"]

    parquet = [blob.name for blob in cloud.list_blobs("ml_input", prefix="parquet")]
    assert "parquet/_SUCCESS" in parquet and len([n for n in parquet if n.endswith(".parquet")]) in (1, 2)
    assert not [blob.name for blob in cloud.list_blobs("ml_input") if blob.name.endswith(".crc")]
    model = [blob.name for blob in cloud.list_blobs("ml_output")]
    assert model == ["output/model.txt"]
    assert cloud.bucket("ml_output").blob("output/model.txt").download_as_bytes() == b"label first,label second"
    assert "read back: label first,label second" in (state_dir / "jobs" / f"{ran[0].reference.job_id}.log").read_text()


def test_a_job_that_fails_ends_the_workflow_and_what_depends_on_it_does_not_run(templates, jobs):
    body = template(jobs=[step("convert", "fail", "-", "-"), step("train", after=("convert",))], parameters=[])
    operation = templates.instantiate_inline_workflow_template(parent=REGION, template=message(body))
    with pytest.raises(GoogleAPICallError, match="Job convert-.* failed"):
        operation.result(timeout=300, polling=POLLING)
    assert nodes(operation)["convert"].state == dataproc_v1.WorkflowNode.NodeState.FAILED
    assert "[ValueError: no documents to learn from]" in nodes(operation)["convert"].error
    assert not nodes(operation)["train"].job_id
    job = jobs.get_job(project_id="brigade-test", region="us-central1", job_id=nodes(operation)["convert"].job_id)
    assert job.status.state == dataproc_v1.JobStatus.State.ERROR
    assert "[ValueError: no documents to learn from]" in job.status.details


@needs_gcloud
def test_gcloud_submits_local_files_and_streams_the_drivers_output(gcloud, cloud, tmp_path):
    (tmp_path / "local.py").write_text(
        textwrap.dedent("""
        import sys
        import first, second
        print("the driver says", first.X, second.Y, *sys.argv[1:])
        """)
    )
    (tmp_path / "first.py").write_text("X = 10")
    (tmp_path / "second.py").write_text("Y = 'why'")
    submit = ["jobs", "submit", "pyspark", "local.py", "--cluster=brigade-cluster", "--region=us-central1"]

    output, messages = gcloud(*submit, "--py-files=first.py,second.py", "--format=json", "--", "--input=a b", "c")

    assert "the driver says 10 why --input=a b c" in messages
    assert "finished successfully" in messages
    assert "output did not finish streaming" not in messages
    job = json.loads(output)
    assert job["status"]["state"] == "DONE"
    assert [past["state"] for past in job["statusHistory"]] == ["PENDING", "RUNNING"]
    log = storage.Blob.from_uri(job["driverOutputResourceUri"] + ".000000000", client=cloud)
    assert b"the driver says" in log.download_as_bytes()


def test_a_stand_in_that_is_told_to_stop_takes_the_job_that_runs_with_it(storage_emulator, cloud, tmp_path):
    marker = tmp_path / "pid"
    program = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    cloud.bucket("ml_input").blob("code/sleep.py").upload_from_string(program)
    port = emulators.free_port()
    process = start(tmp_path, storage_emulator, port)
    emulators.wait_for_port(port, process)
    client = client_of(dataproc_v1.JobControllerClient, f"http://127.0.0.1:{port}")
    pyspark = {"main_python_file_uri": "gs://ml_input/code/sleep.py"}
    placement = {"cluster_name": "brigade-cluster"}
    where = {"project_id": "brigade-test", "region": "us-central1"}
    first, second = (client.submit_job(**where, job={"placement": placement, "pyspark_job": pyspark}) for _ in "ab")
    cancelled = client.cancel_job(**where, job_id=second.reference.job_id)  # it waits for the first
    assert cancelled.status.state == dataproc_v1.JobStatus.State.CANCELLED
    end = time.monotonic() + 60
    while not marker.exists() or not marker.read_text():
        assert time.monotonic() < end, "the job did not start"
        time.sleep(0.05)
    running = client.get_job(**where, job_id=first.reference.job_id)
    assert running.status.state == dataproc_v1.JobStatus.State.RUNNING

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
        (bad(jobs=[]), "jobs is empty"),
        (bad(dagTimeout="599s"), "dagTimeout is 599s"),
        (bad(placement={}), "placement is missing"),
        (bad(parameters=[parameter(ARGUMENT, name="input")]), "parameter name 'input'"),
        (bad(parameters=[parameter(ARGUMENT, "jobs[convert].pysparkJob.args[0]")]), "one is allowed"),
        (bad(parameters=[parameter("jobs['convert'].pysparkJob.args[9]")]), r"no \[9\] among 3"),
        (bad(parameters=[parameter("jobs['clean'].pysparkJob.args[0]")]), r"no \[clean\] among 2"),
        (bad(parameters=[parameter("jobs['convert'].pysparkJob.arguments[0]")]), "no field 'arguments'"),
        (bad(parameters=[parameter("placement.managedCluster.config.configBucket")]), "cannot reach"),
        (bad(colour="red"), 'no field named "colour"'),
    ],
)
def test_a_template_that_dataproc_would_refuse_is_refused(endpoint, body, expected):
    answer = requests.post(f"{endpoint}/v1/{REGION}/workflowTemplates", json=body | {"id": "refused"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert re.search(expected, error["message"])


def test_parameters_have_to_be_known_complete_and_short(templates):
    body = template(id="parameters")
    name = templates.create_workflow_template(parent=REGION, template=message(body)).name
    for values, expected in (
        ({"INPUT": "a"}, "no value for parameter PARQUET"),
        ({"INPUT": "a", "PARQUET": "b", "DATE": "c"}, "unknown parameter DATE"),
        ({"INPUT": "a" * 1001, "PARQUET": "b"}, "1001 characters"),
    ):
        with pytest.raises(BadRequest, match=expected):
            templates.instantiate_workflow_template(name=name, parameters=values)


def test_an_update_needs_the_current_version_and_both_kinds_of_path_lead_to_a_template(templates):
    created = templates.create_workflow_template(parent=REGION, template=message(template(id="versions")))
    assert templates.update_workflow_template(template=created).version == 2
    with pytest.raises(BadRequest, match="version is 1, 2 is the current one"):
        templates.update_workflow_template(template=created)
    elsewhere = created.name.replace("/regions/", "/locations/")
    assert templates.get_workflow_template(name=elsewhere).name == elsewhere
    assert created.name in [found.name for found in templates.list_workflow_templates(parent=REGION)]
    templates.delete_workflow_template(name=created.name)
    with pytest.raises(NotFound):
        templates.get_workflow_template(name=created.name)


def test_clusters_are_there_as_soon_as_they_are_asked_for(endpoint):
    clusters = client_of(dataproc_v1.ClusterControllerClient, endpoint)
    where = {"project_id": "brigade-test", "region": "us-central1"}
    with pytest.raises(NotFound):
        clusters.get_cluster(**where, cluster_name="other")
    made = clusters.create_cluster(**where, cluster={"cluster_name": "other", "config": {}}).result(timeout=60)
    assert made.config.config_bucket == "dataproc-staging"
    assert clusters.get_cluster(**where, cluster_name="other").status.state == dataproc_v1.ClusterStatus.State.RUNNING
    assert [found.cluster_name for found in clusters.list_clusters(**where)] == ["other", "brigade-cluster"]
    clusters.delete_cluster(**where, cluster_name="other").result(timeout=60)
    with pytest.raises(NotFound):
        clusters.get_cluster(**where, cluster_name="other")


@needs_gcloud
def test_gcloud_creates_a_cluster_and_its_workflow_without_a_template(gcloud, tmp_path):
    assert "Created" in gcloud("clusters", "create", "brigade-cluster", "--single-node")[1]
    assert "brigade-cluster" in gcloud("clusters", "list")[0]
    (tmp_path / "inline.yaml").write_text(yaml.safe_dump(bad(jobs=[step("convert", "fail", "-", "-")])))
    asked = ["workflow-templates", "instantiate-from-file", "--file=inline.yaml", "--async"]
    assert "Instantiating" in gcloud(*asked)[1]
