"""Parses lines into events. A line that is not an event gets a reason.

The reasons are the codes of landing's dead letters, and the same events are taken as in `brigade.events.event`. The
parsing is SQL as text: hundreds of Column objects would take half a second, one call to Java for each.
"""

import uuid

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.refusals import (
    CORRUPT,
    END,
    OPTIONS,
    field_refusals,
    first_of,
    line_refusals,
    may_be_other_type,
    read_again,
    too_large,
)
from brigade.conversion.schema import EVENT, fields_of, quoted
from brigade.events.rules import HELD, MAX_KEY_LENGTH

# A surrogate that is written as an escape and lacks its partner, in a text without escaped backslashes.
LONE_SURROGATE = r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]"


def parse_lines(lines: DataFrame, schema: str = EVENT) -> DataFrame:
    """Parses lines (`value`, `file`) into the rows of the view `events`: `_row`, the schema's fields, and
    schema.ADDED. Raises SchemaError if the schema is none.

    `_row.reason` is null for a line that is an event of the schema, and else says why it is not; `_row.detail` says
    more.
    """
    mark = uuid.uuid4().hex  # a value that no line can hold
    fields = fields_of(lines.sparkSession, schema)
    kinds = {field.name: field.dataType.simpleString() for field in fields}
    fields = fields.add(CORRUPT, "string").add(END, "string")
    parsed = lines.withColumn("event", F.from_json(F.expr(marked(mark)), fields, OPTIONS))
    is_text = kinds.get("eventTimestamp") == "string"
    time_of = timestamp("event.eventTimestamp") if is_text else "CAST(NULL AS TIMESTAMP)"
    publish_time = timestamp("event.pubsub.publishTime")
    parsed = parsed.selectExpr("*", f"{time_of} AS eventTime", f"{publish_time} AS publishTime")
    parsed = parsed.selectExpr("*", f"{read_again(marked(mark), mark, schema)} AS again")
    parsed = parsed.selectExpr("*", f"{refusal(mark, schema, lines.sparkSession)} AS refusal")
    return parsed.selectExpr(
        """struct(
            monotonically_increasing_id() AS id,
            file,
            xxhash64(value) AS hash,
            refusal.reason AS reason,
            refusal.detail AS detail,
            if(refusal IS NULL, NULL, value) AS line,
            publishTime,
            event.pubsub.messageId AS messageId
        ) AS _row""",  # what a conversion keeps about each line, from parsing to the table
        *(f"event.{quoted(name)}" for name in kinds),
        "value AS line",
        "eventTime",
        "publishTime",
    )


def refusal(mark: str, schema: str, spark: SparkSession) -> str:
    """Why a line is not an event of the schema: an expression with `reason` and `detail`, null for an event.

    Nearly all lines are valid, which is cheap to see. Only for the others the reasons are looked through.
    """
    utf8, unpaired, typed = is_utf8(spark), has_lone_surrogate("value"), f"event.{CORRUPT} IS NULL"
    long_key = has_long_key(spark)
    valid = [f"event.{END} = '{mark}'", typed, utf8, f"NOT {unpaired}", f"NOT {long_key}"]
    refusals = line_refusals(utf8, unpaired, long_key, mark)
    if schema == EVENT:
        texts = ("eventId", "doc.docId", "doc.payload")
        valid += [f"NOT {too_large()[0]}", "event.eventId <> ''", "event.doc.docId <> ''", "eventTime IS NOT NULL"]
        valid += [starts_with_printable("event.doc.payload")]
        valid += [f"NOT ({may_be_other_type(f'event.{name}')})" for name in texts]
        refusals = [too_large(), *refusals, *field_refusals()]
    else:
        refusals += [(f"NOT ({typed})", "wrong_type", "'a field is not of its type in the schema'")]
    return f"if(coalesce({' AND '.join(valid)}, false), NULL, {first_of(refusals)})"


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


def has_long_key(spark: SparkSession) -> str:
    """Whether a key is longer than Jackson takes since 2.16, which comes with Spark 4. The Jackson of Spark 3 has no
    such limit."""
    if not spark.version.startswith("3."):
        return "false"
    unescaped = r"regexp_replace(value, r'\\u....|\\.', '_')"
    unescaped = rf"regexp_replace({unescaped}, r'[\x{{10000}}-\x{{10FFFF}}]', '__')"  # as Java counts
    long = rf"""{unescaped} RLIKE r'"[^"]{{{MAX_KEY_LENGTH + 1},}}+"[ \t\r\n]*:'"""
    return f"(octet_length(value) > {MAX_KEY_LENGTH} AND {long})"


def has_lone_surrogate(text: str) -> str:
    """Whether an escape in the JSON text stands for half a character. Jackson takes it, and Spark stores a `?`."""
    may_have = rf"contains({text}, r'\u') AND (contains({text}, r'\ud') OR contains({text}, r'\uD'))"
    return rf"({may_have} AND replace({text}, r'\\', '  ') RLIKE r'{LONE_SURROGATE}')"
