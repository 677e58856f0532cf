"""Whole runs: what they read and write, and that serving computes what training computed."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from brigade.models.document_model import Calibration
from brigade.models.text_features import FeatureParameters, hashed_counts
from brigade.training.data_version import code_version
from brigade.training.evaluation import evaluate
from brigade.training.run import GOLDEN_DOCUMENTS
from tests.training.made_up_documents import LABELS, texts
from tests.training.whole_runs import FILES, ROOT, contents, run_folder, zipped_package


def test_json_is_converted_first_and_the_test_set_beside_it(runs):
    made = {path.name for path in runs["folder"].iterdir()} - {"input", "held_out"}
    assert made == {"models", "parquet", "parquet_test"}
    first = runs["first"]
    counts = [first[name] for name in ("documents", "unlabelled", "repeated", "tested_on", "classes")]
    assert [*counts, first["trained_on"] + first["validated_on"]] == [114, 4, 2, 42, 3, 108]
    assert contents(run_folder(runs, 0), "metrics.json")["documents"]["repeated"] == 2


def test_the_manifest_names_every_file_and_none_is_a_pickle(runs, second):
    manifest, folder = second["manifest"], second["folder"]
    assert {path.name for path in folder.glob("[!.]*")} == {*FILES, "manifest.json"}
    assert manifest["files"] == [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in ((name, (folder / name).read_bytes()) for name in FILES)
    ]
    assert (folder / "manifest.json").read_bytes() == runs["manifests"][1]
    assert {"formatVersion", "runId", "createdAt", "promoted", "reason", "label", "codeVersion"} < set(manifest)
    weights = (folder / "weights.safetensors").read_bytes()  # and the others are text: no pickle anywhere
    tensors = set(json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")]))
    assert tensors - {"__metadata__"} == {"places", "idf", "weights", "intercept"}
    assert all((folder / name).read_text("utf-8") for name in FILES[:-1])


def test_serving_computes_the_probabilities_of_the_golden_documents(second):
    golden = [json.loads(text) for text in (second["folder"] / "golden.jsonl").read_text("utf-8").splitlines()]
    assert 0 < len(golden) <= GOLDEN_DOCUMENTS
    for one in golden:
        np.testing.assert_allclose(second["model"].probabilities(one["payload"]), one["probabilities"], atol=1e-6)
        assert sum(one["probabilities"]) == pytest.approx(1)


def test_metrics_agree_with_the_summary_and_the_documents(runs, second):
    figures, summary, model = contents(second["folder"], "metrics.json"), runs["second"], second["model"]
    parts = {"train": "trained_on", "validation": "validated_on", "test": "tested_on"}
    counts = {part: summary[name] for part, name in parts.items()}
    others = {"unlabelled": 4, "repeated": 0, "total": 4 + sum(counts.values())}
    assert figures["documents"] == counts | others | {"trained": counts["train"] + counts["validation"]}
    assert [figures["test"][name] for name in ("accuracy", "macroF1")] == [summary["accuracy"], summary["macroF1"]]
    assert figures["test"]["documents"] == counts["test"] == sum(
        one["documents"] for one in figures["test"]["classes"].values()
    )  # fmt: skip
    chosen = figures["chosen"]
    assert (chosen["ngrams"], chosen["features"]) == (model.parameters.ngrams, len(model.places))
    assert Calibration(chosen["scale"], chosen["slope"], chosen["center"]) == model.calibration


def test_documents_without_a_label_are_not_trained_on(second):
    model = second["model"]
    (zebra,) = hashed_counts("zebra", FeatureParameters(12, 1))[0]
    (wheat,) = hashed_counts("wheat", FeatureParameters(12, 1))[0]
    assert (zebra in model.places, wheat in model.places) == (False, True)


FROM_A_ZIP = """
from brigade.training import data_version, report
print(data_version.__file__, data_version.code_version(), len(report.page_template().blocks))
"""


def test_the_package_gives_its_version_and_the_report_s_template_from_a_zip_too(tmp_path):
    package = str(zipped_package(tmp_path / "brigade.zip"))
    place = os.environ | {"PYTHONPATH": package}
    command = [sys.executable, "-c", FROM_A_ZIP]
    done = subprocess.run(command, env=place, capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == [f"{package}/brigade/training/data_version.py", code_version(), "0"]


ODD = {
    "empty": "",
    "long": "barrel wheat harbour of the price " * 16_667,
    "emoji": "🚢⚓ vessel 🌽🌽 wheat 👩‍🌾 🛢️ crude",
    "Arabic": "أسعار النفط barrel ارتفعت اليوم",
    "Hebrew": "מְחִירֵי הַנֵּפְט cargo",
    "mixed": "нефть oil 石油 原油 barrel น้ำมัน huile",
    "accents": "cafe\u0301 bus\u0302hel bushel\u0301 e\u0301\u0302 crude",
    "nothing": " \n\t\x00 ",
}


SERVE = """
import json, sys
from pathlib import Path
from brigade.models.document_model import DocumentModel
folder = Path(sys.argv[1])
model = DocumentModel.from_bytes(*((folder / name).read_bytes() for name in ("model.json", "weights.safetensors")))
found = [model.probabilities(text).tolist() for text in json.load(sys.stdin)]
assert not {"pyspark", "sklearn", "train_ml_model", "brigade.training"} & set(sys.modules)
print(json.dumps(found))
"""


def test_serving_without_spark_gives_the_probabilities_that_spark_tasks_compute(spark, second):
    payloads = [*ODD.values(), *(text for text, _ in texts(1000 - len(ODD), seed=31))]
    shared = spark.sparkContext.broadcast(second["model"])
    lying = spark.sparkContext.parallelize(list(enumerate(payloads)), 4)
    computed = lying.map(lambda one: (one[0], shared.value.probabilities(one[1]).tolist())).collect()
    arguments = [sys.executable, "-c", SERVE, str(second["folder"])]
    served = subprocess.run(arguments, input=json.dumps(payloads), capture_output=True, text=True, check=True, cwd=ROOT)
    expected = [found for _, found in sorted(computed)]
    np.testing.assert_allclose(json.loads(served.stdout), expected, atol=1e-6)
    assert len(expected) == 1000
    assert np.ptp(np.array(expected), axis=0).min() > 0.1  # and they are not all alike
    rows = spark.createDataFrame([(text, LABELS[0]) for text in payloads], "payload string, label string").rdd
    evaluation = evaluate(rows, second["model"])
    likely = np.array(expected)[:, second["model"].classes.index(LABELS[0])]
    assert evaluation.log_loss == pytest.approx(-np.log(np.maximum(likely, 1e-12)).sum(), rel=1e-6)
