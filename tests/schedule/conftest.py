"""The trigger as HTTP, with a Dataproc behind it."""

import threading
from datetime import datetime
from pathlib import Path

import pytest
from functions_framework import create_app

from brigade.schedule import trigger
from tests.conftest import ROOT
from tests.models.written_models import write_model
from tests.schedule.dataproc_server import CONTENT, REGION, TEMPLATE, Dataproc
from tests.schedule.watched_shop import MONITOR
from tests.schedule.written_findings import FORMER, SERVING


@pytest.fixture
def dataproc():
    server = Dataproc()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.client.create_workflow_template(parent=REGION, template=CONTENT)
    server.requests.clear()
    yield server
    server.answers.clear()
    server.end()
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture
def models(dataproc, tmp_path, monkeypatch) -> Path:
    """The folder of models of a whole environment."""
    monkeypatch.setenv("WORKFLOW_TEMPLATE", TEMPLATE)
    monkeypatch.setenv("MODELS_URI", str(tmp_path))
    monkeypatch.delenv("MODEL_PREFIX", raising=False)
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-05")
    monkeypatch.setenv("DATAPROC_API_ENDPOINT", dataproc.uri)
    return tmp_path


@pytest.fixture
def app(models, monkeypatch):
    """The function as functions-framework serves it."""
    monkeypatch.setenv("FUNCTION_TARGET", "trigger")
    return create_app("trigger", str(ROOT / "scheduler" / "main.py"))


@pytest.fixture
def at(app, monkeypatch):
    """Calls the function at a time."""

    def call(time: str, query: str = "", method: str = "POST", scheduled: str = ""):
        monkeypatch.setattr(trigger, "clock", lambda: datetime.fromisoformat(time))
        return app.test_client().open(
            f"/{query}", method=method, headers={"X-CloudScheduler-ScheduleTime": scheduled or time}
        )

    return call


@pytest.fixture
def found(models, dataproc, monkeypatch) -> Path:
    """The folder of findings, with two promoted models, the monitoring's template, and both actions on."""
    write_model(models, FORMER, seed=1)
    write_model(models, SERVING, seed=2)
    content = CONTENT | {"id": "brigade-monitor", "jobs": [CONTENT["jobs"][0] | {"step_id": "monitor"}]}
    content |= {"parameters": [{"name": "INPUT", "fields": ["jobs['monitor'].pysparkJob.args[0]"]}]}
    dataproc.client.create_workflow_template(parent=REGION, template=content)
    dataproc.requests.clear()
    folder = models.parent / f"{models.name}-monitor"
    for name, value in {
        "MONITOR_TEMPLATE": MONITOR,
        "FINDINGS_URI": str(folder),
        "EARLY_TRAINING": "on",
        "WITHDRAWAL": "on",
    }.items():
        monkeypatch.setenv(name, value)
    return folder
