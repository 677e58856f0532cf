"""The usual function, to compare with: what the benchmarks of serving run beside the project's own.

A scikit-learn pipeline, unpickled when the function is imported, from a local file: MODEL_FILE. It checks nothing and
serves this one model until somebody deploys another.
"""

import os

import flask
import functions_framework
import joblib

MODEL = joblib.load(os.environ["MODEL_FILE"])


def classified(texts: list[str]) -> list[dict]:
    """`{"label", "confidence"}` of each text, in their order."""
    likely = MODEL.predict_proba(texts)
    return [{"label": str(MODEL.classes_[row.argmax()]), "confidence": float(row.max())} for row in likely]


@functions_framework.http
def predict(request: flask.Request) -> dict:
    return {"predictions": classified([instance["payload"] for instance in request.get_json()["instances"]])}
