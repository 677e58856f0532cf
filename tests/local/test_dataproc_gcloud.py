"""The Dataproc stand-in through the real `gcloud dataproc`."""

import json
import re
import textwrap

import pytest
import yaml
from google.api_core.exceptions import BadRequest
from google.cloud import dataproc_v1, storage

from tests.local.workflow_steps import PARENT, message, step, template
from tests.waiting import wait_until

pytestmark = pytest.mark.gcloud

ARGUMENT = "jobs['convert'].pysparkJob.args[0]"


@pytest.fixture
def dataproc(gcloud):
    """Runs `gcloud dataproc …`; returns its standard output as JSON, and its standard error."""

    def run(*args: str, status: int = 0):
        flags, own = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, ())
        output, messages = gcloud("dataproc", *flags, "--format=json", *own, status=status)
        return json.loads(output or "null"), messages

    return run


@pytest.fixture
def file(tmp_path):
    """Writes a template to a file; returns the file's name."""

    def write(body: dict) -> str:
        (tmp_path / "template.yaml").write_text(yaml.safe_dump({k: v for k, v in body.items() if k != "id"}))
        return "template.yaml"

    return write


def test_a_template_is_imported_exported_described_listed_and_deleted(dataproc, gcloud, file, tmp_path):
    body = template()
    dataproc("workflow-templates", "import", "brigade-kept", f"--source={file(body)}")
    gcloud("dataproc", "workflow-templates", "export", "brigade-kept", "--destination=exported.yaml")
    exported = yaml.safe_load((tmp_path / "exported.yaml").read_text())
    assert message(exported) == message({k: v for k, v in body.items() if k != "id"})
    described, _ = dataproc("workflow-templates", "describe", "brigade-kept")
    assert (described["name"], described["version"]) == (f"{PARENT}/workflowTemplates/brigade-kept", 1)
    dataproc("workflow-templates", "import", "brigade-kept", "--source=exported.yaml")
    listed, _ = dataproc("workflow-templates", "list")
    assert {found["id"]: found["version"] for found in listed}["brigade-kept"] == 2
    dataproc("workflow-templates", "delete", "brigade-kept")
    assert "NOT_FOUND" in dataproc("workflow-templates", "describe", "brigade-kept", status=1)[1]


def test_a_template_is_instantiated_with_its_parameters_and_waited_for(dataproc, control_plane, cloud, file, tmp_path):
    marker = tmp_path / "marker"
    parameter = {"name": "MARKER", "fields": ["jobs['only'].pysparkJob.args[1]", "jobs['only'].pysparkJob.args[2]"]}
    body = template(jobs=[step("only", "meet", "-", "-")], parameters=[parameter])
    dataproc("workflow-templates", "import", "brigade-run", f"--source={file(body)}")
    _, messages = dataproc("workflow-templates", "instantiate", "brigade-run", f"--parameters=MARKER={marker}")
    assert marker.exists()
    assert re.search(r"Job ID only-\w+ COMPLETED", messages) and "DONE" in messages

    _, messages = dataproc("workflow-templates", "instantiate", "brigade-run", status=1)
    assert "no value for parameter MARKER: every parameter needs one" in messages


