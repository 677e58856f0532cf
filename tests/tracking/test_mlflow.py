"""Trainings against a real MLflow server: `mlflow run`, promotion, an outage, `mlflow models serve`, and its UI."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml

from brigade.models.__main__ import main as models_command
from brigade.models.store import ModelStore
from brigade.tracking.client import URI, connect
from local import emulators, experiments, guard
from tests.conftest import ROOT
from tests.training.made_up_documents import texts
from tests.training.whole_runs import QUICK, landed

BIN = Path(sys.executable).parent
SERVER_BIN = experiments.SERVER.parent
FIRST = "doc-classification-model-2026-01-05"
TEXT = "the crude barrel of a tanker"

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.skipif(
        not experiments.SERVER.exists(), reason="there is no .venv-tracking; `make test-mlflow` makes it"
    ),
]


class World:
    """A server, events, and the folder of models. Its programs run as a person would start them."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, emulators.free_port()
        self.uri, self.models = f"http://127.0.0.1:{self.port}", str(folder / "models")
        self.paths = {name: f"{folder}/{name}" for name in ("input", "parquet", "quarantine", "models", "predictions")}
        landed(folder / "input", [(text, label) for text, label in texts(110)])
        (folder / "test.yaml").write_text(yaml.safe_dump({"paths": self.paths}))
        self.server: subprocess.Popen | None = None

    def start(self) -> None:
        self.server = experiments.start(self.folder / "server", self.port)

    def stop(self) -> None:
        if self.server:
            guard.stop(self.server)
            self.server = None

    def environment(self, bin: Path = BIN) -> dict[str, str]:
        more = {URI: self.uri, "PATH": f"{bin}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return os.environ | more | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "PYTHONPATH": str(ROOT)}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [str(one) for one in command], cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return done

    def step(self, name: str) -> None:
        """A step by `mlflow run`."""
        environment = ["-P", f"environment={self.folder}/test.yaml"]
        self.run(BIN / "mlflow", "run", str(ROOT), "-e", name, "--env-manager=local", *environment)

    def train(self, *flags: str) -> subprocess.CompletedProcess:
        return self.run(BIN / "spark-submit", "train_ml_model.py", self.paths["parquet"], self.models, *flags)

    def aliases(self) -> dict[str, str]:
        """The dated models that the aliases lead to."""
        client = connect()
        found = client.get_registered_model("documents").aliases
        return {alias: client.get_model_version("documents", version).tags["model"] for alias, version in found.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two trainings: the first by its program, the second by `mlflow run`."""
    made = World(tmp_path_factory.mktemp("mlflow"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URI, made.uri)
        made.start()
        try:
            made.step("make_data")
            made.train(*QUICK)
            made.step("train_model")
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def newest(world) -> str:
    return max(name for name in os.listdir(world.models) if name.startswith("doc-"))


def test_two_trainings_are_two_runs_and_two_versions_that_can_be_compared(world, newest):
    client = connect()
    runs = client.search_runs([client.get_experiment_by_name("documents").experiment_id])
    assert {one.data.tags["model"] for one in runs} == {FIRST, newest}
    assert len({one.data.params["hash_bits"] for one in runs}) == 2
    assert all(one.info.status == "FINISHED" and "test_macroF1" in one.data.metrics for one in runs)
    assert len({one.data.tags["data_version"] for one in runs}) == 2  # with its options, one of which differs
    versions = client.search_model_versions("name = 'documents'")
    assert {one.run_id for one in versions} == {one.info.run_id for one in runs}
    assert world.aliases() == {"champion": newest}


def test_withdrawal_and_promotion_move_the_champion(world, newest):
    assert models_command(["withdraw", world.models, newest]) == 0
    assert world.aliases() == {"champion": FIRST, "challenger": newest}
    assert models_command(["promote", world.models, newest]) == 0
    assert world.aliases() == {"champion": newest}


def test_a_model_of_the_registry_predicts_as_serving_does(world):
    import mlflow
    import pandas

    model = mlflow.pyfunc.load_model("models:/documents@champion")
    store = ModelStore(world.models)
    store.look()
    assert model.predict(pandas.DataFrame({"payload": [TEXT]})) == [store.served.model.predict(TEXT)]
    assert model.predict([{"payload": TEXT}])[0]["label"] == "oil"


def test_mlflow_models_serve_answers_as_the_function_does(world):
    port = emulators.free_port()
    command = [SERVER_BIN / "mlflow", "models", "serve", "-m", "models:/documents@champion", "--env-manager=local"]
    environment = world.environment(SERVER_BIN)
    del environment["PYTHONPATH"]  # the model brings its code
    log = open(world.folder / "serve.log", "wb")  # noqa: SIM115
    process = guard.start([*command, f"--port={port}"], env=environment, stdout=log, stderr=log, cwd=world.folder)
    try:
        emulators.wait_for_port(port, process)
        url = f"http://127.0.0.1:{port}/invocations"
        expected = ModelStore(world.models)
        expected.look()
        prediction = expected.served.model.predict(TEXT)
        for body in ({"instances": [{"payload": TEXT}]}, {"dataframe_records": [{"payload": TEXT}]}):
            answer = requests.post(url, json=body, timeout=60)
            assert answer.json() == {"predictions": [prediction]}, (world.folder / "serve.log").read_text()
        assert requests.post(url, json={"instances": [{"text": TEXT}]}, timeout=60).status_code == 400
    finally:
        guard.stop(process)
        log.close()


def test_the_ui_compares_the_runs_and_shows_the_versions_with_their_aliases(world, newest):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is on PATH")
    client = connect()
    experiment = client.get_experiment_by_name("documents").experiment_id
    runs = [one.info.run_id for one in client.search_runs([experiment])]
    asked = f"runs={json.dumps(runs, separators=(',', ':'))}&experiments=[%22{experiment}%22]".replace('"', "%22")
    wanted = {"test_accuracy", "hash_bits", f"{FIRST} ", f"{newest} "}
    assert wanted <= seen(browser, f"{world.uri}/#/compare-runs?{asked}", world.folder, wanted)
    wanted = {"champion", "Version 1", "Version 2"}
    assert wanted <= seen(browser, f"{world.uri}/#/models/documents", world.folder, wanted)


def seen(browser: str, url: str, folder: Path, wanted: set[str]) -> set[str]:
    """Which of the words a page shows once its scripts have run. A slow server may need a second look."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium", "--dump-dom"]
    command, found = [browser, *flags, "--window-size=1600,1200", "--virtual-time-budget=60000", url], set()
    for _ in range(3):
        page = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        found = {word for word in wanted if word in page}
        if found == wanted:
            break
    return found


def test_experiments_serves_the_runs_of_a_folder_until_it_is_ended(world, tmp_path):
    command = [sys.executable, "-m", "local.experiments", f"--models={world.models}", f"--folder={tmp_path}/server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().removeprefix("MLflow: ").strip()
        versions = requests.get(f"{address}/api/2.0/mlflow/model-versions/search", timeout=60).json()["model_versions"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert f"{world.models}: 2 runs of documents, champion: version 2" in process.stderr.read()
    assert {one["name"] for one in versions} == {"documents"} and len(versions) == 2
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/health", timeout=60)


def test_a_training_whose_server_has_gone_goes_on_and_is_told_later_once(world):
    world.stop()
    done = world.train(*QUICK[:-1], "--date=2026-02-02", "--force=a third one")
    said = done.stdout + done.stderr
    assert "the models are written, but MLflow was not told" in said and "Traceback" not in said
    world.start()
    command = [sys.executable, "-m", "brigade.tracking", "sync", world.models]
    first, second = (json.loads(world.run(*command).stdout) for _ in range(2))
    assert (first["logged"], first["registered"], second["logged"], second["registered"]) == (1, 1, 0, 0)
    assert len(connect().search_model_versions("name = 'documents'")) == 3
