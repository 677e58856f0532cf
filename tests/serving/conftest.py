"""The functions with a model, as HTTP, and what they log."""

import json
import logging

import pytest

from brigade.serving.logs import JsonLines
from tests.models.written_models import OLD, write_model
from tests.serving.pushed_messages import Pushed


@pytest.fixture
def client(serve, tmp_path):
    """`predict` with a model, in a project."""
    write_model(tmp_path, OLD, seed=1)
    return serve("predict", GOOGLE_CLOUD_PROJECT="brigade-test")


@pytest.fixture
def pushed(serve, pubsub, tmp_path) -> Pushed:
    """`classify` with a model and its topics."""
    write_model(tmp_path, OLD, seed=1)
    return Pushed(serve, pubsub)


@pytest.fixture
def logged(caplog):
    """logged(): the lines that the function wrote so far, whole, as Cloud Logging gets them."""
    caplog.set_level(logging.DEBUG)
    return lambda: [JsonLines().format(record) for record in caplog.records]


@pytest.fixture
def entries(logged):
    """entries(): what the function logged of requests so far."""
    return lambda: [one for one in map(json.loads, logged()) if one["logger"] == "cloud_function"]
