"""A run as an MLflow model: loaded by MLflow itself, in this process, from a store without a server."""

import math
import re
import subprocess
import sys

import pytest

from brigade.errors import WrongInput
from brigade.models.manifest import PassedOver
from brigade.tracking.loader import predictions, read_run
from tests.models.written_models import OLD, TEXTS, tiny_model
from tests.models.written_tables import ROW, WINE, wine_model, write_wine

mlflow = pytest.importorskip("mlflow", reason="mlflow is optional and not installed here")
pandas = pytest.importorskip("pandas", reason="pandas is optional and not installed here")


def test_documents_at_champion_predicts_as_serving_does(tracked):
    tracked.write(OLD, "run-1")
    tracked.sync()
    model = mlflow.pyfunc.load_model("models:/documents@champion")
    expected = [tiny_model().predict(text) for text in TEXTS]
    assert model.predict(pandas.DataFrame({"payload": TEXTS})) == expected
    assert model.predict([{"payload": text} for text in TEXTS]) == expected
    with pytest.raises(mlflow.MlflowException, match="missing inputs \\['payload'\\]"):
        model.predict([{"text": "some words"}])


@pytest.mark.parametrize("classes", [0, 3])
def test_a_table_s_model_reads_whole_numbers_texts_and_gaps(tracked, classes):
    own = wine_model(classes)
    write_wine(tracked.root, WINE, own)
    tracked.sync(prefix="wine-model")
    model = mlflow.pyfunc.load_model("models:/wine@champion")
    rows = [{"alcohol": 9, "colour": "white"}, {"alcohol": None, "colour": "unknown"}]
    expected = own.predict_many(rows)
    assert model.predict(pandas.DataFrame(rows)) == expected
    assert model.predict(pandas.DataFrame({"alcohol": [9, math.nan], "colour": ["white", None]})) == expected
    assert model.predict(pandas.DataFrame({"alcohol": [9, 10]})) == own.predict_many([{"alcohol": 9}, {"alcohol": 10}])
    assert model.predict(pandas.DataFrame([ROW])) == [own.predict(ROW)]


def test_a_model_in_mlflow_has_no_pickle_and_the_versions_of_its_packages(tracked, tmp_path):
    tracked.write(OLD, "run-1")
    tracked.sync()
    folder = mlflow.artifacts.download_artifacts("models:/documents@champion", dst_path=str(tmp_path / "model"))
    names = [path.name for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert folder and "mlflow_model.py" in names and "weights.safetensors" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    wanted = (tmp_path / "model" / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[a-z0-9-]+==[\d.]+", one) for one in wanted)
    assert [one.partition("==")[0] for one in wanted] == ["mlflow-skinny", "mmh3", "numpy", "pandas", "safetensors"]


def test_a_model_whose_files_have_changed_is_not_loaded(tracked, tmp_path):
    tracked.write(OLD, "run-1")
    tracked.sync()
    folder = mlflow.artifacts.download_artifacts("models:/documents@champion", dst_path=str(tmp_path / "model"))
    (weights,) = (tmp_path / "model").rglob("weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(PassedOver, match="weights.safetensors is not the file of the manifest"):
        mlflow.pyfunc.load_model(folder)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"text": "some words"}], "expected the model's columns, such as payload, found none of them"),
        ([{"payload": "some words"}, {"payload": None}], "row 1, payload: expected a text, found none"),
        ([{"payload": 7}], "row 0, payload: expected a text, found none"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(given, message):
    with pytest.raises(WrongInput, match=f"^{message}$"):
        predictions(tiny_model(), given)


def test_nothing_is_predicted_of_nothing():
    assert predictions(tiny_model(), pandas.DataFrame({"payload": []})) == []
    assert predictions(wine_model(), pandas.DataFrame({"alcohol": []})) == []


def test_the_run_in_a_folder_is_read_as_serving_reads_it(tracked):
    tracked.write(OLD, "run-1")
    (tracked.root / OLD / "manifest.json").unlink()
    assert read_run(tracked.uri).classes == tiny_model().classes


def test_models_and_tracking_are_imported_without_mlflow_pyspark_and_pandas():
    modules = "brigade.models.commands, brigade.tracking.sync, brigade.tracking.loader, brigade.models.__main__"
    code = f"import sys, {modules}; print(sorted({{'mlflow', 'pyspark', 'pandas'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
