"""Who may do what: the Terraform files and SECURITY.md say the same, and nothing is given away that nobody needs.

Each rule is also run on the files with one grant made worse.
"""

import json
import re

import pytest

from tests.terraform import terraform_files as terraform
from tests.terraform import terraform_permissions as permissions
from tests.terraform.terraform_permissions import Grant

FILES = terraform.read()
DOCUMENT = permissions.DOCUMENT.read_text("utf-8")


@pytest.fixture(scope="module")
def configuration() -> terraform.Configuration:
    return terraform.parse(FILES)


def with_more(text: str) -> terraform.Configuration:
    return terraform.parse({**FILES, "more.tf": text})


def broken(name: str, old: str, new: str) -> terraform.Configuration:
    return terraform.parse(terraform.changed(FILES, name, old, new))


def test_security_md_has_every_grant_and_no_other(configuration):
    derived, documented = set(permissions.grants(configuration)), permissions.documented(DOCUMENT).keys()
    how = "python -m tests.terraform_permissions prints the table as it is to be"
    assert derived - documented == set(), how
    assert documented - derived == set(), how


def test_every_row_of_security_md_says_why():
    assert [row for row, why in permissions.documented(DOCUMENT).items() if len(why) < 10] == []


def test_no_grant_is_there_twice(configuration):
    rows = permissions.grants(configuration)
    assert len(set(rows)) == len(rows)


def test_the_permissions_of_custom_roles_are_those_of_security_md(configuration):
    roles = permissions.of_example_project(configuration).all_of("google_project_iam_custom_role")
    granted = {one for role in roles for one in role.get("permissions")}
    prose = permissions.section(DOCUMENT).split("\n|")[0]
    assert set(re.findall(r"`([a-z]+\.\w+\.\w+)`", prose)) == granted


ROLES = json.loads((terraform.FOLDER.parent / "tests" / "gcp" / "google_roles.json").read_text("utf-8"))["roles"]
WRITING = {"storage.objects.create", "storage.objects.update", "storage.objects.delete"}


def writers(configuration: terraform.Configuration, bucket: str) -> set[str]:
    """Who may change what is in the bucket, by what Google's roles hold; a condition counts if it names the bucket."""
    found = set()
    for row in permissions.grants(configuration):
        if not WRITING & set(ROLES.get(row.role, ())):
            continue
        named, condition = f"bucket {bucket}" in row.on, row.on.partition(", if ")[2]
        if named or row.on.startswith("project") and (not condition or f"/buckets/{bucket}" in condition):
            found.add(row.identity)
    return found


def test_every_predefined_role_that_is_granted_is_known_by_its_permissions(configuration):
    granted = {row.role for row in permissions.grants(configuration) if row.role.startswith("roles/")}
    assert granted | {"roles/owner"} == ROLES.keys()


def test_only_the_build_may_write_where_the_programs_lie_and_only_training_and_operators_where_the_models_lie(
    configuration,
):
    assert writers(configuration, "<project>-ml-code") == {"brigade-build"}  # below templates/, with var.images
    assert writers(configuration, "<project>-ml-output") == {"brigade-spark", "var.operators"}
    assert writers(configuration, "<project>-ml-input") == {"brigade-landing", "brigade-spark"}


@pytest.mark.parametrize("who", ["landing", "spark"])
def test_a_workers_role_without_its_condition_reaches_models_and_programs(who):
    condition = re.search(
        rf'resource "google_project_iam_member" "{who}_worker".*?(\n  # The role .*?\n  }}\n)',
        FILES["permissions.tf"],
        re.S,
    )
    without = broken("permissions.tf", condition[1], "")
    for bucket in ("<project>-ml-code", "<project>-ml-output"):
        assert f"brigade-{who}" in writers(without, bucket)


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
def test_a_grant_that_changes_changes_its_row(configuration, old, new, row):
    before, after = set(permissions.grants(configuration)), set(permissions.grants(broken("permissions.tf", old, new)))
    assert (after - before, len(before - after)) == ({row}, 1)


def test_a_condition_is_part_of_its_row(configuration):
    (row,) = (row for row in permissions.grants(configuration) if "gcf-v2-sources" in row.on)
    assert row.on.startswith("project, if resource.name.startsWith(")
    assert row not in permissions.grants(broken("permissions.tf", "gcf-v2-sources-", "sources-"))


