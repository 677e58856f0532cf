"""Reads JSON as strictly as the strictest engine that an event meets: orjson here, and Jackson in Spark.

orjson refuses what is not JSON, lone surrogates, byte order marks, and anything after the value. Jackson refuses deep
nesting and long keys and numbers, wherever they stand.
"""

import math
import re
from functools import partial
from itertools import accumulate

import orjson

from brigade.errors import BrigadeError
from brigade.events.rules import KEY_TOO_LONG, MAX_DIGITS, MAX_KEY_LENGTH, MAX_LEVELS, NUMBER_TOO_LONG, TOO_DEEP

TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
STRINGS, BRACKETS = re.compile(STRING, re.DOTALL), re.compile(rb"[\[\]{}]")
STRINGS_AND_COLONS = re.compile(rb"(%s)(\s*:)?" % STRING, re.DOTALL)
NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
STRINGS_AND_NUMBERS = re.compile(rb"%s|(%s)" % (STRING, NUMBERS.pattern), re.DOTALL)
STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
# A number of more than MAX_DIGITS digits has more than a third of them in a row, which are 5 of every 66th byte.
STRIDE, AS_ZEROS = MAX_DIGITS // 15, bytes.maketrans(b"123456789", b"000000000")


class NotAnEvent(BrigadeError):
    """A message that is not an event. `reason` is a fixed code; `detail` says more and holds no document text."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def parse(data: bytes, levels: int = MAX_LEVELS, beyond_double: object = 0) -> object:
    """The value of a JSON text. Raises NotAnEvent if the bytes are not UTF-8, not JSON, or beyond Jackson's limits.

    beyond_double: what stands for a number beyond a double's range, which is JSON, and which Spark takes.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        value = parse_large_numbers(data, error, beyond_double)
    # What is beyond a limit shows a sign that is cheap to see and that hardly any other text shows.
    if len(data) > MAX_DIGITS:
        if b"00000" in data[::STRIDE].translate(AS_ZEROS) and has_long_number(data):
            raise NotAnEvent("malformed_json", NUMBER_TOO_LONG)
        if len(data) > 2 * levels and opens(data, levels) and depth(data) > levels:
            raise NotAnEvent("malformed_json", TOO_DEEP)
        if len(data) > MAX_KEY_LENGTH and has_long_key(data):
            raise NotAnEvent("malformed_json", KEY_TOO_LONG)
    return value


def parse_large_numbers(data: bytes, error: orjson.JSONDecodeError, instead: object) -> object:
    """The value of a text that orjson refuses only for a number beyond a double's range. Raises NotAnEvent for others.

    The number stays as it is in the event's own bytes.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise NotAnEvent("not_utf8", f"byte {problem.start} is not valid UTF-8") from error
    if "infinity" in error.msg:
        try:
            return orjson.loads(STRINGS_AND_NUMBERS.sub(partial(without_infinity, orjson.dumps(instead)), data))
        except orjson.JSONDecodeError as second:
            error = second
    detail = TOO_DEEP if "depth limit" in error.msg else json_problem(error)
    raise NotAnEvent("malformed_json", detail) from error


def without_infinity(instead: bytes, found: re.Match) -> bytes:
    number = found[1]
    return instead.ljust(len(number)) if number and math.isinf(float(number)) else found[0]


def opens(data: bytes, levels: int) -> bool:
    """Whether a text has more opening brackets than `levels`. Most have few, which find() meets before count() ends."""
    for bracket in (b"{", b"["):
        at = data.find(bracket)
        while at >= 0 and levels >= 0:
            levels, at = levels - 1, data.find(bracket, at + 1)
    return levels < 0


def depth(data: bytes) -> int:
    """How many arrays and objects of a JSON text lie in one another."""
    return max(accumulate(STEPS[bracket] for bracket in BRACKETS.findall(STRINGS.sub(b"", data))))


def has_long_number(data: bytes) -> bool:
    numbers = (found[1] for found in STRINGS_AND_NUMBERS.finditer(data) if found[1])
    return any(len(number) > MAX_DIGITS and len(number.translate(None, b"-+.eE")) > MAX_DIGITS for number in numbers)


def has_long_key(data: bytes) -> bool:
    keys = (found[1] for found in STRINGS_AND_COLONS.finditer(data) if found[2] and len(found[1]) > MAX_KEY_LENGTH)
    return any(len(orjson.loads(key).encode("utf-16-le")) > 2 * MAX_KEY_LENGTH for key in keys)


def check_object(value: object) -> dict:
    """The parsed value, if it is an object. Raises NotAnEvent if it is another one."""
    if not isinstance(value, dict):
        raise NotAnEvent("not_an_object", f"expected an object, found {json_type(value)}")
    return value


def json_type(value: object) -> str:
    """What JSON calls the type of a parsed value."""
    return TYPES.get(type(value), "a number")


def json_problem(error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that is not JSON, and where, without any of the text."""
    return f"{error.msg.split(':')[0]} at character {error.pos}"
