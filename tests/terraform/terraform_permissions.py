"""Who may do what, as Terraform plans it and as the table of SECURITY.md has it.

`python -m tests.terraform.terraform_permissions` prints it, with the reasons that SECURITY.md already gives.
"""

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.terraform.terraform_files import FOLDER, types, variables
from tests.terraform.terraform_provider import serving
from tests.terraform.terraform_run import FILES, Plan, Resource, Terraform

DOCUMENT = Path(__file__).parents[2] / "SECURITY.md"
HEADING = "## Who may do what"
COLUMNS = ["identity", "role", "on", "why"]
MEMBER = "_iam_member"
# What a grant is on: the member resource's type → what people call it, and the argument that names it.
THINGS = {
    "google_project_iam_member": ("project", None),
    "google_storage_bucket_iam_member": ("bucket", "bucket"),
    "google_pubsub_topic_iam_member": ("topic", "topic"),
    "google_pubsub_subscription_iam_member": ("subscription", "subscription"),
    "google_service_account_iam_member": ("service account", "service_account_id"),
    "google_cloud_run_v2_service_iam_member": ("function", "name"),
    "google_artifact_registry_repository_iam_member": ("repository", "repository"),
}
# Google's own identities, by the domain of their e-mail address.
AGENTS = {
    "gcp-sa-pubsub": "Pub/Sub service agent",
    "gcp-sa-monitoring-notification": "Monitoring notification service agent",
}
ROLE_TOO_BROAD = re.compile(r"roles/(owner|editor|viewer)|.*(\.admin|Admin)")
PERMISSION_TOO_BROAD = re.compile(r".*\*.*|.*\.(setIamPolicy|actAs)|iam\.serviceAccountKeys\..*")
ANYBODY = re.compile(r"\ball(Authenticated)?Users\b")
EXAMPLE = "example-project"
PERSON = "user:person@example.com"
# They replace or take away what others were granted, or hand out what can be carried away.
KINDS_REFUSED = re.compile(
    r".*_iam_(binding|policy)|google_iam_policy|.*_(acl|access_control)|google_service_account_key|.*_hmac_key"
)


class Grant(NamedTuple):
    """One row: who has which role on what."""

    identity: str
    role: str
    on: str


def of_example_project(terraform: Terraform, files: Mapping[str, str] = FILES) -> Plan:
    """The plan for an example's project, with everything that a variable can switch on; a variable that is an empty
    set has its own name as its one member."""
    given: dict[str, object] = {"project_id": EXAMPLE}
    for name, about in variables(files).items():
        if about.get("default") == "[]":
            given[name] = [f"var.{name}"]
        elif about.get("default") == "false":
            given[name] = True
        elif about.get("default") == '"dry"':
            given[name] = "on"
    return terraform.plan(files, **given)


def grants(plan: Plan) -> list[Grant]:
    """Every grant of the plan, one for each instance."""
    return sorted(grant(plan, one) for one in plan.resources if one.type.endswith(MEMBER))


def grant(plan: Plan, one: Resource) -> Grant:
    """Raises ValueError for a kind of grant that THINGS does not have."""
    if one.type not in THINGS:
        raise ValueError(f"{one.address}: expected one of {', '.join(THINGS)}; found {one.type}")
    thing, argument = THINGS[one.type]
    name = short(one[argument]) if argument else ""
    conditions = [f", if {readable(condition['expression'])}" for condition in one.get("condition", [])]
    conditions += [f", with {switch}" for switch in one.references("count")]
    return Grant(identity(plan, one["member"]), short(one["role"]), f"{thing} {name}".strip() + "".join(conditions))


def identity(plan: Plan, member: str) -> str:
    """The account's id, the service agent's name, or the variable with the members."""
    for sink in plan.all_of("google_logging_project_sink"):
        if member == sink["writer_identity"]:
            return f"log sink {sink['name']}"
    address = member.removeprefix("serviceAccount:")
    name, _, domain = address.partition("@")
    host = domain.removesuffix(".gserviceaccount.com").removesuffix(".iam")
    return name if host in (EXAMPLE, "") else AGENTS.get(host, address)


