"""SERVE: classifies each document as it comes, or predicts for each row, with the latest promoted model.

`classify` takes Pub/Sub messages, pushed with or without an envelope, or from Eventarc. The event as it came, plus
`classification`, goes to RESULT_TOPIC. A message that is not an event goes to DEAD_LETTER_TOPIC, so that Pub/Sub does
not bring it again. What may pass (no model yet, a topic out of reach) answers 5xx, and Pub/Sub brings the message
again: only what is published is acknowledged.
`predict` answers HTTP: POST {"instances": [{"payload": "…"}, …], "explain": true}; an instance may be a whole event.
Where MODEL_PREFIX names the models of a table, an instance is {feature: value, …}, and a regression's event gets
`prediction`.
Both answer GET /healthz (is there a model?) and GET /model (which one, and how fresh). Google's front end keeps paths
that end in z for itself: /healthz is for probes inside Cloud Run, /model for callers from outside. On Vertex AI,
AIP_HEALTH_ROUTE is one more path of the first kind; a POST is answered at every path, so at AIP_PREDICT_ROUTE as well.

Both are HTTP functions to functions-framework, whose decorator wins over FUNCTION_SIGNATURE_TYPE. Its own reader of
CloudEvents takes bodies of any size, answers 500 to some that are not CloudEvents, and returns headers and data in its
errors.

On this machine:
    MODELS_URI=models functions-framework --source=cloud_function/main.py --target=predict --port=8080
    curl -d '{"instances": [{"payload": "texto teste"}], "explain": true}' localhost:8080
On GCP, after `make package`:
    gcloud functions deploy predict --gen2 --runtime=python312 --source=build/cloud_function --entry-point=predict \\
        --trigger-http --no-allow-unauthenticated --set-env-vars=MODELS_URI=gs://ml_output/output/
    gcloud functions deploy classify --gen2 --runtime=python312 --source=build/cloud_function --entry-point=classify \\
        --trigger-topic=topic-brigade --retry --set-env-vars=MODELS_URI=gs://ml_output/output/,RESULT_TOPIC=…,…
"""

from functools import partial

import flask
import functions_framework

from brigade.models import table_model
from brigade.models.store import ModelStore
from brigade.serving.answers import MAX_BODY_BYTES, MAX_PUSH_BYTES, about_service, classified, predictions
from brigade.serving.logs import LogEntry, Outages, log_json_lines
from brigade.serving.requests import answer
from brigade.serving.settings import get_env

log_json_lines()
# A wrong setting ends the server's start, and so the deployment, while the revision before keeps serving.
ENVIRONMENT = get_env()
STORE = ModelStore(
    ENVIRONMENT.models_uri, ENVIRONMENT.refresh_seconds, ENVIRONMENT.pin, ENVIRONMENT.model_prefix, ENVIRONMENT.lone
)
ABOUT = partial(about_service, STORE, ENVIRONMENT.health_route)
OUTAGES = Outages()
# XGBoost imports scikit-learn, and with it pandas, where it finds them; no prediction needs them.
table_model.left_out = ["sklearn"]


@functions_framework.http
def predict(request: flask.Request) -> flask.Response:
    """POST {"instances": [event, {"payload": text} or {feature: value}, …]} → {"predictions": […], "model": {…}}.

    Statuses: 400 for a wrong request, 405, 413 above MAX_BODY_BYTES, 415 for a wrong header, 503 without a model.
    """
    entry = LogEntry(request, ENVIRONMENT.project, OUTAGES)
    return answer(request, entry, MAX_BODY_BYTES, ABOUT, partial(predictions, STORE))


@functions_framework.http
def classify(request: flask.Request) -> flask.Response:
    """One Pub/Sub message → RESULT_TOPIC, or DEAD_LETTER_TOPIC if it is not an event; answers when it is published.

    Statuses: 400 if the body is not a message, 413 above MAX_PUSH_BYTES, 415 for a wrong header, 500 without a topic;
    503, so that Pub/Sub brings the message again, while there is no model and if publishing fails.
    """
    entry = LogEntry(request, ENVIRONMENT.project, OUTAGES)
    post = partial(classified, STORE, ENVIRONMENT)
    return answer(request, entry, MAX_PUSH_BYTES, ABOUT, post)
