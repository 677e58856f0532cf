"""Says in SQL why a line is not an event: the rules of `brigade.events.event`, in the same order.

What is not clearly an event comes here, such as a document that begins with an accent. So each condition begins with
what is cheap to see, and only what looks wrong is parsed once more.
"""

from brigade.conversion.schema import EVENT
from brigade.events.rules import MAX_EVENT_BYTES, NOT_HELD, NOT_RFC3339, RFC3339

CORRUPT, END = "_corrupt_record", "_end_of_line"
OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": CORRUPT,
    "allowSingleQuotes": "false",  # as JSON has it, and the next too
    "allowNonNumericNumbers": "false",
}

Refusal = tuple[str, str, str]  # an SQL condition, a reason, and an SQL expression of the detail


def read_again(text: str, mark: str, schema: str) -> str:
    """The line (`text` with `mark` at its end) without the types of its fields, if these may be why it is refused.

    Where it meets a field of another type, Spark goes on, even after what is not JSON, and keeps an earlier value.
    """
    clear = f"event.{END} = '{mark}' AND event.{CORRUPT} IS NULL"
    fields = f"{END} STRING, {CORRUPT} STRING"
    if schema == EVENT:
        clear += " AND event.doc.docId IS NOT NULL AND event.doc.payload IS NOT NULL"
        fields += ", doc STRING, pubsub STRING"
    return f"if(coalesce({clear}, false), NULL, {parsed(text, fields)})"


def line_refusals(utf8: str, unpaired: str, long_key: str, mark: str) -> list[Refusal]:
    """The refusals of a line that is not one JSON object in UTF-8.

    Expressions: `utf8`; `unpaired`, whether it holds half a surrogate pair; `long_key`, whether a key is too long.
    """
    is_json = f"event.{CORRUPT} IS NULL OR again.{END} <=> '{mark}' AND again.{CORRUPT} IS NULL"
    whole = f"(event.{END} <=> '{mark}' AND ({is_json}))"
    # from_json reads an array up to its end, and the array has these two elements only if the line is one JSON value.
    values = parsed(f"concat('[', value, ',\"{mark}\"]')", "ARRAY<STRING>", maxNestingDepth="1001")
    return [
        (f"NOT {utf8}", "not_utf8", "'not valid UTF-8'"),
        (unpaired, "malformed_json", "'an escaped surrogate lacks its partner'"),
        (rf"NOT {whole} AND value RLIKE r'^[ \t\r\n]*\{{[ \t\r\n]*\}}[ \t\r\n]*\z'", "missing_field", "'eventId'"),
        (f"NOT {whole} AND size({values}) = 2 AND {values}[1] = '{mark}'", "not_an_object", "'expected an object'"),
        (f"NOT {whole} OR {long_key}", "malformed_json", "'not JSON, or beyond the limits of Jackson'"),
    ]


def field_refusals() -> list[Refusal]:
    """The refusals of a JSON object whose fields do not make it an event.

    Of a name that occurs twice the last value counts. `event` holds the last one that is of the right type, and `again`
    the last one of any type, as text.
    """
    metadata = f"{parsed('again.doc', 'metadata STRING')}.metadata"
    tags = f"{parsed(metadata, 'otherTags STRING')}.otherTags"
    no_object = f"event.doc IS NULL OR event.{CORRUPT} IS NOT NULL AND NOT startswith(again.doc, '{{')"
    return [
        *text_refusals("eventId", "value"),
        *text_refusals("eventTimestamp", "value"),
        is_missing("doc", "value"),
        (no_object, "wrong_type", "'doc: expected an object'"),
        *text_refusals("doc.docId", "again.doc"),
        *text_refusals("doc.payload", "again.doc"),
        *((f"event.{name} = ''", "missing_field", f"'{name} is empty'") for name in ("eventId", "doc.docId")),
        type_refusal("doc.metadata", metadata, "STRUCT<otherTags: STRING>", "an object"),
        type_refusal("doc.metadata.otherTags", tags, "ARRAY<STRUCT<tagName: STRING>>", "an array of objects"),
        type_refusal("pubsub", "again.pubsub", "STRUCT<messageId: STRING>", "an object"),
        ("eventTime IS NULL", "bad_timestamp", timestamp_problem("event.eventTimestamp")),
        # what Python's str.strip leaves empty
        (r"NOT event.doc.payload RLIKE r'(?U)[^\s\x1c-\x1f]'", "empty_payload", "'doc.payload holds no text'"),
    ]


