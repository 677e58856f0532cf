"""The environment that set-up creates, and which targets of make ask for it."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.local.machine import Machine


@pytest.fixture
def ready(machine) -> Machine:
    machine.python("3.13.5")
    machine.java_on_path("21")
    return machine


def test_nothing_but_python_and_java_is_asked_for(ready):
    for tool in ("gcloud", "terraform", "npm", "docker", "sudo", "apt-get"):
        assert shutil.which(tool, path=ready.environment["PATH"]) is None
    assert ready.run().returncode == 0


def test_what_was_downloaded_does_not_stay(ready):
    assert ready.run().returncode == 0
    (call,) = ready.calls("uv")
    assert call.startswith("uv pip install --cache-dir .venv/cache ")  # on the disk of .venv: /tmp may be in memory
    assert not (ready.project / ".venv/cache").exists()


def test_a_package_that_cannot_be_installed_shows_uv_s_error_and_leaves_set_up_undone(ready):
    (ready.project / "requirements.txt").write_text("no-such-package==1\n")
    done = ready.run()
    assert done.returncode == 2 and done.stderr.endswith("error: no-such-package was not found\n")
    assert not (ready.project / ".venv/installed").exists() and not (ready.project / ".venv/cache").exists()


@pytest.mark.parametrize("name, is_used", [("", True), ("spark35", True), ("airflow", False), ("checkov", False)])
def test_the_project_itself_is_installed_where_its_code_runs(ready, name, is_used):
    for folder in ("airflow", "terraform"):
        (ready.project / folder).mkdir()
        (ready.project / folder / "requirements.txt").touch()
    done = ready.run(*[name] * bool(name))
    assert done.returncode == 0, done.stderr
    (call,) = ready.calls("uv")
    assert (" --editable . " in call) == is_used


def planned(target: str, changed: str = "requirements.txt") -> list[str]:
    """The commands that make would run for the target after a change of that file."""
    command = ["make", "-n", "-W", changed, target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("target", ["gcp-plan", "gcp-up", "gcp-landing", "gcp-demo", "gcp-down"])
def test_the_targets_on_google_cloud_ask_before_all_else(target):
    assert planned(target)[:2] == ["bash local/setup.sh need gcloud terraform", "bash local/setup.sh"]


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml", "local/setup.sh", "local/machine.sh"])
def test_what_set_up_reads_makes_it_run_again(changed):
    assert planned("setup", changed) == ["bash local/setup.sh"]


def test_the_tutorial_asks_for_gcloud_and_demo_and_test_for_nothing():
    assert planned("tutorial")[:2] == ["bash local/setup.sh need gcloud", "bash local/setup.sh"]
    for target in ("demo", "test", "up", "lint", "package"):
        assert planned(target)[0] == "bash local/setup.sh"


def test_no_setting_of_spark_s_or_python_s_reaches_it_from_the_caller_s_shell():
    names = (
        "SPARK_CONF_DIR",
        "SPARK_HOME",
        "PYSPARK_PYTHON",
        "HADOOP_CONF_DIR",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    )
    foreign = dict.fromkeys(names, "/x")
    command = ["make", "-s", "-f", "Makefile", "-f", "-", "show"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | foreign, input="show: ; @env\n", capture_output=True, text=True, check=True
    )
    assert not {line.split("=")[0] for line in done.stdout.splitlines()} & foreign.keys()
