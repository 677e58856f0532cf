"""terraform/: that it is HCL, that everything in it leads somewhere, and that its variables are explained.

Each check is also run on the files with one thing broken.
"""

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.terraform import terraform_files as terraform
from tests.terraform.terraform_values import Values

FILES = terraform.read()
EXAMPLE = (terraform.FOLDER / "terraform.tfvars.example").read_text("utf-8")
GIVEN = {"project_id": "my-project"}


@pytest.fixture(scope="module")
def configuration() -> terraform.Configuration:
    return terraform.parse(FILES)


def broken(name: str, old: str, new: str) -> terraform.Configuration:
    return terraform.parse(terraform.changed(FILES, name, old, new))


def used(configuration: terraform.Configuration) -> set[str]:
    """The addresses that something refers to; a variable's own validation does not use it."""
    blocks = [block for block in configuration.blocks if block.kind != "variable"]
    return {reference.address for block in blocks for reference in terraform.references(block)}


def compute_all(configuration: terraform.Configuration) -> int:
    """Computes each expression of each resource and output; how many instances there are."""
    values = Values(configuration, GIVEN)
    bodies = [body for address in configuration.resources for body in values.instances(address).values()]
    for body in bodies:
        body.everything()
    for name in configuration.outputs:
        values.output(name)
    return len(bodies)


def test_the_files_are_hcl(configuration):
    assert configuration.resources and configuration.variables and configuration.outputs


def test_a_brace_too_few_is_noticed():
    with pytest.raises(terraform.TerraformError, match=r"apis\.tf:\d+: expected HCL"):
        broken("apis.tf", "toset([", "toset(")


def test_an_argument_or_a_name_that_is_there_twice_is_noticed():
    with pytest.raises(terraform.TerraformError, match="name is there twice"):
        broken("storage.tf", "  location", '  name = "another"\n  location')
    with pytest.raises(terraform.TerraformError, match="google_storage_bucket.input is already in"):
        broken("storage.tf", '"google_storage_bucket" "output"', '"google_storage_bucket" "input"')


def test_every_reference_leads_to_something(configuration):
    assert terraform.unresolved(configuration) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", "= var.region", "= var.regoin", "var.regoin"),
        ("storage.tf", "= local.input_bucket", "= local.inputs_bucket", "local.inputs_bucket"),
        ("names.tf", "gs://${local.output_bucket}/", "gs://${local.output_buckt}/", "local.output_buckt"),
        ("permissions.tf", "google_service_account.landing.member", "google_service_account.land.member", ".land.m"),
        ("names.tf", "data.google_project.this.number", "data.google_project.that.number", "data.google_project.that"),
        ("storage.tf", "[google_project_service.needed]", "[google_project_service.all]", "_service.all"),
        ("training.tf", "jobs.value.stepId", "job.value.stepId", "job.value.stepId"),
        ("storage.tf", "= local.input_bucket", "= each.key", "each.key outside"),
        ("outputs.tf", "google_pubsub_topic.documents.id", "google_pubsub_topic.document.id", "topic.document.id"),
    ],
)  # fmt: skip
def test_a_misspelt_reference_is_noticed(name, old, new, found):
    (problem,) = terraform.unresolved(broken(name, old, new))
    assert found in problem and problem.startswith(f"{name}:")


def test_nothing_depends_on_itself(configuration):
    assert terraform.cycles(configuration.dependencies()) == []


def test_a_circle_is_noticed():
    circle = broken("pubsub.tf", '"topic-brigade-dead-letter"', "google_pubsub_subscription.classify.name")
    found = terraform.cycles(circle.dependencies())
    assert {"google_pubsub_subscription.classify", "google_pubsub_topic.dead_letter"} in map(set, found)


