"""One name, one value: terraform/ says the same as the programs, the workflow template, the Makefile and the documents.

Nothing is listed here twice: names come from the Terraform files, and each place where people or programs name the same
thing is read as it stands.
"""

import re
from collections.abc import Iterator

import pytest
import yaml

from gcp import commands, demo, landing, resources
from tests.conftest import ROOT
from tests.deploy.test_workflow_template import parser_of
from tests.terraform.terraform_project import PROJECT, TEMPLATE_TEXT, here, only
from tests.test_readme import BY_HAND

ELSEWHERE = "europe-west4"
# Where people and programs name things: documents, settings, and all programs but tests and benchmarks.
WRITTEN = [
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "Makefile",
        "*.yaml",
        "Dockerfile*",
        "*.py",
        "*/*.py",
        "brigade/*/*.py",
        "gcp/*",
        ".ci/*",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and path.relative_to(ROOT).parts[0] not in ("tests", "benchmarks")
]


def words(pattern: str) -> Iterator[tuple[str, str]]:
    """(file, what the pattern's group found), of all that is written."""
    for path in WRITTEN:
        for found in re.findall(pattern, path.read_text("utf-8")):
            yield str(path.relative_to(ROOT)), found


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        (r"\btopic-brigade(?:-[a-z]+)*", "google_pubsub_topic"),
        (r"\bsub-(?:brigade|ml)(?:-[a-z]+)*", "google_pubsub_subscription"),
        (r"\bml_alerts\b", "google_pubsub_topic"),
        (r"\bworkflow-templates (?:import|instantiate) ([\w-]+)", "google_dataproc_workflow_template"),
        (r"/workflowTemplates/([a-z][\w-]+)", "google_dataproc_workflow_template"),
        (r"/subnetworks/([a-z][\w-]+)", "google_compute_subnetwork"),
        (r"\bgcloud functions (?:deploy|describe) ([\w-]+)", "google_cloudfunctions2_function"),
    ],
)
def test_what_is_written_names_what_terraform_makes(plan, pattern, kind):
    made, found = plan.named(kind), list(words(pattern))
    assert found and [(path, name) for path, name in found if name not in made] == []


def test_every_service_account_that_is_written_is_one_that_terraform_makes(plan):
    made = plan.named("google_service_account", "account_id")
    found = list(words(r"(?<![$\w-])([a-z][\w-]*)@(?:P|PROJECT|\$\w+|\$\{\w+\}|\{\w+\})\.iam\.gserviceaccount\.com"))
    assert found and [(path, name) for path, name in found if name not in made] == []
    mentioned = list(words(r"`(brigade-(?:landing|spark|trigger|scheduler|classify|predict|push|build)[\w-]*)`"))
    assert [(path, name) for path, name in mentioned if name not in made] == []


def test_every_bucket_that_is_written_is_one_that_terraform_makes(plan):
    made = {name.removeprefix(f"{PROJECT}-ml-") for name in plan.named("google_storage_bucket")}
    found = [(path, a or b) for path, (a, b) in words(r"\bml_(?!alerts\b)(\w+)|(?<!sub-)\bml-([a-z]+)\b(?!@)")]
    assert found and [(path, name) for path, name in found if name not in made] == []


def test_there_is_one_region_by_default(plan):
    default = plan.variables["region"]
    found = list(words(r"\b((?:us|europe|asia|southamerica|australia|northamerica)-[a-z]+\d)\b(?!-[a-z]\b)"))
    assert {path for path, _ in found} >= {"workflow_template.yaml", "docs/by_hand.md"}
    assert [(path, region) for path, region in found if region != default] == []


def test_every_region_follows_the_variable(terraform, plan):
    default = plan.variables["region"]
    for one in terraform.plan(project_id=PROJECT, region=ELSEWHERE).resources:
        assert default not in str(one), f"{one.address} stays in {default}"


