"""Small JSON texts, good ones and bad ones, in the spirit of the public suites for JSON parsers.

VALUES stand as an unknown field of an event, TEXTS stand for themselves, FIELDS replace fields of an event, and TIMES
are its time. Each has the reason for which every reader refuses it; None if every reader takes it.
"""

# fmt: off
from brigade.events.rules import MAX_DIGITS, MAX_KEY_LENGTH, MAX_LEVELS

BAD, UTF8 = "malformed_json", "not_utf8"


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


def key(text: str) -> bytes:
    return b'{"' + text.encode("utf-8") + b'": 1}'


GOOD_VALUES = [
    b"0", b"-0", b"-0.0", b"0.0", b"0e1", b"0E+1", b"-1", b"123", b"1.5", b"1e5", b"1E5", b"1E+2", b"1e-2", b"1.5e+3",
    b"0.1e-01", b"1e-400", b"1e400", b"-1e400", b"1e309", b"1.8e308", b"1e99999999999", b"1e-99999999999",
    b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809", b"123456789012345678901234567890",
    b"1" * 309, b"1" * MAX_DIGITS, b"-" + b"1" * MAX_DIGITS, b"0." + b"1" * (MAX_DIGITS - 1),
    b"1" * 500 + b"e" + b"1" * 500, b"true", b"false", b"null", b"[]", b"{}", b'""', b"[null]", b"[ ]", b"{ }",
    b"[1, 2]", b"[[], {}]", b'{"a": {}}', b'"a"', b'"\\""', b'"\\\\"', b'"\\/"', b'"/"', b'"\\b\\f\\n\\r\\t"',
    b'"\\u0041"', b'"\\u00e9\\u00E9"', b'"\\u0000"', b'"\\u001f"', b'"\x7f"', b'"\\u007f"', b'"\\ud83d\\ude00"',
    b'"\\uD83D\\uDE00"', b'"\\udbff\\udfff"', b'"\\ud800\\udc00"', b'"\\\\ud83d"', b'"\\\\\\\\ud83d"',
    b'"\\\\\\ud83d\\ude00"', b'"ud83d"', b'"\\uFFFF"', b'"\\ufeff"', b'"\\ufdd0"', '"é"'.encode(), '"😀"'.encode(),
    '"\u2028\u2029"'.encode(), '"\ufeff"'.encode(), '"\uffff"'.encode(), '"\U0010ffff"'.encode(), '"\u0080"'.encode(),
    '"e\u0301"'.encode(), '"\ue000"'.encode(), '"\ufffd"'.encode(), b'{"": 1}', b'{" ": 1}', b'{"\\u0000": 1}',
    b'{"a": 1, "a": 2}', b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 2}', b'{"eventId": 7}', b'{"doc": "text"}',
    b'{"pubsub": []}', b'{"a": [], "a": {}}', b"[1,\t2,\n3,\r\n4]", b"\t1\r\n", b'{"a":1\n,\r"b"\t:2 }', b'"[{"',
    b'"}"', b'["a]", "{b"]', b'"\\u005b"', b'"eventId"', b'"\\""', b'"// no comment"', nested(MAX_LEVELS - 1),
    nested(MAX_LEVELS - 1, b'{"a":', b"}").replace(b'"a":}', b'"a":1}'), b"[" + b"[]," * 1500 + b"[]]",
    b'"' + b"[" * 2000 + b'"', b'"' + b"1" * 2000 + b'"', b'"' + b"k" * 60_000 + b'"', b'["' + b"k" * 60_000 + b'"]',
    key("k" * MAX_KEY_LENGTH), key("é" * MAX_KEY_LENGTH), key("😀" * (MAX_KEY_LENGTH // 2)),
    key("\\u0041" * MAX_KEY_LENGTH),
]
# Jackson counts one digit less of some fractions and exponents, so these have a few more.
BAD_VALUES = [
    b"", b"+1", b"01", b"-01", b"00", b"-", b"--1", b"1.", b".5", b"-.5", b"1.e1", b"1e", b"1e+", b"1e-", b"1E",
    b"1.5e", b"0x1", b"0x", b"1_000", b"1 000", b"1,000.0.0", b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity",
    b"+Infinity", b"INF", b"-INF", b"inf", b"1f", b"1L", b"0b1", b"0o7", "１".encode(), "−1".encode(), "1٠".encode(),
    b"1" * (MAX_DIGITS + 1), b"-" + b"1" * (MAX_DIGITS + 1), b"0." + b"1" * (MAX_DIGITS + 2),
    b"1" * 501 + b"e" + b"1" * 505, b"1e" + b"0" * (MAX_DIGITS + 5), b"1" * 5000, b"True", b"TRUE", b"tru", b"truee",
    b"nul", b"None", b"undefined", b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[1 2]", b"[1", b"1]", b"[[1]", b"[1]]",
    b"[1}", b"{1}", b'{"a"}', b'{"a":}', b'{"a" 1}', b'{"a":1,}', b'{,"a":1}', b'{"a":1 "b":2}', b'{"a":1,,"b":2}',
    b'{"a"::1}', b'{"a":1:2}', b'{"a",1}', b"{a: 1}", b"{'a': 1}", b"{1: 1}", b"{null: 1}", b'{"a": 1', b'"a": 1}',
    b"'a'", b'"a', b'a"', b'"', b'"\\"', b'"a\\', b'"\\x41"', b'"\\\'"', b'"\\a"', b'"\\0"', b'"\\u"', b'"\\u1"',
    b'"\\u12"', b'"\\u123"', b'"\\u12g4"', b'"\\U0041"', b'"\\u{41}"', b'"\\ "', b'"\\\n"', b'"\\\xc3\xa9"', b'"\t"',
    b'"\n"', b'"\r"', b'"\x00"', b'"\x01"', b'"\x1f"', b'{"a\tb": 1}', b"\x0b1", b"\x0c1", b"\x001", b"1\x00",
    b"[1\x0c]", "\u00a01".encode(), "1\u2028".encode(), "\ufeff1".encode(), "[\u200b]".encode(), b"/**/1", b"1//x",
    b"#1", b"[1] // x", b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\ud83d"', b'"\\ude00\\ud83d"', b'"\\ud83d "',
    b'"\\ud83d\\u0041"', b'"\\ud83d\\n"', b'"\\ud83d\\\\ude00"', b'"\\\\\\ud83d"', b'"\\\\ud83d\\ude00"',
    b'"ok \\uDEAD"', b'{"\\ud800": 1}', b'"\\uD800\\uD800\\uDC00"', b'"\\ud83d\\ude00\\ude00"', b'"\\uDFFF"',
    nested(MAX_LEVELS), nested(MAX_LEVELS + 30), b"[" * 100_000,
    nested(MAX_LEVELS, b'{"a":', b"}").replace(b'"a":}', b'"a":1}'), key("k" * (MAX_KEY_LENGTH + 1)),
    key("😀" * (MAX_KEY_LENGTH // 2 + 1)), key("\\u0041" * (MAX_KEY_LENGTH + 1)), b"1, 2", b"1}, {", b'1} , {"a": 1',
]
INVALID_UTF8 = [
    b"\xff", b"\xfe\xff", b"\x80", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf",
    b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80", b"caf\xe9",
]
TEXTS = {
    b"": BAD, b" ": BAD, b"{": BAD, b"}": BAD, b"[": BAD, b"]": BAD, b"[]]": BAD, b"{}}": BAD, b"{}{}": BAD,
    b"{},": BAD, b"[],{}": BAD, b"nul": BAD, b"NaN": BAD, b"-": BAD, b"'a'": BAD, b'"a': BAD, b"a": BAD, b"{]": BAD,
    b"[}": BAD, b"1 2": BAD, b"\xef\xbb\xbf{}": BAD, b"\xef\xbb\xbf": BAD, b"{}\x00": BAD, b"\x00": BAD, b"\x1a": BAD,
    b"{}\x0c": BAD, b"<a/>": BAD, b'"\\ud800"': BAD, "\u00a0{}".encode(): BAD, b"{} // x": BAD,
    b"{'a': 1}": BAD, b"{,}": BAD, b"{{}}": BAD, b"\xff\xfe{\x00}\x00": UTF8, b"{\x00}\x00": BAD, b"\xff": UTF8,
    b'{"a": "\xff"': UTF8, b'["\xed\xa0\x80"]': UTF8, b"null": "not_an_object", b"true": "not_an_object",
    b"false": "not_an_object", b"0": "not_an_object", b"-1.5e3": "not_an_object", b"1e400": "not_an_object",
    b'""': "not_an_object", b'"{}"': "not_an_object", b"[]": "not_an_object", b" [ ] ": "not_an_object",
    b"[{}]": "not_an_object", b"\t17\r\n": "not_an_object", b'[1, [2, "]"]]': "not_an_object",
    b'"a\\"b"': "not_an_object", nested(MAX_LEVELS): "not_an_object", nested(MAX_LEVELS + 1): BAD,
    b"1" * (MAX_DIGITS + 1): BAD, b"[1e400]": "not_an_object", b"{}": "missing_field", b" {\t} \n": "missing_field",
    b'{"a": 1}': "missing_field", b'{"doc": {}}': "missing_field", b'{"_end_of_line": 1}': "missing_field",
    b'{"_corrupt_record": {}}': "missing_field",
}
# A path of an event, and what stands there in its text; None for nothing.
STRINGS = ("eventId", "eventTimestamp", "doc.docId", "doc.payload")
FIELDS = [
    *((path, None, "missing_field") for path in (*STRINGS, "doc")),
    *((path, value, "wrong_type") for path in STRINGS
      for value in (b"null", b"7", b"-1.5e3", b"1e400", b"true", b"false")),
    *((path, value, "wrong_type") for path in STRINGS
      for value in (b"[]", b"{}", b'["a"]', b'{"a": "b"}', b"123456789012345678901")),
    *(("doc", value, "wrong_type") for value in (b"null", b'""', b'"text"', b'"{}"', b"7", b"true", b"[]", b"[{}]")),
    *((path, b'""', "missing_field") for path in ("eventId", "doc.docId")),
    *((path, b'" "', None) for path in ("eventId", "doc.docId")),
    *((path, text, None) for path in ("eventId", "doc.docId", "doc.payload")
      for text in (b'"7"', b'"true"', b'"{}"', b'"[1]"')),
    *((path, text, None) for path in ("eventId", "doc.docId", "doc.payload")
      for text in (b'"null"', b'"\\u0000"', b'"NaN"', b'"-"')),
    *((path, text, None) for path in ("eventId", "doc.docId", "doc.payload")
      for text in (b'"{\\"a\\": 1}"', b'"1e5"', b'"Infinity"')),
    *(("doc.payload", text, "empty_payload")
      for text in (b'""', b'" "', b'"\\t\\n\\u000b\\f\\r"', b'"\\u001c\\u001f\\u0085\\u00a0"')),
    *(("doc.payload", text, "empty_payload")
      for text in (b'"\\u1680\\u2000\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"',)),
    *(("doc.payload", text, None)
      for text in (b'"\\u200b"', b'"\\ufeff"', b'"\\u180e"', b'"\\u0000 "', b'" a"', b'"."', b'"\\u2800"')),
    *((path, b"null", None) for path in ("doc.metadata", "doc.metadata.otherTags", "pubsub", "eventSource")),
    *((path, None, None) for path in ("doc.metadata", "doc.metadata.otherTags", "eventSource", "eventType")),
    *(("doc.metadata", value, "wrong_type") for value in (b'""', b'"text"', b'"{}"', b"7", b"true", b"[]", b"[{}]")),
    *(("doc.metadata.otherTags", value, "wrong_type")
      for value in (b'""', b'"text"', b'"[]"', b"7", b"false", b"{}", b'{"a": []}')),
    *(("doc.metadata.otherTags", value, "wrong_type")
      for value in (b'["a"]', b"[7]", b"[[]]", b'[{}, ""]', b'[{"tagName": "a"}, "{}"]')),
    *(("doc.metadata.otherTags", value, None)
      for value in (b"[]", b"[null]", b"[{}, null]", b'[{"tagName": 7, "tagValue": {}}]')),
    *(("pubsub", value, "wrong_type") for value in (b'""', b'"text"', b"7", b"true", b"[]", b'["a"]')),
    *(("pubsub", value, None)
      for value in (b"{}", b'{"messageId": 7}', b'{"publishTime": "soon"}', b'{"orderingKey": "k"}')),
    *(("eventSource", value, None)
      for value in (b'""', b"7", b"1e400", b"true", b"[1, {}]", b'{"a": []}', nested(MAX_LEVELS - 1))),
    *(("doc.metadata.superTag01", value, None)
      for value in (b'""', b"7", b"null", b"[]", b'{"a": 1}', nested(MAX_LEVELS - 3))),
    ("doc.metadata.superTag01", nested(MAX_LEVELS - 2), BAD),
]
# A name that occurs twice: which, the two values in their order. The last one counts.
TWICE = [
    ("eventId", b'"a"', b'"b"', None), ("eventId", b"7", b'"b"', None), ("eventId", b"null", b'"b"', None),
    ("eventId", b'"a"', b"7", "wrong_type"), ("eventId", b'"a"', b"null", "wrong_type"),
    ("eventId", b"true", b'"true"', None), ("eventId", b'"true"', b"true", "wrong_type"),
    ("doc.docId", b"[]", b'"[x]"', None), ("doc.docId", b"5", b'"7"', None), ("doc.docId", b'"5"', b"7", "wrong_type"),
    ("doc.payload", b"{}", b'"{}"', None), ("doc.payload", b'"{}"', b"{}", "wrong_type"),
    ("doc.payload", b"1e999", b'"1"', None), ("eventId", b'"[1]"', b"[1]", "wrong_type"),
    ("eventId", b'"a"', b'""', "missing_field"), ("eventTimestamp", b'"soon"', b'"2019-04-02T21:55:57Z"', None),
    ("eventTimestamp", b'"2019-04-02T21:55:57Z"', b'"soon"', "bad_timestamp"),
    ("doc", b'"text"', b'{"docId": "d", "payload": "p"}', None),
    ("doc", b"null", b'{"docId": "d", "payload": "p"}', None),
    ("doc", b"[1, {}]", b'{"docId": "d", "payload": "p"}', None),
    ("doc", b"{}", b'{"docId": "d", "payload": "p"}', None),
    ("doc", b'{"docId": "d", "payload": "p"}', b"null", "wrong_type"),
    ("doc", b'{"docId": "d", "payload": "p"}', b'"text"', "wrong_type"),
    ("doc", b'{"docId": "d", "payload": "p"}', b"[]", "wrong_type"),
    ("doc", b'{"docId": "d", "payload": "p"}', b"{}", "missing_field"), ("doc", b"{}", b'"text"', "wrong_type"),
    ("doc", b'"text"', b"{}", "missing_field"), ("doc", b'{"metadata": 7}', b'{"docId": "d", "payload": "p"}', None),
    ("doc.metadata", b'"text"', b"{}", None), ("doc.metadata", b"{}", b'"text"', "wrong_type"),
    ("doc.metadata", b"[]", b"null", None), ("doc.metadata", b'{"otherTags": 7}', b"{}", None),
    ("doc.metadata.otherTags", b'["a"]', b"[]", None), ("doc.metadata.otherTags", b"7", b'[{"tagName": "a"}]', None),
    ("doc.metadata.otherTags", b"[]", b'["a"]', "wrong_type"), ("pubsub", b'"text"', b"{}", None),
    ("pubsub", b"{}", b"[]", "wrong_type"), ("pubsub", b"7", b"null", None),
]
NOT_A_TIME = [
    "2019-04-02", "2019", "21:55:57Z", "2019-04-02T21:55:57", "2019-04-02T21:55:57+0300", "2019-04-02T21:55:57+03",
    "2019-02-29T00:00:00Z", "2019-04-02T24:00:00Z", "2019-04-02T21:60:57Z", "2019-04-02T21:55:61Z",
    "2019-13-02T21:55:57Z", "2019-00-02T21:55:57Z", "2019-04-31T21:55:57Z", "2019-04-00T21:55:57Z",
    "19-04-02T21:55:57Z", "12019-04-02T21:55:57Z", "+2019-04-02T21:55:57Z", "-2019-04-02T21:55:57Z",
    "2019-04-02T21:55Z", "2019-04-02T21:55:57.Z", "2019-04-02T21:55:57,5Z", "2019-04-02T21:55:57+24:00",
    "2019-04-02T21:55:57+05:75", "2019-04-02T21:55:57+05:60", "2019-04-02T21:55:57UTC", "2019-04-02T21:55:57[UTC]",
    "2019-04-02T21:55:57Z[UTC]", "2019-04-02T21:55:57+05:00:00", "20190402T215557Z", "2019-W14-2T21:55:57Z",
    "2019-092T21:55:57Z", "٢٠١٩-04-02T21:55:57Z", "2019-04-02T21:55:57−03:00", "yesterday", "1554242157",
    "2019-02-29T23:59:60Z", "2019-04-02_21:55:57Z", "2019-4-2T21:55:57Z", "2019-04-02T1:55:57Z",
    "0000-02-30T00:00:00Z", "2019-04-02T21:55:57++3:00", "1900-02-29T00:00:00Z", "2019-04-02T21:55:57-25:00",
    "2019-04-02T21:55:57+99:99", "2019-04-02TT21:55:57Z", "epoch", "now", "2019-04-02T21:55:57Zz",
]
TIMES_WITH_SPACES = [
    "", " ", " 2019-04-02T21:55:57Z", "2019-04-02T21:55:57Z ", "2019-04-02T21:55:57Z\n", "2019-04-02  21:55:57Z",
    "\n",
]
NOT_HELD = [
    "1990-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "1990-12-31T15:59:60-08:00", "0000-01-01T00:00:00Z",
    "0000-02-29T12:00:00+01:00", "2019-04-02T21:55:57+18:01", "2019-04-02T21:55:57-18:30",
    "2019-04-02T21:55:57+23:59", "2019-04-02T21:55:57-19:00", "2019-04-18T21:55:57+20:00",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "0001-01-01T17:59:59+18:00", "2019-04-02t21:55:60z",
]
TIMES = [
    "2019-04-02T21:55:57Z", "2019-04-02t21:55:57z", "2019-04-02T21:55:57.123456789Z", "2019-04-02T21:55:57-00:00",
    "2019-04-02T21:55:57+18:00", "2019-04-02T21:55:57-18:00", "2019-04-02T21:55:57+17:59", "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00-18:00", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59+18:00",
    "2000-02-29T00:00:00Z", "2020-02-29T00:00:00Z", "1582-10-10T00:00:00Z", "2019-12-31T23:59:59.0Z",
]
TIMES += ["2019-04-02 21:55:57+05:30", f"2019-04-02T21:55:57.{'1' * 100}Z"]
