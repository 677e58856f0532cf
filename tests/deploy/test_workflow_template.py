"""`workflow_template.yaml`: that Dataproc would take it, that its parameters lead to what they say, and that its steps'
programs understand their arguments."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml
from google.cloud import dataproc_v1
from google.protobuf import json_format

from brigade.conversion.schema import OWN, reading_of
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.pipelines.load import load
from brigade.training.gate import TOLERANCE
from brigade.training.options import Options
from local import workflow_templates, workflows
from tests.conftest import ROOT
from tests.test_readme import program

TEXT = (ROOT / "workflow_template.yaml").read_text("utf-8")
TEMPLATE = yaml.safe_load(TEXT)
# With the lines that are comments until a larger cluster is wanted.
LARGER = re.sub(
    r"^( *)# ((?:numInstances|machineTypeUri|diskConfig|secondaryWorkerConfig|autoscalingConfig"
    r"|serviceAccount|subnetworkUri|configBucket|tempBucket)\b"
    r"|  +(?:numInstances|preemptibility|diskConfig|bootDiskSizeGb|policyUri)\b)",
    r"\1\2",
    TEXT.replace("        numInstances: 0\n", ""),
    flags=re.M,
)
# With the third step, which is a comment until it is asked for.
PREDICTING = re.sub(
    r"^  # - stepId: predict\n(?:  # .*\n)+|^      # - jobs\['predict'\].*\n",
    lambda lines: re.sub(r"^( +)# ", r"\1", lines[0], flags=re.M),
    TEXT,
    flags=re.M,
)
LATER = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"  # two days, so that midnight may pass before it is read
# A value for each parameter that is not the template's own, and some that the parameter's validation refuses.
OTHER = {
    "INPUT": ("gs://other-in/landed", ["/local/path", "gs://", "s3://bucket/input"]),
    "PARQUET": ("gs://other-in/table/", ["parquet"]),
    "QUARANTINE": ("gs://other-in/bad/", ["quarantine"]),
    "OUTPUT": ("gs://other-out/models/", ["gs:/other-out"]),
    "DATE": (
        "2026-02-02",
        ["yesterday", "2026-2-2", "", "2126-01-01", "2026-13-01", "2026-01-32", LATER, "2062-01-01"],
    ),
    "LABEL": ("superTag02", ["--force", "a b", ""]),
    "SPLIT": ("time", ["newest", ""]),
    "TOLERANCE": ("0.02", ["1.5", "-1", "", "1%", "default0"]),
    "PIPELINE": (
        "wine",
        ["", "Wine", "--force", "my/wine", "wine.yaml", "/local/wine.yaml", "gs://other-in/wine.txt", "gs://wine.yaml"]
        + [f"a{'b' * 30}"],
    ),
    "CONVERT_PROGRAM": ("gs://other-code/v2/spark_sql.py", ["spark_sql.py", "gs://other-code/spark_sql.jar"]),
    "TRAIN_PROGRAM": ("gs://other-code/v2/train_ml_model.py", ["gs://other-code/"]),
    "PACKAGE": ("gs://other-code/v2/brigade.zip", ["gs://other-code", "gs://other-code/brigade.py", "brigade.zip"]),
}


def parsed(template: dict = TEMPLATE):
    """The template as the service's own message; an unknown field is an error."""
    return json_format.ParseDict(template, workflows.new(dataproc_v1.WorkflowTemplate), ignore_unknown_fields=False)


def steps(message) -> dict:
    return {job.step_id: job.pyspark_job for job in message.jobs}


def parser_of(script: str) -> Callable:
    """The function that reads the door's arguments: the door's own, or that of the program to which it hands them."""
    door = program(script)
    return getattr(door, "parse_arguments", None) or sys.modules[door.main.__module__].parse_arguments


