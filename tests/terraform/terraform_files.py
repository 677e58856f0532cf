"""Terraform's files as texts, for what can be said of them without Terraform."""

import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "terraform"


def read(folder: Path = FOLDER) -> dict[str, str]:
    """Name → text of the folder's *.tf files; backend.tf is somebody's own, like the variables' values."""
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.tf")) if path.name != "backend.tf"}


def changed(files: Mapping[str, str], name: str, old: str, new: str) -> dict[str, str]:
    """The files with one thing changed, to see a check notice it. Raises ValueError if `old` is not there."""
    if old not in files[name]:
        raise ValueError(f"{name}: expected {old!r}, which is to be replaced")
    return {**files, name: files[name].replace(old, new, 1)}


def types(files: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(where, resource or data, type) of each resource and data source."""
    found = []
    for name, text in files.items():
        for match in re.finditer(r'^(resource|data) "(\w+)"', text, re.M):
            found.append((f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2]))
    return found


def variables(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Variable → argument → its expression, as `terraform fmt` lays them out."""
    found = {}
    for text in files.values():
        for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.M | re.S):
            found[name] = dict(re.findall(r"^  (\w+) *= (.*)$", body, re.M))
    return found
