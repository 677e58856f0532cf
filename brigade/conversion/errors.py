"""The errors that end a conversion."""

import re

from brigade.errors import CannotGoOn, one_line


class ConversionError(CannotGoOn):
    """The input cannot be converted. The message says what was expected, what was found, and what to do."""


class SchemaError(ConversionError):
    """The schema of the documents is none that Spark can read."""


class QueryError(ConversionError):
    """The query cannot be run, or its rows cannot be written."""


def spark_says(error: Exception) -> str:
    """What Spark has to say of a text of SQL: the line, if it names one, and the problem."""
    text = str(error).strip().splitlines()[0]
    at = re.search(r"\bline (\d+),? pos(?:ition)? \d+", str(error))
    problem = re.sub(r"\s*(?:SQLSTATE: \w+)?\s*(?:; line \d+ pos \d+;?|\(line \d+, pos \d+\))?$", "", text)
    return one_line(f"line {at[1]}: {problem}" if at else problem)