def arguments(message) -> dict:
    """What each step's program reads from its arguments."""
    found = {}
    for step, job in steps(message).items():
        script = job.main_python_file_uri.rsplit("/", 1)[1]
        found[step] = parser_of(script)(list(job.args))
    return found


def test_the_template_is_one_that_dataproc_takes():
    workflow_templates.validate_complete(parsed())


def test_a_misspelt_field_is_noticed():
    with pytest.raises(json_format.ParseError, match="dagTimeOut"):
        json_format.ParseDict(TEMPLATE | {"dagTimeOut": "600s"}, workflows.new(dataproc_v1.WorkflowTemplate))


def test_with_its_own_values_the_template_stays_as_it_is():
    message = parsed()
    assert workflow_templates.with_parameters(message, workflow_templates.own_values(message)) == message


def test_every_parameter_says_what_it_is_and_has_a_validation():
    assert {parameter["name"] for parameter in TEMPLATE["parameters"]} == set(OTHER)
    for parameter in parsed().parameters:
        assert parameter.description.endswith("."), parameter.name
        assert parameter.validation.WhichOneof("validation_type"), parameter.name


@pytest.mark.parametrize("name", OTHER)
def test_a_parameter_takes_another_value_and_refuses_a_wrong_one(name):
    takes_and_refuses(parsed(), name, *OTHER[name])


def takes_and_refuses(message, name, value, wrong):
    """A template's parameter takes a value, which changes nothing else, and refuses wrong ones."""
    own = workflow_templates.own_values(message)
    changed = workflow_templates.with_parameters(message, own | {name: value})
    assert workflow_templates.own_values(changed) == own | {name: value}
    for one in wrong:
        with pytest.raises(ValueError, match=f"parameter {name}: {re.escape(repr(one))}"):
            workflow_templates.with_parameters(message, own | {name: one})


def test_the_steps_programs_find_each_parameter_where_they_look_for_it():
    values = {name: value for name, (value, _) in OTHER.items()}
    message = workflow_templates.with_parameters(parsed(), values)
    found = arguments(message)
    assert [found[step].pipeline.name for step in ("convert", "train")] == ["wine", "wine"]
    assert vars(found["convert"]) | {
        "input_path": values["INPUT"],
        "output_path": values["PARQUET"],
        "quarantine_path": values["QUARANTINE"],
    } == vars(found["convert"])
    assert vars(found["train"]) | {
        "input_path": values["PARQUET"],
        "output_path": values["OUTPUT"],
        "date": date(2026, 2, 2),
        "label_column": "superTag02",
        "split": "time",
        "tolerance": 0.02,
    } == vars(found["train"])
    assert [list(job.python_file_uris) for job in steps(message).values()] == [[values["PACKAGE"]]] * 2


def test_on_request_a_third_step_predicts_by_the_model_that_serves_then():
    message = parsed(yaml.safe_load(PREDICTING))
    workflow_templates.validate_complete(message)
    values = {name: value for name, (value, _) in OTHER.items()}
    changed = workflow_templates.with_parameters(message, values)
    found = arguments(changed)["predict"]
    assert (found.input_path, found.models) == (values["PARQUET"], values["OUTPUT"])
    assert (found.output_path, found.prefix) == ("gs://ml_output/predictions/", "wine-model")
    assert list(steps(changed)["predict"].python_file_uris) == [values["PACKAGE"]]
    (job,) = (job for job in message.jobs if job.step_id == "predict")
    assert list(job.prerequisite_step_ids) == ["train"]
    assert workflow_templates.with_parameters(message, workflow_templates.own_values(message)) == message