def test_an_empty_template_is_created_filled_emptied_and_refused_only_when_it_is_started(dataproc):
    def template(command: str, *args: str, status: int = 0):
        return dataproc("workflow-templates", *command.split(), *args, status=status)

    template("create brigade-filled", "--labels=app=brigade")
    assert "placement is missing" in template("instantiate brigade-filled", status=1)[1]
    template("set-managed-cluster brigade-filled", "--single-node")
    assert "jobs is empty" in template("instantiate brigade-filled", status=1)[1]
    add = ["add-job pyspark gs://ml_code/step.py", "--workflow-template=brigade-filled"]
    template(*add, "--step-id=convert", "--", "convert")
    template(*add, "--step-id=train", "--start-after=convert", "--", "train")
    template("set-dag-timeout brigade-filled", "--dag-timeout=1h")
    filled = template("describe brigade-filled")[0]
    assert [job["stepId"] for job in filled["jobs"]] == ["convert", "train"]
    assert filled["placement"]["managedCluster"]["clusterName"] == "brigade-filled"
    assert (filled["labels"], filled["dagTimeout"], filled["version"]) == ({"app": "brigade"}, "3600s", 5)
    assert "unknown convert" in template("remove-job brigade-filled", "--step-id=convert", status=1)[1]
    template("remove-job brigade-filled", "--step-id=train")
    template("remove-job brigade-filled", "--step-id=convert")
    template("set-cluster-selector brigade-filled", "--cluster-labels=env=test")
    emptied = template("describe brigade-filled")[0]
    assert emptied["placement"] == {"clusterSelector": {"clusterLabels": {"env": "test"}}} and "jobs" not in emptied
    assert "jobs is empty" in template("instantiate brigade-filled", status=1)[1]


def test_a_workflow_from_a_file_that_fails_says_in_which_step(dataproc, cloud, file):
    body = template(jobs=[step("failing", "fail", "-", "-")], parameters=[])
    asked = ["workflow-templates", "instantiate-from-file", f"--file={file(body)}"]
    _, messages = dataproc(*asked, status=1)
    assert re.search(r"Job failing-\w+ failed: .*ValueError: no documents to learn from", messages, re.S)


def test_jobs_are_submitted_listed_described_waited_for_and_killed(dataproc, cloud, tmp_path):
    running, release = tmp_path / "running", tmp_path / "release"
    program = ["gs://ml_code/step.py", "--cluster=brigade-cluster", "--async"]
    job, _ = dataproc("jobs", "submit", "pyspark", *program, "--", "meet", str(running), str(release))
    name = job["reference"]["jobId"]
    wait_until(running.exists)
    active = [found["reference"]["jobId"] for found in dataproc("jobs", "list", "--state-filter=active")[0]]
    ended = [found["reference"]["jobId"] for found in dataproc("jobs", "list", "--state-filter=inactive")[0]]
    assert name in active and name not in ended
    assert dataproc("jobs", "describe", name)[0]["status"]["state"] == "RUNNING"
    release.touch()
    waited, messages = dataproc("jobs", "wait", name)
    assert waited["status"]["state"] == "DONE" and "finished successfully" in messages

    running.unlink()
    never = str(tmp_path / "never")
    job, _ = dataproc("jobs", "submit", "pyspark", *program, "--", "meet", str(running), never)
    wait_until(running.exists)
    killed, messages = dataproc("jobs", "kill", job["reference"]["jobId"])
    assert killed["status"]["state"] == "CANCELLED" and "Killed" in messages
    assert "NOT_FOUND" in dataproc("jobs", "describe", "no-such-job", status=1)[1]


def test_local_files_are_submitted_and_the_driver_s_output_is_streamed(dataproc, cloud, tmp_path):
    (tmp_path / "local.py").write_text(
        textwrap.dedent("""
        import os, stat, sys
        import first, second
        kind = "a file" if stat.S_ISREG(os.fstat(1).st_mode) else "a pipe, whose end may be lost"
        print("the driver says", first.X, second.Y, *sys.argv[1:], "to", kind)
        """)
    )
    (tmp_path / "first.py").write_text("X = 10")
    (tmp_path / "second.py").write_text("Y = 'why'")
    submit = ["jobs", "submit", "pyspark", "local.py", "--cluster=brigade-cluster", "--region=us-central1"]

    job, messages = dataproc(*submit, "--py-files=first.py,second.py", "--", "--input=a b", "c")

    assert "the driver says 10 why --input=a b c to a file" in messages
    assert "finished successfully" in messages
    assert "output did not finish streaming" not in messages
    assert job["status"]["state"] == "DONE"
    assert [past["state"] for past in job["statusHistory"]] == ["PENDING", "RUNNING"]
    log = storage.Blob.from_uri(job["driverOutputResourceUri"] + ".000000000", client=cloud)
    assert b"the driver says" in log.download_as_bytes()


