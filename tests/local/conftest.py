"""What several tests of set-up need."""

import pytest

from tests.local.machine import Machine


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)
