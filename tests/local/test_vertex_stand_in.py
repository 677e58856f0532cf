"""The Vertex AI stand-in over HTTP: what it answers, and what it refuses as the service does."""

import itertools
import time

import pytest
import requests

from local.vertex_models import ARTIFACTS_BUCKET
from tests.models.written_models import tiny_model, write_model

IMAGE = "us-central1-docker.pkg.dev/brigade-test/brigade/serve:1"
NAME = "doc-classification-model-2026-01-05"
INSTANCE = {"payload": "some words of the invoice"}
NUMBERS = itertools.count(1)
COMPUTE = {"dedicatedResources": {"machineSpec": {"machineType": "e2-standard-2"}, "minReplicaCount": 1}}


class Api:
    """Calls below one location of its own, so that tests share nothing."""

    def __init__(self, endpoint: str, location: str):
        self.location = f"projects/brigade-test/locations/{location}"
        self.url = f"{endpoint}/v1"

    def call(self, method: str, path: str, body: object = None, status: int = 200, **parameters: str) -> dict:
        answer = requests.request(method, f"{self.url}/{self.location}/{path}", json=body, params=parameters)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upload(self, run: str = "run-1", status: int = 200, **changes) -> dict:
        env = [{"name": "MODEL_PIN", "value": f"{NAME}/{run}"}]
        spec = {"imageUri": IMAGE, "env": env, "healthRoute": "/ready", "predictRoute": "/answer"}
        model = {
            "displayName": "docs",
            "containerSpec": spec,
            "artifactUri": f"gs://ml_output/vertex/{NAME}/runs/{run}/",
        }
        extra = {key: changes.pop(key) for key in ("modelId", "parentModel") if key in changes}
        answer = self.call("POST", "models:upload", {"model": model | changes} | extra, status)
        return answer.get("response") or answer["error"]

    def deploy(self, endpoint: str, version: str, split: dict, status: int = 200, **changes) -> dict:
        deployed = {"model": f"{self.location}/models/docs@{version}", "id": version, **COMPUTE} | changes
        body = {"deployedModel": deployed, "trafficSplit": split}
        operation = self.call("POST", f"endpoints/{endpoint}:deployModel", body, status)
        while status == 200 and not operation.get("done"):
            time.sleep(0.2)
            # As gcloud does it, whatever version the call itself was of.
            operation = requests.get(f"{self.url}beta1/{operation['name']}").json()
        return operation


@pytest.fixture
def api(control_plane, cloud) -> Api:
    return Api(control_plane.endpoint, f"location-{next(NUMBERS)}")


@pytest.fixture(scope="module")
def models(cloud, tmp_path_factory):
    """Two runs of one date in gs://ml_output/vertex/, with weights of their own."""
    folder = tmp_path_factory.mktemp("models")
    for seed, run in enumerate(("run-1", "run-2"), 1):
        write_model(folder, NAME, run_id=run, seed=seed)
    for path in folder.rglob("*"):
        if path.is_file():
            cloud.bucket("ml_output").blob(f"vertex/{path.relative_to(folder)}").upload_from_filename(path)


@pytest.fixture
def deployed(api, models):
    """Two versions of a model, of which the first has 100 % of an endpoint's traffic."""
    api.upload("run-1", modelId="docs", versionAliases=["champion"])
    api.upload("run-2", parentModel=f"{api.location}/models/docs", versionAliases=["challenger"])
    api.call("POST", "endpoints", {"displayName": "docs"}, endpointId="docs")
    assert api.deploy("docs", "1", {"0": 100})["response"]["deployedModel"]["modelVersionId"] == "1"
    yield api
    for one in api.call("GET", "endpoints/docs").get("deployedModels", []):
        left = [other["id"] for other in api.call("GET", "endpoints/docs")["deployedModels"] if other != one]
        split = {"trafficSplit": {left[0]: 100}} if left else {}
        api.call("POST", "endpoints/docs:undeployModel", {"deployedModelId": one["id"]} | split)