def readable(expression: str) -> str:
    """A condition with the project's number and id as people write them."""
    return re.sub(r"<google_project\.[^>]*number>", "<project number>", expression).replace(EXAMPLE, "<project>")


def short(name: str) -> str:
    """`projects/P/roles/R` → `R`; a predefined role stays as it is."""
    name = name.replace(EXAMPLE, "<project>")
    name = name if name.startswith("roles/") else name.rsplit("/", 1)[-1]
    return name.removesuffix("@<project>.iam.gserviceaccount.com")


def given_away(files: Mapping[str, str]) -> list[str]:
    """Keys, what replaces the grants of others, and words for everybody, as `file:line: what`."""
    found = [f"{where}: {name}" for where, _, name in types(files) if KINDS_REFUSED.fullmatch(name)]
    for name, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            word = ANYBODY.search(line)
            if word and not re.match(r"\s*(#|error_message )", line):
                found.append(f"{name}:{number}: {word[0]}")
    return found


def too_broad(plan: Plan) -> list[str]:
    """Roles and permissions that give more than a component needs, as `address: what`."""
    found = []
    for one in plan.resources:
        if ROLE_TOO_BROAD.fullmatch(one.get("role") or ""):
            found.append(f"{one.address}: {one['role']}")
        permissions = one.get("permissions") or []
        found += [
            f"{one.address}: {permission}" for permission in permissions if PERMISSION_TOO_BROAD.fullmatch(permission)
        ]
    return found


def open_to_anybody(terraform: Terraform, files: Mapping[str, str] = FILES) -> set[str]:
    """The variables with members of grants that take everybody, or do not take one person."""
    rows = [one for one in of_example_project(terraform, files).resources if one.type.endswith(MEMBER)]
    references = {reference for row in rows for reference in row.references("for_each")}
    members = {name.removeprefix("var.") for name in references if name.startswith("var.")}

    def refusing(*people: str) -> set[str]:
        problems = terraform.problems(files, project_id=EXAMPLE, **dict.fromkeys(members, people))
        return {name for name in members if any(f'variable "{name}"' in problem for problem in problems)}

    takes = [members - refusing(PERSON, anybody) for anybody in ("allUsers", "allAuthenticatedUsers")]
    return refusing(PERSON).union(*takes)


# -------------------------------------------------------------------------------------------------- SECURITY.md


def section(document: str) -> str:
    """The text below the heading, up to the next one. Raises ValueError if it is not there."""
    _, heading, rest = document.partition(f"\n{HEADING}\n")
    if not heading:
        raise ValueError(f"SECURITY.md: expected the heading {HEADING!r}")
    return rest.split("\n## ")[0]


def documented(document: str) -> dict[Grant, str]:
    """The table's rows, each with its reason. Raises ValueError for another table, or a row that is there twice."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in section(document).splitlines()
        if line.startswith("|")
    ]
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"SECURITY.md: expected a table with the columns {COLUMNS}, found {rows[:1]}")
    found: dict[Grant, str] = {}
    for row in rows[2:]:
        key = Grant(*(cell.replace("`", "").replace(r"\|", "|") for cell in row[:3]))
        if key in found:
            raise ValueError(f"SECURITY.md: expected each grant once, found {key} twice")
        found[key] = row[3]
    return found


def table(rows: list[Grant], reasons: dict[Grant, str]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---|"]
    for row in rows:
        on = re.sub(r"^(bucket|topic|subscription|service account|function|repository) ([^ ,]+)", r"\1 `\2`", row.on)
        on = re.sub(r", if (.*?)(?=, with `var|$)", r", if `\1`", re.sub(r", with (var\.\w+)", r", with `\1`", on))
        on = on.replace("|", r"\|")  # a bar would begin the next cell
        who = f"`{row.identity}`" if " " not in row.identity else row.identity
        lines.append(f"| {who} | `{row.role}` | {on} | {reasons.get(row, '')} |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table of the files as they are now."""
    try:
        reasons = documented(DOCUMENT.read_text("utf-8"))
    except ValueError:
        reasons = {}
    with tempfile.TemporaryDirectory() as folder, serving(FOLDER) as (_, knowing):
        print(table(grants(of_example_project(Terraform(Path(folder), knowing))), reasons))
    return 0


if __name__ == "__main__":
    sys.exit(main())