def test_everything_bears_the_project_s_name(plan):
    for bucket in plan.all_of("google_storage_bucket"):
        assert bucket["name"].startswith(f"{PROJECT}-ml-")


def test_the_commands_of_make_know_terraform_s_outputs_and_names(terraform, plan):
    asked = {name for module in (demo, landing) for name in module.OUTPUTS}
    assert asked <= plan.outputs.keys()
    assert plan.variables["region"] == commands.REGION
    assert terraform.local("landing_job", project_id=PROJECT) == commands.LANDING_JOB
    assert f"--job_name={commands.LANDING_JOB}" in BY_HAND


def test_gcp_down_keeps_the_buckets_that_terraform_would_not_empty(plan):
    labels = {bucket.name: bucket for bucket in plan.all_of("google_storage_bucket")}
    assert {name: f"{PROJECT}-ml-{name}" for name in labels} == {
        name: bucket["name"] for name, bucket in labels.items()
    }
    kept = {bucket["name"] for bucket in labels.values() if not bucket["force_destroy"]}
    assert {f"{PROJECT}-{name}" for name in resources.DATA_BUCKETS} == kept


def test_landing_understands_what_make_gcp_landing_tells_it(plan):
    given = landing.job_flags(
        PROJECT, commands.LANDING_JOB, [str(plan.outputs[name]) for name in landing.OUTPUTS], 3, False
    )
    own, beam = parser_of("pubsub_gcs.py")(given)
    assert own.input_subscription.rsplit("/", 1)[1] in plan.named("google_pubsub_subscription")
    known = beam.get_all_options()
    assert known["subnetwork"].rsplit("/", 1)[1] in plan.named("google_compute_subnetwork")
    assert known["service_account_email"] == plan.outputs["landing_service_account"]
    template = yaml.safe_load(here(TEMPLATE_TEXT))
    assert f"{own.output_path.rstrip('/')}/" == template["jobs"][0]["pysparkJob"]["args"][0]


def test_what_is_removed_after_a_while_lies_where_the_programs_put_it(plan):
    flags = landing.job_flags(
        PROJECT, commands.LANDING_JOB, [str(plan.outputs[name]) for name in landing.OUTPUTS], 3, False
    )
    dead_letters = next(flag.split("=")[1] for flag in flags if flag.startswith("--dead_letter_path="))
    convert = yaml.safe_load(here(TEMPLATE_TEXT))["jobs"][0]["pysparkJob"]["args"]
    written = {dead_letters.rstrip("/"), convert[convert.index("--quarantine_path") + 1].rstrip("/")}
    rules = plan.instances("google_storage_bucket.input")[None]["lifecycle_rule"]
    prefixes = {prefix for rule in rules for prefix in only(rule, "condition")["matches_prefix"] or ()}
    assert {f"gs://{plan.outputs['input_bucket']}/{prefix.rstrip('/')}" for prefix in prefixes} == written
    suffixes = {suffix for rule in rules for suffix in only(rule, "condition")["matches_suffix"] or ()}
    code = (ROOT / "brigade" / "landing" / "files.py").read_text("utf-8")
    assert suffixes and all(f'{suffix}"' in code for suffix in suffixes)


def test_no_rule_removes_by_age_what_a_running_streaming_job_still_reads(plan):
    flags = landing.job_flags(
        PROJECT, commands.LANDING_JOB, [str(plan.outputs[name]) for name in landing.OUTPUTS], 3, False
    )
    bucket = f"gs://{plan.outputs['temp_bucket']}/"
    places = [flag.partition(bucket)[2] for flag in flags if bucket in flag]
    assert places
    rules = plan.instances("google_storage_bucket.temp")[None]["lifecycle_rule"]
    for rule in rules:
        prefixes = only(rule, "condition")["matches_prefix"]
        assert prefixes, "without a prefix it removes the job's program, which each new worker reads"
        for place in places:
            assert not any(f"{place}/".startswith(prefix) or prefix.startswith(f"{place}/") for prefix in prefixes)