def test_a_cluster_is_created_described_listed_and_deleted(dataproc):
    created, messages = dataproc("clusters", "create", "brigade-mine", "--single-node")
    assert created["status"]["state"] == "RUNNING" and "Created" in messages
    assert dataproc("clusters", "describe", "brigade-mine")[0]["config"]["configBucket"] == "dataproc-staging"
    listed = [found["clusterName"] for found in dataproc("clusters", "list")[0]]
    assert {"brigade-mine", "brigade-cluster"} <= set(listed)
    assert "ALREADY_EXISTS" in dataproc("clusters", "create", "brigade-mine", status=1)[1]
    assert "Deleted" in dataproc("clusters", "delete", "brigade-mine")[1]
    assert "NOT_FOUND" in dataproc("clusters", "describe", "brigade-mine", status=1)[1]


REFUSED = {
    "a cycle": (
        {"jobs": [step("one", after=("two",)), step("two", after=("one",))]},
        "prerequisiteStepIds go in a circle: ",
    ),
    "a step id of two characters": ({"jobs": [step("ab")]}, "stepId 'ab': a step id has 3 to 50"),
    "a parameter that nothing uses": (
        {"parameters": [{"name": "INPUT"}]},
        "parameter INPUT is not used: it has no fields",
    ),
    "a parameter of a field that is not there": (
        {"parameters": [{"name": "INPUT", "fields": [ARGUMENT.replace("convert", "clean")]}]},
        "field jobs['clean'].pysparkJob.args[0]: there is no [clean] among 2 items",
    ),
    "a dagTimeout out of range": ({"dagTimeout": "86401s"}, "dagTimeout is 86401s: it must be 600s to 86400s"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_gcloud_and_the_client_are_told_the_same_of_a_template_with(case, dataproc, control_plane, file):
    changes, expected = REFUSED[case]
    body = template(id="brigade-refused", **({"parameters": []} | changes))
    told = dataproc("workflow-templates", "import", "brigade-refused", f"--source={file(body)}", status=1)[1]
    client = control_plane.client(dataproc_v1.WorkflowTemplateServiceClient)
    with pytest.raises(BadRequest) as refusal:
        client.create_workflow_template(parent=PARENT, template=message(body))
    words = refusal.value.message[refusal.value.message.index(expected) :]
    assert words in " ".join(told.split())


def test_gcloud_and_the_client_are_told_the_same_of_a_parameter_that_is_not_declared(dataproc, control_plane, file):
    dataproc("workflow-templates", "import", "brigade-declared", f"--source={file(template())}")
    instantiate = ["workflow-templates", "instantiate", "brigade-declared", "--parameters=INPUT=a,PARQUET=b,DATE=c"]
    told = dataproc(*instantiate, status=1)[1]
    client = control_plane.client(dataproc_v1.WorkflowTemplateServiceClient)
    values = {"INPUT": "a", "PARQUET": "b", "DATE": "c"}
    with pytest.raises(BadRequest) as refusal:
        client.instantiate_workflow_template(name=f"{PARENT}/workflowTemplates/brigade-declared", parameters=values)
    words = "unknown parameter DATE: the template has ['INPUT', 'PARQUET']"
    assert words in told and words in refusal.value.message


def test_gcloud_and_the_client_are_told_the_same_of_an_unknown_field(dataproc, file):
    body = template(id="brigade-refused", colour="red")
    told = dataproc("workflow-templates", "import", "brigade-refused", f"--source={file(body)}", status=1)[1]
    with pytest.raises(Exception, match='has no field named "colour"') as refusal:
        message(body)  # the client knows it by itself, before it asks
    assert str(refusal.value).split(" at ")[0] in " ".join(told.split())
