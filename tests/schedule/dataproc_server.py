"""The Dataproc stand-in as a server that notes its calls. Its jobs wait until a test ends them."""

import threading
from queue import SimpleQueue

from flask import request as flask_request
from werkzeug.serving import make_server

from brigade.schedule.workflow_client import connect
from local.cloud_scheduler import CloudScheduler
from local.control_plane import create_app as create_control_plane

REGION = "projects/brigade-test/regions/us-central1"


TEMPLATE = f"{REGION}/workflowTemplates/retrain"


# The command that imports it.
IMPORT = (
    "gcloud dataproc workflow-templates import retrain --source=workflow_template.yaml --region=us-central1"
    " --project=brigade-test"
)


CONTENT = {
    "id": "retrain",
    "labels": {"team": "documents"},
    "placement": {"managed_cluster": {"cluster_name": "brigade"}},
    "jobs": [
        {
            "step_id": "train",
            "pyspark_job": {
                "main_python_file_uri": "gs://ml_code/train_ml_model.py",
                "args": ["gs://ml_input/parquet/", "gs://ml_output/output/", "--date", "today"],
            },
        }
    ],
    "parameters": [
        {"name": "DATE", "fields": ["jobs['train'].pysparkJob.args[3]"]},
        {"name": "PARQUET", "fields": ["jobs['train'].pysparkJob.args[0]"]},
        {"name": "TEAM", "fields": ["labels['team']"]},
    ],
}


class Held:
    """In place of the machine's places for Spark jobs. A workflow's thread submits them, after the call is answered."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue = SimpleQueue()

    def submit(self, job) -> None:
        self.jobs.put(job)


class Dataproc:
    """The stand-in as a server. `requests` are the calls that it got: (method, path, body)."""

    def __init__(self) -> None:
        self.held, self.requests, self.answers = Held(), [], []
        app = create_control_plane(self.held, CloudScheduler())

        @app.before_request
        def note():
            self.requests.append((flask_request.method, flask_request.path, flask_request.get_json(silent=True)))
            return self.answers.pop(0) if self.answers else None

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        self.client = connect(TEMPLATE, self.uri)

    def operations(self) -> list:
        return list(self.client.list_operations({"name": f"{REGION}/operations"}).operations)

    def started(self) -> list[dict]:
        """The bodies of the calls that start a workflow."""
        return [body for method, path, body in self.requests if path.endswith(":instantiate")]

    def end(self) -> None:
        """Ends all workflows, as failed ones."""
        for operation in self.operations():
            self.client.cancel_operation({"name": operation.name})
        while any(not operation.done for operation in self.operations()):
            threading.Event().wait(0.01)
