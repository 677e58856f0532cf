"""Who may do what: the Terraform files and SECURITY.md say the same, and nothing is given away that nobody needs.

Each rule is also run on the files with one grant made worse.
"""

import json
import re
from collections.abc import Callable

import pytest

from tests.terraform import terraform_permissions as permissions
from tests.terraform.terraform_files import FOLDER, changed
from tests.terraform.terraform_permissions import Grant
from tests.terraform.terraform_run import FILES, Plan, Resource

DOCUMENT = permissions.DOCUMENT.read_text("utf-8")


@pytest.fixture
def planned(terraform) -> Callable[[dict[str, str]], Plan]:
    """What Terraform plans for the example's project with those files."""
    return lambda files: permissions.of_example_project(terraform, files)


@pytest.fixture
def grants(planned) -> list[Grant]:
    return permissions.grants(planned(FILES))


def with_more(text: str) -> dict[str, str]:
    return {**FILES, "more.tf": text}


def broken(old: str, new: str, name: str = "permissions.tf") -> dict[str, str]:
    return changed(FILES, name, old, new)


def test_security_md_has_every_grant_and_no_other(grants):
    derived, documented = set(grants), permissions.documented(DOCUMENT).keys()
    how = "python -m tests.terraform.terraform_permissions prints the table as it is to be"
    assert derived - documented == set(), how
    assert documented - derived == set(), how


def test_every_row_of_security_md_says_why():
    assert [row for row, why in permissions.documented(DOCUMENT).items() if len(why) < 10] == []


def test_no_grant_is_there_twice(grants):
    assert len(set(grants)) == len(grants)


def test_the_permissions_of_custom_roles_are_those_of_security_md(planned):
    roles = planned(FILES).all_of("google_project_iam_custom_role")
    granted = {one for role in roles for one in role["permissions"]}
    prose = permissions.section(DOCUMENT).split("\n|")[0]
    assert set(re.findall(r"`([a-z]+\.\w+\.\w+)`", prose)) == granted


ROLES = json.loads((FOLDER.parent / "tests" / "gcp" / "google_roles.json").read_text("utf-8"))["roles"]
WRITING = {"storage.objects.create", "storage.objects.update", "storage.objects.delete"}


def writers(grants: list[Grant], bucket: str) -> set[str]:
    """Who may change what is in the bucket, by what Google's roles hold; a condition counts if it names the bucket."""
    found = set()
    for row in grants:
        if not WRITING & set(ROLES.get(row.role, ())):
            continue
        named, condition = f"bucket {bucket}" in row.on, row.on.partition(", if ")[2]
        if named or row.on.startswith("project") and (not condition or f"/buckets/{bucket}" in condition):
            found.add(row.identity)
    return found


def test_every_predefined_role_that_is_granted_is_known_by_its_permissions(grants):
    granted = {row.role for row in grants if row.role.startswith("roles/")}
    assert granted | {"roles/owner"} == ROLES.keys()


def test_only_the_build_may_write_where_the_programs_lie_and_only_training_and_operators_where_the_models_lie(grants):
    assert writers(grants, "<project>-ml-code") == {"brigade-build"}  # below templates/, with var.images
    by_itself = {"brigade-trigger"}  # with var.early_training and var.withdrawal
    assert writers(grants, "<project>-ml-output") == {"brigade-spark", "var.operators"} | by_itself
    assert writers(grants, "<project>-ml-input") == {"brigade-landing", "brigade-spark"}


def test_by_default_the_trigger_changes_nothing_where_the_models_lie(terraform):
    for given in ({}, {"early_training": "dry", "withdrawal": "off"}):
        rows = permissions.grants(terraform.plan(project_id=permissions.EXAMPLE, **given))
        assert writers(rows, "<project>-ml-output") == {"brigade-spark"}


@pytest.mark.parametrize(
    ("switch", "role", "may", "may_not"),
    [
        (
            "early_training", "roles/storage.objectCreator",
            ["output/history/20261129T074108.123456Z-8c1f09ab.json"],
            ["output/changed.json", "output/m-2026-01-05/manifest.json", "monitor/2026-01-05/findings.json"],
        ),
        (
            "withdrawal", "roles/storage.objectUser",
            ["output/history/a.json", "output/changed.json", "output/m-2026-01-05/manifest.json"],
            ["output/m-2026-01-05/runs/a/weights.safetensors", "output/changed.json2", "monitor/a/manifest.json"],
        ),
    ],
)  # fmt: skip
def test_what_the_trigger_may_write_once_it_shall_act_by_itself(terraform, switch, role, may, may_not):
    rows = permissions.grants(terraform.plan(project_id=permissions.EXAMPLE, **{switch: "on"}))
    assert writers(rows, "<project>-ml-output") == {"brigade-spark", "brigade-trigger"}
    condition = conditions(rows)["brigade-trigger", role]
    for name, wanted in [(one, True) for one in may] + [(one, False) for one in may_not]:
        assert holds(condition, f"projects/_/buckets/<project>-ml-output/objects/{name}") is wanted, name


