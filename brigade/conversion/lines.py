"""Parses lines into events. A line that is not an event gets a reason.

The reasons are the codes of landing's dead letters, and the same events are taken as in `brigade.events.event`. The
parsing is SQL as text: hundreds of Column objects would take half a second, one call to Java for each.
"""

import uuid

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.schema import EVENT, fields_of, quoted

CORRUPT, END = "_corrupt_record", "_end_of_line"
OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": CORRUPT,
    "allowSingleQuotes": "false",  # as JSON has it, and the next too
    "allowNonNumericNumbers": "false",
}
RFC3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\z"


def parse_lines(lines: DataFrame, schema: str = EVENT) -> DataFrame:
    """Parses lines (`value`, `file`) into the rows of the view `events`: `_row`, the schema's fields, and
    schema.ADDED. Raises SchemaError if the schema is none.

    `_row.reason` is null for a line that is an event of the schema, and else says why it is not.
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
    valid, reason = judged(mark, schema, lines.sparkSession)
    return parsed.selectExpr(
        f"""struct(
            monotonically_increasing_id() AS id,
            file,
            xxhash64(value) AS hash,
            if({valid}, NULL, {reason}) AS reason,
            CAST(NULL AS STRING) AS detail,
            if({valid}, NULL, value) AS line,
            publishTime,
            event.pubsub.messageId AS messageId
        ) AS _row""",  # what a conversion keeps about each line, from parsing to the table
        *(f"event.{quoted(name)}" for name in kinds),
        "value AS line",
        "eventTime",
        "publishTime",
    )


def judged(mark: str, schema: str, spark: SparkSession) -> tuple[str, str]:
    """Whether a line is an event of the schema, and the reason if it is not: two expressions.

    Nearly all lines are valid, which is cheap to see. Only for the others the reason is computed.
    """
    whole = f"coalesce(event.{END} = '{mark}' AND event.{CORRUPT} IS NULL, false)"
    # One object by the same rules, but with fields of other types.
    pairs = ", ".join(f"'{name}', '{value}'" for name, value in OPTIONS.items())
    is_json = f"from_json({marked(mark)}, 'MAP<STRING, STRING>', map({pairs}))['{END}'] = '{mark}'"
    utf8 = is_utf8(spark)
    valid = [whole, utf8]
    reasons = {
        rf"NOT {whole} AND value RLIKE r'^\s*\{{\s*\}}\s*$'": "missing_field",
        f"NOT {whole} AND {is_json}": "wrong_type",
        f"NOT {whole}": "malformed_json",
        f"NOT {utf8}": "not_utf8",
    }
    if schema == EVENT:
        texts, payload = ("eventId", "doc.docId", "doc.payload"), "event.doc.payload"
        other_type = " OR ".join(has_other_type(f"event.{name}", name) for name in texts)
        missing = " OR ".join(f"event.{name} IS NULL" for name in (*texts, "eventTimestamp"))
        missing = f"({missing} OR event.eventId = '' OR event.doc.docId = '')"
        valid += [f"NOT {missing}", "eventTime IS NOT NULL", starts_with_printable(payload)]
        valid += [f"NOT ({may_be_other_type(f'event.{name}')})" for name in texts]
        reasons |= {
            other_type: "wrong_type",
            missing: "missing_field",
            "eventTime IS NULL": "bad_timestamp",
            rf"NOT {payload} RLIKE r'(?U)[^\s\x1c-\x1f]'": "empty_payload",  # what Python's str.strip leaves empty
        }
    cases = " ".join(f"WHEN {condition} THEN '{reason}'" for condition, reason in reasons.items())
    return f"coalesce({' AND '.join(valid)}, false)", f"CASE {cases} END"


def marked(mark: str) -> str:
    """The line with one more member at its end, which is read back only if the line is one whole JSON object.

    from_json stops at the end of the first object and ignores what follows, which would be lost.
    """
    # By bytes: Spark's functions for characters would go through every line once more.
    trimmed = r"rtrim(translate(value, '\r\t', '  '))"
    return f"if(endswith(value, '}}'), {with_end('value', mark)}, {with_end(trimmed, mark)})"


def with_end(text: str, mark: str) -> str:
    """A JSON object's text with END as its last member. The last byte, which should be a brace, makes way for it."""
    opened = f"CAST(substr(CAST({text} AS BINARY), 1, octet_length({text}) - 1) AS STRING)"
    return f"""concat({opened}, ',"{END}":"{mark}"}}')"""


def timestamp(column: str) -> str:
    """A column of RFC 3339 texts as timestamps; null for any other text, and outside the years 1 to 9999 in UTC."""
    # The cast alone would take a bare date, a year or an hour of today too. RFC 3339 allows a lower-case t and z, Spark
    # does not; upper() costs more than all else here.
    lower = f"contains({column}, 't') OR contains({column}, 'z')"
    time_of = f"try_cast(if({lower}, upper({column}), {column}) AS TIMESTAMP)"
    years = "TIMESTAMP'0001-01-01T00:00:00Z' AND TIMESTAMP'9999-12-31T23:59:59.999999Z'"
    return f"if({column} RLIKE r'{RFC3339}' AND {time_of} BETWEEN {years}, {time_of}, NULL)"


def starts_with_printable(column: str) -> str:
    """Whether a text starts with a visible ASCII character. Compares bytes, which is cheaper than a pattern."""
    return f"{column} BETWEEN '!' AND '~'"


def is_utf8(spark: SparkSession) -> str:
    """Whether a line is valid UTF-8. Spark reads invalid bytes as U+FFFD."""
    before_4 = spark.version.startswith("3.")
    return "(encode(value, 'UTF-8') = CAST(value AS BINARY))" if before_4 else "is_valid_utf8(value)"


def has_other_type(column: str, path: str) -> str:
    """Whether a field that was read as text is a number, a boolean, an array or an object in the JSON.

    Spark reads the JSON of those as text. Only a text that looks like one is parsed again.
    """
    *outer, name = path.split(".")
    cases = []
    for kind, condition in other_types(column).items():
        field = f"{outer[0]} STRUCT<{name}: {kind}>" if outer else f"{name} {kind}"
        cases.append(f"WHEN {condition} THEN from_json(value, '{field}').{path} IS NOT NULL")
    return f"CASE {' '.join(cases)} ELSE false END"


def may_be_other_type(column: str) -> str:
    """Whether a text looks like a number, a boolean, an array or an object."""
    return " OR ".join(other_types(column).values())


def other_types(column: str) -> dict[str, str]:
    """The types that a field read as text may have in the JSON, and for each whether the text looks like it.

    Compares bytes first: a pattern would make a Java string of every payload.
    """
    return {
        "MAP<STRING, STRING>": f"startswith({column}, '{{') AND endswith({column}, '}}')",
        "ARRAY<STRING>": f"startswith({column}, '[') AND endswith({column}, ']')",
        "BOOLEAN": f"{column} IN ('true', 'false')",
        "DOUBLE": rf"{column} BETWEEN '-' AND ':' AND {column} RLIKE r'^-?\d[\d.eE+-]*\z'",
    }
