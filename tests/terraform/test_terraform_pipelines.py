"""The pipeline that Terraform deploys, and several of them side by side in one project."""

import json
import re

import pytest
import yaml

from brigade.pipelines.load import load, names
from tests.terraform.terraform_files import changed
from tests.terraform.terraform_project import MONITOR_TEXT, PROJECT, TEMPLATE_TEXT, here, only
from tests.terraform.terraform_run import FILES, Plan, Refused, Resource

URI = "gs://brigade-p-tickets-ml-input/pipelines/tickets.yaml"
WINE = {"project_id": PROJECT, "pipeline": "wine", "prefix": "wine"}
# By which of its values Google knows a thing, within a project; by its name where nothing stands here.
IDS = {
    "google_artifact_registry_repository": "repository_id",
    "google_monitoring_alert_policy": "display_name",
    "google_monitoring_dashboard": "dashboard_json",
    "google_monitoring_notification_channel": "display_name",
    "google_project_iam_custom_role": "role_id",
    "google_service_account": "account_id",
}
# Programs lie in a bucket of the prefix; an API is switched on for all.
SHARED = ("google_project_service", "google_storage_bucket_object")


@pytest.fixture
def wine(terraform) -> Plan:
    return terraform.plan(**WINE)


def made(plan: Plan) -> list[Resource]:
    """What has a name of its own in the project: no grants, no data sources, no archives."""
    return [
        one
        for one in plan.resources
        if one.type.startswith("google_")
        and not one.type.endswith("_iam_member")
        and not one.address.startswith("data.")
        and one.type not in SHARED
    ]


def own_names(plan: Plan) -> set[tuple[str, str]]:
    found = set()
    for one in made(plan):
        value = one[IDS.get(one.type, "name")]
        if one.type == "google_monitoring_dashboard":
            value = json.loads(value)["displayName"]
        assert value, one.address
        found.add((one.type, value))
    assert len(found) == len(made(plan))
    return found


def template_args(plan: Plan) -> dict[str, list[str]]:
    """The arguments of each step, by its template and its id."""
    templates = plan.all_of("google_dataproc_workflow_template")
    return {f"{one.key} {job['step_id']}": only(job, "pyspark_job")["args"] for one in templates for job in one["jobs"]}


def environments(plan: Plan) -> list[dict]:
    functions = plan.all_of("google_cloudfunctions2_function")
    return [only(one, "service_config")["environment_variables"] for one in functions]


def test_without_a_word_of_it_the_pipeline_is_that_of_documents(plan):
    assert (plan.outputs["pipeline"], plan.outputs["prefix"]) == ("documents", "")
    said = {"retrain": yaml.safe_load(here(TEMPLATE_TEXT)), "monitor": yaml.safe_load(here(MONITOR_TEXT))}
    assert template_args(plan) == {
        f"{name} {job['stepId']}": job["pysparkJob"]["args"] for name in said for job in said[name]["jobs"]
    }
    assert {env["MODEL_PREFIX"] for env in environments(plan)} == {"doc-classification-model"}


@pytest.mark.parametrize("name", names())
def test_a_named_definition_says_what_is_trained_and_which_models_serve(terraform, name):
    plan = terraform.plan(project_id=PROJECT, pipeline=name)
    for args in template_args(plan).values():
        assert args[-2:] == ["--pipeline", name]
    found = {env["MODEL_PREFIX"] for env in environments(plan)}
    assert len(environments(plan)) == 3 and found == {load(name).model_prefix}


def test_a_definition_of_one_s_own_is_a_uri_and_its_models_prefix(terraform):
    plan = terraform.plan(project_id=PROJECT, pipeline=URI, model_prefix="ticket-model")
    assert [args[-2:] for args in template_args(plan).values()] == [["--pipeline", URI]] * 4
    assert {env["MODEL_PREFIX"] for env in environments(plan)} == {"ticket-model"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pipeline": URI}, f"Expected model_prefix beside the URI {URI}, found none."),
        ({"pipeline": "beer"}, "Expected pipeline to be one of documents, sales, wine, or a gs:// URI, found beer."),
        ({"pipeline": "wine", "model_prefix": "beer-model"}, "Expected model_prefix wine-model, as the definition"),
    ],
)
def test_what_does_not_fit_is_told(terraform, given, said):
    with pytest.raises(Refused, match=re.escape(said)):
        terraform.plan(project_id=PROJECT, **given)


