r"""WHEN, for those who have Cloud Composer: an Airflow 3 DAG instead of Cloud Scheduler and the trigger.

Every 28 days from an anchor Monday it runs the workflow of `workflow_template.yaml` on Dataproc, and waits for its end.
The template alone defines cluster, packages, order and arguments. Dataproc deletes the cluster when the workflow ends,
even if Airflow no longer runs.

    parameters ──► train ──► model
    │              │         └ there is a model of that day
    │              └ the workflow, tried again when it fails
    └ what the template asks for, with the day in the model's name; the rest is skipped when the period is over

With PREDICTIONS_URI a last task predicts all that has been converted, by the model that serves then.

On this machine, with Airflow in an environment of its own:
    make test-airflow
On GCP, where Composer's service account may do what the trigger's may, and get operations (dataproc.operations.get):
    gcloud composer environments update E --location=us-central1 --update-env-variables=SCHEDULE_ANCHOR=2026-01-05,\
MODELS_URI=gs://ml_output/output/,WORKFLOW_TEMPLATE=projects/P/regions/us-central1/workflowTemplates/brigade-retrain
    gcloud composer environments storage dags import --environment=E --location=us-central1 \
        --source=airflow/brigade_training.py
"""

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
from airflow.providers.google.cloud.operators.dataproc import DataprocInstantiateWorkflowTemplateOperator
from airflow.providers.google.cloud.sensors.gcs import GCSObjectExistenceSensor
from airflow.sdk import DAG, task
from google.cloud.dataproc_v1 import WorkflowTemplate

PERIOD = timedelta(weeks=4)
HOUR = time(2, tzinfo=UTC)
DAY = "{{ ti.xcom_pull(task_ids='parameters')['DATE'] }}"  # one for all attempts: they make one model


@dataclass(frozen=True)
class Environment:
    """What the DAG is told, by the variables that the trigger reads. `prefix` is empty or ends with a slash.

    predictions: where predictions in bulk go, by a variable of its own; empty: there are none.
    """

    project: str
    region: str
    template: str
    bucket: str
    prefix: str
    anchor: date
    model_prefix: str
    predictions: str


def get_env() -> Environment:
    """The environment, read and checked. Raises ValueError, which Airflow shows as the file's import error."""

    def read(name: str, default: str, pattern: str, expected: str) -> re.Match:
        found = os.environ.get(name, default).strip()
        if match := re.fullmatch(pattern, found):
            return match
        raise ValueError(f"{name}: expected {expected}, found {found!r}")

    pattern = r"projects/([^/\s]+)/regions/([a-z0-9-]+)/workflowTemplates/([A-Za-z0-9_-]+)"
    template = read("WORKFLOW_TEMPLATE", "", pattern, "projects/P/regions/R/workflowTemplates/T")
    models = read("MODELS_URI", "gs://ml_output/output/", r"gs://([a-z0-9][a-z0-9._-]+)(/.*)?", "gs://bucket/prefix")
    anchor = os.environ.get("SCHEDULE_ANCHOR", "2026-01-05").strip()
    try:
        day = date.fromisoformat(anchor)
    except ValueError:
        raise ValueError(f"SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found {anchor!r}") from None
    if day.weekday() != 0:
        raise ValueError(f"SCHEDULE_ANCHOR: expected a Monday, found {day}, a {day:%A}")
    model = read("MODEL_PREFIX", "doc-classification-model", r"[a-z][a-z0-9-]*", "a pipeline's model_prefix")
    told = read("PREDICTIONS_URI", "", r"(gs://[a-z0-9][a-z0-9._-]+(/.*)?)?", "gs://bucket/prefix, or nothing")
    prefix = (models[2] or "").strip("/")
    return Environment(*template.groups(), models[1], f"{prefix}/" if prefix else "", day, model[0], told[0])


