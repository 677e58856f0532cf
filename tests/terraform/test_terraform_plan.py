"""terraform/ in the hands of the real terraform, with a stand-in for the providers: it validates, plans, applies and
destroys; and what it plans is what the tests' own reading of the files says.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import package
from tests.conftest import ROOT
from tests.terraform import terraform_files as terraform
from tests.terraform import terraform_provider, terraform_schema
from tests.terraform.terraform_values import Values

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on PATH"),
]
FILES = terraform.read()
PROJECT = "brigade-p"
SECONDS = 120


class Workplace:
    """A copy of the files beside this repository's other rooms, and Terraform there."""

    def __init__(self, folder: Path, files: dict[str, str], environment: dict[str, str]):
        self.folder = folder / "terraform"
        self.folder.mkdir()
        for path in terraform.FOLDER.glob("*.json"):
            shutil.copy(path, self.folder)
        for name, text in files.items():
            if name != "backend.tf":  # somebody's own, like the variables' values
                (self.folder / name).write_text(text, "utf-8")
        for path in ROOT.iterdir():
            if path.name[0] != "." and path.name not in ("terraform", "build"):
                (folder / path.name).symlink_to(path)
        package.build(folder / "build")
        (folder / "settings").touch()
        own = {"TF_CLI_CONFIG_FILE": str(folder / "settings"), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        self.environment |= own | environment
        self.run("init", "-backend=false", "-input=false")

    def run(self, *arguments: str, status: int = 0) -> str:
        """What Terraform says on both its outputs."""
        done = subprocess.run(
            ["terraform", *arguments, *(["-no-color"] if arguments[0] != "show" else [])],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == status, done.stdout
        return done.stdout

    def plan(self, status: int = 0, **variables: object) -> str:
        given = {"project_id": PROJECT} | variables
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        flags = [f"-var={name}={text}" for name, text in texts.items()]
        return self.run("plan", "-input=false", "-out=planned", *flags, status=status)

    def planned(self) -> dict[tuple[str, object], dict]:
        """(address, key) → the values of each planned resource that are known."""
        plan = json.loads(self.run("show", "-json", "planned").splitlines()[-1])
        found = {}
        for resource in plan["planned_values"]["root_module"]["resources"]:
            found[f"{resource['type']}.{resource['name']}", resource.get("index")] = resource["values"]
        return found


@pytest.fixture(scope="module")
def provider() -> Iterator[dict[str, str]]:
    try:
        for name in terraform_schema.PACKAGES:
            terraform_schema.fetch(name)
    except terraform_schema.NotThere as error:
        pytest.skip(str(error))
    with terraform_provider.serving(terraform.FOLDER) as environment:
        yield environment


@pytest.fixture(scope="module")
def place(tmp_path_factory, provider) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("plan"), FILES, provider)


def test_terraform_finds_the_files_valid(place):
    assert "The configuration is valid" in place.run("validate")


def normal(value: object) -> object:
    """A value as both sides write it: data sources' texts are their attribute's name, sets are lists in some order."""
    if isinstance(value, str):
        return re.sub(r"<data\.[\w.]+\.(\w+)>", r"<\1>", value)
    if isinstance(value, list):
        return sorted((normal(member) for member in value), key=json.dumps)
    return {name: normal(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def differences(ours: object, theirs: object, path: str) -> Iterator[str]:
    """Where Terraform's value is known and another one than ours."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in ours.keys() & theirs.keys():
            yield from differences(ours[name], theirs[name], f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        if all(isinstance(member, dict) for member in ours + theirs):
            left = list(theirs)
            for number, member in enumerate(ours):  # a set's members come in an order of Terraform's own
                same = next((other for other in left if not list(differences(member, other, ""))), left[0])
                left.remove(same)
                yield from differences(member, same, f"{path}[{number}]")
        elif None not in theirs and normal(ours) != normal(theirs):
            yield f"{path}: {theirs!r}, not {ours!r}"
    elif theirs is not None and normal(ours) != normal(theirs) and str(ours) != str(theirs):
        yield f"{path}: {theirs!r}, not {ours!r}"


def test_terraform_plans_what_the_tests_read_in_the_files(place):
    place.plan()
    configuration = terraform.parse(FILES)
    values, planned, seen = Values(configuration, {"project_id": PROJECT}), place.planned(), 0
    for address, block in configuration.resources.items():
        if block.kind == "resource":
            for key, body in values.instances(address).items():
                ours = {name: value for name, value in body.everything().items() if name not in ("for_each", "count")}
                assert list(differences(ours, planned[address, key], f"{address}[{key}]")) == []
                seen += 1
    assert seen == len(planned)


def test_a_plan_with_every_variable_set_is_one_too(place):
    people, words = ["user:somebody@example.com", "group:some@example.com"], {"region": "europe-west4"}
    words |= {"schedule_anchor": "2026-02-02", "predict_ingress": "ALLOW_ALL", "project_id": "another-project"}
    defaults, given = Values(terraform.parse(FILES), {"project_id": PROJECT}), {}
    for name in terraform.parse(FILES).variables:
        default = defaults.variable(name)
        if isinstance(default, bool):
            given[name] = not default
        elif isinstance(default, int):
            given[name] = default + 1
        else:
            given[name] = people if default == [] else words.get(name, "one")
    place.plan(**given)
    grants = {key for address, key in place.planned() if address.endswith((".publishers", ".operators"))}
    assert grants == set(people)


def test_a_function_s_environment_is_known_when_it_is_planned(place):
    """Google's provider fails in the middle of an apply if it is not: hashicorp/terraform-provider-google#20969."""
    place.plan()
    functions = {key: one for key, one in place.planned().items() if key[0].startswith("google_cloudfunctions2_")}
    values = Values(terraform.parse(FILES), {"project_id": PROJECT})
    assert len(functions) == 3
    for (address, _), planned in functions.items():
        (service,) = values.instances(address)[None].inside("service_config")
        found = planned["service_config"][0]["environment_variables"]
        assert found == service.get("environment_variables") and None not in found.values()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("project_id", "My_Project"),
        ("schedule_anchor", "2026-01-06"),
        ("schedule_anchor", "2026-1-5"),
        ("publishers", ["allUsers"]),
        ("predict_invokers", ["user:a@example.com", "allAuthenticatedUsers"]),
        ("operators", {"somebody": True}),
        ("log_days", "many"),
    ],
)
def test_terraform_refuses_a_wrong_variable(place, variable, value):
    assert f'variable "{variable}"' in place.plan(status=1, **{variable: value})


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", "age = 7", 'age = "a week"', "a number is required"),
        ("functions.tf", "tostring(local.threads)", "tostring(local.threads, 1)", "Too many function arguments"),
        ("training.tf", "local.workflow.labels", "local.workflow.jobs", "map of string required"),
        ("permissions.tf", "= var.publishers", "= tolist(var.publishers)", "Invalid for_each argument"),
        ("permissions.tf", "= var.publishers", "= toset([google_pubsub_topic.alerts.id])", "Invalid for_each"),
        ("pubsub.tf", '"topic-brigade-dead-letter"', "google_pubsub_subscription.classify.name", "Cycle"),
        ("outputs.tf", "service_config[0].uri", "service_config[0].url", "url"),
    ],
)  # fmt: skip
def test_what_only_terraform_can_know_is_noticed(tmp_path, provider, name, old, new, found):
    place = Workplace(tmp_path, terraform.changed(FILES, name, old, new), provider)
    assert found in re.sub(r"\s*│?\n│?\s*", " ", place.plan(status=1))