def test_two_pipelines_of_a_project_have_no_name_in_common(plan, wine):
    assert len(made(plan)) == len(made(wine)) > 40
    assert own_names(plan) & own_names(wine) == set()
    assert {name for _, name in own_names(plan) if "wine" in name} == set()
    assert [name for _, name in own_names(wine) if "wine" not in name] == []


def test_a_prefix_leaves_every_name_within_what_google_takes(terraform):
    longest = terraform.plan(project_id=f"p{29 * '0'}", prefix="a" * 12)
    assert all(len(name) <= 30 for name in longest.named("google_service_account", "account_id"))
    assert all(len(name) <= 63 for name in longest.named("google_storage_bucket"))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", name) for name in longest.named("google_compute_network"))
    for template in longest.all_of("google_dataproc_workflow_template"):
        assert len(only(template, "placement", "managed_cluster")["cluster_name"]) <= 35
    (role,) = longest.all_of("google_project_iam_custom_role")
    assert re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", role["role_id"])


def strangers(plan: Plan) -> dict[str, list[str]]:
    """Where a plan with a prefix names what has none: address → what it names there."""
    names = r"(?:sub|topic)-brigade|sub-ml|ml_alerts|brigade[-_]\w|brigadeRetrain|retrain-trigger|PROJECT-ml-"
    found = {}
    for one in plan.resources:
        said = json.dumps({key: value for key, value in one.items() if key != "build_config"}).replace('\\"', '"')
        said = said.replace(PROJECT, "PROJECT")
        words = re.findall(rf'(?<![\w-])(?:{names})|"(?:classify|predict)\\*"', said)
        if words:
            found[one.address] = words
    return found


def test_nothing_of_a_second_pipeline_leads_to_the_first_one(wine):
    """No filter, grant, environment, address or command has a name of the other."""
    assert strangers(wine) == {}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("names.tf", '"${local.prefix}brigade-landing"', '"brigade-landing"'),
        (
            "names.tf",
            '"${local.prefix}${local.workflows.retrain.placement.managedCluster.clusterName}"',
            '"${local.workflows.retrain.placement.managedCluster.clusterName}"',
        ),
        ("functions.tf", "= google_pubsub_topic.classified.name", '= "topic-brigade-classified"'),
        ("alarms_serving.tf", "${google_cloudfunctions2_function.classify.name}", "classify"),
        ("monitoring.tf", '"user/${local.underscore}brigade_"', '"user/brigade_"'),
    ],
)
def test_a_name_of_the_first_one_would_be_noticed(terraform, name, old, new):
    assert strangers(terraform.plan(changed(FILES, name, old, new), **WINE))


def test_the_dashboard_of_a_second_pipeline_shows_its_own_things(plan, wine):
    def shown(of: Plan) -> str:
        return of.all_of("google_monitoring_dashboard")[0]["dashboard_json"]

    first, second = shown(plan), shown(wine)
    assert json.loads(first)["displayName"] == "Brigade: from publication to classification"
    assert json.loads(second)["displayName"] == "Brigade wine: from publication to classification"
    for before, after in (
        ("topic-brigade", "wine-topic-brigade"),
        ("sub-brigade", "wine-sub-brigade"),
        ("brigade-landing", "wine-brigade-landing"),
        ("brigade-cluster", "wine-brigade-cluster"),
        ('\\"classify\\"', '\\"wine-classify\\"'),
        ('\\"predict\\"', '\\"wine-predict\\"'),
        ("user/brigade_", "user/wine_brigade_"),
        (f"{PROJECT}-ml-input", f"{PROJECT}-wine-ml-input"),
    ):
        assert first.count(before) == second.count(after) > 0, before
        assert second.replace(after, "").count(before) == 0, before
