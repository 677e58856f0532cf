"""cloudbuild.yaml: what Cloud Build will read, and what its scripts do, with tools that only note their call."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from google.cloud.devtools import cloudbuild_v1

from tests.conftest import ROOT
from tests.deploy.test_images import PINNED, STAGES
from tests.terraform.terraform_project import PROJECT, only

CONFIGURATION = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
STEPS = {step["id"]: step for step in CONFIGURATION["steps"]}
TERRAFORM = {path.name: path.read_text() for path in (ROOT / "terraform").glob("*.tf")}
DIGEST = "sha256:" + 64 * "5"
REPOSITORY = "us-central1-docker.pkg.dev/brigade-p/brigade"


def test_cloud_build_knows_every_field():
    build = cloudbuild_v1.Build.from_json(json.dumps(CONFIGURATION))
    assert [step.id for step in build.steps] == ["test", "build", "push", "template", "deploy"]
    assert build.options.logging == cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY
    assert build.options.automap_substitutions


def test_it_runs_as_an_identity_of_its_own_that_terraform_makes():
    account = re.fullmatch(r"projects/\$PROJECT_ID/serviceAccounts/([\w-]+)@.*", CONFIGURATION["serviceAccount"])[1]
    assert f'account_id   = "${{local.prefix}}{account}"' in TERRAFORM["identities.tf"]


def test_every_builder_is_pinned_by_digest_and_tests_run_where_the_functions_will():
    assert all(PINNED.fullmatch(step["name"]) for step in STEPS.values())
    assert STEPS["test"]["name"] == STAGES["base"].base


def test_what_the_scripts_name_exists():
    scripts = " ".join(step["script"] for step in STEPS.values())
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^\s*make ([\w-]+)", scripts, re.M)) == {"lint", "test"} < targets
    assert all((ROOT / file).exists() for file in re.findall(r"--metadata-file=(\S+)", scripts))
    assert set(re.findall(r"for target in ([\w ]+);", scripts)) == {"serve landing"} and {"serve", "landing"} < set(
        STAGES
    )
    assert (
        f'repository_id = "${{local.prefix}}{CONFIGURATION["substitutions"]["_REPOSITORY"]}"'
        in TERRAFORM["functions.tf"]
    )


class Run:
    """The steps' scripts in order, in one folder, with the tools replaced by ones that note how they were called."""

    def __init__(self, place: Path, **substitutions: str):
        self.place, self.calls = place, place / "calls"
        self.calls.touch()
        (place / "tools").mkdir()
        for tool in ("docker", "gcloud", "apt-get", "make", "cp", "git"):
            self.tool(tool)
        self.tool("docker", f'[ "$1" != inspect ] || echo "${{3%:*}}@{DIGEST}"')
        self.environment = CONFIGURATION["substitutions"] | {
            "PROJECT_ID": "brigade-p",
            "BUILD_ID": "b-1",
            "PATH": f"{place / 'tools'}:{os.environ['PATH']}",
            **substitutions,
        }

    def tool(self, name: str, answer: str = "") -> None:
        path = self.place / "tools" / name
        # One line a call; what a call answers is the shell's text after it.
        path.write_text(f'#!/bin/bash\nprintf "%q " {name} "$@" >> {self.calls}\necho >> {self.calls}\n{answer}\n')
        path.chmod(0o755)

    def step(self, name: str) -> int:
        script = self.place / "script"
        script.write_text(STEPS[name]["script"])
        script.chmod(0o755)
        return subprocess.run([script], env=self.environment, cwd=self.place, capture_output=True).returncode

    def all(self) -> list[list[str]]:
        assert [self.step(name) for name in STEPS] == [0] * len(STEPS)
        return self.noted()

    def noted(self) -> list[list[str]]:
        return [shlex.split(line) for line in self.calls.read_text().splitlines()]


def changes(calls: list[list[str]]) -> list[list[str]]:
    """The calls that leave something behind outside of the build."""
    return [
        call
        for call in calls
        if call[:2] == ["docker", "push"] or call[0] == "gcloud" and call[1] != "info" and call[3] != "list"
    ]


