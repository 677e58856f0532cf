"""Who may do what, derived from the Terraform files, as the table of SECURITY.md has it.

`python -m tests.terraform_permissions` prints it, with the reasons that SECURITY.md already gives.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lark import Tree

from tests.terraform import terraform_files as terraform
from tests.terraform.terraform_files import Block, Configuration
from tests.terraform.terraform_values import Body, Unknown, Values

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


def of_example_project(configuration: Configuration) -> Values:
    """The values of a project called <project>, with everything that a variable can switch on; a variable that is an
    empty set has its own name as its one member."""
    given: dict[str, object] = {"project_id": "<project>"}
    plain = Values(configuration, given)
    for name, block in configuration.variables.items():
        default = plain.variable(name) if "default" in block.attributes else None
        if default == []:
            given[name] = [f"var.{name}"]
        elif default is False:
            given[name] = True
    return Values(configuration, given)


def grants(configuration: Configuration) -> list[Grant]:
    """Every grant of the files, one for each instance."""
    values = of_example_project(configuration)
    kinds = {block.labels[0] for block in configuration.of_kind("resource") if block.labels[0].endswith(MEMBER)}
    return sorted(grant(kind, body) for kind in kinds for body in values.all_of(kind))


def grant(kind: str, body: Body) -> Grant:
    """Raises TerraformError for a kind of grant that THINGS does not have."""
    if kind not in THINGS:
        raise terraform.TerraformError(f"{body.block.where}: expected one of {', '.join(THINGS)}; found {kind}")
    thing, argument = THINGS[kind]
    name = short(str(body.get(argument))) if argument else ""
    conditions = [f", if {readable(condition.get('expression'))}" for condition in body.inside("condition")]
    if "count" in body.block.attributes:
        switches = terraform.references_in(body.block.attributes["count"], body.block.file)
        conditions += [f", with {reference}" for reference in switches]
    return Grant(identity(body), short(str(body.get("role"))), f"{thing} {name}".strip() + "".join(conditions))


def identity(body: Body) -> str:
    """The account's id, the service agent's name, or the variable with the members."""
    member = body.get("member")
    if isinstance(member, Unknown):
        sink = re.fullmatch(r"<(google_logging_project_sink\.\w+)\.writer_identity>", member)
        return f"log sink {body.values.instances(sink[1])[None].get('name')}" if sink else member
    address = member.removeprefix("serviceAccount:")
    name, _, domain = address.partition("@")
    host = domain.removesuffix(".gserviceaccount.com").removesuffix(".iam")
    return name if host in ("<project>", "") else AGENTS.get(host, address)


def readable(expression: str) -> str:
    """A condition with the project's number and id as people write them."""
    return re.sub(r"<data\.google_project\.\w+\.number>", "<project number>", expression)


def short(name: str) -> str:
    """`projects/P/roles/R` → `R`; a predefined role stays as it is."""
    name = name if name.startswith("roles/") else name.rsplit("/", 1)[-1]
    return name.removesuffix("@<project>.iam.gserviceaccount.com")


def refused(configuration: Configuration) -> list[str]:
    """Everything in the files that gives away more than a component needs, as `file:line: what`."""
    found = []
    for block in configuration.resources.values():
        if KINDS_REFUSED.fullmatch(block.labels[0]):
            found.append(f"{block.where}: {block.labels[0]}")
    for block, text in texts(configuration.blocks):
        if ANYBODY.search(text):
            found.append(f"{block.where}: {text}")
    values = of_example_project(configuration)
    for address, block in configuration.resources.items():
        for body in values.instances(address).values():
            for role in [body.get("role")] if "role" in block.attributes else []:
                if ROLE_TOO_BROAD.fullmatch(role):
                    found.append(f"{block.where}: {role}")
            permissions = body.get("permissions") if "permissions" in block.attributes else []
            found += [f"{block.where}: {one}" for one in permissions if PERMISSION_TOO_BROAD.fullmatch(one)]
    return found


def texts(blocks: Iterable[Block]) -> Iterator[tuple[Block, str]]:
    """Each block, and the blocks in it, with each piece of text in its expressions; of variables the default alone."""
    for block in blocks:
        for name, tree in block.attributes.items():
            for part in tree.find_data("string_part") if block.kind != "variable" or name == "default" else ():
                if not isinstance(part.children[0], Tree):
                    yield block, str(part.children[0])
        if block.kind != "variable":
            yield from texts(block.blocks)


def open_to_anybody(configuration: Configuration) -> list[str]:
    """The variables with members of grants that take everybody, or do not take one person."""
    members = set()
    for block in configuration.of_kind("resource"):
        if block.labels[0].endswith(MEMBER) and "for_each" in block.attributes:
            found = terraform.references_in(block.attributes["for_each"], block.file)
            members |= {reference.steps[0] for reference in found if reference.root == "var"}

    def refuses(name: str, member: str) -> bool:
        return bool(Values(configuration, {name: [PERSON, member]}).refusals(name))

    return sorted(
        name
        for name in members
        if refuses(name, PERSON) or not (refuses(name, "allUsers") and refuses(name, "allAuthenticatedUsers"))
    )


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
        key = Grant(*(cell.replace("`", "") for cell in row[:3]))
        if key in found:
            raise ValueError(f"SECURITY.md: expected each grant once, found {key} twice")
        found[key] = row[3]
    return found


def table(rows: list[Grant], reasons: dict[Grant, str]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---|"]
    for row in rows:
        on = re.sub(r"^(bucket|topic|subscription|service account|function|repository) ([^ ,]+)", r"\1 `\2`", row.on)
        on = re.sub(r", if (.*?)(?=, with `var|$)", r", if `\1`", re.sub(r", with (var\.\w+)", r", with `\1`", on))
        who = f"`{row.identity}`" if " " not in row.identity else row.identity
        lines.append(f"| {who} | `{row.role}` | {on} | {reasons.get(row, '')} |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table of the files as they are now."""
    try:
        reasons = documented(DOCUMENT.read_text("utf-8"))
    except ValueError:
        reasons = {}
    print(table(grants(terraform.parse(terraform.read())), reasons))
    return 0


if __name__ == "__main__":
    sys.exit(main())
