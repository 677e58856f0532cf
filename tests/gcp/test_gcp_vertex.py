"""gcp/vertex.py: which commands it gives, by a gcloud that only answers, and the whole way by the real one."""

import io
import json
import os

import pytest

from gcp import commands, vertex
from tests.gcp.stand_ins import StandIns
from tests.models.written_tables import write_wine

P, NAME = "brigade-test", "wine-model"
OLD, NEW = f"{NAME}-2026-01-05", f"{NAME}-2026-02-02"
URI, IMAGE = "gs://ml_output/vertex-way", "us-central1-docker.pkg.dev/brigade-test/brigade/serve:1"
OWN = [f"--project={P}", f"--model_prefix={NAME}"]
UPLOAD = ["upload", *OWN, f"--models_uri={URI}", f"--image={IMAGE}"]


def version(number: int, run: str, *aliases: str) -> dict:
    return {"versionId": str(number), "versionDescription": run, "versionAliases": list(aliases)}


def endpoint(split: dict[str, int]) -> str:
    deployed = [{"id": number, "modelVersionId": number} for number in split]
    return json.dumps([{"name": f"e/endpoints/{NAME}", "deployedModels": deployed, "trafficSplit": split}])


@pytest.fixture
def cloud_of(tmp_path, monkeypatch):
    """Stand-ins for gcloud, and for the program that shows which model serves."""
    stand_ins = StandIns(tmp_path / "stand-ins")
    for name in ("gcloud", "python"):
        stand_ins.program(name)
    stand_ins.answer("^python -m brigade.models show", json.dumps({"model": NEW, "runId": "run-2"}))
    stand_ins.answer("^gcloud ai models list ", "[]")
    stand_ins.answer("^gcloud ai models upload", json.dumps({"model": "m", "modelVersionId": "1"}))
    stand_ins.answer("^gcloud ai endpoints (create|update|deploy-model|undeploy-model)", "")
    stand_ins.answer("^gcloud ai endpoints list", "[]")
    monkeypatch.setenv("PATH", f"{stand_ins.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(vertex, "python", lambda *words: ["python", *words])
    monkeypatch.setattr(commands, "shown_lines", set())
    return stand_ins


def has(stand_ins: StandIns, *versions: dict) -> None:
    stand_ins.answer("^gcloud ai models list ", json.dumps([{"name": f"m/models/{NAME}"}]))
    stand_ins.answer("^gcloud ai models list-version", json.dumps(versions))


def changes(stand_ins: StandIns) -> list[str]:
    """What was done on the endpoint, in order, without the flags that all have."""
    lines = [line.removeprefix("gcloud ai endpoints ") for line in stand_ins.calls("gcloud ai endpoints")]
    words = [[word for word in line.split() if not word.startswith(("--project", "--region"))] for line in lines]
    return [" ".join(one) for one in words if one[0] != "list"]


def test_the_serving_run_becomes_the_first_version_by_its_own_folder(cloud_of, capsys):
    assert vertex.main([*UPLOAD, "--json"]) == 0
    (line,) = cloud_of.calls("gcloud ai models upload")
    for flag in (
        f"--model-id={NAME}",
        f"--artifact-uri={URI}/{NEW}/runs/run-2/",
        f"--container-image-uri={IMAGE}",
        f"--container-env-vars=MODEL_PIN={NEW}/run-2,MODEL_PREFIX={NAME}",
        "--version-aliases=champion,default",
    ):
        assert flag in line.split()
    about = {"project": P, "model": NAME, "run": f"{NEW}/run-2", "alias": "champion", "version": "1", "uploaded": True}
    assert json.loads(capsys.readouterr().out) == about


def test_a_later_run_is_a_version_of_the_same_model_and_the_same_run_is_uploaded_once(cloud_of, capsys):
    has(cloud_of, version(1, f"{OLD}/run-1", "champion", "default"))
    assert vertex.main([*UPLOAD]) == 0
    (line,) = cloud_of.calls("gcloud ai models upload")
    assert f"--parent-model=projects/{P}/locations/us-central1/models/{NAME}" in line and "--model-id" not in line
    has(cloud_of, version(1, f"{OLD}/run-1", "default"), version(2, f"{NEW}/run-2", "champion"))
    assert vertex.main([*UPLOAD]) == 0
    assert len(cloud_of.calls("gcloud ai models upload")) == 1
    assert "is version 2 and champion already; nothing was uploaded" in capsys.readouterr().err


def test_a_named_run_becomes_the_challenger_and_leaves_the_default_alone(cloud_of):
    cloud_of.answer("^python -m brigade.models show", json.dumps({"model": OLD, "runId": "run-1"}))
    assert vertex.main([*UPLOAD, f"--challenger={OLD}"]) == 0
    (shown,) = cloud_of.calls("python -m brigade.models show")
    assert shown == f"python -m brigade.models show {URI} {OLD} --json"
    assert "--version-aliases=challenger" in cloud_of.calls("gcloud ai models upload")[0].split()


def test_nothing_is_deployed_before_somebody_says_yes(cloud_of, capsys, monkeypatch):
    has(cloud_of, version(1, f"{NEW}/run-2", "champion", "default"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert vertex.main(["deploy", *OWN]) == 1
    told = capsys.readouterr().err
    assert "COSTS MONEY" in told and "56 dollars" in told and "expected YES=1" in told
    assert changes(cloud_of) == []


def test_the_first_champion_gets_an_endpoint_and_all_requests(cloud_of):
    has(cloud_of, version(1, f"{NEW}/run-2", "champion", "default"))
    cloud_of.answer("^gcloud ai endpoints list", "[]", f'[{{"name": "e/endpoints/{NAME}"}}]', endpoint({"1": 100}))
    assert vertex.main(["deploy", *OWN, "--yes"]) == 0
    assert changes(cloud_of) == [
        f"create --display-name={NAME} --endpoint-id={NAME}",
        f"deploy-model {NAME} --model={NAME}@1 --deployed-model-id=1 --display-name={NEW}/run-2 "
        "--machine-type=e2-standard-2 --min-replica-count=1 --max-replica-count=1 --traffic-split=0=100",
    ]


def test_a_challenger_takes_its_share_beside_the_champion(cloud_of):
    has(cloud_of, version(1, f"{OLD}/run-1", "champion", "default"), version(2, f"{NEW}/run-2", "challenger"))
    both = endpoint({"1": 90, "2": 10})
    cloud_of.answer("^gcloud ai endpoints list", endpoint({"1": 100}), endpoint({"1": 100}), endpoint({"1": 100}), both)
    assert vertex.main(["deploy", *OWN, "--challenger_percent=10", "--yes"]) == 0
    (added,) = changes(cloud_of)
    assert added.startswith(f"deploy-model {NAME} --model={NAME}@2 ") and added.endswith(" --traffic-split=0=10,1=90")


def test_a_new_champion_answers_before_the_old_one_goes(cloud_of):
    has(cloud_of, version(2, f"{NEW}/run-2", "champion", "default"), version(1, f"{OLD}/run-1"))
    cloud_of.answer(
        "^gcloud ai endpoints list", endpoint({"1": 100}), endpoint({"1": 100}), endpoint({"1": 0, "2": 100})
    )
    assert vertex.main(["deploy", *OWN, "--yes"]) == 0
    added, removed = changes(cloud_of)
    assert added.startswith(f"deploy-model {NAME} --model={NAME}@2 ") and added.endswith(" --traffic-split=0=100")
    assert removed == f"undeploy-model {NAME} --deployed-model-id=1"


def test_a_challenger_that_is_there_gets_another_share_without_a_deployment(cloud_of):
    has(cloud_of, version(1, f"{OLD}/run-1", "champion", "default"), version(2, f"{NEW}/run-2", "challenger"))
    cloud_of.answer("^gcloud ai endpoints list", endpoint({"1": 90, "2": 10}))
    assert vertex.main(["deploy", *OWN, "--challenger_percent=50", "--yes"]) == 0
    assert changes(cloud_of) == [f"update {NAME} --traffic-split=1=50,2=50"]


def test_undeploying_takes_the_traffic_first_and_then_every_model(cloud_of, capsys):
    cloud_of.answer("^gcloud ai endpoints list", endpoint({"1": 90, "2": 10}))
    assert vertex.main(["undeploy", *OWN, "--json"]) == 0
    assert changes(cloud_of) == [
        f"update {NAME} --clear-traffic-split",
        f"undeploy-model {NAME} --deployed-model-id=1",
        f"undeploy-model {NAME} --deployed-model-id=2",
    ]
    assert json.loads(capsys.readouterr().out)["undeployed"] == ["1", "2"]


@pytest.mark.parametrize(("switch", "status"), [(True, 0), (False, 1)])
def test_what_no_flag_says_terraform_says_if_vertex_is_on_there(
    cloud_of, tmp_path, monkeypatch, capsys, switch, status
):
    cloud_of.program("terraform")
    outputs = {"region": "europe-west1", "model_prefix": NAME, "output_bucket": f"{P}-ml-output", "vertex": switch}
    cloud_of.answer("^terraform version", json.dumps({"terraform_version": "1.11.4"}))
    cloud_of.answer("^terraform .*output", json.dumps({name: {"value": value} for name, value in outputs.items()}))
    own = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "own.json").write_text(json.dumps(own))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "own.json"))
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    assert vertex.main(["upload", f"--project={P}", f"--image={IMAGE}"]) == status
    if switch:
        (line,) = cloud_of.calls("gcloud ai models upload")
        assert f"--artifact-uri=gs://{P}-ml-output/output/{NEW}/runs/run-2/" in line and "--region=europe-west1" in line
    else:
        told = capsys.readouterr().err
        assert "expected somebody in vertex_operators of terraform/terraform.tfvars, found nobody" in told
        assert f"make gcp-up PROJECT={P}" in told and cloud_of.calls("gcloud ai") == []


