"""Writes a definition as the YAML of a person: short forms, one line a field, comments beside the keys."""

from typing import Any

import yaml

HEAD = "# yaml-language-server: $schema={schema}"
INDENT = "  "


def text_of(document: dict, comments: dict[str, str], head: list[str], schema: str | None) -> str:
    """The text of a definition. comments: by the path of a key, such as event.fields.area; schema: where the JSON
    Schema lies, if it can be named."""
    lines = [HEAD.format(schema=schema), "#"] if schema else []
    lines += [f"# {printable(line)}" for line in head]
    write(document, "", "", comments, lines)
    return "\n".join(lines) + "\n"


def write(mapping: dict, path: str, indent: str, comments: dict[str, str], lines: list[str]) -> None:
    for key, value in mapping.items():
        place = f"{path}.{key}".removeprefix(".")
        comment = f" # {printable(comments[place])}" if place in comments else ""
        begin = f"{indent}{scalar(key)}:"
        if place in ("event", "event.fields", "model"):
            lines.append(begin + comment)
            write(value, place, indent + INDENT, comments, lines)
        elif isinstance(value, str) and "\n" in value:
            lines.append(f"{begin} |{comment}")
            lines += [f"{indent}{INDENT}{line}" for line in value.splitlines()]
        elif isinstance(value, list) and len(value) > 4:
            lines.append(begin + comment)
            lines += [f"{indent}{INDENT}- {scalar(one)}" for one in value]
        else:
            lines.append(f"{begin} {flow(value)}{comment}")


def flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar as YAML, in quotes where it needs them, also within braces."""
    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf")).strip()[1:-1]


def printable(comment: str) -> str:
    """A comment in one line, without what YAML does not take."""
    return "".join(sign if sign.isprintable() else " " for sign in comment)
