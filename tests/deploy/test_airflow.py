"""The DAG for Composer, by the real Airflow in an environment of its own, against the stand-ins of Google's."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1, storage

from local import emulators, guard
from tests.conftest import ROOT
from tests.deploy.test_workflow_template import parser_of

AIRFLOW = ROOT / ".venv-airflow" / "bin"
DAG_FILE = ROOT / "airflow" / "brigade_training.py"
REGION = "projects/brigade-test/regions/us-central1"

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(
        not (AIRFLOW / "airflow").exists(), reason="there is no .venv-airflow; `make test-airflow` creates it"
    ),
]

# Stands for all programs of a workflow, which have tests of their own: takes a second, and training writes a manifest.
PROGRAM = """
import sys
from pyspark.sql import SparkSession

if "--date" in sys.argv:
    spark = SparkSession.builder.getOrCreate()
    path = spark._jvm.org.apache.hadoop.fs.Path
    bucket = path("gs://ml_input/").getFileSystem(spark._jsc.hadoopConfiguration())
    if bucket.delete(path("gs://ml_input/fail-once"), False):
        raise RuntimeError("no machines")
    if not bucket.delete(path("gs://ml_input/no-model"), False):
        day, models = sys.argv[sys.argv.index("--date") + 1], sys.argv[2].rstrip("/")
        uri = path(f"{models}/doc-classification-model-{day}/manifest.json")
        uri.getFileSystem(spark._jsc.hadoopConfiguration()).create(uri).close()
"""

# What Airflow has read from the DAG's file, as JSON.
DESCRIBE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
dag = bag.dags["brigade_training"]
print(json.dumps({
    "errors": bag.import_errors,
    "days": dag.schedule.total_seconds() / 86400,
    "activeRuns": dag.max_active_runs,
    "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "attempts": {task.task_id: task.retries + 1 for task in dag.tasks},
}))
"""

# Runs the DAG as if it had been planned for another time, and prints each task's state as JSON.
RUN = """
import json, sys
from datetime import datetime
from airflow.dag_processing.dagbag import DagBag

run = DagBag(sys.argv[1]).dags["brigade_training"].test(run_after=datetime.fromisoformat(sys.argv[2]))
print(json.dumps({instance.task_id: instance.state for instance in run.get_task_instances()}))
"""

# What get_env() makes of each of some environments, a line of JSON each.
READ = """
import importlib.util, json, os, sys

spec = importlib.util.spec_from_file_location("dag", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["dag"] = module
spec.loader.exec_module(module)
for environment in json.loads(sys.argv[2]):
    os.environ |= environment
    try:
        print(json.dumps(vars(module.get_env()), default=str))
    except ValueError as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def cloud(storage_emulator) -> storage.Client:
    """The storage emulator with the template's buckets, and PROGRAM in the place of its programs."""
    client = storage.Client(project="brigade-test", credentials=AnonymousCredentials())
    for name in ("ml_input", "ml_output", "ml_code"):
        if not client.bucket(name).exists():
            client.create_bucket(name)
    for name in ("spark_sql.py", "train_ml_model.py", "predict.py"):
        client.bucket("ml_code").blob(name).upload_from_string(PROGRAM)
    empty_zip = b"PK\5\6" + bytes(18)
    client.bucket("ml_code").blob("brigade.zip").upload_from_string(empty_zip)
    return client


@pytest.fixture(scope="module")
def dataproc(cloud, storage_emulator, tmp_path_factory):
    """The address of the Dataproc stand-in, which has the project's own template."""
    port = emulators.free_port()
    command = [sys.executable, "-m", "local.control_plane", f"--port={port}", f"--buckets_dir={storage_emulator}"]
    process = guard.start([*command, f"--state_dir={tmp_path_factory.mktemp('dataproc')}"], cwd=ROOT)
    emulators.wait_for_port(port, process)
    endpoint = f"http://127.0.0.1:{port}"
    client = dataproc_v1.WorkflowTemplateServiceClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
    )
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text()) | {"id": "brigade-retrain"}
    client.create_workflow_template(
        parent=REGION, template=dataproc_v1.WorkflowTemplate.from_json(json.dumps(template))
    )
    yield endpoint
    guard.stop(process)


