"""The functions as a custom container of Vertex AI: a run that lies alone, and the routes that it names."""

import json
import shutil

import pytest

from brigade.models.manifest import MANIFEST_FILE, WEIGHTS_FILE
from brigade.models.store import ModelStore, NoModel
from tests.models.written_models import NEW, OLD, tiny_model, write_model
from tests.models.written_tables import ROW, WINE, wine_model, write_wine

RUN = "run-1"
BODY = {"instances": [{"payload": "some words"}]}


@pytest.fixture
def copy(tmp_path):
    """The folder of a run that was rejected, copied as Vertex AI copies it: without the folders around it."""
    write_model(tmp_path / "models", OLD, run_id=RUN, seed=1, promoted=False)
    return shutil.copytree(tmp_path / "models" / OLD / "runs" / RUN, tmp_path / "copy")


@pytest.fixture
def container(serve, copy):
    """The container's client, on the copy of one run."""
    routes = {"AIP_HEALTH_ROUTE": "/ready", "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict"}
    return serve("predict", MODELS_URI="", AIP_STORAGE_URI=str(copy), MODEL_PIN=f"{OLD}/{RUN}", **routes)


def test_a_run_that_lies_alone_serves_by_its_pinned_name_promoted_or_not(container, copy):
    assert not (copy / "runs").exists()
    answer = container.post("/v1/endpoints/1/deployedModels/2:predict", json=BODY)
    assert answer.json["predictions"] == [tiny_model(seed=1).predict("some words")]
    assert (answer.json["model"]["name"], answer.json["model"]["runId"]) == (OLD, RUN)
    assert container.get("/model").json["pinned"]


def test_the_health_route_is_answered_with_200_once_the_model_is_there_and_not_before(container, copy):
    (hidden := copy.with_name("hidden")).mkdir()
    (copy / MANIFEST_FILE).rename(hidden / MANIFEST_FILE)
    refused = container.get("/ready")
    assert refused.status_code == 503 and f"no {MANIFEST_FILE} of run {RUN}" in refused.json["error"]
    (hidden / MANIFEST_FILE).rename(copy / MANIFEST_FILE)
    container.store.next_look = 0.0
    assert (container.get("/ready").status_code, container.get("/ready").json) == (200, {"status": "ok"})
    assert container.get("/healthz").status_code == 200
    assert container.get("/another").status_code == 404


def test_without_that_setting_no_other_path_is_a_health_route(serve, tmp_path):
    write_model(tmp_path, OLD)
    assert serve("predict").get("/ready").status_code == 404


def test_a_damaged_copy_never_serves(container, copy):
    weights = copy / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert container.get("/ready").status_code == 503
    assert "SHA-256 differs" in container.post("/", json=BODY).json["error"]


def test_a_folder_of_models_goes_before_the_copy(serve, tmp_path, copy):
    write_model(tmp_path / "models", NEW, run_id=RUN, seed=2)
    client = serve("predict", MODELS_URI=str(tmp_path / "models"), AIP_STORAGE_URI=str(copy))
    assert client.post("/", json=BODY).json["model"]["name"] == NEW


def test_the_copy_in_a_bucket_serves_a_table(serve, place, tmp_path):
    write_wine(tmp_path / "models")
    run = json.loads((tmp_path / "models" / WINE / MANIFEST_FILE).read_text())["runId"]
    for path in (tmp_path / "models" / WINE / "runs" / run).iterdir():
        shutil.copy(path, place.root / path.name)
    shutil.rmtree(tmp_path / "models")
    place.sync()
    settings = {
        "MODELS_URI": "",
        "AIP_STORAGE_URI": place.uri,
        "MODEL_PREFIX": "wine-model",
        "MODEL_PIN": f"{WINE}/{run}",
    }
    client = serve("predict", **settings)
    as_the_lab_asks = {name: [value] for name, value in ROW.items()}
    answer = client.post("/", json={"signature_name": "serving_default", "instances": [as_the_lab_asks]})
    assert answer.json["predictions"] == [wine_model(2).predict(ROW)], answer.json


def test_nothing_but_the_run_is_read_or_written(copy):
    store = ModelStore(str(copy), pin=f"{OLD}/{RUN}", lone=True)
    assert (store.models.folders(), store.models.folders(OLD), store.models.files(OLD)) == ([OLD], [], {})
    for path in (f"{OLD}/{MANIFEST_FILE}", f"{NEW}/runs/{RUN}/{MANIFEST_FILE}", "changed.json"):
        with pytest.raises(FileNotFoundError):
            store.models.read(path, 1 << 20)
    with pytest.raises(PermissionError):
        store.models.write(f"{OLD}/runs/{RUN}/{MANIFEST_FILE}", b"")
    other = ModelStore(str(copy), pin=f"{OLD}/run-9", lone=True)
    with pytest.raises(NoModel, match="no manifest.json of run run-9"):
        other.current()