def value_at(template: dict, path: str) -> str:
    """The value in a template's JSON form to which a field path such as `jobs['train'].pysparkJob.args[1]` leads."""
    found = template
    for quoted, name in re.findall(r"'([^']+)'|([\w-]+)", path):
        if isinstance(found, list):  # of jobs, which go by their step, or of texts, which go by their number
            found = {one["stepId"] if isinstance(one, dict) else str(n): one for n, one in enumerate(found)}
        found = found[quoted or name]
    return str(found)


def workflow() -> dict:
    """The workflow's template in its JSON form."""
    name = f"projects/{environment.project}/regions/{environment.region}/workflowTemplates/{environment.template}"
    template = DataprocHook().get_template_client(environment.region).get_workflow_template(name=name)
    return json.loads(WorkflowTemplate.to_json(template, preserving_proto_field_name=False))


def prediction(template: dict, predictions: str) -> dict:
    """A workflow of the same cluster and one job: it predicts what the template's training reads, by what it writes."""
    (train,) = (job["pysparkJob"] for job in template["jobs"] if job["stepId"] == "train")
    rows, models, *flags = train["args"]
    pipeline = flags[flags.index("--pipeline") :][:2] if "--pipeline" in flags else []
    job = {
        "mainPythonFileUri": f"{train['mainPythonFileUri'].rpartition('/')[0]}/predict.py",
        "pythonFileUris": train["pythonFileUris"],
        "args": [rows, predictions, "--models", models, *pipeline],
    }
    kept = {name: template[name] for name in ("labels", "placement", "dagTimeout") if name in template}
    return kept | {"jobs": [{"stepId": "predict", "pysparkJob": job}]}


environment = get_env()

with DAG(
    "brigade_training",
    description="Converts the documents and trains the classifier, every four weeks",
    schedule=PERIOD,
    start_date=datetime.combine(environment.anchor, HOUR),
    # Without it, Airflow counts the four weeks from when the DAG was switched on, and again from a late run. Runs that
    # are caught up end in the first task, which skips periods that are over.
    catchup=True,
    max_active_runs=1,
    default_args={"retries": 4, "retry_delay": timedelta(hours=6)},  # a day: longer than a zone is short of machines
    tags=["brigade"],
):

    @task.short_circuit
    def parameters(dag_run=None) -> dict[str, str] | None:
        """A value for each of the template's parameters, as Dataproc wants it; None when the run's period is over.

        DATE is today, UTC: the model is of the period for which it is trained, whenever training ends. The others are
        what stands in the template.
        """
        today = datetime.now(UTC).date()
        if today >= dag_run.run_after.date() + PERIOD:
            return None
        content = workflow()
        values = {one["name"]: value_at(content, one["fields"][0]) for one in content["parameters"]}
        return values | {"DATE": f"{today}"}

    asked = parameters()
    train = DataprocInstantiateWorkflowTemplateOperator(
        task_id="train",
        project_id=environment.project,
        region=environment.region,
        template_id=environment.template,
        parameters=asked,
        # While a workflow of this tag runs, Dataproc starts no other: an attempt whose worker was lost is followed on.
        request_id=f"brigade-{DAY}",
    )
    model = GCSObjectExistenceSensor(
        task_id="model",
        bucket=environment.bucket,
        object=f"{environment.prefix}{environment.model_prefix}-{DAY}/manifest.json",
        poke_interval=10,
        timeout=30,  # the manifest is there when the workflow ends, or it never comes
    )
    asked >> train >> model

    if environment.predictions:

        @task
        def predict() -> None:
            """Predicts what has no prediction of the serving model yet; what a failed attempt has done stays."""
            hook, content = DataprocHook(), prediction(workflow(), environment.predictions)
            operation = hook.instantiate_inline_workflow_template(
                template=WorkflowTemplate.from_json(json.dumps(content)),
                project_id=environment.project,
                region=environment.region,
            )
            hook.wait_for_operation(operation=operation)

        model >> predict()
