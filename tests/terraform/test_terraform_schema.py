"""terraform/ next to the providers' own schemas: every argument and block is one that its resource has at that place,
and every value one that it takes.

Terraform says so, and each check is also run on the files with one thing broken.
"""

import shutil

import pytest

from tests.terraform import terraform_schema as schema
from tests.terraform.terraform_files import changed, types
from tests.terraform.terraform_run import FILES

pytestmark = pytest.mark.terraform

FUNCTION = '  name        = "${local.prefix}classify"'
GIVEN = {"project_id": "my-project"}


def test_the_pinned_providers_are_those_of_the_schemas(terraform):
    wanted = [one[1:] for one in types(FILES)]
    schemas = {name: schema.Schema(name, schema.fetch(name), wanted) for name in schema.PACKAGES}
    providers = terraform.plan(**GIVEN).configuration["provider_config"]
    pinned = {name: provider["version_constraint"] for name, provider in providers.items()}
    assert pinned == {name: found.version() for name, found in schemas.items()}


def test_every_argument_and_block_is_one_that_its_provider_knows_and_none_is_missing(terraform):
    assert terraform.problems(FILES) == []


def test_every_value_is_one_that_its_provider_takes(terraform):
    assert terraform.problems(FILES, **GIVEN) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "what", "which"),
    [
        # misspelt: an argument, one in a nested block, one in a dynamic block, a block, a data source's, a provider's
        ("storage.tf", "uniform_bucket_level_access", "uniform_access", "Unsupported argument", '"uniform_access"'),
        ("functions.tf", "available_memory ", "available_memory_mb ", "Unsupported argument", '"available_memory_mb"'),
        ("training.tf", "step_id  ", "stepid  ", "Unsupported argument", 'mean "step_id"?'),
        ("storage.tf", "soft_delete_policy {", "soft_delete {", "Unsupported block", 'type "soft_delete"'),
        ("training.tf", '"secondary_worker_config"', '"spot_worker_config"', "Unsupported block", 'type "spot_'),
        ("functions.tf", "source_dir  ", "source_folder  ", "Unsupported argument", '"source_folder"'),
        ("versions.tf", "  region  =", "  regions  =", "Unsupported argument", 'mean "region"?'),
        # misplaced: an argument of the block around it, a block of the resource in another block
        ("functions.tf", FUNCTION, f'{FUNCTION}\n  runtime = "python312"', "Unsupported argument", '"runtime"'),
        ("pubsub.tf", "  push_config {", "  push_config {\n    retry_policy {\n    }", "Unsupported block", "retry_p"),
        # an argument as a block, a block as an argument
        ("functions.tf", "  environment_variables = {", "  environment_variables {", "to define argument", "block"),
        ("storage.tf", "  versioning {", "  versioning = {", "to define a block", "argument"),
        # missing: an argument, one in a nested block, a block
        ("storage.tf", "  location                    = var.region\n", "", "Missing required", '"location"'),
        ("training.tf", "  name             = local.template_name\n", "", "Missing required", '"name"'),
        ("storage.tf", "    enabled = true\n", "", "Missing required", '"enabled"'),
        ("storage.tf", '    action {\n      type = "Delete"\n    }\n', "", "Insufficient", "At least 1"),
        # too often, not to be set, of no provider
        ("storage.tf", "  versioning {", "  versioning {\n enabled = false\n}\n  versioning {", "Too many", "than 1"),
        ("storage.tf", "  location  ", '  self_link = "x"\n  location  ', "self_link", "can only be read"),
        ("storage.tf", 'google_storage_bucket" "logs', 'google_storage_buckets" "logs', "resource type", "_buckets"),
        ("versions.tf", 'data "google_project"', 'data "google_projet"', "Invalid data source", "google_projet"),
        ("storage.tf", '"google_storage_bucket" "logs"', '"aws_s3_bucket" "logs"', "required provider", "aws"),
        # read: an attribute that is not there, one that is there in another block
        ("outputs.tf", "google_storage_bucket.input.name", "google_storage_bucket.input.nam", "Unsupported", '"name"?'),
        ("outputs.tf", "classify.service_config[0].uri", "classify.service_config[0].url", "Unsupported", '"uri"?'),
        ("functions.tf", "google_service_account.build.id", "google_service_account.build.mail", "Unsup", '"email"'),
        ("functions.tf", "serving.output_md5", "serving.md5", "Unsupported", 'named "md5"'),
    ],
)  # fmt: skip
def test_what_a_provider_would_refuse_is_noticed(terraform, name, old, new, what, which):
    noticed = terraform.problems(changed(FILES, name, old, new))
    places = (f"{name}:", "Missing required provider")
    assert any(one.startswith(places) and what in one and which in one for one in noticed), noticed


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", 'matches_suffix = [".staged"]', 'matches_suffix = ".staged"', 'suffix": list of string'),
        ("storage.tf", "age            = 7", 'age            = "a week"', '"age": a number is required'),
        ("network.tf", "subnetworks = false", 'subnetworks = "no"', "a bool is required"),
        ("training.tf", "main_python_file_uri = jobs", "main_python_file_uri = [jobs", "string required"),
        ("training.tf", "labels      = each.value.labels", "labels      = each.value.jobs", "map of string"),
        ("functions.tf", '"ALLOW_INTERNAL_ONLY"', '"INTERNAL_ONLY"', "expected one of ALLOW_ALL, ALLOW_INTERNAL_ONLY"),
        ("network.tf", '"AUTO_ONLY"', '"AUTO"', "expected one of MANUAL_ONLY, AUTO_ONLY; found AUTO"),
    ],
)  # fmt: skip
def test_a_value_that_its_provider_does_not_take_is_noticed(terraform, name, old, new, found):
    files = changed(FILES, name, old, new)
    if new.endswith("[jobs"):
        files = changed(files, name, "mainPythonFileUri\n", "mainPythonFileUri]\n")
    (problem, *_) = terraform.problems(files, **GIVEN)
    assert problem.startswith(f"{name}:") and found in problem


def test_a_package_that_is_not_what_it_was_is_noticed(tmp_path):
    name, version, _ = schema.PACKAGES["archive"]
    (tmp_path / f"cdktf-provider-archive-{version}.tgz").write_bytes(b"another package")
    with pytest.raises(ValueError, match="expected sha512-2Plw.* delete it"):
        schema.fetch("archive", tmp_path)


def test_without_npm_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(schema.NotThere, match="npm is not on PATH"):
        schema.fetch("archive", tmp_path)


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not on PATH")
def test_without_the_registry_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(schema.NotThere, match="npm could not bring @cdktf/provider-archive"):
        schema.fetch("archive", tmp_path)