@pytest.mark.parametrize("minimum", [0, 1])
@pytest.mark.parametrize("images", [False, True])
def test_what_was_applied_is_not_changed_again_and_can_be_destroyed_and_applied_again(
    tmp_path, provider, images, minimum
):
    place = Workplace(tmp_path, FILES, provider)
    settings = {"images": images, "classify_min_instances": minimum}
    variables = {"project_id": PROJECT} | {name: json.dumps(value) for name, value in settings.items()}
    given = ["-auto-approve", "-input=false", *(f"-var={name}={value}" for name, value in variables.items())]
    assert "The configuration is valid" in place.run("validate")
    planned = re.search(r"Plan: (\d+) to add, 0 to change, 0 to destroy", place.plan(**settings))
    state = place.folder / "terraform.tfstate"
    for _ in ("first", "again"):
        added = re.search(r"(\d+) added, 0 changed, 0 destroyed", place.run("apply", *given))
        assert added[1] == planned[1]
        outputs = json.loads(place.run("output", "-json"))
        assert outputs["input_bucket"]["value"] == f"{PROJECT}-ml-input"
        found = {one["name"]: one["instances"] for one in json.loads(state.read_text())["resources"]}
        assert ("build_deploy" in found) == images
        service = found["classify"][0]["attributes"].get("service_config")
        assert service is None or service[0]["min_instance_count"] == minimum
        assert "No changes" in place.plan(**settings)
        assert f"{planned[1]} destroyed" in place.run("destroy", *given)
        assert json.loads(state.read_text())["resources"] == []


def test_without_the_package_terraform_says_what_to_do(tmp_path, provider):
    place = Workplace(tmp_path, FILES, provider)
    shutil.rmtree(tmp_path / "build")
    said = re.sub(r"\s*│?\n│?\s*", " ", place.plan(status=1))
    for name in ("brigade.zip", "cloud_function", "scheduler"):
        assert re.search(rf"Expected \.\./build/{name}, found no such \w+\. Run `make package` first", said), said
