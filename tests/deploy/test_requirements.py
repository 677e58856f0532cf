"""Each deployed room's requirements.txt: the project's own versions, and all that the room imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from local.package import reached_files
from tests.conftest import ROOT

ROOMS = ("cloud_function", "scheduler")  # without create_job.py, which runs on a laptop with all requirements
rooms = pytest.mark.parametrize("room", ROOMS)


def pins(path: Path) -> dict[str, str]:
    """Package → version, of the lines that do not depend on the platform."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)\s*$", path.read_text(), re.M)
    return {name.lower().replace("_", "-"): version for name, version in lines}


def imported(room: str) -> set[str]:
    """The modules, with their dots, that the room's door and the part of the package that it reaches import from
    elsewhere, also inside functions; what is for type checkers alone does not count."""
    found = set()
    door = ROOT / room / "main.py"
    for path in (door, *reached_files(door)):
        if path.suffix == ".py":
            found |= imports_of(path)
    return {name for name in found if name.split(".")[0] not in sys.stdlib_module_names | {"brigade"}}


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def for_tables(room: str) -> dict[str, str]:
    """What the room needs besides where it serves tables."""
    path = ROOT / room / "requirements-table.txt"
    return pins(path) if path.exists() else {}


@rooms
def test_a_rooms_versions_are_the_projects(room):
    own, project = pins(ROOT / room / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own and not own.keys() & for_tables(room).keys()
    own |= for_tables(room)
    assert {name: project.get(name) for name in own} == own


@rooms
def test_every_line_of_a_rooms_requirements_is_a_pin_or_a_comment(room):
    lines = (ROOT / room / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert len(wanted) == len(pins(ROOT / room / "requirements.txt"))


@rooms
def test_a_room_requires_what_it_imports_and_nothing_else(room):
    google = {  # a namespace that many packages share
        "google.api_core": "google-api-core",
        "google.auth": "google-auth",
        "google.cloud.dataproc_v1": "google-cloud-dataproc",
        "google.cloud.pubsub": "google-cloud-pubsub",
        "google.cloud.storage": "google-cloud-storage",
        "google.pubsub_v1": "google-cloud-pubsub",
    }
    needed = set()
    for name in imported(room):
        if name.startswith("google."):
            needed.add(next(package for module, package in google.items() if f"{name}.".startswith(f"{module}.")))
        else:
            needed |= set(packages_distributions()[name.split(".")[0]])
    # The framework does not run with cloudevents 2, whether or not the room names cloudevents itself.
    own = set(pins(ROOT / room / "requirements.txt")) | set(for_tables(room))
    assert {name.lower() for name in needed} | {"cloudevents"} == own


def test_only_xgboost_is_left_to_the_functions_of_tables():
    assert for_tables("cloud_function").keys() == {"xgboost-cpu"} and not for_tables("scheduler")