def test_the_template_s_own_values_are_the_programs_defaults():
    found = arguments(workflow_templates.with_parameters(parsed(), workflow_templates.own_values(parsed())))
    pipeline = found["train"].pipeline
    assert pipeline == found["convert"].pipeline == load("documents")
    plain = vars(parser_of("train_ml_model.py")(["in", "out"]))
    own = vars(found["train"]) | {"input_path": "in", "output_path": "out"}
    assert own == plain | {"pipeline": pipeline}
    # What the definition says is what the programs do without one.
    assert (pipeline.model.label, pipeline.model.split) == (Options().label_column, Options().split)
    assert (pipeline.model.tolerance, pipeline.model_prefix) == (TOLERANCE, DOCUMENTS_PREFIX)
    assert reading_of(pipeline.query, pipeline.contract) == OWN


@pytest.mark.parametrize(
    "value", ["documents", "a", f"a{'b' * 29}", "gs://my-data/wine.yaml", "gs://my-data/a/wine.yml", "gs://d-1/w.json"]
)
def test_a_pipeline_is_a_name_or_a_definition_in_cloud_storage(value):
    own = workflow_templates.own_values(parsed())
    changed = steps(workflow_templates.with_parameters(parsed(), own | {"PIPELINE": value}))
    assert [list(job.args)[-2:] for job in changed.values()] == [["--pipeline", value]] * 2


@pytest.mark.parametrize(
    ("parameter", "value", "attribute", "found"),
    [
        ("LABEL", "superTag01", "label_column", "superTag01"),
        ("SPLIT", "random", "split", "random"),
        ("SPLIT", "time", "split", "time"),
        ("TOLERANCE", "0.01", "tolerance", 0.01),
        ("TOLERANCE", "0", "tolerance", 0.0),
        ("TOLERANCE", "default", "tolerance", None),
    ],
)
def test_a_value_of_one_s_own_stands_above_the_definition(parameter, value, attribute, found):
    values = workflow_templates.own_values(parsed()) | {parameter: value}
    assert getattr(arguments(workflow_templates.with_parameters(parsed(), values))["train"], attribute) == found


def test_of_a_cluster_s_configuration_a_parameter_reaches_the_number_of_machines():
    path = "placement.managedCluster.config.workerConfig.numInstances"
    message = parsed()
    message.parameters.add(name="WORKERS", fields=[path])
    workflow_templates.validate_complete(message)
    own = workflow_templates.own_values(message)
    assert own["WORKERS"] == "0"
    changed = workflow_templates.with_parameters(message, own | {"WORKERS": "3"})
    assert changed.placement.managed_cluster.config.worker_config.num_instances == 3
    with pytest.raises(ValueError, match="parameter WORKERS: expected a number, found 'three'"):
        workflow_templates.with_parameters(message, own | {"WORKERS": "three"})


def test_one_machine_is_enough_and_an_idle_cluster_goes():
    config = parsed().placement.managed_cluster.config
    assert (config.master_config.num_instances, config.worker_config.num_instances) == (1, 0)
    assert config.software_config.properties["dataproc:dataproc.allow.zero.workers"] == "true"
    assert config.lifecycle_config.idle_delete_ttl.ToTimedelta().total_seconds() == 1800
    assert not config.gce_cluster_config.zone_uri


def test_the_commented_lines_for_a_larger_cluster_are_fields_that_dataproc_knows():
    message = json_format.ParseDict(yaml.safe_load(LARGER), workflows.new(dataproc_v1.WorkflowTemplate))
    config = message.placement.managed_cluster.config
    assert (config.worker_config.num_instances, config.worker_config.disk_config.boot_disk_size_gb) == (2, 100)
    spot = dataproc_v1.InstanceGroupConfig.Preemptibility.SPOT
    assert (config.secondary_worker_config.num_instances, config.secondary_worker_config.preemptibility) == (4, spot)
    assert config.autoscaling_config.policy_uri.endswith("/autoscalingPolicies/brigade")
    assert config.gce_cluster_config.service_account.startswith("brigade-spark@")
    assert config.gce_cluster_config.subnetwork_uri.endswith("/subnetworks/brigade")
    assert (config.config_bucket, config.temp_bucket) == ("ml_temp", "ml_temp")
