"""The events of a table: landing and conversion take the same ones, and refuse the others in the same words."""

import json

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from brigade.conversion import lines
from brigade.conversion.schema import EVENT, fields_of, reading_of, schema_of
from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import NotAnEvent, read_event

WINE = Contract.of(
    {
        "id": "key.id",
        "time": "bottled",
        "fields": {
            "key.id": {"type": "string", "required": True},
            "bottled": {"type": "timestamp", "required": True},
            "alcohol": {"type": "number", "required": True},
            "tasted.at": "timestamp",
            "tasted.points": "integer",
            "tasted.notes": {"type": "list", "items": {"note": "json"}},
            "colour": "string",
            "organic": "boolean",
            "remark": "json",
        },
    }
)
ROW = {
    "key": {"id": "e1"},
    "bottled": "2026-11-02T00:00:00Z",
    "alcohol": 13.8,
    "tasted": {"at": "2026-11-03T00:00:00Z", "points": 91, "notes": [{"note": "plum"}]},
    "colour": "red",
    "organic": True,
    "remark": 7,
}
QUERY = "SELECT key.id AS eventId, alcohol, tasted.points, colour, organic, remark, 'x' AS dt FROM events"
TAKEN = [
    ROW,
    {"key": {"id": "é"}, "bottled": "2026-11-02t00:00:00z", "alcohol": 0},
    {**ROW, "tasted": None, "colour": None, "organic": None, "remark": None},
    {**ROW, "alcohol": -1e308, "unknown": {"a": [1]}},
    {**ROW, "tasted": {"at": None, "points": -(2**63), "notes": [None]}},
    {**ROW, "alcohol": 10**30, "colour": ""},
    {**ROW, "colour": "7", "remark": {"a": "b"}},
]
BEYOND = json.dumps({**ROW, "alcohol": 0.125})
REFUSED = {
    json.dumps({**ROW, "alcohol": "13.8"}): "wrong_type: alcohol: expected a number, found a string",
    json.dumps({**ROW, "alcohol": "NaN"}): "wrong_type: alcohol: expected a number, found a string",
    json.dumps({**ROW, "alcohol": "Infinity"}): "wrong_type: alcohol: expected a number, found a string",
    json.dumps({**ROW, "alcohol": True}): "wrong_type: alcohol: expected a number, found a boolean",
    json.dumps({**ROW, "alcohol": None}): "wrong_type: alcohol: expected a number, found null",
    json.dumps({**ROW, "alcohol": ""}): "wrong_type: alcohol: expected a number, found a string",
    json.dumps({key: value for key, value in ROW.items() if key != "alcohol"}): "missing_field: alcohol",
    BEYOND.replace("0.125", "1e400"): "wrong_type: alcohol: expected a number, found a number beyond a double's range",
    BEYOND.replace("0.125", "1" + "0" * 400): (
        "wrong_type: alcohol: expected a number, found a number beyond a double's range"
    ),
    BEYOND.replace('"red"', "1e400"): "wrong_type: colour: expected a string, found a number beyond a double's range",
    BEYOND.replace("0.125", "NaN"): "malformed_json: unexpected character, expected a JSON value at character 68",
    json.dumps({**ROW, "key": {"id": ""}}): "missing_field: key.id is empty",
    json.dumps({**ROW, "key": "e1"}): "wrong_type: key: expected an object, found a string",
    json.dumps({**ROW, "key": {"id": 7}}): "wrong_type: key.id: expected a string, found a number",
    json.dumps({**ROW, "bottled": "2026-11-02"}): (
        "bad_timestamp: bottled: expected RFC 3339, such as 2019-04-02T21:55:57Z"
    ),
    json.dumps({**ROW, "tasted": {"at": "soon"}}): (
        "bad_timestamp: tasted.at: expected RFC 3339, such as 2019-04-02T21:55:57Z"
    ),
    json.dumps({**ROW, "tasted": {"at": 7}}): "wrong_type: tasted.at: expected a string, found a number",
    json.dumps({**ROW, "tasted": 3}): "wrong_type: tasted: expected an object, found a number",
    json.dumps({**ROW, "tasted": {"points": 91.0}}): (
        "wrong_type: tasted.points: expected a whole number of 64 bits, found a number"
    ),
    json.dumps({**ROW, "tasted": {"points": 2**63}}): (
        "wrong_type: tasted.points: expected a whole number of 64 bits, found a number"
    ),
    json.dumps({**ROW, "tasted": {"notes": [{"note": "a"}, "b"]}}): (
        "wrong_type: tasted.notes: expected an array of objects, found a string"
    ),
    json.dumps({**ROW, "colour": 7}): "wrong_type: colour: expected a string, found a number",
    json.dumps({**ROW, "colour": ["red"]}): "wrong_type: colour: expected a string, found an array",
    json.dumps({**ROW, "organic": "yes"}): "wrong_type: organic: expected a boolean, found a string",
    json.dumps({**ROW, "organic": 1}): "wrong_type: organic: expected a boolean, found a number",
}


def landing(line: str, contract: Contract = WINE) -> str | None:
    """What landing says of a line; None for an event."""
    try:
        read_event(line.encode(), contract=contract)
    except NotAnEvent as problem:
        return str(problem)
    return None


def conversion(spark, texts: list[str], contract: Contract = WINE) -> dict[str, str | None]:
    """What conversion says of each line, all in one job of Spark."""
    frame = spark.createDataFrame([(line,) for line in texts], "value STRING").selectExpr("value", "'f' AS file")
    rows = (
        lines.parse_lines(frame, reading_of(QUERY, contract)).selectExpr("line", "_row.reason", "_row.detail").collect()
    )
    return {row.line: f"{row.reason}: {row.detail}" if row.reason else None for row in rows}


def test_landing_and_conversion_take_the_same_rows_and_refuse_the_others_in_the_same_words(spark):
    taken = dict.fromkeys(map(json.dumps, TAKEN))
    expected = taken | REFUSED
    assert {line: landing(line) for line in expected} == expected
    assert conversion(spark, list(expected)) == expected


def test_a_row_that_clearly_fits_is_not_sent_to_python(spark, monkeypatch):
    seen = F.struct(F.lit("seen").alias("reason"), F.lit("").alias("detail"))
    monkeypatch.setattr(lines, "refusal_by", lambda contract: lambda line: F.when(line.isNotNull(), seen))
    assert conversion(spark, [json.dumps(ROW), "{}"]) == {json.dumps(ROW): None, "{}": "seen: "}


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "red", "7", "NaN", "2026-11-02T00:00:00Z", "2026-11-02T00:00:00+18:01", "é", "{}"]),
    st.lists(st.none() | st.dictionaries(st.just("note"), st.integers() | st.text(max_size=3)), max_size=2),
    st.dictionaries(st.sampled_from(["id", "at", "points", "notes"]), st.integers() | st.text(max_size=3), max_size=3),
)  # fmt: skip


def test_they_agree_about_wild_rows(spark):
    written = set()

    @settings(max_examples=500, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(WINE.fields), VALUES)
    def collect(field, value):
        row = json.loads(json.dumps(ROW))
        *outer, name = field.path
        (row[outer[0]] if outer else row)[name] = value
        written.add(json.dumps(row))

    collect()
    told = conversion(spark, sorted(written))
    assert [(line, told[line], landing(line)) for line in told if told[line] != landing(line)] == []
    assert len({landing(line) for line in written}) > 10


def test_documents_are_read_as_ever(spark):
    assert fields_of(spark, schema_of(DOCUMENTS)) == fields_of(spark, EVENT)
    assert Contract.of(DOCUMENTS.about()) == DOCUMENTS
