"""terraform/ in the hands of the real terraform, with a stand-in for the providers that knows no more than they do: it
validates, plans, applies and destroys.
"""

import json
import re
import shutil

import pytest

from tests.terraform.terraform_files import changed
from tests.terraform.terraform_project import PROJECT, only
from tests.terraform.terraform_run import FILES, Terraform, flags

GIVEN = {"project_id": PROJECT}


@pytest.fixture(scope="module")
def place(tmp_path_factory, providers) -> Terraform:
    return Terraform(tmp_path_factory.mktemp("plan"), providers[0])


def test_terraform_finds_the_files_valid(place):
    assert "The configuration is valid" in place.run("validate", "-no-color")


def agrees(known: object, read: object) -> bool:
    """Whether all that is known in a value is the same in another."""
    if isinstance(known, dict) and isinstance(read, dict):
        return all(agrees(inner, read.get(name)) for name, inner in known.items())
    if isinstance(known, list) and isinstance(read, list):
        return len(known) == len(read) and all(map(agrees, known, read))
    return known is None or known == read


def test_what_is_known_in_a_plan_is_what_all_other_tests_read(place, terraform):
    known, read = place.plan(**GIVEN), terraform.plan(**GIVEN)
    assert [(one.address, one.key) for one in known.resources] == [(one.address, one.key) for one in read.resources]
    for one, other in zip(known.resources, read.resources, strict=True):
        assert agrees(one, other), (one, other)


def test_a_plan_with_every_variable_set_is_one_too(place):
    people, words = ["user:somebody@example.com", "group:some@example.com"], {"region": "europe-west4"}
    words |= {"schedule_anchor": "2026-02-02", "predict_ingress": "ALLOW_ALL", "project_id": "another-project"}
    words |= {"pipeline": "gs://some-data/pipelines/wine.yaml", "early_training": "on", "withdrawal": "on"}
    given = {}
    for name, default in place.plan(**GIVEN).variables.items():
        if isinstance(default, bool):
            given[name] = not default
        elif isinstance(default, int):
            given[name] = default + 1
        else:
            given[name] = people if default == [] else words.get(name, "one")
    grants = {one.key for one in place.plan(**given).resources if one.name in ("publishers", "operators")}
    assert grants == set(people)


def test_a_function_s_environment_is_known_when_it_is_planned(place, terraform):
    """Google's provider fails in the middle of an apply if it is not: hashicorp/terraform-provider-google#20969."""
    known, read = (one.plan(**GIVEN).all_of("google_cloudfunctions2_function") for one in (place, terraform))
    assert len(known) == 3
    for one, other in zip(known, read, strict=True):
        found = only(one, "service_config")["environment_variables"]
        assert found == only(other, "service_config")["environment_variables"] and None not in found.values()


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
    (problem,) = place.problems(**GIVEN | {variable: value})
    assert f'variable "{variable}"' in problem


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage.tf", "age = 7", 'age = "a week"', "a number is required"),
        ("functions.tf", "tostring(local.threads)", "tostring(local.threads, 1)", "Too many function arguments"),
        ("training.tf", "each.value.labels", "each.value.jobs", "map of string required"),
        ("permissions.tf", "= var.publishers", "= tolist(var.publishers)", "Invalid for_each argument"),
        ("permissions.tf", "= var.publishers", "= toset([google_pubsub_topic.alerts.id])", "Invalid for_each"),
        ("pubsub.tf", '"${local.prefix}topic-brigade-dead-letter"', "google_pubsub_subscription.classify.name",
         "Cycle"),
        ("outputs.tf", "service_config[0].uri", "service_config[0].url", "url"),
    ],
)  # fmt: skip
def test_what_only_terraform_can_know_is_noticed(place, name, old, new, found):
    noticed = place.problems(changed(FILES, name, old, new), **GIVEN)
    assert any(found in problem for problem in noticed), noticed


@pytest.mark.parametrize("minimum", [0, 1])
@pytest.mark.parametrize("images", [False, True])
def test_what_was_applied_is_not_changed_again_and_can_be_destroyed_and_applied_again(
    tmp_path, providers, images, minimum
):
    place = Terraform(tmp_path, providers[0])
    given = ["-input=false", "-no-color", *flags(GIVEN | {"images": images, "classify_min_instances": minimum})]
    assert "The configuration is valid" in place.run("validate", "-no-color")
    planned = re.search(r"Plan: (\d+) to add, 0 to change, 0 to destroy", place.run("plan", *given))
    state = place.folder / "terraform.tfstate"
    for _ in ("first", "again"):
        added = re.search(r"(\d+) added, 0 changed, 0 destroyed", place.run("apply", "-auto-approve", *given))
        assert added[1] == planned[1]
        outputs = json.loads(place.run("output", "-json"))
        assert outputs["input_bucket"]["value"] == f"{PROJECT}-ml-input"
        resources = json.loads(state.read_text())["resources"]
        found = {f"{one['type']}.{one['name']}": one["instances"] for one in resources}
        assert ("google_project_iam_member.build_deploy" in found) == images
        classify = found["google_cloudfunctions2_function.classify"][0]["attributes"]
        assert only(classify, "service_config")["min_instance_count"] == minimum
        assert "No changes" in place.run("plan", *given)
        assert f"{planned[1]} destroyed" in place.run("destroy", "-auto-approve", *given)
        assert json.loads(state.read_text())["resources"] == []


def test_an_address_that_is_taken_away_is_forgotten_by_the_alarms_before_it_goes(tmp_path, providers):
    """Google refuses to delete a channel that an alarm names: hashicorp/terraform-provider-google#3008."""
    place = Terraform(tmp_path, providers[0])
    given = ["-auto-approve", "-input=false", "-no-color", f"-var=project_id={PROJECT}"]
    place.run("apply", *given, "-var=alert_email=somebody@example.com")
    said = place.run("apply", *given)
    alarms = [at.end() for at in re.finditer(r"google_monitoring_alert_policy\.\w+: Modifications complete", said)]
    assert len(alarms) == sum(text.count('resource "google_monitoring_alert_policy"') for text in FILES.values())
    assert said.index("google_monitoring_notification_channel.email[0]: Destroying") > max(alarms)


def test_without_the_package_terraform_says_what_to_do(tmp_path, providers):
    place = Terraform(tmp_path, providers[0])
    shutil.rmtree(tmp_path / "build")
    said = "\n".join(place.problems(**GIVEN))
    for name in ("brigade.zip", "cloud_function", "scheduler"):
        assert re.search(rf"Expected \.\./build/{name}, found no such \w+\. Run `make package` first", said), said
