"""Reads lines as events: parses them in Spark, checks them, and says why a line is not an event.

A valid line costs one pass of Spark's JSON parser and a few comparisons, which are strict: what they let through is an
event. Whatever else comes, such as a document that begins with an accent, `refusals` judges in Python.
"""

import sys
import uuid
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.refusals import refusal_by
from brigade.conversion.schema import OWN, SQL_TYPES, Reading, fields_of, quoted
from brigade.conversion.unknown import unknown_fields
from brigade.events.contract import Contract, Field
from brigade.events.rules import HELD, MAX_KEY_LENGTH, NOT_RFC3339

CORRUPT, END = "_corrupt_record", "_end_of_line"
OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": CORRUPT,
    "allowSingleQuotes": "false",  # as JSON has it, and the next too
    "allowNonNumericNumbers": "false",
}


def parse_lines(lines: DataFrame, reading: Reading = OWN) -> DataFrame:
    """Parses lines (`value`, `file`) into the rows of the view `events`: `_row`, the schema's fields, and
    schema.ADDED. Raises SchemaError if the schema is none.

    `_row.reason` is null for a line that is an event, and else says why it is not; `_row.detail` says more.
    """
    spark, mark = lines.sparkSession, uuid.uuid4().hex  # a value that no line can hold
    fields, contract = fields_of(spark, reading.schema), reading.contract
    kinds = {field.name: field.dataType.simpleString() for field in fields}
    fields = fields.add(CORRUPT, "string").add(END, "string")
    parsed = lines.withColumn("event", F.from_json(F.expr(marked(mark)), fields, OPTIONS))
    time = contract.time if contract else "eventTimestamp"
    is_text = contract or kinds.get(time) == "string"
    time_of = timestamp(column_of(time.split("."))) if is_text else "CAST(NULL AS TIMESTAMP)"
    publish_time = timestamp("event.pubsub.publishTime")
    parsed = parsed.selectExpr("*", f"{time_of} AS eventTime", f"{publish_time} AS publishTime")
    parsed = parsed.withColumn("refusal", refusal(mark, contract, spark))
    unknown = f", {unknown_fields(contract)} AS unknown" if contract and reading.names_unknown_fields else ""
    return parsed.selectExpr(
        f"""struct(
            monotonically_increasing_id() AS id,
            file,
            xxhash64(value) AS hash,
            refusal.reason AS reason,
            refusal.detail AS detail,
            if(refusal IS NULL, NULL, value) AS line,
            publishTime,
            event.pubsub.messageId AS messageId{unknown}
        ) AS _row""",  # what a conversion keeps about each line, from parsing to the table
        *(f"event.{quoted(name)}" for name in kinds),
        "value AS line",
        "eventTime",
        "publishTime",
    )


def refusal(mark: str, contract: Contract | None, spark: SparkSession) -> Column:
    """Why a line is not an event of the contract: a column with `reason` and `detail`, null for an event."""
    clear = [f"event.{END} = '{mark}'", f"event.{CORRUPT} IS NULL", is_utf8(spark), is_plain("value")]
    if contract:
        clear += [condition for one in contract.fields if (condition := clearly_fits(one, contract))]
    doubtful = f"if(coalesce({' AND '.join(clear)}, false), NULL, CAST(value AS BINARY))"
    unread = []  # what Python takes, and Spark has not read
    if contract is None or any(one.type in SQL_TYPES for one in contract.fields):
        mistyped = f"event.{CORRUPT} IS NOT NULL"
        unread.append(refused_if(mistyped, "wrong_type", "a field is not of its type in the schema"))
    if contract:
        unread.append(refused_if("eventTime IS NULL", "bad_timestamp", f"{contract.time}: {NOT_RFC3339}"))
    return F.coalesce(refusal_by(contract)(F.expr(doubtful)), *unread)


