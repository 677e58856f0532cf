"""What several tests of publishing need: a folder for files, and a topic to publish to."""

import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("publisher")


@pytest.fixture
def topic(pubsub):
    """A new topic with a subscription: its path, and a function that pulls so many messages."""
    name = f"topic-{uuid.uuid4().hex[:8]}"
    path = pubsub.topic(name)
    subscription = pubsub.subscription(path, f"sub-{name}")
    return SimpleNamespace(path=path, pull=lambda count, **more: pubsub.pull_all(subscription, count, **more))
