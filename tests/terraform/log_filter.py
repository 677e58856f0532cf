"""Cloud Logging's query language, as far as terraform/ uses it, evaluated on log entries.

https://docs.cloud.google.com/logging/docs/view/logging-query-language. A comparison with a field that is not there is
false, as there; numbers are compared as numbers, levels by their rank, text without regard to case.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LEVELS = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
TOKEN = re.compile(r'\s*(?:(\()|(\))|(AND|OR)\b|(>=|<=|!=|=~|=|>|<)|"((?:[^"\\]|\\.)*)"|([\w.@-]+))')
KINDS = ("open", "close", "word", "operator", "text", "name")  # of TOKEN's groups
# What Cloud Logging takes out of a line of JSON: https://docs.cloud.google.com/logging/docs/structured-logging
SPECIAL = {"severity", "time", "httpRequest"}


class Unreadable(Exception):
    """A filter that is not of the form that is used here."""


@dataclass(frozen=True)
class Comparison:
    """`field op value`, or one of several values."""

    field: str
    operator: str
    values: tuple[str, ...]

    def matches(self, entry: Mapping) -> bool:
        found = value_at(entry, self.field)
        return found is not None and any(self.holds(found, value) for value in self.values)

    def holds(self, found: object, value: str) -> bool:
        if self.operator == "=~":
            return re.search(value, str(found)) is not None
        if self.field == "severity":
            found, wanted = LEVELS.index(str(found)), LEVELS.index(value)
        elif isinstance(found, (int, float)) and not isinstance(found, bool):
            wanted = float(value)
        else:
            found, wanted = as_text(found).lower(), value.lower()
        return {
            "=": found == wanted,
            "!=": found != wanted,
            ">=": found >= wanted,
            "<=": found <= wanted,
            ">": found > wanted,
            "<": found < wanted,
        }[self.operator]


@dataclass(frozen=True)
class Group:
    """Parts that have to hold all (AND), or one of which has to (OR)."""

    operator: str
    parts: tuple["Group | Comparison", ...]

    def matches(self, entry: Mapping) -> bool:
        return (all if self.operator == "AND" else any)(part.matches(entry) for part in self.parts)


def parse(text: str) -> Group:
    """The filter's tree. Raises Unreadable."""
    tokens = []
    at = 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if not match:
            raise Unreadable(f"expected a filter, found {text[at:].strip()[:40]}")
        tokens.append(
            next((kind, piece) for kind, piece in zip(KINDS, match.groups(), strict=True) if piece is not None)
        )
        at = match.end()
    stream = Tokens(tokens)
    found = stream.group()
    if stream.tokens:
        raise Unreadable(f"expected the filter's end, found {stream.tokens[0][1]}")
    return found


class Tokens:
    def __init__(self, tokens: list[tuple[str, str]]):
        self.tokens = tokens

    def take(self, *kinds: str) -> str:
        if not self.tokens or self.tokens[0][0] not in kinds:
            raise Unreadable(f"expected {' or '.join(kinds)}, found {self.tokens[:1]}")
        return self.tokens.pop(0)[1]

    def group(self) -> Group:
        """Parts with the same word between them; which of AND and OR binds first, no reader should have to know."""
        parts, words = [self.part()], set()
        while self.tokens and self.tokens[0] in (("word", "AND"), ("word", "OR")):
            words.add(self.take("word"))
            parts.append(self.part())
        if len(words) > 1:
            raise Unreadable("expected parentheses between AND and OR")
        return Group(words.pop() if words else "AND", tuple(parts))

    def part(self) -> Group | Comparison:
        if self.tokens and self.tokens[0][0] == "open":
            self.take("open")
            inner = self.group()
            self.take("close")
            return inner
        field, operator = self.take("name"), self.take("operator")
        if not (self.tokens and self.tokens[0][0] == "open"):
            return Comparison(field, operator, (self.take("text", "name"),))
        self.take("open")
        values = [self.take("text", "name")]
        while self.tokens and self.tokens[0] == ("word", "OR"):
            self.take("word")
            values.append(self.take("text", "name"))
        self.take("close")
        return Comparison(field, operator, tuple(values))


def comparisons(node: Group | Comparison) -> Iterator[Comparison]:
    """All comparisons of a filter."""
    if isinstance(node, Comparison):
        yield node
    else:
        for part in node.parts:
            yield from comparisons(part)


def value_at(entry: Mapping, field: str) -> object:
    """What stands at `jsonPayload.milliseconds.total`; None if nothing does."""
    found: object = entry
    for step in field.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def extracted(entry: Mapping, extractor: str) -> str:
    """What a metric's EXTRACT(field) makes of an entry; empty if the field is not there. Raises Unreadable."""
    match = re.fullmatch(r"EXTRACT\(([\w.]+)\)", extractor)
    if not match:
        raise Unreadable(f"expected EXTRACT(field), found {extractor}")
    found = value_at(entry, match[1])
    return "" if found is None else as_text(found)


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def entry_of(line: str, resource: Mapping) -> dict:
    """The entry that Cloud Logging makes of a line on standard error: fields out of a line of JSON, else its text."""
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return {"resource": resource, "severity": "DEFAULT", "textPayload": line}
    own = {key: value for key, value in fields.items() if key not in SPECIAL and not key.startswith("logging.")}
    payload = {"textPayload": own["message"]} if own.keys() == {"message"} else {"jsonPayload": own}
    return {"resource": resource, "severity": fields.get("severity", "DEFAULT")} | payload
