"""Tables that nobody here chose: `new` writes a definition, and the programs train and predict by it, untouched."""

import csv
import json
from pathlib import Path

import pytest
from sklearn import datasets

import train_ml_model
from brigade.models.table_model import TableModel
from brigade.pipelines.__main__ import main as pipelines
from tests.publishing.door import run

# Of each of scikit-learn's tables a score and its bound: an accuracy at least, an error as a share of the mean's at
# most.
TABLES = {
    "iris": ("accuracy", 0.8),
    "wine": ("accuracy", 0.8),
    "breast_cancer": ("accuracy", 0.85),
    "diabetes": ("mae", 0.95),
    "digits": ("accuracy", 0.85),
}


def written(folder: Path, name: str) -> Path:
    """The table as CSV; its classes are named as scikit-learn names them."""
    loaded = getattr(datasets, f"load_{name}")()
    names = getattr(loaded, "target_names", None)
    labels = loaded.target if names is None else [str(names[one]) for one in loaded.target]
    with open(folder / f"{name}.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*loaded.feature_names, "target"])
        rows.writerows([*row, label] for row, label in zip(loaded.data.tolist(), labels, strict=True))
    return folder / f"{name}.csv"


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_a_table_goes_from_a_file_to_a_prediction_by_the_definition_that_new_wrote(spark, tmp_path, capsys, name):
    path, definition = written(tmp_path, name), tmp_path / "own.yaml"
    assert pipelines(["new", str(path), "--label=target", f"--output={definition}"]) == 0
    published = run(path, f"--pipeline={definition}", "--dry_run")
    assert published.status == 0 and published.summary["wrong_type"] == 0
    (tmp_path / "landed").mkdir()
    (tmp_path / "landed" / "a.jsonl").write_bytes(b"".join(line + b"\n" for line in published.lines))
    capsys.readouterr()
    arguments = [str(tmp_path / "landed"), str(tmp_path / "models"), f"--pipeline={definition}"]
    assert train_ml_model.main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    rows = published.summary["published"]
    parts = [summary[part] for part in ("trained_on", "validated_on", "tested_on", "unlabelled")]
    assert (summary["rows"], sum(parts), summary["promoted"]) == (rows, rows, True)
    score, least = TABLES[name]
    if score == "mae":
        assert summary["mae"] < least * summary["baselines"]["mean"]["mae"]
    else:
        assert summary[score] > least
    folder = Path(summary["path"]) / "runs" / summary["runId"]
    model = TableModel.from_bytes(*((folder / file).read_bytes() for file in ("model.json", "weights.ubj")))
    event = json.loads(published.lines[0])
    answer = model.predict({one.name: event.get(one.name) for one in model.features})
    assert ("value" in answer) == (score == "mae")
    assert (folder / "report.html").stat().st_size > 5000
