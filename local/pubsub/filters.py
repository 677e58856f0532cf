"""The subscription filter language: https://cloud.google.com/pubsub/docs/subscription-message-filter.

    attributes:domain AND NOT hasPrefix(attributes.domain, "com") AND attributes."a key" != "x"

Keys and values compare by case. AND and OR do not mix without parentheses. A filter has at most 256 bytes.
"""

import re
from collections.abc import Callable, Mapping

from local.pubsub.errors import invalid

Predicate = Callable[[Mapping[str, str]], bool]

TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[\w-]+)|(?P<mark>!=|[=:.,()]))')
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-7]{3}|.)")
LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
MAX_BYTES = 256


def compile_filter(text: str) -> Predicate | None:
    """Returns what decides over a message's attributes, or None for an empty filter. Raises Refused."""
    if len(text.encode()) > MAX_BYTES:
        raise invalid(f"The filter has {len(text.encode())} bytes; the maximum is {MAX_BYTES}.")
    return _Parser(text).parse() if text.strip() else None


class _Parser:
    """Recursive descent. Each method consumes what it names and returns a predicate."""

    def __init__(self, text: str):
        self.text, self.tokens, position = text, [], 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            if not match or match.end() == position:
                raise self.wrong(f"unexpected character at position {position}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        self.tokens.append(("end", "the end"))

    def wrong(self, why: str):
        return invalid(f"Invalid filter {self.text!r}: {why}.")

    def take(self, *wanted: str) -> str:
        """Consumes one token, which has to be one of those, or of those kinds."""
        kind, token = self.tokens.pop(0)
        if token not in wanted and kind not in wanted:
            raise self.wrong(f"expected {' or '.join(wanted)}, found {token}")
        return token

    def next_is(self, *tokens: str) -> bool:
        return self.tokens[0][0] != "string" and self.tokens[0][1] in tokens

    def parse(self) -> Predicate:
        whole = self.expression()
        self.take("end")
        return whole

    def expression(self) -> Predicate:
        terms = [self.term()]
        operator = self.tokens[0][1] if self.next_is("AND", "OR") else None
        while operator and self.next_is("AND", "OR"):
            if self.take("AND", "OR") != operator:
                raise self.wrong("AND and OR need parentheses between them")
            terms.append(self.term())
        if len(terms) == 1:
            return terms[0]
        every = all if operator == "AND" else any
        return lambda attributes: every(term(attributes) for term in terms)

    def term(self) -> Predicate:
        if self.next_is("NOT"):
            self.take("NOT")
            inner = self.term()
            return lambda attributes: not inner(attributes)
        if self.next_is("("):
            self.take("(")
            inner = self.expression()
            self.take(")")
            return inner
        if self.next_is("hasPrefix"):
            self.take("hasPrefix")
            self.take("(")
            self.take("attributes")
            self.take(".")
            key = self.key()
            self.take(",")
            prefix = self.string()
            self.take(")")
            return lambda attributes: key in attributes and attributes[key].startswith(prefix)
        return self.comparison()

    def comparison(self) -> Predicate:
        self.take("attributes")
        if self.take(":", ".") == ":":
            key = self.key()
            return lambda attributes: key in attributes
        key, operator, value = self.key(), self.take("=", "!="), self.string()
        if operator == "=":
            return lambda attributes: attributes.get(key) == value
        return lambda attributes: attributes.get(key) != value

    def key(self) -> str:
        return self.string() if self.tokens[0][0] == "string" else self.take("word")

    def string(self) -> str:
        return ESCAPE.sub(_unescape, self.take("string")[1:-1])


def _unescape(match: re.Match) -> str:
    escaped = match[1]
    if escaped[0] in "ux" and len(escaped) > 1:
        return chr(int(escaped[1:], 16))
    if escaped.isdigit() and len(escaped) == 3:
        return chr(int(escaped, 8))
    return LETTERS.get(escaped, escaped)
