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
from tests.terraform.terraform_project import CONFIGURATION, PROJECT, TEMPLATE_TEXT, VALUES, here, known_or, named, only
from tests.terraform.terraform_values import Values
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
def test_what_is_written_names_what_terraform_makes(pattern, kind):
    made, found = named(kind), list(words(pattern))
    assert found and [(path, name) for path, name in found if name not in made] == []


def test_every_service_account_that_is_written_is_one_that_terraform_makes():
    made = named("google_service_account", "account_id")
    found = list(words(r"(?<![$\w-])([a-z][\w-]*)@(?:P|PROJECT|\$\w+|\$\{\w+\}|\{\w+\})\.iam\.gserviceaccount\.com"))
    assert found and [(path, name) for path, name in found if name not in made] == []
    mentioned = list(words(r"`(brigade-(?:landing|spark|trigger|scheduler|classify|predict|push|build)[\w-]*)`"))
    assert [(path, name) for path, name in mentioned if name not in made] == []


def test_every_bucket_that_is_written_is_one_that_terraform_makes():
    made = {name.removeprefix(f"{PROJECT}-ml-") for name in named("google_storage_bucket")}
    found = [(path, a or b) for path, (a, b) in words(r"\bml_(?!alerts\b)(\w+)|(?<!sub-)\bml-([a-z]+)\b(?!@)")]
    assert found and [(path, name) for path, name in found if name not in made] == []


def test_there_is_one_region_by_default():
    default = VALUES.variable("region")
    found = list(words(r"\b((?:us|europe|asia|southamerica|australia|northamerica)-[a-z]+\d)\b(?!-[a-z]\b)"))
    assert {path for path, _ in found} >= {"workflow_template.yaml", "docs/by_hand.md"}
    assert [(path, region) for path, region in found if region != default] == []


def test_every_region_follows_the_variable():
    elsewhere = Values(CONFIGURATION, {"project_id": PROJECT, "region": ELSEWHERE})
    for address, block in CONFIGURATION.resources.items():
        for body in elsewhere.instances(address).values():
            text = str(body.everything())
            assert VALUES.variable("region") not in text, f"{block.where} stays in {VALUES.variable('region')}"


def test_everything_bears_the_project_s_name():
    for body in VALUES.all_of("google_storage_bucket"):
        assert body.get("name").startswith(f"{PROJECT}-ml-")


def test_the_commands_of_make_know_terraform_s_outputs_and_names():
    asked = {name for module in (demo, landing) for name in module.OUTPUTS}
    assert asked <= CONFIGURATION.outputs.keys()
    assert VALUES.variable("region") == commands.REGION
    assert VALUES.local("landing_job") == commands.LANDING_JOB
    assert f"--job_name={commands.LANDING_JOB}" in BY_HAND


def test_gcp_down_keeps_the_buckets_that_terraform_would_not_empty():
    labels = {body.block.labels[1]: body for body in VALUES.all_of("google_storage_bucket")}
    assert {name: f"{PROJECT}-ml-{name}" for name in labels} == {
        name: body.get("name") for name, body in labels.items()
    }
    kept = {body.get("name") for body in labels.values() if body.block.attributes.get("force_destroy") is None}
    assert {f"{PROJECT}-{name}" for name in resources.DATA_BUCKETS} == kept


def test_landing_understands_what_make_gcp_landing_tells_it():
    given = landing.job_flags(PROJECT, [str(VALUES.output(name)) for name in landing.OUTPUTS], 3, False)
    own, beam = parser_of("pubsub_gcs.py")(given)
    assert own.input_subscription.rsplit("/", 1)[1] in named("google_pubsub_subscription")
    known = beam.get_all_options()
    assert known["subnetwork"].rsplit("/", 1)[1] in named("google_compute_subnetwork")
    assert known["service_account_email"] == VALUES.output("landing_service_account")
    template = yaml.safe_load(here(TEMPLATE_TEXT))
    assert f"{own.output_path.rstrip('/')}/" == template["jobs"][0]["pysparkJob"]["args"][0]


def test_what_is_removed_after_a_while_lies_where_the_programs_put_it():
    flags = landing.job_flags(PROJECT, [str(VALUES.output(name)) for name in landing.OUTPUTS], 3, False)
    dead_letters = next(flag.split("=")[1] for flag in flags if flag.startswith("--dead_letter_path="))
    convert = yaml.safe_load(here(TEMPLATE_TEXT))["jobs"][0]["pysparkJob"]["args"]
    written = {dead_letters.rstrip("/"), convert[convert.index("--quarantine_path") + 1].rstrip("/")}
    rules = VALUES.instances("google_storage_bucket.input")[None].inside("lifecycle_rule")
    prefixes = {prefix for rule in rules for prefix in known_or(only(rule, "condition"), "matches_prefix")}
    assert {f"gs://{VALUES.output('input_bucket')}/{prefix.rstrip('/')}" for prefix in prefixes} == written
    suffixes = {suffix for rule in rules for suffix in known_or(only(rule, "condition"), "matches_suffix")}
    code = (ROOT / "brigade" / "landing" / "files.py").read_text("utf-8")
    assert suffixes and all(f'{suffix}"' in code for suffix in suffixes)


def test_no_rule_removes_by_age_what_a_running_streaming_job_still_reads():
    flags = landing.job_flags(PROJECT, [str(VALUES.output(name)) for name in landing.OUTPUTS], 3, False)
    bucket = f"gs://{VALUES.output('temp_bucket')}/"
    places = [flag.partition(bucket)[2] for flag in flags if bucket in flag]
    assert places
    rules = VALUES.instances("google_storage_bucket.temp")[None].inside("lifecycle_rule")
    for rule in rules:
        prefixes = known_or(only(rule, "condition"), "matches_prefix")
        assert prefixes, "without a prefix it removes the job's program, which each new worker reads"
        for place in places:
            assert not any(f"{place}/".startswith(prefix) or prefix.startswith(f"{place}/") for prefix in prefixes)
