"""Each deployed room's requirements.txt: the project's own versions, and all that the room imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOYED = {
    "cloud_function": [path.name for path in (ROOT / "cloud_function").glob("*.py")],
    # create_job.py runs on a laptop, where the project's own requirements are
    "scheduler": ["main.py", "workflow_client.py"],
}
rooms = pytest.mark.parametrize("room", DEPLOYED)


def pins(path: Path) -> dict[str, str]:
    """Package → version, of the lines that do not depend on the platform."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)\s*$", path.read_text(), re.M)
    return {name.lower().replace("_", "-"): version for name, version in lines}


def imported(room: str) -> set[str]:
    """The modules, with their dots, that the room's deployed files import from elsewhere."""
    found = set()
    for name in DEPLOYED[room]:
        for node in ast.walk(ast.parse((ROOT / room / name).read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    siblings = {path.stem for path in (ROOT / room).glob("*.py")}
    return {name for name in found if name.split(".")[0] not in sys.stdlib_module_names | siblings}


@rooms
def test_a_rooms_versions_are_the_projects(room):
    own, project = pins(ROOT / room / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own
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
    assert {name.lower() for name in needed} | {"cloudevents"} == set(pins(ROOT / room / "requirements.txt"))
