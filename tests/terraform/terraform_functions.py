"""Terraform's own operators, and its functions as far as the project's files use them."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

import yaml

from tests.terraform.terraform_files import TerraformError


class Set(list):
    """A set, in Terraform's order."""


def set_of(members: list) -> Set:
    return Set(sorted(set(members)))


def as_text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TerraformError(f"expected something to put into a text, found {type(value).__name__}")


def merged(*maps: Mapping) -> dict:
    return {key: value for one in maps for key, value in (one or {}).items()}


def first_match(pattern: str, text: str) -> str | list:
    """What the pattern finds: the whole of it, or its groups."""
    match = re.search(pattern, text)
    if match is None:
        raise TerraformError(f"regex: expected a text that matches {pattern}, found {text!r}")
    return list(match.groups()) or match[0]


def formatted_date(form: str, timestamp: str) -> str:
    try:
        return datetime.fromisoformat(timestamp).strftime({"EEE": "%a"}[form])
    except (ValueError, KeyError):
        raise TerraformError(f"formatdate: expected a timestamp and a known form, found {timestamp}, {form}") from None


OPERATORS: dict[str, Callable] = {
    "==": lambda left, right: left == right(),
    "!=": lambda left, right: left != right(),
    "<": lambda left, right: left < right(),
    ">": lambda left, right: left > right(),
    "<=": lambda left, right: left <= right(),
    ">=": lambda left, right: left >= right(),
    "&&": lambda left, right: left and right(),
    "||": lambda left, right: left or right(),
    "+": lambda left, right: left + right(),
    "-": lambda left, right: left - right(),
    "*": lambda left, right: left * right(),
    "/": lambda left, right: left / right(),
    "%": lambda left, right: left % right(),
}

FUNCTIONS: dict[str, Callable] = {
    "alltrue": all,
    "concat": lambda *lists: [member for one in lists for member in one],
    "formatdate": formatted_date,
    "join": lambda between, members: between.join(map(as_text, members)),
    "merge": merged,
    "regex": first_match,
    "replace": lambda text, old, new: text.replace(old, new),
    "toset": set_of,
    "tostring": as_text,
    "yamldecode": yaml.safe_load,
}