def test_a_version_s_alias_is_its_own_and_the_first_version_is_the_default(api, models):
    first = api.upload("run-1", modelId="docs", versionAliases=["champion", "run-1"])
    assert first["model"] == f"{api.location}/models/docs" and first["modelVersionId"] == "1"
    assert api.upload("run-2", parentModel=first["model"], versionAliases=["champion"])["modelVersionId"] == "2"
    versions = api.call("GET", "models/docs:listVersions")["models"]
    aliases = {one["versionId"]: set(one["versionAliases"]) for one in versions}
    assert aliases == {"1": {"run-1", "default"}, "2": {"champion"}}
    assert api.call("GET", "models/docs")["versionId"] == "1"
    assert api.call("GET", "models/docs@champion")["versionId"] == "2"
    merged = api.call("POST", "models/docs@2:mergeVersionAliases", {"versionAliases": ["default", "-champion"]})
    assert merged["versionAliases"] == ["default"]
    assert [one["versionId"] for one in api.call("GET", "models")["models"]] == ["2"]


def test_an_upload_copies_the_artifacts_so_that_the_version_stays_what_it_is(api, cloud, models):
    api.upload("run-2", modelId="docs")
    copied = {blob.name for blob in cloud.list_blobs(ARTIFACTS_BUCKET, prefix=f"{api.location}/models/docs/1/")}
    start = f"vertex/{NAME}/runs/run-2/"
    own = {blob.name.removeprefix(start) for blob in cloud.list_blobs("ml_output", prefix=start)}
    assert copied == {f"{api.location}/models/docs/1/{name}" for name in own} and "manifest.json" in own


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"displayName": ""}, 400, "displayName: expected 1 to 128 characters"),
        ({"containerSpec": {"imageUri": "docker.io/library/python"}}, 400, "expected an image in Artifact Registry"),
        ({"containerSpec": {"imageUri": IMAGE, "healthRoute": "ready"}}, 400, "a route that begins with /"),
        ({"containerSpec": {"imageUri": IMAGE, "args": ["x"]}}, 501, "the image's own entry point"),
        ({"artifactUri": "models/docs"}, 400, "expected gs://BUCKET/FOLDER"),
        ({"artifactUri": "gs://ml_output/nothing/there/"}, 400, "expected files in gs://ml_output/nothing/there/"),
        ({"versionAliases": ["2nd"]}, 400, "versionAliases: expected"),
        ({"modelId": "1st"}, 400, "modelId '1st'"),
        (
            {"parentModel": "projects/p/locations/l/models/none"},
            404,
            "Not found: Model projects/p/locations/l/models/none",
        ),
        ({"colour": "red"}, 400, 'no field named "colour"'),
    ],
)
def test_an_upload_that_the_service_would_refuse_is_refused(api, models, changes, status, message):
    assert message in api.upload(status=status, **changes)["message"]


def test_a_model_of_that_id_cannot_be_uploaded_twice_and_is_deleted_once(api, models):
    api.upload(modelId="docs")
    assert "Already exists" in api.upload(modelId="docs", status=409)["message"]
    assert api.call("DELETE", "models/docs@1:deleteVersion", status=400)["error"]["status"] == "FAILED_PRECONDITION"
    assert api.call("DELETE", "models/docs")["done"]
    assert api.call("GET", "models/docs", status=404)["error"]["status"] == "NOT_FOUND"


def test_deploying_starts_the_serving_process_which_answers_for_its_own_version(deployed):
    expected = tiny_model(seed=1).predict(INSTANCE["payload"])
    answer = deployed.call("POST", "endpoints/docs:predict", {"instances": [INSTANCE]})
    assert answer == {
        "predictions": [expected],
        "deployedModelId": "1",
        "model": f"{deployed.location}/models/docs",
        "modelVersionId": "1",
        "modelDisplayName": "docs",
    }
    raw = requests.post(f"{deployed.url}/{deployed.location}/endpoints/docs:rawPredict", json={"instances": [INSTANCE]})
    assert raw.json()["predictions"] == [expected]
    assert raw.json()["model"] | {"trainedAt": ""} == {"name": NAME, "runId": "run-1", "trainedAt": ""}
    assert (raw.headers["X-Vertex-AI-Deployed-Model-Id"], raw.headers["X-Vertex-AI-Model-Version-Id"]) == ("1", "1")


