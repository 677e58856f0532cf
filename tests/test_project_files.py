"""What an open project has besides its code: its files parse, and name what is there."""

import json
import re
import subprocess
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
TRACKED = subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", [name for name in TRACKED if name.endswith((".yaml", ".yml"))])
def test_every_yaml_file_parses(name):
    assert yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_github_calls_targets_of_make_that_the_local_check_calls_too():
    called = {step["run"] for step in STEPS if "run" in step}
    assert called and called <= set(re.findall(r"^make \S+$", (ROOT / ".ci" / "run").read_text(), re.M))


def test_github_may_only_read_and_its_actions_are_pinned_by_commit():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in STEPS if "uses" in step]
    assert actions and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in actions)


def test_github_tests_every_python_that_the_package_takes():
    tested = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]
    lowest, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert tested == [f"3.{minor}" for minor in range(int(lowest), int(above))]


def test_the_form_of_a_first_run_asks_what_its_page_lists():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "first_run.yml").read_text("utf-8"))
    page = (ROOT / "docs" / "first_run.md").read_text("utf-8")
    headings = re.findall(r"^## (\d+\. .+)$", page, re.M)
    questions = [one for one in form["body"] if one["type"] == "dropdown"]
    assert [one["attributes"]["label"] for one in questions] == headings and form["name"] in page
    identities = [one["id"] for one in form["body"] if "id" in one]
    assert len(identities) == len(set(identities)) == len(form["body"]) - 1  # all but the words at its beginning
    for number, text in enumerate(re.split(r"^## \d+\. ", page, flags=re.M)[1:], 1):
        assert "**It works if**" in text and ("**If not**" in text or number == 5), text[:40]


def test_pre_commit_calls_tools_of_the_requirements():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    called = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert called == {".venv/bin/ruff", ".venv/bin/lint-imports", ".venv/bin/mypy", "terraform"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(tool in makefile for tool in called)


def test_the_development_container_is_set_up_by_make():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"] == "make setup"


def test_the_licence_and_the_readme_are_those_of_the_package():
    assert PROJECT["license"] == "Apache-2.0" and PROJECT["readme"] == "README.md"
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"] and "END OF TERMS" in text
    assert f"next version will be {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_side_by_side_the_tests_of_a_file_stay_together(request):
    """With --dist loadgroup pytest-xdist writes a test's group behind its name; versions that do not, group nothing."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@tests/test_project_files")