def test_a_build_that_is_no_release_tests_and_builds_and_changes_nothing(tmp_path):
    calls = Run(tmp_path).all()
    assert changes(calls) == []
    assert ["make", "lint"] in calls and calls.index(["make", "test"]) < len(calls) - 2
    builds = [call for call in calls if call[:2] == ["docker", "build"]]
    assert builds == [
        ["docker", "build", f"--target={target}", f"--tag={REPOSITORY}/{target}:b-1", "."]
        for target in ("serve", "landing")
    ]


def test_a_release_pushes_both_images_and_writes_the_template_with_the_digest(tmp_path):
    first, second, template = changes(Run(tmp_path, _RELEASE="true").all())
    assert [first, second] == [["docker", "push", f"{REPOSITORY}/{target}:b-1"] for target in ("serve", "landing")]
    assert template[:5] == [
        "gcloud",
        "dataflow",
        "flex-template",
        "build",
        "gs://brigade-p-ml-code/templates/landing.json",
    ]
    assert f"--image={REPOSITORY}/landing@{DIGEST}" in template


def test_a_service_that_is_there_keeps_its_traffic_and_a_first_revision_has_all(tmp_path):
    run = Run(tmp_path, _RELEASE="true", _SERVICES="predict classify")
    run.tool("gcloud", '[[ "$*" != *"run services list"*brigade-predict* ]] || echo brigade-predict')
    predict, classify = changes(run.all())[3:]
    for name, call in {"predict": predict, "classify": classify}.items():
        assert call[:4] == ["gcloud", "run", "deploy", f"brigade-{name}"]
        assert {"--no-allow-unauthenticated", "--ingress=internal", "--tag=candidate"} < set(call)
        assert f"--image={REPOSITORY}/serve@{DIGEST}" in call
        assert f"--service-account=brigade-{name}@brigade-p.iam.gserviceaccount.com" in call
        assert f"FUNCTION_TARGET={name}" in settings(call)
    assert "--no-traffic" in predict and "--no-traffic" not in classify


def settings(call: list[str]) -> list[str]:
    return next(word for word in call if word.startswith("--set-env-vars=")).partition("=")[2].split(",")


def test_a_services_settings_are_terraforms(tmp_path, terraform):
    call = changes(Run(tmp_path, _RELEASE="true", _SERVICES="classify").all())[-1]
    plan = terraform.plan(project_id=PROJECT)
    function = only(plan.instances("google_cloudfunctions2_function.classify")[None], "service_config")
    assert {
        f"--concurrency={function.get('max_instance_request_concurrency')}",
        f"--memory={function.get('available_memory')}",
        f"--max-instances={function.get('max_instance_count')}",
        f"--timeout={function.get('timeout_seconds')}",
        f"--cpu={function.get('available_cpu')}",
        "--ingress=internal",
    } < set(call)
    given = {name: value for name, value in function.get("environment_variables").items() if value}
    assert set(settings(call)) == {f"{name}={value}" for name, value in given.items()} | {"FUNCTION_TARGET=classify"}


@pytest.mark.parametrize(
    "step, tool",
    [
        ("test", "make"),
        ("build", "docker"),
        ("push", "docker"),
        ("template", "gcloud"),
        ("deploy", "gcloud"),
    ],
)
def test_a_tool_that_fails_ends_the_step(tmp_path, step, tool):
    run = Run(tmp_path, _RELEASE="true", _SERVICES="predict")
    for name in list(STEPS)[: list(STEPS).index(step)]:
        assert run.step(name) == 0
    run.tool(tool, "exit 3")
    calls = len(run.noted())
    assert run.step(step) != 0
    assert [call[0] for call in run.noted()[calls:]].count(tool) == 1  # nothing was tried after it


def test_nothing_is_made_of_an_image_that_was_not_pushed(tmp_path):
    run = Run(tmp_path, _RELEASE="true", _SERVICES="predict")
    assert run.step("template") != 0 and run.step("deploy") != 0
    assert run.noted() == []
