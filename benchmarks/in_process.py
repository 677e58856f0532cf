"""One document, and a thousand, inside a warm process: what `document` of serving.py runs, once for each function.

    python -m benchmarks.in_process PLAN.json

The plan: `side` ("brigade" or "plain"), `source` (the function's main.py), `model` (the folder of a run, or a joblib
file), `count`, and `texts`, a list for each size. The function is called as functions-framework calls it, through
Flask's test client; the model is called alone, too. Prints one line of JSON, in milliseconds.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from functions_framework import create_app

from benchmarks.open_loop import percentile

WARM_UP = 20
MANY = 1000  # instances in one request


def load(plan: dict) -> tuple[Callable, Callable]:
    """The function, as what answers a request's body, and the model alone, as what answers one text."""
    if plan["side"] == "brigade":
        os.environ["MODELS_URI"] = str(Path(plan["model"]).parents[2])  # above <name>/runs/<run id>
    else:
        os.environ["MODEL_FILE"] = plan["model"]
    client = create_app("predict", plan["source"]).test_client()

    def function(body: bytes) -> None:
        status = client.post("/", data=body, content_type="application/json").status_code
        if status != 200:
            raise RuntimeError(f"expected status 200, found {status}")

    if plan["side"] == "plain":
        classified = sys.modules["main"].classified
        return function, lambda text: classified([text])
    from brigade.models.document_model import DocumentModel
    from brigade.models.manifest import DESCRIPTION_FILE, WEIGHTS_FILE

    files = (Path(plan["model"], name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE))
    return function, DocumentModel.from_bytes(*files).predict


def body_of(texts: list[str]) -> bytes:
    return json.dumps({"instances": [{"payload": text} for text in texts]}).encode()


def timed(call: Callable, arguments: list) -> list[float]:
    """Seconds of each call."""
    spent = []
    for argument in arguments:
        started = time.perf_counter()
        call(argument)
        spent.append(time.perf_counter() - started)
    return spent


def main(argv: list[str]) -> int:
    plan = json.loads(Path(argv[0]).read_text("utf-8"))
    function, model = load(plan)
    result = {}
    for size, texts in plan["texts"].items():
        texts = [texts[number % len(texts)] for number in range(plan["count"])]
        for name, call, asked in (("model", model, texts), ("function", function, [body_of([text]) for text in texts])):
            timed(call, asked[:WARM_UP])
            spent = timed(call, asked)
            result[f"{name}_{size}"] = {
                f"p{share}_ms": round(1000 * percentile(spent, share / 100), 4) for share in (50, 99)
            }
    short = next(iter(plan["texts"].values()))
    many = body_of([short[number % len(short)] for number in range(MANY)])
    result["many_ms_each"] = round(1000 * statistics.median(timed(function, [many] * 5)) / MANY, 4)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