def too_large() -> Refusal:
    """The refusal of an event that is too large. What has landed was measured there, before landing added to it."""
    size = f"concat('expected at most {MAX_EVENT_BYTES} bytes, found ', octet_length(value))"
    return f"(octet_length(value) > {MAX_EVENT_BYTES} AND event.pubsub.messageId IS NULL)", "too_large", size


def text_refusals(path: str, parent: str) -> list[Refusal]:
    """The refusals of a required text. parent: an expression of the JSON object that holds it."""
    wrong = f"event.{path} IS NULL OR {has_other_type(f'event.{path}', path)}"
    return [is_missing(path, parent), (wrong, "wrong_type", f"'{path}: expected a string'")]


def is_missing(path: str, parent: str) -> Refusal:
    name = path.rpartition(".")[2]
    keys = f"json_object_keys({parent})"
    return f"event.{path} IS NULL AND NOT array_contains({keys}, '{name}')", "missing_field", f"'{path}'"


def type_refusal(path: str, text: str, kind: str, expected: str) -> Refusal:
    """The refusal of an optional field whose last value (`text`) is neither null nor of the type."""
    again = parsed(f"concat('{{\"v\":', {text}, '}}')", f"v {kind}, {CORRUPT} STRING")
    wrong = f"{text} IS NOT NULL AND (event.{path} IS NULL OR {again}.{CORRUPT} IS NOT NULL)"
    return f"event.{CORRUPT} IS NOT NULL AND {wrong}", "wrong_type", f"'{path}: expected {expected}'"


def timestamp_problem(column: str) -> str:
    """The detail of a text that is no timestamp."""
    held = " ".join(f"WHEN {column} RLIKE r'{pattern}' THEN '{told}'" for pattern, told in NOT_HELD.items())
    rfc3339 = rf"{column} RLIKE r'^(?:{RFC3339})\z' AND try_cast(left({column}, 10) AS DATE) IS NOT NULL"
    return f"CASE WHEN NOT ({rfc3339}) THEN '{NOT_RFC3339}' {held} END"


def parsed(text: str, schema: str, **options: str) -> str:
    pairs = ", ".join(f"'{name}', '{value}'" for name, value in (OPTIONS | options).items())
    return f"from_json({text}, '{schema}', map({pairs}))"


def first_of(refusals: list[Refusal]) -> str:
    """The first refusal whose condition holds, as `reason` and `detail`; null if there is none."""
    cases = (
        f"WHEN {condition} THEN struct('{reason}' AS reason, {detail} AS detail)"
        for condition, reason, detail in refusals
    )
    return f"CASE {' '.join(cases)} END"


def has_other_type(column: str, path: str) -> str:
    """Whether a field that was read as text is a number, a boolean, an array or an object in the JSON.

    Spark reads the JSON of those as text. Only a text that looks like one is parsed again. If the name occurs twice,
    once as such a value and once as a text, how its last value begins decides.
    """
    *outer, name = path.split(".")
    inside = parsed("value", f"{outer[0]} STRING") + f".{outer[0]}" if outer else "value"
    begins = rf"""regexp_extract({inside}, r'(?s)^.*"{name}"[ \t\r\n]*:[ \t\r\n]*(.)', 1)"""
    cases = []
    for kind, condition in other_types(column).items():
        field = f"{outer[0]} STRUCT<{name}: {kind}>" if outer else f"{name} {kind}"
        typed = parsed("value", f"{field}, {CORRUPT} STRING")
        other = f"""{typed}.{path} IS NOT NULL AND ({typed}.{CORRUPT} IS NULL OR {begins} <> '"')"""
        cases.append(f"WHEN {condition} THEN {other}")
    return f"CASE {' '.join(cases)} ELSE false END"


def may_be_other_type(column: str) -> str:
    """Whether a text looks like a number, a boolean, an array or an object."""
    return " OR ".join(other_types(column).values())


def other_types(column: str) -> dict[str, str]:
    """The types that a field read as text may have in the JSON, and for each whether the text looks like it.

    Compares bytes first: a pattern would make a Java string of every payload. Spark reads a number beyond a double's
    range as the text `"Infinity"`, with quotes.
    """
    number = rf"{column} BETWEEN '-' AND ':' AND {column} RLIKE r'^-?\d[\d.eE+-]*\z'"
    return {
        "MAP<STRING, STRING>": f"startswith({column}, '{{') AND endswith({column}, '}}')",
        "ARRAY<STRING>": f"startswith({column}, '[') AND endswith({column}, ']')",
        "BOOLEAN": f"{column} IN ('true', 'false')",
        "DOUBLE": f"""({number} OR {column} IN ('"Infinity"', '"-Infinity"'))""",
    }
