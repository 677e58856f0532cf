"""`monitor_template.yaml`: that Dataproc would take it, that its parameters lead to what they say, that its steps'
programs understand their arguments, and that it has the cluster and the conversion of the training's template."""

import pytest
import yaml

from local import workflow_templates
from tests.conftest import ROOT
from tests.deploy.test_workflow_template import OTHER as OF_TRAINING
from tests.deploy.test_workflow_template import TEMPLATE as TRAINING
from tests.deploy.test_workflow_template import arguments, parsed, steps, takes_and_refuses

TEMPLATE = yaml.safe_load((ROOT / "monitor_template.yaml").read_text("utf-8"))
# A value for each parameter that is not the template's own, and some that the parameter's validation refuses.
SAME = ("INPUT", "PARQUET", "QUARANTINE", "OUTPUT", "PIPELINE", "CONVERT_PROGRAM", "PACKAGE")
OTHER = {name: OF_TRAINING[name] for name in SAME} | {
    "MODELS": ("gs://other-out/models/", ["models", "s3://bucket/models"]),
    "MONITOR_PROGRAM": ("gs://other-code/v2/monitor.py", ["monitor.py", "gs://other-code/monitor.zip"]),
}


def test_the_template_is_one_that_dataproc_takes_and_stays_as_it_is_with_its_own_values():
    message = parsed(TEMPLATE)
    workflow_templates.validate_complete(message)
    assert workflow_templates.with_parameters(message, workflow_templates.own_values(message)) == message
    assert [(job.step_id, list(job.prerequisite_step_ids)) for job in message.jobs] == [
        ("convert", []),
        ("monitor", ["convert"]),
    ]


def test_cluster_and_conversion_are_those_of_the_training():
    """But for the cluster's name, which begins alike, so that the alarm on failed jobs sees both."""
    cluster, other = (one["placement"]["managedCluster"] for one in (TEMPLATE, TRAINING))
    assert cluster["config"] == other["config"]
    assert cluster["clusterName"].startswith(f"{other['clusterName']}-")
    assert TEMPLATE["jobs"][0] == TRAINING["jobs"][0]
    assert TEMPLATE["labels"] == TRAINING["labels"] | {"purpose": "monitor"}


def test_every_parameter_says_what_it_is_and_has_a_validation():
    message = parsed(TEMPLATE)
    assert {parameter.name for parameter in message.parameters} == set(OTHER)
    for parameter in message.parameters:
        assert parameter.description.endswith("."), parameter.name
        assert parameter.validation.WhichOneof("validation_type"), parameter.name


@pytest.mark.parametrize("name", OTHER)
def test_a_parameter_takes_another_value_and_refuses_a_wrong_one(name):
    takes_and_refuses(parsed(TEMPLATE), name, *OTHER[name])


def test_the_steps_programs_find_each_parameter_where_they_look_for_it():
    values = {name: value for name, (value, _) in OTHER.items()}
    message = workflow_templates.with_parameters(parsed(TEMPLATE), values)
    found = arguments(message)
    assert found["convert"].output_path == found["monitor"].input_path == values["PARQUET"]
    assert (found["convert"].input_path, found["convert"].quarantine_path) == (values["INPUT"], values["QUARANTINE"])
    assert (found["monitor"].models, found["monitor"].output_path) == (values["MODELS"], values["OUTPUT"])
    assert [found[step].pipeline.name for step in ("convert", "monitor")] == ["wine", "wine"]
    assert found["monitor"].prefix == "wine-model"
    assert [list(job.python_file_uris) for job in steps(message).values()] == [[values["PACKAGE"]]] * 2


def test_the_look_sees_the_models_that_the_training_writes_and_the_table_that_it_reads():
    look, training = (
        arguments(workflow_templates.with_parameters(parsed(one), workflow_templates.own_values(parsed(one))))
        for one in (TEMPLATE, TRAINING)
    )
    assert look["monitor"].models == training["train"].output_path
    assert look["monitor"].input_path == training["train"].input_path
    assert look["monitor"].pipeline == training["train"].pipeline
    assert look["monitor"].fail_on == "never"  # a finding is no failed job: the trigger tells of it