def test_the_traffic_split_says_who_answers_and_a_model_with_traffic_is_not_undeployed(deployed):
    assert deployed.deploy("docs", "challenger", {"0": 30, "1": 70}, id="2")["done"]
    asked = {"instances": [INSTANCE]}
    found = [deployed.call("POST", "endpoints/docs:predict", asked)["deployedModelId"] for _ in range(60)]
    assert 5 < found.count("2") < 35 and set(found) == {"1", "2"}
    refused = deployed.call("POST", "endpoints/docs:undeployModel", {"deployedModelId": "2"}, status=400)
    assert "has 30% of the traffic" in refused["error"]["message"]
    assert "undeploy them first" in deployed.call("DELETE", "endpoints/docs", status=400)["error"]["message"]
    assert "undeploy it first" in deployed.call("DELETE", "models/docs", status=400)["error"]["message"]
    changed = deployed.call("PATCH", "endpoints/docs", {"trafficSplit": {"2": 100}}, updateMask="traffic_split")
    assert changed["trafficSplit"] == {"2": 100}
    found = [deployed.call("POST", "endpoints/docs:predict", asked)["deployedModelId"] for _ in range(10)]
    assert set(found) == {"2"}
    deployed.call("POST", "endpoints/docs:undeployModel", {"deployedModelId": "1"})
    deployed.call("POST", "endpoints/docs:undeployModel", {"deployedModelId": "2"})  # the last one
    empty = deployed.call("GET", "endpoints/docs")
    assert "deployedModels" not in empty and "trafficSplit" not in empty
    refused = deployed.call("POST", "endpoints/docs:predict", asked, status=400)["error"]
    assert refused["status"] == "FAILED_PRECONDITION" and "no deployed model with traffic" in refused["message"]


def test_what_a_request_may_not_be_is_refused(deployed):
    def refused(path: str, body: object, status: int = 400) -> str:
        return deployed.call("POST", f"endpoints/docs:{path}", body, status)["error"]["message"]

    # The lab's body has a key that `predict` does not know; `rawPredict` takes any body.
    assert 'no field named "signature_name"' in refused("predict", {"signature_name": "serving_default"})
    assert "exceeds the limit: 1572864 bytes" in refused("rawPredict", {"instances": ["x" * (3 << 19)]})
    assert "payload" in refused("predict", {"instances": [{"text": "no payload"}]})  # the container's own words
    many = {"instances": [INSTANCE | {"payload": f"words {number} " * 100} for number in range(900)]}
    assert deployed.call("POST", "endpoints/docs:predict", many)["predictions"]
    split = {"deployedModel": {"model": f"{deployed.location}/models/docs", **COMPUTE}}
    for shares, message in (({"0": 50}, "100 together"), ({"7": 100}, "found 7")):
        assert message in refused("deployModel", split | {"trafficSplit": shares})
    assert "minReplicaCount" in refused("deployModel", {"deployedModel": {"model": f"{deployed.location}/models/docs"}})
    assert "Already exists" in deployed.deploy("docs", "1", {"0": 100}, status=409)["error"]["message"]
    assert "Not found" in deployed.deploy("docs", "9", {"0": 100}, status=404)["error"]["message"]


def test_a_container_that_has_no_model_never_becomes_ready_and_leaves_no_trace(api, models):
    bad = {"imageUri": IMAGE, "env": [{"name": "MODEL_PIN", "value": f"{NAME}/run-9"}], "deploymentTimeout": "3s"}
    api.upload("run-1", modelId="docs", containerSpec=bad)
    api.call("POST", "endpoints", {"displayName": "docs"}, endpointId="docs")
    failed = api.deploy("docs", "1", {"0": 100})["error"]
    assert "never became ready: no health check was answered with 200 in 3 s; the last: 503" in failed["message"]
    assert "run-9" in failed["message"]
    found = api.call("GET", "endpoints/docs")
    assert "deployedModels" not in found and "trafficSplit" not in found
    assert (
        "Already exists"
        in api.call("POST", "endpoints", {"displayName": "d"}, 409, endpointId="docs")["error"]["message"]
    )