@pytest.mark.parametrize("who", ["landing", "spark"])
def test_a_workers_role_without_its_condition_reaches_models_and_programs(planned, who):
    condition = re.search(
        rf'resource "google_project_iam_member" "{who}_worker".*?(\n  # The role .*?\n  }}\n)',
        FILES["permissions.tf"],
        re.S,
    )
    without = permissions.grants(planned(broken(condition[1], "")))
    for bucket in ("<project>-ml-code", "<project>-ml-output"):
        assert f"brigade-{who}" in writers(without, bucket)


def conditions(grants: list[Grant]) -> dict[tuple[str, str], str]:
    return {
        (row.identity, row.role): re.split(", with var", row.on.partition(", if ")[2])[0]
        for row in grants
        if ", if " in row.on
    }


def holds(condition: str, name: str, service: str = "storage.googleapis.com") -> bool:
    """Whether a grant counts for a resource; of IAM's expressions, what the files use."""
    python = condition.replace("resource.name.startsWith", "name.startswith")
    python = python.replace("resource.name.endsWith", "name.endswith").replace("resource.name", "name")
    python = python.replace("resource.service", "service").replace("&&", " and ").replace("||", " or ")
    return eval(re.sub(r"!(?!=)", " not ", python).strip(), {}, {"name": name, "service": service})


WORKERS = [("brigade-landing", "roles/dataflow.worker"), ("brigade-spark", "roles/dataproc.worker")]


@pytest.mark.parametrize("who", WORKERS)
def test_a_workers_role_counts_in_the_temporary_bucket_and_in_none_whose_name_only_begins_like_it(grants, who):
    condition, bucket = conditions(grants)[who], "projects/_/buckets/<project>-ml-temp"
    for name in (bucket, f"{bucket}/objects/dataflow/a"):
        assert holds(condition, name), name
    others = [bucket + end for end in ("-2", "orary", "-2/objects/a", "orary/objects/a")]
    for name in (*others, "projects/_/buckets/<project>-ml-code/objects/brigade.zip"):
        assert not holds(condition, name), name
        assert holds(condition, name, "compute.googleapis.com")


def test_the_build_reads_the_sources_of_its_own_region_alone(grants):
    """There are regions whose names begin like another's: europe-west1 and europe-west12."""
    condition = conditions(grants)["brigade-build", "roles/storage.objectViewer"]
    bucket = "projects/_/buckets/gcf-v2-sources-<project number>-us-central1"
    assert holds(condition, bucket) and holds(condition, f"{bucket}/objects/classify/function-source.zip")
    for name in (f"{bucket}2", f"{bucket}2/objects/a", "projects/_/buckets/<project>-ml-input/objects/a"):
        assert not holds(condition, name), name


def test_each_condition_on_a_bucket_names_the_whole_of_it(grants):
    found = conditions(grants)
    assert len(found) >= 4
    for condition in found.values():
        for prefix in re.findall(r'startsWith\("([^"]+)"\)', condition):
            assert re.match(r"projects/_/buckets/[^/]+/objects/", prefix), condition


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        (
            'role         = "roles/pubsub.viewer"',
            'role         = "roles/pubsub.editor"',
            Grant("brigade-landing", "roles/pubsub.editor", "subscription sub-brigade"),
        ),
        (
            "bucket = google_storage_bucket.code.name",
            "bucket = google_storage_bucket.logs.name",
            Grant("brigade-spark", "roles/storage.objectViewer", "bucket <project>-ml-logs"),
        ),
        (
            "member = google_service_account.predict.member",
            "member = google_service_account.push.member",
            Grant("brigade-push", "roles/storage.objectViewer", "bucket <project>-ml-output"),
        ),
        (
            "for_each = var.publishers",
            "for_each = var.operators",
            Grant("var.operators", "roles/pubsub.publisher", "topic topic-brigade"),
        ),
    ],
)
def test_a_grant_that_changes_changes_its_row(planned, grants, old, new, row):
    before, after = set(grants), set(permissions.grants(planned(broken(old, new))))
    assert (after - before, len(before - after)) == ({row}, 1)


def test_a_condition_is_part_of_its_row(planned, grants):
    (row,) = (row for row in grants if "gcf-v2-sources" in row.on)
    assert row.on.startswith("project, if resource.name == ")
    assert row not in permissions.grants(planned(broken("gcf-v2-sources-", "sources-")))


def test_a_grant_that_a_variable_switches_on_is_a_row_that_names_it(planned, grants):
    more = with_more(
        'variable "more" {\n  default = false\n}\n'
        'resource "google_storage_bucket_iam_member" "more" {\n  count = var.more ? 1 : 0\n'
        "  bucket = google_storage_bucket.logs.name\n  member = google_service_account.push.member\n"
        '  role = "roles/storage.objectCreator"\n  condition {\n    title = "t"\n    expression = "a, with b"\n  }\n}\n'
    )
    (added,) = set(permissions.grants(planned(more))) - set(grants)
    assert added.on == "bucket <project>-ml-logs, if a, with b, with var.more"
    printed = permissions.table([added], {added: "to see it"})
    assert "if `a, with b`, with `var.more`" in printed
    assert permissions.documented(f"\n{permissions.HEADING}\n{printed}\n") == {added: "to see it"}


