"""What several tests of set-up and of the Pub/Sub server need."""

import pytest

from tests.local.machine import Machine


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def topic(api) -> str:
    return api.topic()