def clearly_fits(field: Field, contract: Contract) -> str:
    """A condition that holds for a field of the right type, and perhaps not for all of these; "" if there is none."""
    column = column_of(field.path)
    conditions = {
        "string": f"{column} <> '' AND NOT ({may_be_other_type(column)})",
        "text": f"{starts_with_printable(column)} AND NOT ({may_be_other_type(column)})",
        "timestamp": "eventTime IS NOT NULL" if field.name == contract.time else f"{timestamp(column)} IS NOT NULL",
        "number": f"abs({column}) <= {sys.float_info.max!r}D",
        "integer": f"{column} IS NOT NULL",
        "boolean": f"{column} IS NOT NULL",
    }
    condition = conditions.get(field.type)
    if condition is None:  # json and list, of which Spark takes what Python takes, and no more
        return ""
    return condition if field.required else f"({column} IS NULL OR {condition})"


def column_of(path: Sequence[str]) -> str:
    """A field of an event as SQL names it."""
    return ".".join(["event", *map(quoted, path)])


def refused_if(condition: str, reason: str, detail: str) -> Column:
    return F.when(F.expr(condition), F.struct(F.lit(reason).alias("reason"), F.lit(detail).alias("detail")))


def marked(mark: str) -> str:
    """The line with one more member at its end, which is read back only if the line is one whole JSON object.

    from_json stops at the end of the first object and ignores what follows, which would be lost.
    """
    # By bytes: Spark's functions for characters would go through every line once more.
    trimmed = "trim(TRAILING ' \\t\\r\\n' FROM value)"
    other = f"if(endswith({trimmed}, '}}'), {with_end(trimmed, mark)}, NULL)"
    return f"if(endswith(value, '}}'), {with_end('value', mark)}, {other})"


def with_end(text: str, mark: str) -> str:
    """A JSON object's text with END as its last member. The last byte, which is a brace, makes way for it."""
    opened = f"CAST(substr(CAST({text} AS BINARY), 1, octet_length({text}) - 1) AS STRING)"
    return f"""concat({opened}, ',"{END}":"{mark}"}}')"""


def timestamp(column: str) -> str:
    """A column of RFC 3339 texts as timestamps; null for any other text, and outside the years 1 to 9999 in UTC."""
    # The cast alone would take a bare date, a year or an hour of today too. RFC 3339 allows a lower-case t and z, Spark
    # does not; upper() costs more than all else here.
    lower = f"contains({column}, 't') OR contains({column}, 'z')"
    time_of = f"try_cast(if({lower}, upper({column}), {column}) AS TIMESTAMP)"
    years = "TIMESTAMP'0001-01-01T00:00:00Z' AND TIMESTAMP'9999-12-31T23:59:59.999999Z'"
    return rf"if({column} RLIKE r'^{HELD}\z' AND {time_of} BETWEEN {years}, {time_of}, NULL)"


def starts_with_printable(column: str) -> str:
    """Whether a text starts with a visible ASCII character. Compares bytes, which is cheaper than a pattern."""
    return f"{column} BETWEEN '!' AND '~'"


def is_utf8(spark: SparkSession) -> str:
    """Whether a line is valid UTF-8. Spark reads invalid bytes as U+FFFD."""
    before_4 = spark.version.startswith("3.")
    return "(encode(value, 'UTF-8') = CAST(value AS BINARY))" if before_4 else "is_valid_utf8(value)"


def is_plain(text: str) -> str:
    r"""Whether a JSON text has neither an escaped surrogate nor room for a key that is too long.

    Jackson takes half a character, written as \ud800, and Spark stores a `?`; and the Jackson of Spark 3 takes keys of
    any length.
    """
    escaped = rf"(contains({text}, r'\u') AND (contains({text}, r'\ud') OR contains({text}, r'\uD')))"
    return f"NOT {escaped} AND octet_length({text}) <= {MAX_KEY_LENGTH}"


def may_be_other_type(column: str) -> str:
    """Whether a field that was read as text may be a number, a boolean, an array or an object in the JSON.

    Spark reads the JSON of those as text, and a number beyond a double's range as `"Infinity"`, with quotes. Compares
    bytes first: a pattern would make a Java string of every payload.
    """
    return f"""({column} BETWEEN '-' AND ':' AND {column} RLIKE r'^-?\\d[\\d.eE+-]*\\z')
        OR startswith({column}, '{{') AND endswith({column}, '}}')
        OR startswith({column}, '[') AND endswith({column}, ']')
        OR {column} IN ('true', 'false', '"Infinity"', '"-Infinity"')"""
