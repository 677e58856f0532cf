"""terraform/: that Terraform takes it, that nothing in it is idle, and that its variables are explained.

Each check is also run on the files with one thing broken.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from tests.conftest import ROOT
from tests.terraform.terraform_files import FOLDER, changed, variables
from tests.terraform.terraform_run import FILES, Plan, Terraform

EXAMPLE = (FOLDER / "terraform.tfvars.example").read_text("utf-8")
GIVEN = {"project_id": "my-project"}


@pytest.fixture
def plan(terraform) -> Plan:
    return terraform.plan(**GIVEN)


def problems(terraform: Terraform, files: Mapping[str, str]) -> list[str]:
    """What Terraform does not take; its validation does not know what is in other files, a plan does."""
    return terraform.problems(files) or terraform.problems(files, **GIVEN)


def unused(terraform: Terraform, files: Mapping[str, str] = FILES) -> set[str]:
    """The variables and local values that nothing in Terraform's graph depends on; a variable's own validation does
    not use it."""
    terraform.write(files)
    graph = terraform.run("graph", "-type=plan")
    edges = re.findall(r'^\s*"\[root\] (.+)" -> "\[root\] ((?:var|local)\.\w+)', graph, re.M)
    used = {name for source, name in edges if source not in ("root", f"{name} (validation)")}
    return set(re.findall(r"\[root\] ((?:var|local)\.\w+)", graph)) - used


def test_the_files_are_hcl_every_reference_leads_to_something_and_nothing_depends_on_itself(terraform, plan):
    assert terraform.problems(FILES) == []
    assert plan.resources and plan.variables and plan.outputs


def test_a_brace_too_few_is_noticed(terraform):
    (problem, *_) = terraform.problems(changed(FILES, "apis.tf", "toset([", "toset("))
    assert re.match(r"apis\.tf:\d+: Invalid expression", problem)


def test_an_argument_or_a_name_that_is_there_twice_is_noticed(terraform):
    (problem,) = terraform.problems(changed(FILES, "storage.tf", "  location", '  name = "another"\n  location'))
    assert re.match(r"storage\.tf:\d+: Attribute redefined: .*\"name\"", problem)
    twice = changed(FILES, "storage.tf", '"google_storage_bucket" "output"', '"google_storage_bucket" "input"')
    (problem, *_) = terraform.problems(twice)
    assert 'A google_storage_bucket resource named "input" was already declared' in problem


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", "= var.region", "= var.regoin", 'variable with the name "regoin"'),
        ("storage.tf", "= local.input_bucket", "= local.inputs_bucket", 'local value with the name "inputs_bucket"'),
        ("names.tf", "gs://${local.output_bucket}/", "gs://${local.output_buckt}/", 'the name "output_buckt"'),
        ("permissions.tf", "google_service_account.landing.member", "google_service_account.land.member", '"land"'),
        ("names.tf", "data.google_project.this.number", "data.google_project.that.number", '"google_project" "that"'),
        ("storage.tf", "[google_project_service.needed]", "[google_project_service.all]", '_service" "all"'),
        ("training.tf", "jobs.value.stepId", "job.value.stepId", 'resource "job" "value"'),
        ("storage.tf", "= local.input_bucket", "= each.key", '"each" object'),
        ("outputs.tf", "google_pubsub_topic.documents.id", "google_pubsub_topic.document.id", 'topic" "document"'),
    ],
)  # fmt: skip
def test_a_misspelt_reference_is_noticed(terraform, name, old, new, found):
    noticed = problems(terraform, changed(FILES, name, old, new))
    assert any(problem.startswith(f"{name}:") and found in problem for problem in noticed), noticed


def test_a_circle_is_noticed(terraform):
    circle = changed(
        FILES, "pubsub.tf", '"${local.prefix}topic-brigade-dead-letter"', "google_pubsub_subscription.classify.name"
    )
    (problem,) = terraform.problems(circle)
    assert "Cycle: " in problem
    assert {"google_pubsub_subscription.classify", "google_pubsub_topic.dead_letter"} <= set(
        re.findall(r"\w+\.\w+", problem)
    )


def test_every_expression_can_be_computed(plan):
    assert len(plan.resources) >= len(plan.configuration["root_module"]["resources"])
    assert None not in plan.outputs.values()


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("training.tf", "each.value.dagTimeout", "each.value.dagTimeOut", "dagTimeOut"),
        ("training.tf", "jobs.value.stepId", "jobs.value.step", 'attribute named "step"'),
        ("training.tf", "/../workflow_template.yaml", "/../workflow_templates.yaml", "no file exists at"),
        ("storage.tf", "${each.value}", "${each.value.path}", "primitive-typed value (string)"),
        ("functions.tf", "tostring(local.threads)", "to_string(local.threads)", 'no function named "to_string"'),
    ],
)
def test_an_expression_that_cannot_be_computed_is_noticed(terraform, name, old, new, found):
    noticed = problems(terraform, changed(FILES, name, old, new))
    assert any(found in problem for problem in noticed), noticed


def test_every_variable_has_a_type_and_a_description():
    for name, about in variables(FILES).items():
        assert {"type", "description"} <= about.keys(), name


def test_every_variable_and_every_local_value_is_used(terraform, plan):
    assert variables(FILES).keys() == plan.variables.keys()
    assert unused(terraform) == set()


def test_every_output_is_described(plan):
    outputs = plan.configuration["root_module"]["outputs"]
    assert [name for name, about in outputs.items() if not about.get("description")] == []


def test_a_variable_or_a_local_value_that_nobody_uses_is_noticed(terraform):
    more = 'variable "more" {\n  type = string\n}\nlocals {\n  idle = 1\n}\n'
    assert unused(terraform, {**FILES, "more.tf": more}) == {"var.more", "local.idle"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_id", "My_Project"),
        ("project_id", "short"),
        ("schedule_anchor", "2026-01-06"),
        ("schedule_anchor", "Monday"),
        ("pipeline", "Wine"),
        ("pipeline", "gs://data/wine"),
        ("pipeline", "pipelines/wine.yaml"),
        ("model_prefix", "Wine_model"),
        ("model_prefix", "wine-model-2026-01-05"),
        ("prefix", "wine-"),
        ("prefix", "Wine"),
        ("prefix", "a-long-prefix"),
    ],
)
def test_a_variable_s_validation_takes_its_default_and_refuses_a_wrong_value(terraform, plan, name, value):
    (problem,) = terraform.problems(**GIVEN | {name: value})
    assert "Invalid value for variable" in problem and f'variable "{name}"' in problem


def explained(text: str) -> dict[str, tuple[str, str]]:
    """Variable → the comment above it and its value, in a text with `# name = value` below each comment."""
    found = {}
    for paragraph in re.split(r"\n\s*\n", text):
        *comment, last = paragraph.strip().splitlines()
        match = re.fullmatch(r"#? ?(\w+) *= (.+)", last)
        if match:
            found[match[1]] = (" ".join(line.removeprefix("#").strip() for line in comment), match[2])
    return found


def test_the_example_explains_every_variable_and_shows_its_default(terraform, plan):
    example, known = explained(EXAMPLE), variables(FILES)
    assert example.keys() == known.keys()
    shown = [f"{name} = {text}\n" for name, (_, text) in example.items() if "default" in known[name]]
    (terraform.folder / "example.tfvars").write_text("".join(shown), "utf-8")
    terraform.write(FILES)
    terraform.run("plan", "-input=false", "-out=planned", "-var-file=example.tfvars", "-var=project_id=my-project")
    said = terraform.shown().variables
    for name, about in known.items():
        assert len(example[name][0]) > 10, f"{name}: expected a comment above it"
        if "default" in about:
            assert said[name] == plan.variables[name], f"{name}: the example shows another value than its default"
        else:
            assert "No default" in example[name][0], f"{name}: expected the example to say that it has no default"


def test_a_comment_alone_is_no_explanation_of_the_next_variable():
    example = explained('# About all of it.\n\n# Where it runs, and why.\n# region = "r"\n\n# days = 3\n')
    assert example == {"region": ("Where it runs, and why.", '"r"'), "days": ("", "3")}


def test_each_provider_is_pinned_to_one_version(plan):
    providers = plan.configuration["provider_config"]
    assert providers
    for name, provider in providers.items():
        version = provider["version_constraint"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name}: expected one version, found {version}"
        assert provider["full_name"] == f"registry.terraform.io/hashicorp/{name}"


@pytest.mark.terraform
@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on PATH")
def test_terraform_itself_would_format_nothing_otherwise():
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_finding_of_checkov_that_is_accepted_has_a_reason():
    files = [*FOLDER.glob("*.tf"), *ROOT.glob("Dockerfile*"), *ROOT.glob(".github/**/*.yml")]
    accepted = [line.strip() for path in files for line in path.read_text("utf-8").splitlines() if "checkov:" in line]
    assert accepted
    assert [line for line in accepted if not re.fullmatch(r"# ?checkov:skip=CKV2?_[A-Z]+_\d+:.{20,}", line)] == []