def test_a_grant_that_a_variable_switches_on_is_a_row_that_names_it(configuration):
    more = with_more(
        'variable "more" {\n  default = false\n}\n'
        'resource "google_storage_bucket_iam_member" "more" {\n  count = var.more ? 1 : 0\n'
        "  bucket = google_storage_bucket.logs.name\n  member = google_service_account.push.member\n"
        '  role = "roles/storage.objectCreator"\n  condition {\n    expression = "a, with b"\n  }\n}\n'
    )
    (added,) = set(permissions.grants(more)) - set(permissions.grants(configuration))
    assert added.on == "bucket <project>-ml-logs, if a, with b, with var.more"
    printed = permissions.table([added], {added: "to see it"})
    assert "if `a, with b`, with `var.more`" in printed
    assert permissions.documented(f"\n{permissions.HEADING}\n{printed}\n") == {added: "to see it"}


def test_a_loop_is_one_row_for_each_of_its_members(configuration):
    more = with_more(
        'resource "google_storage_bucket_iam_member" "more" {\n'
        "  for_each = { landing = google_service_account.landing.member, push = google_service_account.push.member }\n"
        '  bucket = google_storage_bucket.logs.name\n  role = "roles/storage.objectCreator"\n  member = each.value\n}\n'
    )
    added = set(permissions.grants(more)) - set(permissions.grants(configuration))
    assert {row.identity for row in added} == {"brigade-landing", "brigade-push"}


def test_a_kind_of_grant_that_the_table_does_not_know_is_noticed():
    more = 'resource "google_folder_iam_member" "more" {\n  member = "user:a@example.com"\n  role = "roles/x.y"\n}\n'
    with pytest.raises(terraform.TerraformError, match="found google_folder_iam_member"):
        permissions.grants(with_more(more))


def test_the_printed_table_is_the_one_that_is_read(configuration):
    rows = permissions.grants(configuration)
    reasons = {row: f"reason {number}" for number, row in enumerate(rows)}
    printed = permissions.table(rows, reasons)
    document = f"# Security\n\n{permissions.HEADING}\n\nProse.\n\n{printed}\n\n## Other\n| a |\n"
    assert permissions.documented(document) == reasons


def test_nothing_is_given_away(configuration):
    assert permissions.refused(configuration) == []


@pytest.mark.parametrize(
    "role",
    [
        "roles/owner", "roles/editor", "roles/viewer", "roles/pubsub.admin", "roles/iam.securityAdmin",
        "roles/storage.objectAdmin", "roles/resourcemanager.projectIamAdmin",
    ],
)  # fmt: skip
def test_a_role_that_is_too_broad_is_refused(role):
    (found,) = permissions.refused(broken("permissions.tf", "roles/pubsub.viewer", role))
    assert found.startswith("permissions.tf:") and found.endswith(f": {role}")


def test_a_role_that_is_too_broad_is_refused_behind_a_local_value_and_in_a_loop():
    more = (
        'locals {\n  broad = "roles/storage.admin"\n}\n'
        'resource "google_storage_bucket_iam_member" "more" {\n'
        "  for_each = { a = local.broad }\n"
        "  bucket = google_storage_bucket.logs.name\n  role = each.value\n"
        "  member = google_service_account.push.member\n}\n"
    )
    assert [found.partition(": ")[2] for found in permissions.refused(with_more(more))] == ["roles/storage.admin"]


@pytest.mark.parametrize("permission", ["*", "storage.buckets.setIamPolicy", "iam.serviceAccountKeys.create"])
def test_a_custom_role_with_a_permission_that_makes_more_of_itself_is_refused(permission):
    more = broken("permissions.tf", '"dataproc.operations.list",', f'"dataproc.operations.list",\n    "{permission}",')
    assert [found.partition(": ")[2] for found in permissions.refused(more)] == [permission]


@pytest.mark.parametrize("anybody", ["allUsers", "allAuthenticatedUsers"])
def test_a_grant_to_anybody_is_refused(anybody):
    configuration = broken("permissions.tf", "member   = google_service_account.push.member", f'member = "{anybody}"')
    assert [found.partition(": ")[2] for found in permissions.refused(configuration)] == [anybody]
    default = broken("variables.tf", "default     = []", f'default     = ["{anybody}"]')
    assert [found.partition(": ")[2] for found in permissions.refused(default)] == [anybody]


@pytest.mark.parametrize(
    "kind",
    [
        "google_service_account_key", "google_storage_hmac_key", "google_project_iam_binding",
        "google_project_iam_policy", "google_storage_bucket_iam_binding", "google_pubsub_topic_iam_policy",
        "google_storage_bucket_acl", "google_storage_bucket_access_control",
    ],
)  # fmt: skip
def test_keys_and_what_replaces_the_grants_of_others_are_refused(kind):
    (found,) = permissions.refused(with_more(f'resource "{kind}" "more" {{\n}}\n'))
    assert found == f"more.tf:1: {kind}"


def test_the_variables_that_name_people_refuse_everybody(configuration):
    assert permissions.open_to_anybody(configuration) == []
    assert permissions.open_to_anybody(broken("variables.tf", "all(Authenticated)?Users", "allUsers")) != []