@pytest.fixture(scope="module")
def airflow(storage_emulator, tmp_path_factory):
    """airflow(program, *arguments, **environment): a program of Airflow's environment, with its output as text."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "config").mkdir()
    shutil.copy(Path(__file__).with_name("airflow_local_settings.py"), home / "config")
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "brigade-test"}}
    foreign = ("AIRFLOW", "GOOGLE", "PYTHON", "SCHEDULE_ANCHOR", "WORKFLOW_TEMPLATE", "MODELS_URI", "MODEL_PREFIX")
    foreign += ("PREDICTIONS_URI",)
    base = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
        "WORKFLOW_TEMPLATE": f"{REGION}/workflowTemplates/brigade-retrain",
    }

    def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = [AIRFLOW / program, *map(str, arguments)]
        return subprocess.run(command, env=base | environment, cwd=home, capture_output=True, text=True)

    migrated = run("airflow", "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    return run


def workflows(endpoint: str) -> list[dict]:
    """The metadata of all workflows that were started, in their order."""
    operations = requests.get(f"{endpoint}/v1/{REGION}/operations").json()["operations"]
    return sorted((operation["metadata"] for operation in operations), key=lambda metadata: metadata["startTime"])


def lines(ended: subprocess.CompletedProcess) -> list[str]:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_the_file_imports_and_has_its_tasks_in_their_order(airflow):
    assert json.loads(lines(airflow("python", "-c", DESCRIBE, DAG_FILE))[-1]) == {
        "errors": {},
        "days": 28,
        "activeRuns": 1,
        "tasks": {"parameters": ["train"], "train": ["model"], "model": []},
        "attempts": {"parameters": 5, "train": 5, "model": 5},
    }


def test_runs_are_planned_every_28_days_from_the_anchor_whenever_the_dag_is_switched_on(airflow):
    lines(airflow("airflow", "dags", "reserialize"))
    printed = lines(airflow("airflow", "dags", "next-execution", "brigade_training", "--num-executions=40"))
    planned = [datetime.fromisoformat(line) for line in printed[-40:]]  # below log lines
    anchor = datetime(2026, 1, 5, 2, tzinfo=UTC)
    assert planned == [anchor + n * timedelta(days=28) for n in range(40)]


def test_the_settings_are_those_of_the_trigger_and_a_wrong_one_is_named(airflow):
    environments = [
        {},
        {
            "WORKFLOW_TEMPLATE": "projects/other/regions/europe-west1/workflowTemplates/mine",
            "MODELS_URI": "gs://models",
            "SCHEDULE_ANCHOR": "2024-02-26",
            "MODEL_PREFIX": "wine-model",
            "PREDICTIONS_URI": "gs://predictions/of wine/",
        },
        {"SCHEDULE_ANCHOR": "2024-02-27"},
        {"SCHEDULE_ANCHOR": "tomorrow"},
        {"MODELS_URI": "gs://my models/"},
        {"WORKFLOW_TEMPLATE": ""},
        {
            "WORKFLOW_TEMPLATE": f"{REGION}/workflowTemplates/brigade-retrain",
            "MODELS_URI": "gs://models",
            "SCHEDULE_ANCHOR": "2024-02-26",
            "MODEL_PREFIX": "Wine model",
        },
        {"MODEL_PREFIX": "wine-model", "PREDICTIONS_URI": "predictions"},
    ]
    found = [json.loads(line) for line in lines(airflow("python", "-c", READ, DAG_FILE, json.dumps(environments)))]
    assert found == [
        {
            "project": "brigade-test",
            "region": "us-central1",
            "template": "brigade-retrain",
            "bucket": "ml_output",
            "prefix": "output/",
            "anchor": "2026-01-05",
            "model_prefix": "doc-classification-model",
            "predictions": "",
        },
        {
            "project": "other",
            "region": "europe-west1",
            "template": "mine",
            "bucket": "models",
            "prefix": "",
            "anchor": "2024-02-26",
            "model_prefix": "wine-model",
            "predictions": "gs://predictions/of wine/",
        },
        "SCHEDULE_ANCHOR: expected a Monday, found 2024-02-27, a Tuesday",
        "SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found 'tomorrow'",
        "MODELS_URI: expected gs://bucket/prefix, found 'gs://my models/'",
        "WORKFLOW_TEMPLATE: expected projects/P/regions/R/workflowTemplates/T, found ''",
        "MODEL_PREFIX: expected a pipeline's model_prefix, found 'Wine model'",
        "PREDICTIONS_URI: expected gs://bucket/prefix, or nothing, found 'predictions'",
    ]


def test_a_run_starts_the_template_and_ends_with_a_model_of_its_day_though_the_first_attempt_fails(
    airflow, dataproc, cloud
):
    cloud.bucket("ml_input").blob("fail-once").upload_from_string("")
    days = [f"{datetime.now(UTC):%F}"]
    ended = airflow("airflow", "dags", "test", "brigade_training", DATAPROC_API_ENDPOINT=dataproc)
    days.append(f"{datetime.now(UTC):%F}")  # midnight may have passed
    assert ended.returncode == 0, ended.stdout + ended.stderr

    failed, succeeded = workflows(dataproc)
    assert failed["parameters"] == succeeded["parameters"]
    day = succeeded["parameters"]["DATE"]
    assert day in days
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text())
    assert succeeded["parameters"].keys() == {parameter["name"] for parameter in template["parameters"]}
    train = template["jobs"][1]["pysparkJob"]
    assert succeeded["parameters"]["OUTPUT"] == train["args"][1]
    assert succeeded["parameters"]["TRAIN_PROGRAM"] == train["mainPythonFileUri"]
    assert succeeded["parameters"]["PACKAGE"] == train["pythonFileUris"][0]
    assert [node["state"] for node in failed["graph"]["nodes"]] == ["COMPLETED", "FAILED"]
    assert [node["state"] for node in succeeded["graph"]["nodes"]] == ["COMPLETED", "COMPLETED"]
    models = [blob.name for blob in cloud.list_blobs("ml_output")]
    assert models == [f"output/doc-classification-model-{day}/manifest.json"]


def test_on_request_a_run_ends_with_predictions_by_a_workflow_of_one_job(airflow, dataproc):
    asked = {"PREDICTIONS_URI": "gs://ml_output/predictions/", "DATAPROC_API_ENDPOINT": dataproc}
    tasks = json.loads(lines(airflow("python", "-c", DESCRIBE, DAG_FILE, **asked))[-1])["tasks"]
    assert tasks == {"parameters": ["train"], "train": ["model"], "model": ["predict"], "predict": []}
    ended = airflow("airflow", "dags", "test", "brigade_training", **asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = workflows(dataproc)[-1]
    assert [(node["stepId"], node["state"]) for node in last["graph"]["nodes"]] == [("predict", "COMPLETED")]
    job = requests.get(f"{dataproc}/v1/{REGION}/jobs/{last['graph']['nodes'][0]['jobId']}").json()["pysparkJob"]
    assert job["mainPythonFileUri"] == "gs://ml_code/predict.py"
    found = parser_of("predict.py")(job["args"])
    assert (found.input_path, found.models) == ("gs://ml_input/parquet/", "gs://ml_output/output/")
    assert (found.output_path, found.prefix) == ("gs://ml_output/predictions/", "doc-classification-model")


def test_a_run_whose_workflow_leaves_no_model_fails(airflow, dataproc, cloud):
    for blob in cloud.list_blobs("ml_output"):
        blob.delete()
    cloud.bucket("ml_input").blob("no-model").upload_from_string("")
    before = len(workflows(dataproc))
    ended = airflow("airflow", "dags", "test", "brigade_training", DATAPROC_API_ENDPOINT=dataproc)
    assert ended.returncode != 0
    assert "AirflowSensorTimeout" in ended.stdout
    assert len(workflows(dataproc)) == before + 1
    assert [node["state"] for node in workflows(dataproc)[-1]["graph"]["nodes"]] == ["COMPLETED", "COMPLETED"]


def test_a_run_whose_period_is_over_starts_nothing(airflow, dataproc):
    before = len(workflows(dataproc))
    planned = datetime.now(UTC) - timedelta(days=28)
    states = lines(airflow("python", "-c", RUN, DAG_FILE, f"{planned:%FT%TZ}", DATAPROC_API_ENDPOINT=dataproc))[-1]
    assert json.loads(states) == {"parameters": "success", "train": "skipped", "model": "skipped"}
    assert len(workflows(dataproc)) == before
