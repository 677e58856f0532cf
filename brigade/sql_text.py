"""SQL as text, as far as it can be read without Spark."""

import re

NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.S)  # comments and literals


def code_of(query: str) -> str:
    """The query without comments, and without what stands in its literals."""
    return NO_CODE.sub(lambda found: " '' " if found[0][0] in "'\"" else " ", query)
