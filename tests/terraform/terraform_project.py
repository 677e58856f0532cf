"""The Terraform files as they are with one project's variables, for the tests that compare them with all else."""

import re

from tests.conftest import ROOT
from tests.terraform import terraform_files as terraform
from tests.terraform.terraform_values import Body, Values

PROJECT = "brigade-p"
CONFIGURATION = terraform.parse(terraform.read())
VALUES = Values(CONFIGURATION, {"project_id": PROJECT})
FUNCTIONS = {body.get("name"): body for body in VALUES.all_of("google_cloudfunctions2_function")}
TEMPLATE_TEXT = (ROOT / "workflow_template.yaml").read_text("utf-8")


def named(kind: str, argument: str = "name") -> set[str]:
    """The names that the resources of that type have."""
    return {body.get(argument) for body in VALUES.all_of(kind)}


def known_or(body: Body, name: str) -> list:
    """The argument, or an empty list if it is not given."""
    return body.get(name) if name in body else []


def only(body: Body, *path: str) -> Body:
    """The one block inside blocks that `path` leads to."""
    for name in path:
        (body,) = body.inside(name)
    return body


def here(text: str) -> str:
    """A value as people write it, with the project and the buckets that Terraform would give it."""
    text = re.sub(r"\bml_(input|output|code|temp)\b", rf"{PROJECT}-ml-\1", text)
    return re.sub(r"(projects/|=|@|^)P\b|\$PROJECT_ID", rf"\g<1>{PROJECT}", text)
