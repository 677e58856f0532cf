"""What a label is. Training, serving's logs and the publisher ask here, so that they compare the same texts.

A label is a string, a number or a boolean. A number is the text that stands for it in the JSON. Blanks at the ends do
not count, nor does the way in which an accent is encoded. An empty label is none; so is an object or an array.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

EVENT_COLUMNS = ("eventSource", "eventType", "eventVersion")  # of an event's table; nearly all others are metadata
# Characters that nobody sees, beside blanks and control characters: the soft hyphen, fillers, zero-width characters and
# those that set the direction. The rest of Unicode's class Cf is seen, or belongs to a sign.
UNSEEN = {0x00AD, 0x061C, 0x115F, 0x1160, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F)}
UNSEEN |= {*range(0x2060, 0x2070), 0x2800, 0x3164, 0xFEFF, 0xFFA0}
BLANKS = "".join(
    one for one in map(chr, range(0x10000)) if one.isspace() or unicodedata.category(one) == "Cc" or ord(one) in UNSEEN
)


def clean_label(text: str | None) -> str | None:
    """The label in a text: in Unicode's form NFC, without blanks at its ends; None if there is none."""
    label = unicodedata.normalize("NFC", text.strip(BLANKS)) if text else None
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
    if isinstance(value, int | float):
        return repr(value)
    return clean_label(value) if isinstance(value, str) else None


def label_value(event: dict, column: str) -> object:
    """The parsed value in an event from which its table's column is made; None if there is none."""
    if column in EVENT_COLUMNS:
        return event.get(column)
    doc = event.get("doc")
    holder = doc.get("metadata") if isinstance(doc, dict) and column != "docId" else doc
    return holder.get(column) if isinstance(holder, dict) else None


def label_of(event: dict, column: str) -> str | None:
    """The label that the event carries; None if it carries none. See `labels_of` for numbers with a fraction."""
    return label_text(label_value(event, column))


def labels_of(events: list[dict], column: str, again: Callable[[], list[dict]]) -> list[str | None]:
    """The labels that the events carry. `again` parses the events once more, by `with_numbers_as_text`.

    1.50 and 1.5 are two labels and one parsed number, so events with such a number are parsed twice.
    """
    if any(isinstance(label_value(event, column), float) for event in events):
        with suppress(RecursionError):  # Python's parser does not go as deep as orjson
            events = again()
    return [label_of(event, column) for event in events]


def with_numbers_as_text(data: bytes) -> Any:
    """The value of a JSON text, with the text of each number instead of the number."""
    return json.loads(data, parse_float=str, parse_int=str)


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Those of the labels that differ by case, width or blanks alone, together: [["Spam", "spam"]]."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
        groups.setdefault(" ".join(folded.strip(BLANKS).split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
