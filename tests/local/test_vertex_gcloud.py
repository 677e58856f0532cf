"""The Vertex AI stand-in through the real `gcloud ai`."""

import json

import pytest

from tests.models.written_tables import ROW, wine_model, write_wine

pytestmark = pytest.mark.gcloud

REGION = "europe-west4"  # tests share the stand-in: no other one uses this region
NAME, RUN = "wine-model-2026-01-05", "run-1"
PARENT = f"projects/brigade-test/locations/{REGION}"
LAB = {"signature_name": "serving_default", "instances": [{name: [value] for name, value in ROW.items()}]}


@pytest.fixture
def ai(gcloud):
    """Runs `gcloud ai …`; returns its standard output as JSON, and its standard error."""

    def run(*args: str, status: int = 0):
        output, messages = gcloud("ai", *args, f"--region={REGION}", "--format=json", status=status)
        return json.loads(output or "null"), messages

    return run


@pytest.fixture
def uploaded(ai, cloud, tmp_path):
    """A model of wines, with two versions of one run."""
    write_wine(tmp_path / "models", NAME)
    for path in (tmp_path / "models").rglob("*"):
        if path.is_file():
            name = f"gcloud/{path.relative_to(tmp_path / 'models')}"
            cloud.bucket("ml_output").blob(name).upload_from_filename(path)
    upload = [
        "models", "upload", "--display-name=wine", f"--artifact-uri=gs://ml_output/gcloud/{NAME}/runs/{RUN}/",
        f"--container-image-uri={REGION}-docker.pkg.dev/brigade-test/brigade/serve:1", "--container-ports=8080",
        "--container-health-route=/healthz", "--container-predict-route=/predict",
        f"--container-env-vars=MODEL_PIN={NAME}/{RUN},MODEL_PREFIX=wine-model",
    ]  # fmt: skip
    first, _ = ai(*upload, "--model-id=wine", "--version-aliases=champion")
    second, _ = ai(*upload, f"--parent-model={PARENT}/models/wine", "--version-aliases=challenger")
    assert (first["model"], first["modelVersionId"], second["modelVersionId"]) == (f"{PARENT}/models/wine", "1", "2")
    return upload


def test_a_model_is_uploaded_listed_deployed_asked_and_taken_away(ai, uploaded, tmp_path):
    _, messages = ai(*uploaded, "--model-id=wine", status=1)
    assert "ALREADY_EXISTS" in messages
    assert [one["versionAliases"] for one in ai("models", "list")[0]] == [["champion", "default"]]
    listed, _ = ai("models", "list-version", "wine")
    assert {one["versionId"]: one["versionAliases"] for one in listed}["2"] == ["challenger"]
    described, _ = ai("models", "describe", "wine@challenger")
    assert (
        described["versionId"] == "2"
        and {"name": "MODEL_PREFIX", "value": "wine-model"} in described["containerSpec"]["env"]
    )

    ai("endpoints", "create", "--display-name=wine", "--endpoint-id=wine")
    assert [one["displayName"] for one in ai("endpoints", "list")[0]] == ["wine"]
    deploy = ["endpoints", "deploy-model", "wine", "--display-name=wine"]
    _, messages = ai(*deploy, "--model=wine@champion", "--deployed-model-id=1", "--traffic-split=0=100")
    assert "Deployed a model to the endpoint wine. Id of the deployed model: 1." in messages
    _, messages = ai(*deploy, "--model=wine@2", "--deployed-model-id=2", "--traffic-split=0=50,1=40", status=1)
    assert "INVALID_ARGUMENT" in messages and "100 together" in messages
    ai(*deploy, "--model=wine@2", "--deployed-model-id=2", "--traffic-split=0=10,1=90")
    found, _ = ai("endpoints", "describe", "wine")
    assert found["trafficSplit"] == {"1": 90, "2": 10}
    assert [(one["id"], one["modelVersionId"]) for one in found["deployedModels"]] == [("1", "1"), ("2", "2")]

    expected = wine_model(2).predict(ROW)
    raw, _ = ai("endpoints", "raw-predict", "wine", f"--request={json.dumps(LAB)}")
    assert raw["predictions"] == [expected] and raw["model"]["name"] == NAME
    (tmp_path / "request.json").write_text(json.dumps(LAB))  # gcloud sends `instances` and `parameters` alone
    answer, _ = ai("endpoints", "predict", "wine", "--json-request=request.json")
    assert answer["predictions"] == [expected]
    assert (answer["model"], answer["modelDisplayName"]) == (f"{PARENT}/models/wine", "wine")
    assert answer["deployedModelId"] == answer["modelVersionId"]
    _, messages = ai("endpoints", "raw-predict", "wine", '--request={"instances": [{"colour": 3}]}', status=1)
    assert "instances[0].colour: expected a string" in messages

    _, messages = ai("endpoints", "undeploy-model", "wine", "--deployed-model-id=1", status=1)
    assert "FAILED_PRECONDITION" in messages and "has 90% of the traffic" in messages
    ai("endpoints", "update", "wine", "--traffic-split=2=100")
    ai("endpoints", "undeploy-model", "wine", "--deployed-model-id=1")
    ai("endpoints", "update", "wine", "--clear-traffic-split")
    ai("endpoints", "undeploy-model", "wine", "--deployed-model-id=2")
    ai("endpoints", "delete", "wine")
    assert ai("endpoints", "list")[0] == []
    ai("models", "delete-version", "wine@2")
    ai("models", "delete", "wine")
    assert "NOT_FOUND" in ai("models", "describe", "wine", status=1)[1]
