"""The trainings that several files of tests look at; each is run once."""

import json
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest

import train_ml_model
from brigade.training.run import train
from tests.training.made_up_documents import LABELS, texts
from tests.training.whole_runs import MODEL, QUICK, landed, model_of, quick_training, run_folder


@pytest.fixture
def quick(tmp_path):
    """Trainings in this test run without MLflow, and their temporary files lie apart."""
    with quick_training(tmp_path / "ein Büro"):
        yield


@pytest.fixture(scope="session")
def runs(spark, tmp_path_factory) -> dict:
    """Four runs of one date: they learn accountId, most of it wrong; superTag01, which is right; superTag02, which
    calls each ship oil; and superTag02 once more, by force. All but the second have a test set with the right labels
    everywhere, two of whose texts are in the input too.
    """
    folder = tmp_path_factory.mktemp("a run")
    with quick_training(tmp_path_factory.mktemp("runs") / "ein Büro"):
        return four_runs(spark, folder)


def four_runs(spark, folder: Path) -> dict:
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    rows = [(text, label, "oil" if label == "ship" else label, wrong[label]) for text, label in texts(110)]
    rows[::8] = [(text, label, merged, label) for text, label, merged, _ in rows[::8]]
    data = landed(folder / "input", [*rows, *((f"zebra zebra {number}", None, None, None) for number in range(4))])
    held = [*texts(40, seed=5), *texts(110)[:2]]
    test = landed(folder / "held_out", [(text, *[label] * 3) for text, label in held])
    models, manifest = folder / "models", folder / "models" / MODEL / "manifest.json"
    settings, manifests = {"day": date(2026, 1, 5), "hash_bits": 12}, []
    only = settings | {"alpha": 1e-4, "ngrams": 1}
    first = train(spark, data, f"{models}/", label_column="accountId", test_path=f"{test}/", **only)
    manifests.append(manifest.read_bytes())
    second = train(spark, f"{folder}/parquet/", str(models), **settings)
    manifests.append(manifest.read_bytes())
    arguments = [f"{folder}/parquet", str(models), "--label_column=superTag02", f"--test={folder}/parquet_test", *QUICK]
    statuses = []
    for force in ([], ["--force=ships are oil now"]):
        statuses.append(train_ml_model.main([*arguments, *force]))
        manifests.append(manifest.read_bytes())
    return {"folder": folder, "first": first, "second": second, "statuses": statuses, "manifests": manifests}


@pytest.fixture(scope="session")
def second(runs) -> dict:
    """The second run's manifest, its folder and its model as it is read from its files."""
    folder = run_folder(runs, 1)
    return {"manifest": json.loads(runs["manifests"][1]), "folder": folder, "model": model_of(folder)}


@pytest.fixture(scope="session")
def again(spark, second, tmp_path_factory) -> dict:
    """A run with the second one's data.json, logged to MLflow if it is there: the run's folder and its summary."""
    folder = tmp_path_factory.mktemp("again")
    with quick_training(folder / "ein Büro"), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow puts files
        if find_spec("mlflow"):
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/runs.db")
        summary = train(spark, f"{second['folder']}/data.json", f"{folder}/models", day=date(2026, 2, 1))
    return {"folder": Path(summary["path"]) / "runs" / summary["runId"], "summary": summary, "store": folder}
