"""All steps on this machine by the real programs: what the middle of `make demo` does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from brigade.models.store import ModelStore
from brigade.steps import here
from tests.conftest import ROOT
from tests.training.made_up_documents import texts
from tests.training.whole_runs import landed


@pytest.mark.long
def test_all_steps_convert_train_and_predict(tmp_path):
    names = ("input", "parquet", "quarantine", "models", "predictions")
    paths = {name: f"{tmp_path}/{name}" for name in names}
    landed(Path(paths["input"]), [(text, label) for text, label in texts(110)])
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"paths": paths}))
    command = [sys.executable, "pipeline.py", "--step=all", f"--environment={tmp_path}/test.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(command, cwd=here.PROGRAMS, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    steps = json.loads(line)["steps"]
    assert steps["make_data"]["converted"] == 110
    served = ModelStore(paths["models"])
    served.look()
    assert served.served.name == steps["train_model"]["model"] and steps["train_model"]["promoted"]
    assert list(Path(paths["predictions"]).rglob("*.parquet"))
    assert here.PROGRAMS == ROOT