def test_every_expression_can_be_computed(configuration):
    assert compute_all(configuration) >= len(configuration.resources)


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("training.tf", "local.workflow.dagTimeout", "local.workflow.dagTimeOut", "dagTimeOut"),
        ("training.tf", "jobs.value.stepId", "jobs.value.step", "'step'"),
        ("training.tf", "/../workflow_template.yaml", "/../workflow_templates.yaml", "a file at"),
        ("storage.tf", "${each.value}", "${each.value.path}", "'path'"),
        ("functions.tf", "tostring(local.threads)", "to_string(local.threads)", "to_string"),
    ],
)
def test_an_expression_that_cannot_be_computed_is_noticed(name, old, new, found):
    with pytest.raises(terraform.TerraformError, match=re.escape(found)):
        compute_all(broken(name, old, new))


def test_every_variable_has_a_type_and_a_description_and_is_used(configuration):
    for name, block in configuration.variables.items():
        assert {"type", "description"} <= block.attributes.keys(), f"{block.where}: {name}"
    assert {f"var.{name}" for name in configuration.variables} - used(configuration) == set()


def test_every_local_value_is_used_and_every_output_described(configuration):
    assert {f"local.{name}" for name in configuration.locals} - used(configuration) == set()
    assert [name for name, block in configuration.outputs.items() if "description" not in block.attributes] == []


def test_a_variable_that_nobody_uses_is_noticed():
    more = {**FILES, "more.tf": 'variable "more" {\n  type = string\n  description = "More."\n}\n'}
    configuration = terraform.parse(more)
    assert "var.more" in {f"var.{name}" for name in configuration.variables} - used(configuration)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_id", "My_Project"),
        ("project_id", "short"),
        ("schedule_anchor", "2026-01-06"),
        ("schedule_anchor", "Monday"),
    ],
)
def test_a_variable_s_validation_takes_its_default_and_refuses_a_wrong_value(configuration, name, value):
    assert Values(configuration, GIVEN).refusals(name) == []
    assert len(Values(configuration, {name: value}).refusals(name)) == 1


def explained(text: str) -> dict[str, tuple[str, str]]:
    """Variable → the comment above it and its value, in a text with `# name = value` below each comment."""
    found = {}
    for paragraph in re.split(r"\n\s*\n", text):
        *comment, last = paragraph.strip().splitlines()
        match = re.fullmatch(r"#? ?(\w+) *= (.+)", last)
        if match:
            found[match[1]] = (" ".join(line.removeprefix("#").strip() for line in comment), match[2])
    return found


def test_the_example_explains_every_variable_and_shows_its_default(configuration):
    example, values = explained(EXAMPLE), Values(configuration, {})
    assert example.keys() == configuration.variables.keys()
    for name, block in configuration.variables.items():
        comment, text = example[name]
        assert len(comment) > 10, f"{name}: expected a comment above it"
        if "default" in block.attributes:
            shown = values.value(terraform.expression(text, "terraform.tfvars.example"), {})
            assert shown == values.variable(name), f"{name}: the example shows another value than its default"
        else:
            assert "No default" in comment, f"{name}: expected the example to say that it has no default"


def test_a_comment_alone_is_no_explanation_of_the_next_variable():
    example = explained('# About all of it.\n\n# Where it runs, and why.\n# region = "r"\n\n# days = 3\n')
    assert example == {"region": ("Where it runs, and why.", '"r"'), "days": ("", "3")}


def test_each_provider_is_pinned_to_one_version(configuration):
    values = Values(configuration, {})
    providers = {name: values.value(tree, {}) for name, tree in configuration.required_providers().items()}
    assert providers
    for name, provider in providers.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", provider["version"]), f"{name}: expected one version, found {provider}"
        assert provider["source"] == f"hashicorp/{name}"


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on PATH")
def test_terraform_itself_would_format_nothing_otherwise():
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", str(terraform.FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_finding_of_checkov_that_is_accepted_has_a_reason():
    files = [*terraform.FOLDER.glob("*.tf"), *ROOT.glob("Dockerfile*"), *ROOT.glob(".github/**/*.yml")]
    accepted = [line.strip() for path in files for line in path.read_text("utf-8").splitlines() if "checkov:" in line]
    assert accepted
    assert [line for line in accepted if not re.fullmatch(r"# ?checkov:skip=CKV2?_[A-Z]+_\d+:.{20,}", line)] == []
