"""Terraform's own operators and functions, as far as the project's files use them."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

import yaml

from tests.terraform_files import TerraformError


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
        return datetime.fromisoformat(timestamp).strftime({"EEE": "%a", "YYYY-MM-DD": "%Y-%m-%d"}[form])
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
    "basename": lambda path: path.rsplit("/", 1)[-1],
    "concat": lambda *lists: [member for one in lists for member in one],
    "contains": lambda members, one: one in members,
    "formatdate": formatted_date,
    "format": lambda form, *values: re.sub(r"%[sdv]", "%s", form) % tuple(map(as_text, values)),
    "join": lambda between, members: between.join(map(as_text, members)),
    "jsondecode": json.loads,
    "jsonencode": lambda value: json.dumps(value, separators=(",", ":")),
    "keys": lambda one: sorted(one),
    "length": len,
    "lower": str.lower,
    "max": max,
    "md5": lambda text: hashlib.md5(text.encode()).hexdigest(),
    "merge": merged,
    "min": min,
    "regex": first_match,
    "replace": lambda text, old, new: text.replace(old, new),
    "setunion": lambda *sets: set_of([member for one in sets for member in one]),
    "split": lambda between, text: text.split(between),
    "toset": set_of,
    "tolist": list,
    "tonumber": lambda value: value if isinstance(value, (int, float)) else json.loads(value),
    "tostring": as_text,
    "trimprefix": str.removeprefix,
    "trimsuffix": str.removesuffix,
    "trimspace": str.strip,
    "upper": str.upper,
    "values": lambda one: [one[key] for key in sorted(one)],
    "yamldecode": yaml.safe_load,
}
