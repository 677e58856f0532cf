"""One project's names, for the tests that compare what Terraform plans for it with all else."""

import re
from collections.abc import Mapping

from tests.conftest import ROOT

PROJECT = "brigade-p"
MONITOR_TEXT = (ROOT / "monitor_template.yaml").read_text("utf-8")
TEMPLATE_TEXT = (ROOT / "workflow_template.yaml").read_text("utf-8")


def only(values: Mapping, *path: str) -> Mapping:
    """The one block inside blocks that `path` leads to."""
    for name in path:
        (values,) = values[name]
    return values


def here(text: str) -> str:
    """A value as people write it, with the project and the buckets that Terraform would give it."""
    text = re.sub(r"\bml_(input|output|code|temp)\b", rf"{PROJECT}-ml-\1", text)
    return re.sub(r"(projects/|=|@|^)P\b|\$PROJECT_ID", rf"\g<1>{PROJECT}", text)
