"""What an event must hold, as data: names, limits, patterns and the words of a refusal.

`brigade.events.event` reads messages by these rules, and `brigade.conversion.lines` lets lines through by some of them,
in SQL. So this file imports nothing, and its patterns mean the same in Python and in Java.
"""

MAX_EVENT_BYTES = 4 << 20  # far enough below Pub/Sub's 10 MB for what is added to an event

# The limits of Jackson, with which Spark reads JSON. orjson takes longer keys and numbers, and 1,024 levels.
# https://javadoc.io/doc/com.fasterxml.jackson.core/jackson-core/latest/com/fasterxml/jackson/core/StreamReadConstraints.html
MAX_LEVELS = 1000  # of arrays and objects in one another
MAX_KEY_LENGTH = 50_000  # in UTF-16 code units, as Java counts
MAX_DIGITS = 1000  # of a number, those of its fraction and its exponent too
TOO_DEEP = f"depth limit exceeded: expected at most {MAX_LEVELS} levels"
KEY_TOO_LONG = f"expected keys of at most {MAX_KEY_LENGTH} characters, found a longer one"
NUMBER_TOO_LONG = f"expected numbers of at most {MAX_DIGITS} digits, found a longer one"

# RFC 3339, and what Spark holds of it: no leap second, and an offset of at most 18 hours, as in Java.
DATE, HOURS = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", r"(?:[01]\d|2[0-3])"
RFC3339 = rf"{DATE}[Tt ]{HOURS}:[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-]{HOURS}:[0-5]\d)"
HELD = rf"({DATE})[Tt ]({HOURS}:[0-5]\d:[0-5]\d)(?:\.\d+)?(?:[Zz]|([+-](?:(?:0\d|1[0-7]):[0-5]\d|18:00)))"
NOT_RFC3339 = "expected RFC 3339, such as 2019-04-02T21:55:57Z"
# Valid RFC 3339 that Spark does not hold: the pattern that finds it, and what it is told. The last one fits the rest.
NOT_HELD = {
    r"^.{17}60": "a leap second is valid RFC 3339, but Spark has none; expected seconds up to 59",
    r"^0000": "the year 0000 is valid RFC 3339, but SQL and Python have none; expected 0001 to 9999",
    r"[+-](?:18:(?!00)|19|2)[\d:]*$": (
        "an offset past 18:00 is valid RFC 3339, but Spark has none; expected at most 18:00"
    ),
    r"": "expected a year from 0001 to 9999 in UTC, found one beyond",
}
