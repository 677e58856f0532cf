"""The trigger as HTTP, with a Dataproc behind it."""

import threading
from datetime import datetime
from pathlib import Path

import pytest
from functions_framework import create_app

from brigade.schedule import trigger
from tests.conftest import ROOT
from tests.schedule.dataproc_server import CONTENT, REGION, TEMPLATE, Dataproc


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