def test_a_loop_is_one_row_for_each_of_its_members(planned, grants):
    more = with_more(
        'resource "google_storage_bucket_iam_member" "more" {\n'
        "  for_each = { landing = google_service_account.landing.member, push = google_service_account.push.member }\n"
        '  bucket = google_storage_bucket.logs.name\n  role = "roles/storage.objectCreator"\n  member = each.value\n}\n'
    )
    added = set(permissions.grants(planned(more))) - set(grants)
    assert {row.identity for row in added} == {"brigade-landing", "brigade-push"}


def test_a_kind_of_grant_that_the_table_does_not_know_is_noticed():
    said = {"type": "google_folder_iam_member", "name": "more", "mode": "managed"}
    more = Resource({**said, "values": {"member": "user:a@example.com", "role": "roles/x.y"}}, {})
    with pytest.raises(ValueError, match="found google_folder_iam_member"):
        permissions.grant(None, more)


def test_the_printed_table_is_the_one_that_is_read(grants):
    reasons = {row: f"reason {number}" for number, row in enumerate(grants)}
    printed = permissions.table(grants, reasons)
    document = f"# Security\n\n{permissions.HEADING}\n\nProse.\n\n{printed}\n\n## Other\n| a |\n"
    assert permissions.documented(document) == reasons


def test_nothing_is_given_away():
    assert permissions.given_away(FILES) == []


def test_no_role_and_no_permission_is_too_broad(planned):
    assert permissions.too_broad(planned(FILES)) == []


@pytest.mark.parametrize(
    "role",
    [
        "roles/owner", "roles/editor", "roles/viewer", "roles/pubsub.admin", "roles/iam.securityAdmin",
        "roles/storage.objectAdmin", "roles/resourcemanager.projectIamAdmin",
    ],
)  # fmt: skip
def test_a_role_that_is_too_broad_is_refused(planned, role):
    found = permissions.too_broad(planned(broken("roles/pubsub.viewer", role)))
    assert found == [f"google_pubsub_subscription_iam_member.landing_viewer: {role}"]


def test_a_role_that_is_too_broad_is_refused_behind_a_local_value_and_in_a_loop(planned):
    more = (
        'locals {\n  broad = "roles/storage.admin"\n}\n'
        'resource "google_storage_bucket_iam_member" "more" {\n'
        "  for_each = { a = local.broad }\n"
        "  bucket = google_storage_bucket.logs.name\n  role = each.value\n"
        "  member = google_service_account.push.member\n}\n"
    )
    found = permissions.too_broad(planned(with_more(more)))
    assert found == ["google_storage_bucket_iam_member.more: roles/storage.admin"]


@pytest.mark.parametrize("permission", ["*", "storage.buckets.setIamPolicy", "iam.serviceAccountKeys.create"])
def test_a_custom_role_with_a_permission_that_makes_more_of_itself_is_refused(planned, permission):
    more = broken('"dataproc.operations.list",', f'"dataproc.operations.list",\n    "{permission}",')
    assert permissions.too_broad(planned(more)) == [f"google_project_iam_custom_role.retrain: {permission}"]


@pytest.mark.parametrize("anybody", ["allUsers", "allAuthenticatedUsers"])
def test_a_grant_to_anybody_is_refused(anybody):
    files = broken("member   = google_service_account.push.member", f'member = "{anybody}"')
    assert [found.partition(": ")[2] for found in permissions.given_away(files)] == [anybody]
    default = broken("default     = []", f'default     = ["{anybody}"]', "variables.tf")
    assert [found.partition(": ")[2] for found in permissions.given_away(default)] == [anybody]


@pytest.mark.parametrize(
    "kind",
    [
        "google_service_account_key", "google_storage_hmac_key", "google_project_iam_binding",
        "google_project_iam_policy", "google_storage_bucket_iam_binding", "google_pubsub_topic_iam_policy",
        "google_storage_bucket_acl", "google_storage_bucket_access_control",
    ],
)  # fmt: skip
def test_keys_and_what_replaces_the_grants_of_others_are_refused(kind):
    (found,) = permissions.given_away(with_more(f'resource "{kind}" "more" {{\n}}\n'))
    assert found == f"more.tf:1: {kind}"


def test_the_variables_that_name_people_refuse_everybody(terraform):
    assert permissions.open_to_anybody(terraform) == set()
    files = broken("all(Authenticated)?Users", "allUsers", "variables.tf")
    assert permissions.open_to_anybody(terraform, files) == {"predict_invokers"}
