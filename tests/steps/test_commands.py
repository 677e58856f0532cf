"""The steps as programs with flags, as entry points of MLproject, and as jobs of a workflow."""

import shlex
import sys

import pytest
import yaml
from google.cloud import dataproc_v1
from google.protobuf import json_format

import spark_sql
import train_ml_model
from brigade.errors import WrongInput
from brigade.steps import here
from brigade.steps.commands import ALL, STEPS, commands
from brigade.steps.dataproc import read_template, workflow
from brigade.steps.environment import load
from brigade.steps.output import Output, StepFailed
from local import workflow_templates
from tests.conftest import ROOT

PARSERS = {"spark_sql.py": spark_sql.parse_arguments, "train_ml_model.py": train_ml_model.parse_arguments}


def test_each_step_is_its_program_with_the_environment_s_paths_and_all_are_all():
    local = load("local")
    every = commands(ALL, local)
    assert [one.step for one in every] == [step for step in STEPS if step != "monitor"]
    each = [commands(step, local) for step in STEPS]
    assert each[:-1] == [[one] for one in every]
    looked = ["parquet", "--models=models", "--output=watched", "--pipeline=documents"]
    assert each[-1] == [("monitor", "monitor.py", looked)]
    assert {one.program: one.arguments for one in every} == {
        "spark_sql.py": ["landing/input", "parquet", "--quarantine_path=quarantine", "--pipeline=documents"],
        "train_ml_model.py": ["parquet", "models", "--pipeline=documents"],
        "predict.py": ["parquet", "predictions", "--models=models", "--pipeline=documents"],
    }


def test_an_environment_without_a_place_for_findings_has_all_steps_but_that_one():
    local = load("local")
    elsewhere = local.model_copy(update={"paths": local.paths.model_copy(update={"monitoring": None})})
    assert commands(ALL, elsewhere) == commands(ALL, local)
    with pytest.raises(WrongInput, match="^paths.monitoring: expected where findings go, found nothing"):
        commands("monitor", elsewhere)


@pytest.mark.parametrize("environment", ["dev", "local", "prod"])
def test_the_flags_are_understood_by_the_programs(environment):
    for one in commands(ALL, load(environment)):
        if one.program in PARSERS:
            assert PARSERS[one.program](one.arguments).pipeline.name == "documents"


def test_mlproject_has_the_steps_as_entry_points_with_the_same_names():
    project = yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))
    points = project["entry_points"]
    assert points.keys() == {"main", ALL, *STEPS}
    for name, point in points.items():
        assert point["parameters"] == {"environment": {"type": "string", "default": "local"}}
        step = ALL if name == "main" else name
        words = shlex.split(point["command"].format(environment="dev"))
        assert words == ["python", "pipeline.py", f"--step={step}", "--environment=dev"]


def test_the_workflow_has_the_template_s_cluster_the_environment_s_machines_and_the_steps_in_their_order():
    prod = load("prod")
    made = workflow(commands(ALL, prod), prod.dataproc, read_template())
    message = json_format.ParseDict(made, dataproc_v1.WorkflowTemplate()._pb)
    workflow_templates.validate_complete(message)
    cluster, template = message.placement.managed_cluster.config, read_template()
    software = template["placement"]["managedCluster"]["config"]["softwareConfig"]
    assert cluster.software_config.image_version == software["imageVersion"]
    assert cluster.software_config.properties["dataproc:pip.packages"]
    assert "dataproc:dataproc.allow.zero.workers" not in cluster.software_config.properties
    assert (cluster.master_config.machine_type_uri, cluster.worker_config.num_instances) == ("e2-standard-8", 2)
    assert cluster.worker_config.machine_type_uri == "e2-standard-8"
    assert cluster.gce_cluster_config.service_account == "brigade-spark@brigade-prod.iam.gserviceaccount.com"
    assert (cluster.config_bucket, cluster.temp_bucket) == ("brigade-prod-ml-temp",) * 2
    assert [(job.step_id, list(job.prerequisite_step_ids)) for job in message.jobs] == [
        ("make_data", []),
        ("train_model", ["make_data"]),
        ("predict", ["train_model"]),
    ]
    assert message.jobs[0].pyspark_job.main_python_file_uri == "gs://brigade-prod-ml-code/spark_sql.py"
    assert "--check_packages" in message.jobs[0].pyspark_job.args


