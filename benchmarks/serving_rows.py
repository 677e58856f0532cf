"""`row` of serving.py: one row of a table, in the process, and how soon a function with a table model answers.

    python -m benchmarks.serving_rows PLAN.json     what `row` runs on a core of its own: one row, again and again

The table is made up in the form of the wines: 6,497 rows, eleven numbers and a colour. Its model, 300 trees of at most
63 leaves, stands next to scikit-learn's HistGradientBoostingClassifier of as many, asked for the same row as an array.
The plan: `models`, the folder of the models, and `count`. Prints one line of JSON, in milliseconds.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from functions_framework import create_app

from benchmarks import functions
from benchmarks.functions import SOURCES, Beside
from benchmarks.in_process import WARM_UP, timed
from benchmarks.open_loop import percentile
from benchmarks.sessions import over, say
from brigade.models.document_model import Calibration
from brigade.models.table_model import Feature, TableModel

ROWS, NUMBERS, TREES, LEAVES = 6_497, 11, 300, 63
PREFIX = "wine-model"
ROW_MS, COLD_SECONDS = 1, 2.5
COLOURS = ("red", "white")
FEATURES = [*(Feature(f"number_{one}", "number") for one in range(NUMBERS)), Feature("colour", "category", COLOURS)]
KEPT = {"id": {"type": "string", "required": True}, "time": {"type": "timestamp", "required": True}}
FIELDS = KEPT | {one.name: "number" if one.type == "number" else "string" for one in FEATURES}
PIPELINE = {
    "name": "wine",
    "event": {"id": "id", "time": "time", "fields": FIELDS},
    "query": "SELECT * FROM events",
    "model": {"kind": "table", "task": "classification", "label": "good", "features": [one.name for one in FEATURES]},
}


def table() -> tuple[np.ndarray, np.ndarray]:
    """Rows, the colour as its number, and whether each is good."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(ROWS, NUMBERS)), rng.integers(0, 2, ROWS)]).astype(np.float32)
    signal = rows[:, 0] * rows[:, 1] + np.abs(rows[:, 2]) + rows[:, -1] + rng.normal(size=ROWS)
    return rows, signal > np.quantile(signal, 0.8)


def named(row: np.ndarray) -> dict:
    """The row as a caller sends it."""
    numbers = {one.name: float(value) for one, value in zip(FEATURES, row[:-1], strict=False)}
    return numbers | {"colour": COLOURS[int(row[-1])]}


def trees(rows: np.ndarray, good: np.ndarray) -> TableModel:
    import xgboost

    kinds = ["q" if one.type == "number" else "c" for one in FEATURES]
    data = xgboost.QuantileDMatrix(rows, good, feature_types=kinds, enable_categorical=True)
    parameters = {"objective": "binary:logistic", "max_depth": 0, "max_leaves": LEAVES, "grow_policy": "lossguide"}
    booster = xgboost.train(parameters | {"nthread": 1, "seed": 0}, data, TREES)
    return TableModel("classification", FEATURES, ["false", "true"], Calibration(), None, PIPELINE, booster)


def main(argv: list[str]) -> int:
    """p50 and p99: the model alone, the function as functions-framework calls it, the usual model."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    plan = json.loads(Path(argv[0]).read_text("utf-8"))
    os.environ |= {"MODELS_URI": plan["models"], "MODEL_PREFIX": PREFIX}
    client = create_app("predict", str(SOURCES["brigade"])).test_client()

    def function(body: bytes) -> None:
        status = client.post("/", data=body, content_type="application/json").status_code
        if status != 200:
            raise RuntimeError(f"expected status 200, found {status}")

    rows, good = table()
    usual = HistGradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=LEAVES, categorical_features=[NUMBERS], early_stopping=False
    ).fit(rows, good)
    asked = [rows[number % len(rows)] for number in range(plan["count"])]
    bodies = [json.dumps({"instances": [named(row)]}).encode() for row in asked]
    function(bodies[0])
    model = sys.modules["main"].STORE.current().model
    result = {}
    for name, call, inputs in (
        ("model", model.predict, [named(row) for row in asked]),
        ("function", function, bodies),
        ("scikit_learn", usual.predict_proba, [row.reshape(1, -1) for row in asked]),
    ):
        timed(call, inputs[:WARM_UP])
        spent = timed(call, inputs)
        result[name] = {f"p{share}_ms": round(1000 * percentile(spent, share / 100), 4) for share in (50, 99)}
    print(json.dumps(result))
    return 0


def cold(folder: Path, model: TableModel, row: dict, rounds: int) -> dict:
    """Medians of the seconds from process start to the first correct answer, with trees and with a small text model."""
    _, expected = functions.write_model(folder, 0, ["texto teste"], promoted=True)
    asked = {
        "table": ({"instances": [row]}, [model.predict(row)], {"MODEL_PREFIX": PREFIX}),
        "documents": ({"instances": [{"payload": "texto teste"}]}, expected, {}),
    }
    spent: dict[str, list[float]] = {name: [] for name in asked}
    with functions.cloud() as services:
        functions.upload(folder)
        for _ in range(rounds):
            for name, (request, predictions, environment) in asked.items():
                seconds = functions.first_answer(services, "brigade", request, predictions, **environment)
                spent[name].append(seconds)
                say(f"{name:<10} {seconds:6.2f} s")
    return {f"{name}_seconds": round(statistics.median(times), 3) for name, times in spent.items()}


def row(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: the model's p50 for one row at most 1 ms; 2.5 s from process start to the first answer of a table
    model, which beside a document's includes the import of XGBoost."""
    rows, good = table()
    model = trees(rows, good)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "models")
        golden = [{"row": named(one), "probabilities": model.probabilities(named(one)).tolist()} for one in rows[:200]]
        functions.write_run(folder, f"{PREFIX}-2026-01-05", "run-1", model, golden)
        plan = {"models": str(folder), "count": arguments.count}
        result = Beside("serving_rows", scratch, plan, core=0).answer()
        for name, found in result.items():
            say(f"{name:<13}" + "p50 {p50_ms:7.3f} ms   p99 {p99_ms:7.3f} ms".format(**found))
        result |= cold(folder, model, named(rows[0]), arguments.rounds)
    say("medians      " + "   ".join(f"{name} {result[f'{name}_seconds']:.2f} s" for name in ("table", "documents")))
    missed = over("model, p50 in ms", result["model"]["p50_ms"], ROW_MS)
    return {"row": result}, missed + over("table_seconds", result["table_seconds"], COLD_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
