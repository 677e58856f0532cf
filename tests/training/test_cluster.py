"""The same training on a cluster with two workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from brigade.training.mixing import DOCUMENTS_A_PARTITION
from tests.conversion.spark_cluster import busy_workers, driver, on_a_cluster
from tests.training.made_up_documents import confused
from tests.training.whole_runs import ROOT, contents, labelled, parquet, zipped_package


def submitted(documents: str, models: Path, master: str, settings: dict[str, str]) -> dict:
    """The summary of a run by spark-submit, as on Dataproc: the package travels as --py-files."""
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"} | settings
    settings |= driver() | {"spark.local.dir": f"{models}.scratch"}
    home = Path(pyspark.__file__).parent
    command = [str(home / "bin" / "spark-submit"), "--master", master, "--driver-memory", "1g"]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command += ["--py-files", str(zipped_package(models.with_suffix(".zip")))]
    command += [str(ROOT / "train_ml_model.py"), documents, str(models), "--date=2026-01-05", "--hash_bits=14"]
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment = os.environ | python | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment.pop("PYTHONPATH", None)  # the workers are to know what was sent to them
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=models.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.cluster
def test_a_cluster_with_two_workers_trains_the_same_model_as_one_process(spark, tmp_path, cluster):
    documents = parquet(spark, tmp_path / "parquet", labelled(confused(2 * DOCUMENTS_A_PARTITION + 700, 0.6)))
    (events := tmp_path / "events").mkdir()
    far = submitted(documents, tmp_path / "far", cluster, on_a_cluster(events))
    near = submitted(documents, tmp_path / "near", "local[2]", {})
    kept = ("accuracy", "macroF1", "expectedCalibrationError", "documents", "trained_on", "tested_on")
    assert {name: far[name] for name in kept} == {name: near[name] for name in kept}
    for name in ("weights.safetensors", "model.json", "golden.jsonl"):
        one, other = (next((tmp_path / where).glob(f"*/runs/*/{name}")).read_bytes() for where in ("far", "near"))
        assert one == other, name
    assert contents(next((tmp_path / "far").glob("*/runs/*")), "data.json")["options"]["partitions"] == 2
    assert len(busy_workers(events)) == 2, "both workers should have run tasks"
