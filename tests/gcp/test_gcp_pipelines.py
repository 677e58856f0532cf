"""Another pipeline than documents, and a second one in the same project."""

import json

import pytest

from brigade.pipelines.load import WrongDefinition, load
from gcp import commands, resources
from tests.gcp.stand_ins import CONFIGURATION
from tests.gcp.test_gcp import ONE, down, state_of, up

pytestmark = pytest.mark.terraform

SECOND = """
variable "prefix" { type = string }
variable "pipeline" { type = string }
output "pipeline" { value = var.pipeline }
"""


def test_a_second_pipeline_of_a_project_has_a_state_of_its_own_and_the_first_stays(cloud_of, capfd):
    assert up(ONE) == 0
    first = state_of(ONE)
    main = commands.TERRAFORM / "main.tf"
    main.write_text(CONFIGURATION.replace("}-ml-", "}-${var.prefix}-ml-") + SECOND)
    capfd.readouterr()
    assert up(ONE, "--prefix=wine", "--pipeline=wine") == 0
    told = capfd.readouterr().err
    assert f"workspace select -or-create {ONE}.wine" in told
    assert f"-var=project_id={ONE} -var=region=us-central1 -var=prefix=wine -var=pipeline=wine" in told
    assert f"make gcp-landing PROJECT={ONE} PREFIX=wine" in told
    # Who leaves the pipeline out would make it one of documents.
    assert up(ONE, "--prefix=wine") == 1
    assert f"PROJECT={ONE} PREFIX=wine was created with PIPELINE=wine, found no PIPELINE" in capfd.readouterr().err
    assert down(ONE, "--prefix=wine", f"--buckets={ONE}-ml-input") == 2
    cloud_of.answer("^gcloud dataproc clusters list", json.dumps([{"clusterName": "brigade-cluster-abc"}]))
    cloud_of.forget()
    assert down(ONE, "--prefix=wine", f"--buckets={ONE}-wine-ml-input", "--json") == 0
    summary = json.loads(capfd.readouterr().out)
    assert (summary["kept"], summary["emptied"]) == (
        [f"{ONE}-wine-ml-logs", f"{ONE}-wine-ml-output"],
        [f"{ONE}-wine-ml-input"],
    )
    assert "--filter=name=wine-brigade-landing" in cloud_of.calls("gcloud dataflow jobs list")[0]
    assert state_of(ONE) == first
    # The cluster of the first pipeline's training does not concern the second one; its own would.
    cloud_of.answer("^gcloud dataproc clusters list", json.dumps([{"clusterName": "wine-brigade-cluster-abc"}]))
    assert down(ONE, "--prefix=wine") == 1
    assert "a training runs on cluster wine-brigade-cluster-abc" in capfd.readouterr().err


def test_what_is_packaged_is_for_the_pipeline_and_a_uri_s_definition_says_the_models_prefix(cloud_of, monkeypatch):
    given, ran = [], []
    monkeypatch.setattr(resources, "load", lambda uri: given.append(uri) or load("wine"))
    monkeypatch.setattr(commands, "run", lambda command, extra=None: ran.append(command))
    (commands.TERRAFORM / ".terraform").mkdir()
    uri = "gs://some-data/wine.yaml"
    assert resources.main(["plan", f"--project={ONE}", f"--pipeline={uri}"]) == 0
    assert given == [uri] and ran[0][-2:] == ["local.package", f"--pipeline={uri}"]
    assert ran[-1][-2:] == [f"-var=pipeline={uri}", "-var=model_prefix=wine-model"]
    assert resources.main(["plan", f"--project={ONE}", "--pipeline=sales"]) == 0
    assert given == [uri] and ran[-1][-1] == "-var=pipeline=sales"  # whose definition Terraform reads


def test_a_wrong_definition_is_told_before_anything_is_asked(cloud_of, monkeypatch, capfd):
    def refused(uri: str):
        raise WrongDefinition([f"{uri}: model.label: expected a column, found none", f"{uri}: name: expected a name"])

    monkeypatch.setattr(resources, "load", refused)
    assert up(ONE, "--pipeline=gs://some-data/wine.yaml") == 2
    assert "model.label: expected a column, found none; gs://some-data" in capfd.readouterr().err
    assert cloud_of.calls() == []


@pytest.mark.parametrize("prefix", ["Wine", "wine-", "-wine", "1wine", "a-long-prefix", "a_b"])
def test_a_prefix_that_google_would_not_take_is_refused(prefix, capfd):
    with pytest.raises(SystemExit) as ended:
        up(ONE, f"--prefix={prefix}")
    assert ended.value.code == 2 and "PREFIX: expected 1 to 12 lower-case letters" in capfd.readouterr().err
