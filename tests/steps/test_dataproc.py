"""The steps on the stand-in for Dataproc, by the real client: submitted, followed, failed, cancelled."""

import json
import logging
from types import SimpleNamespace

import pytest
import requests
import yaml
from google.api_core.retry import Retry

import pipeline
from brigade.errors import SettingError
from brigade.steps import dataproc
from brigade.steps.output import Output
from brigade.steps.run import run
from tests.conftest import ROOT
from tests.waiting import wait_until

# Stands for all programs, which have tests of their own. It goes on when the file SEEN is there, for a minute at most.
PROGRAM = """
import json, pathlib, sys, time
name = pathlib.Path(sys.argv[0]).name
print(f"{name} begins", flush=True)
end = time.monotonic() + 60
while not pathlib.Path(SEEN).exists() and time.monotonic() < end:
    time.sleep(0.05)
print(json.dumps({"program": name, "arguments": sys.argv[1:], "seen": pathlib.Path(SEEN).exists()}))
"""
FAILING = 'import sys\nprint("train_ml_model.py: expected labels, found none")\nsys.exit(1)'


@pytest.fixture
def environment(cloud, control_plane, tmp_path, monkeypatch) -> str:
    """The file of an environment on the stand-in, with PROGRAM as all programs; `seen` beside it is SEEN."""
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", control_plane.endpoint)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(dataproc, "LOOK_SECONDS", 0.2)
    code = cloud.bucket("ml_code")
    for name in ("spark_sql.py", "train_ml_model.py", "predict.py"):
        code.blob(f"steps/{name}").upload_from_string(PROGRAM.replace("SEEN", repr(f"{tmp_path}/seen")))
    (tmp_path / "seen").touch()
    code.blob("steps/brigade.zip").upload_from_string(b"PK\5\6" + bytes(18))
    dev = yaml.safe_load((ROOT / "environments" / "dev.yaml").read_text("utf-8"))
    dev["dataproc"] |= {"project": "brigade-test", "code": "gs://ml_code/steps/"}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(dev))
    return f"{tmp_path}/test.yaml"


def workflows(control_plane) -> list[dict]:
    """The workflows that were started, the newest last."""
    found = requests.get(f"{control_plane.endpoint}/v1/projects/brigade-test/regions/us-central1/operations").json()
    return sorted((one["metadata"] for one in found["operations"]), key=lambda one: one.get("startTime", ""))


@pytest.mark.long
def test_all_steps_run_in_one_workflow_with_their_logs_followed_and_their_summaries_kept(
    environment, capfd, caplog, monkeypatch, tmp_path
):
    seen, add = tmp_path / "seen", Output.add

    def noticed(output: Output, content: bytes) -> None:
        add(output, content)
        if b"begins" in content:
            seen.touch()

    seen.unlink()  # the first program waits until it was seen to begin
    monkeypatch.setattr(Output, "add", noticed)
    caplog.set_level(logging.INFO, "pipeline")
    assert pipeline.main(["--step=all", f"--environment={environment}"]) == 0
    output = capfd.readouterr()
    (line,) = output.out.splitlines()
    steps = json.loads(line)["steps"]
    assert [one["program"] for one in steps.values()] == ["spark_sql.py", "train_ml_model.py", "predict.py"]
    models = "gs://brigade-dev-ml-output/output/"
    assert steps["train_model"]["arguments"] == ["gs://brigade-dev-ml-input/parquet/", models, "--pipeline=documents"]
    assert f"--models={models}" in steps["predict"]["arguments"]
    assert output.err.count("spark_sql.py begins") == output.err.count("predict.py begins") == 1
    assert steps["make_data"]["seen"], "its log is fetched at the end, and not followed"
    states = [record.getMessage() for record in caplog.records if record.getMessage().startswith("make_data: ")]
    assert states[-2:] == ["make_data: running", "make_data: completed"]


def test_a_step_that_fails_is_told_with_what_its_program_said_and_the_next_does_not_run(environment, cloud, capfd):
    cloud.bucket("ml_code").blob("steps/train_ml_model.py").upload_from_string(FAILING)
    assert pipeline.main(["--step=all", f"--environment={environment}"]) == 1
    output = capfd.readouterr()
    assert output.out == "" and "predict.py begins" not in output.err
    last = "pipeline.py: train_model failed: train_ml_model.py: expected labels, found none"
    assert output.err.splitlines()[-1] == last


def test_ctrl_c_cancels_the_workflow(environment, control_plane, monkeypatch, tmp_path):
    (tmp_path / "seen").unlink()  # no step ends by itself
    monkeypatch.setattr(dataproc, "time", SimpleNamespace(sleep=interrupted))
    with pytest.raises(KeyboardInterrupt):
        pipeline.main(["--step=all", f"--environment={environment}"])
    wait_until(lambda: workflows(control_plane)[-1]["state"] == "DONE")
    nodes = workflows(control_plane)[-1]["graph"]["nodes"]
    assert "COMPLETED" not in {one.get("state") for one in nodes}


def interrupted(seconds: float) -> None:
    raise KeyboardInterrupt


def test_a_dataproc_that_does_not_answer_is_told_in_a_line(environment, monkeypatch, capsys):
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(dataproc, "RETRY", Retry(timeout=0.1))
    assert pipeline.main(["--step=predict", f"--environment={environment}"]) == 1
    assert (
        "pipeline.py: Dataproc cannot be reached for projects/brigade-test" in capsys.readouterr().err.splitlines()[-1]
    )


def test_mlflow_is_told_after_a_training_by_the_machine_that_submitted_it(environment, monkeypatch):
    told = []
    monkeypatch.setattr(dataproc, "run", lambda steps, place: {one.step: {} for one in steps})
    monkeypatch.setattr("brigade.steps.run.sync_if_asked", lambda *asked: told.append(asked))
    for step in ("make_data", "predict", "train_model"):
        run(step, environment)
    assert told == [("gs://brigade-dev-ml-output/output/", "doc-classification-model")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="mlflow is missing"):
        run("train_model", environment)
