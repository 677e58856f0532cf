"""terraform/ next to the providers' own schemas: every argument and block is one that its resource has at that place.

Each check is also run on the files with one thing broken.
"""

import shutil

import pytest

from tests.terraform import terraform_files as terraform
from tests.terraform import terraform_schema as schema
from tests.terraform.terraform_values import Values

pytestmark = pytest.mark.terraform

FILES = terraform.read()
FUNCTION = '  name        = "classify"'


@pytest.fixture(scope="module")
def configuration() -> terraform.Configuration:
    return terraform.parse(FILES)


@pytest.fixture(scope="module")
def schemas(configuration) -> dict[str, schema.Schema]:
    wanted = [*configuration.resources.values()]
    try:
        return {name: schema.Schema(name, schema.fetch(name), wanted) for name in schema.PACKAGES}
    except schema.NotThere as error:
        pytest.skip(str(error))


def test_the_pinned_providers_are_those_of_the_schemas(configuration, schemas):
    values = Values(configuration, {})
    pinned = {name: values.value(tree, {})["version"] for name, tree in configuration.required_providers().items()}
    assert pinned == {name: found.version() for name, found in schemas.items()}


def test_every_argument_and_block_is_one_that_its_provider_knows_and_none_is_missing(configuration, schemas):
    assert schema.problems(configuration, schemas) == []


def test_every_value_is_one_that_its_provider_takes(configuration, schemas):
    values = Values(configuration, {"project_id": "my-project"})
    assert schema.wrong_types(configuration, schemas, values) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "expected", "found"),
    [
        # misspelt: an argument, one in a nested block, one in a dynamic block, a block, a data source's, a provider's
        ("storage.tf", "uniform_bucket_level_access", "uniform_access", "bucket_level", "found uniform_access"),
        ("functions.tf", "available_memory ", "available_memory_mb ", "available_memory", "available_memory_mb"),
        ("training.tf", "step_id  ", "stepid  ", "step_id", "stepid"),
        ("storage.tf", "soft_delete_policy {", "soft_delete {", "soft_delete_policy", "soft_delete"),
        ("training.tf", '"secondary_worker_config"', '"spot_worker_config"', "worker_config", "found spot_"),
        ("functions.tf", "source_dir  ", "source_folder  ", "source_dir", "source_folder"),
        ("versions.tf", "  region  =", "  regions  =", "region", "regions"),
        # misplaced: an argument of the block around it, a block of the resource in another block
        ("functions.tf", FUNCTION, f'{FUNCTION}\n  runtime = "python312"', "such as", "found runtime"),
        ("pubsub.tf", "  push_config {", "  push_config {\n    retry_policy {\n    }", "such as", "found retry_policy"),
        # an argument as a block, a block as an argument
        ("functions.tf", "  environment_variables = {", "  environment_variables {", "an argument", "found a block"),
        ("storage.tf", "  versioning {", "  versioning = {", "versioning as a block", "found an argument"),
        # missing: an argument, one in a nested block, a block
        ("storage.tf", "  location                    = var.region\n", "", "the argument location", "found none"),
        ("training.tf", "  name             = local.template_name\n", "", "the argument name", "found none"),
        ("storage.tf", "    enabled = true\n", "", "the argument enabled", "found none"),
        ("storage.tf", '    action {\n      type = "Delete"\n    }\n', "", "a block action", "found none"),
        # too often, not to be set, of no provider
        ("storage.tf", "  versioning {", "  versioning {\n enabled = false\n}\n  versioning {", "one block", "found 2"),
        ("storage.tf", "  location  ", '  self_link = "x"\n  location  ', "self_link", "can only be read"),
        ("storage.tf", 'google_storage_bucket" "logs', 'google_storage_buckets" "logs', "of google", "_buckets"),
        ("versions.tf", 'data "google_project"', 'data "google_projet"', "a data source of google", "google_projet"),
        ("storage.tf", '"google_storage_bucket" "logs"', '"aws_s3_bucket" "logs"', "a provider whose", "found aws_s3"),
        # read: an attribute that is not there, one that is there in another block
        ("outputs.tf", "google_storage_bucket.input.name", "google_storage_bucket.input.nam", "name", "found nam"),
        ("outputs.tf", "classify.service_config[0].uri", "classify.service_config[0].url", "uri", "found url"),
        ("functions.tf", "google_service_account.build.id", "google_service_account.build.mail", "email", "found mail"),
        ("functions.tf", "serving.output_md5", "serving.md5", "output_md5", "found md5"),
    ],
)  # fmt: skip
def test_what_a_provider_would_refuse_is_noticed(schemas, name, old, new, expected, found):
    problems = schema.problems(terraform.parse(terraform.changed(FILES, name, old, new)), schemas)
    assert any(problem.startswith(f"{name}:") and expected in problem and found in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", 'matches_suffix = [".staged"]', 'matches_suffix = ".staged"', "expected string[], found"),
        ("storage.tf", "age            = 7", 'age            = "a week"', "expected number, found 'a week'"),
        ("network.tf", "subnetworks = false", 'subnetworks = "no"', "expected boolean, found 'no'"),
        ("training.tf", "main_python_file_uri = jobs", "main_python_file_uri = [jobs", "expected string, found ["),
        ("training.tf", "labels      = local.workflow.labels", "labels      = local.workflow.jobs", "expected {"),
        ("functions.tf", '"ALLOW_INTERNAL_ONLY"', '"INTERNAL_ONLY"', "expected one of ALLOW_ALL, ALLOW_INTERNAL_ONLY"),
        ("network.tf", '"AUTO_ONLY"', '"AUTO"', "expected one of MANUAL_ONLY, AUTO_ONLY; found AUTO"),
    ],
)  # fmt: skip
def test_a_value_that_its_provider_does_not_take_is_noticed(schemas, name, old, new, found):
    files = terraform.changed(FILES, name, old, new)
    if new.endswith("[jobs"):
        files = terraform.changed(files, name, "mainPythonFileUri\n", "mainPythonFileUri]\n")
    configuration = terraform.parse(files)
    (problem, *_) = schema.wrong_types(configuration, schemas, Values(configuration, {"project_id": "my-project"}))
    assert found in problem


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