def test_what_is_deployed_stops_the_removal_of_the_rest(cloud_of):
    place = vertex.Place(P, "us-central1", NAME)
    vertex.check_not_deployed(place, f"PROJECT={P}")
    cloud_of.answer("^gcloud ai endpoints list", endpoint({"1": 90, "2": 10}))
    with pytest.raises(commands.Failed, match=f"2 version.* first: make gcp-vertex DO=undeploy PROJECT={P}$"):
        vertex.check_not_deployed(place, f"PROJECT={P}")


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["deploy", *OWN], 1, "expected a version of wine-model with the alias champion, found none; DO=upload"),
        (["upload", *OWN, f"--models_uri={URI}"], 2, "--image: expected the image"),
        (["upload", *OWN, "--models_uri=models", f"--image={IMAGE}"], 2, "--models_uri: expected gs://BUCKET/FOLDER"),
        ([*UPLOAD, "--challenger=other-2026-01-05"], 2, "--challenger: expected wine-model-YYYY-MM-DD"),
        (["list", f"--project={P}", "--model_prefix=Wine"], 2, "--model_prefix: expected a model's name"),
        (["list"], 1, "which Google Cloud project?"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(cloud_of, capsys, flags, status, message):
    assert vertex.main(flags) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("percent", ["100", "-1", "ten"])
def test_a_share_is_less_than_all_requests(percent, capsys):
    with pytest.raises(SystemExit) as ended:
        vertex.main(["deploy", *OWN, f"--challenger_percent={percent}"])
    assert ended.value.code == 2 and "expected 0 to 99 of 100 requests" in capsys.readouterr().err


def test_the_help_says_what_it_costs_before_anybody_deploys(capsys):
    with pytest.raises(SystemExit):
        vertex.main(["--help"])
    told = capsys.readouterr().out
    assert "COSTS MONEY UNTIL IT IS UNDEPLOYED" in told and "about 56 dollars a month" in told
    assert f"{vertex.PRICES['vertex_node'][0] * vertex.HOURS:.0f}" == "56"


# ------------------------------------------------------------------------------------------- by the real gcloud


@pytest.fixture
def stand_in(control_plane, cloud, tmp_path, monkeypatch):
    """Two models of wines in a bucket, and the variables by which gcloud finds the stand-in."""
    for name in (OLD, NEW):
        write_wine(tmp_path / "models", name)
    for path in (tmp_path / "models").rglob("*"):
        if path.is_file():
            name = f"vertex-way/{path.relative_to(tmp_path / 'models')}"
            cloud.bucket("ml_output").blob(name).upload_from_filename(path)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", f"{control_plane.endpoint}/")
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(commands, "shown_lines", set())


def summary(capsys, *flags: str) -> dict:
    capsys.readouterr()
    assert vertex.main([*flags, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.gcloud
def test_the_whole_way_from_the_promoted_run_to_the_endpoint_and_back(stand_in, capsys):
    assert summary(capsys, *UPLOAD)["version"] == "1"
    assert summary(capsys, *UPLOAD)["uploaded"] is False
    assert summary(capsys, *UPLOAD, f"--challenger={OLD}")["version"] == "2"
    assert summary(capsys, "deploy", *OWN, "--yes")["traffic"] == {"1": 100}
    assert summary(capsys, "deploy", *OWN, "--challenger_percent=20", "--yes")["traffic"] == {"1": 80, "2": 20}
    rows = summary(capsys, "list", *OWN)["versions"]
    assert [(one["version"], one["aliases"], one["run"], one["traffic"]) for one in rows] == [
        ("2", ["challenger"], f"{OLD}/run-1", 20),
        ("1", ["champion", "default"], f"{NEW}/run-1", 80),
    ]
    assert summary(capsys, "deploy", *OWN, "--yes")["traffic"] == {"1": 100}
    assert [one["traffic"] for one in summary(capsys, "list", *OWN)["versions"]] == [None, 100]
    assert summary(capsys, "undeploy", *OWN)["undeployed"] == ["1"]
    assert summary(capsys, "undeploy", *OWN)["undeployed"] == []