def test_what_the_environment_does_not_say_the_template_says():
    dev = load("dev")
    place = dev.dataproc.model_copy(update=dict.fromkeys(("master", "workers", "service_account", "temp_bucket")))
    made = workflow(commands("predict", dev), place, read_template())["placement"]["managedCluster"]["config"]
    template = read_template()["placement"]["managedCluster"]["config"]
    assert (made["masterConfig"], made["workerConfig"]) == (template["masterConfig"], template["workerConfig"])
    assert "serviceAccount" not in made["gceClusterConfig"] and "configBucket" not in made


# -------------------------------------------------------------------------------------------------- on this machine

PROGRAM = """
import json, sys, os
print("at work", flush=True)
print(json.dumps({"arguments": sys.argv[1:], "python": os.environ["PYSPARK_PYTHON"]}))
print("26/11/28 INFO a log line after it", file=sys.stderr)
"""
FAILING = 'import sys\nprint("train_ml_model.py: expected labels, found none", file=sys.stderr)\nsys.exit({status})'


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs in the place of the project's own, and a spark-submit that runs them without Spark. It loses
    what they say to it, as the real one may lose the end."""
    for name in ("spark_sql.py", "train_ml_model.py", "predict.py"):
        (tmp_path / name).write_text(PROGRAM)
    monkeypatch.setattr(here, "PROGRAMS", tmp_path)
    submit = tmp_path / "spark-submit"
    submit.write_text('#!/bin/sh\nshift && python=${1#*=} && shift && exec "$python" "$@" >/dev/null 2>&1\n')
    submit.chmod(0o755)
    monkeypatch.setattr(here, "spark_submit", lambda: str(submit))
    return tmp_path


def test_steps_run_one_after_the_other_with_their_log_shown_and_their_summaries_kept(programs, capfd):
    found = here.run(commands(ALL, load("local")))
    assert {step: one["arguments"][0] for step, one in found.items()} == {
        "make_data": "landing/input",
        "train_model": "parquet",
        "predict": "parquet",
    }
    assert found["predict"]["python"] == sys.executable
    output = capfd.readouterr()
    assert output.out == "" and output.err.count("at work") == output.err.count("a log line after it") == 3


@pytest.mark.parametrize(("status", "own"), [(2, 2), (1, 1), (137, 1)])
def test_a_step_that_fails_ends_the_run_with_what_it_said(programs, status, own):
    (programs / "train_ml_model.py").write_text(FAILING.format(status=status))
    (programs / "predict.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()")
    with pytest.raises(
        StepFailed, match="^train_model failed: train_ml_model.py: expected labels, found none$"
    ) as told:
        here.run(commands(ALL, load("local")))
    assert told.value.status == own and not (programs / "ran").exists()


def test_a_step_that_says_nothing_of_its_failure_is_named_with_its_status(programs):
    (programs / "predict.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(StepFailed, match="predict failed: predict.py ended with status 3; its log is above"):
        here.run(commands("predict", load("local")))


def test_a_program_that_is_missing_is_said_before_any_step_starts(programs, capfd):
    (programs / "predict.py").unlink()
    with pytest.raises(WrongInput, match="predict: expected the program .*predict.py, found none"):
        here.run(commands(ALL, load("local")))
    assert capfd.readouterr().err == ""


def test_output_that_comes_in_pieces_is_read_by_its_lines(capsys):
    output = Output()
    for piece in (b'first\n{"ro', b'ws": 3}\n{not json}\nspark_sql.py: no ', b"disk\nhalf a l"):
        output.add(piece)
    assert (output.summary, output.last_words) == ({"rows": 3}, "spark_sql.py: no disk")
    assert capsys.readouterr().err.splitlines() == ["first", '{"rows": 3}', "{not json}", "spark_sql.py: no disk"]
