"""What a label is. Training, serving's logs and the publisher ask here, so that they compare the same texts.

A label is a string, a number or a boolean. A number is its text, 1.50 the same as 1.5. Blanks at the ends do
not count, nor does the way in which an accent is encoded. An empty label is none; so is an object or an array.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

EVENT_COLUMNS = ("eventSource", "eventType", "eventVersion")  # of an event's table; nearly all others are metadata
# Characters that nobody sees, beside blanks and control characters: the soft hyphen, fillers, zero-width characters and
# those that set the direction. The rest of Unicode's class Cf is seen, or belongs to a sign.
UNSEEN = {0x00AD, 0x061C, 0x115F, 0x1160, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F)}
UNSEEN |= {*range(0x2060, 0x2070), 0x2800, 0x3164, 0xFEFF, 0xFFA0}
BLANKS = "".join(
    one for one in map(chr, range(0x10000)) if one.isspace() or unicodedata.category(one) == "Cc" or ord(one) in UNSEEN
)
# A float as Java writes it. Before version 19 it writes some with more digits than they need (JDK-4511638).
JAVA_FLOAT = re.compile(r"-?[0-9]\.[0-9]+E-?[0-9]+|-?[0-9]+\.[0-9]{9,}")


def clean_label(text: str | None) -> str | None:
    """The label in a text: in Unicode's form NFC, without blanks at its ends; None if there is none.

    A float of Java's is written as `decimal_text` does, whichever version of Java wrote it.
    """
    label = unicodedata.normalize("NFC", text.strip(BLANKS)) if text else None
    if label and JAVA_FLOAT.fullmatch(label) and math.isfinite(number := float(label)):
        return decimal_text(number)
    return label if label and not is_container(label) else None


def is_container(text: str) -> bool:
    """Whether the text is a JSON object or array."""
    if text[0] + text[-1] not in ("{}", "[]"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def label_text(value: object) -> str | None:
    """The label in a parsed JSON value; None if there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return decimal_text(value) if math.isfinite(value) else None
    return clean_label(value) if isinstance(value, str) else None


def decimal_text(value: float) -> str:
    """The number as Java's Double.toString writes it, and so Spark when it reads a number as text."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, *others = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(others) or '0'}E{len(others) + int(exponent)}"


def label_value(event: dict, column: str) -> object:
    """The parsed value in an event from which its table's column is made; None if there is none."""
    if column in EVENT_COLUMNS:
        return event.get(column)
    doc = event.get("doc")
    holder = doc.get("metadata") if isinstance(doc, dict) and column != "docId" else doc
    return holder.get(column) if isinstance(holder, dict) else None


def label_of(event: dict, column: str) -> str | None:
    """The label that the event carries; None if it carries none."""
    return label_text(label_value(event, column))


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Those of the labels that differ by case, width or blanks alone, together: [["Spam", "spam"]]."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
        groups.setdefault(" ".join(folded.strip(BLANKS).split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
