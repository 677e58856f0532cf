"""Some models in a folder and on the storage emulator, and the operator's commands on them."""

import json

import pytest

from brigade.models.__main__ import main
from tests.models.written_models import MIDDLE, NEW, OLD, write_model


@pytest.fixture
def run(place, capsys):
    """run(command, *arguments): exit status, standard output (as JSON if there is --json), standard error."""

    def command(name: str, *arguments: str):
        status = main([name, place.uri, *arguments])
        printed = capsys.readouterr()
        output = json.loads(printed.out) if "--json" in arguments and printed.out else printed.out
        return status, output, printed.err

    return command


@pytest.fixture
def models(place):
    """Two models that may serve, the newer one first, and one that was rejected."""
    write_model(place.root, OLD, seed=1)
    write_model(place.root, MIDDLE, seed=2)
    write_model(place.root, NEW, seed=3, promoted=False, reason="accuracy .81 below the champion's .84")
    place.sync()
    return place
