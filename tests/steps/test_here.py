"""All steps on this machine by the real programs: what the middle of `make demo` does."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

import pipeline
from brigade.models.store import ModelStore
from brigade.steps import here
from tests.conftest import ROOT
from tests.training.made_up_documents import texts
from tests.training.whole_runs import landed

# Stands for predict.py where there is none.
PREDICT = """
import sys
from pyspark.sql import SparkSession

source, target, models = sys.argv[1:4]
SparkSession.builder.getOrCreate().read.parquet(source).select("eventId", "dt").write.parquet(target)
print('{"models": "%s"}' % models.removeprefix("--models="))
"""


@pytest.fixture
def programs(tmp_path, monkeypatch) -> None:
    """The project's programs; their package is that of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if not (ROOT / "predict.py").exists():
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in ("spark_sql.py", "train_ml_model.py"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "predict.py").write_text(PREDICT)
        monkeypatch.setattr(here, "PROGRAMS", folder)


@pytest.mark.long
def test_all_steps_convert_train_and_predict(programs, tmp_path, capfd):
    names = ("input", "parquet", "quarantine", "models", "predictions")
    paths = {name: f"{tmp_path}/{name}" for name in names}
    landed(Path(paths["input"]), [(text, label) for text, label in texts(110)])
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"paths": paths}))
    assert pipeline.main(["--step=all", f"--environment={tmp_path}/test.yaml"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    steps = json.loads(line)["steps"]
    assert list(steps) == ["make_data", "train_model", "predict"] and steps["make_data"]["converted"] == 110
    store = ModelStore(paths["models"])
    store.look()
    assert store.served.name == steps["train_model"]["model"] and steps["train_model"]["promoted"]
    assert list(Path(paths["predictions"]).rglob("*.parquet"))


def test_a_driver_writes_to_the_log_itself_and_nothing_passes_by_java(tmp_path):
    (log := tmp_path / "a job's log").write_text("of Java\n")
    says = "import sys; print('of', sys.argv[1]); sys.exit('the end')"
    ran = subprocess.run([here.driver_python(tmp_path, log), "-c", says, "the driver"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "")
    assert sorted(log.read_text().splitlines()) == ["of Java", "of the driver", "the end"]
