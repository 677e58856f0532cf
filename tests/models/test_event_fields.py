"""Which field of an event is which column of the table, read off the query."""

import pytest

from brigade.events.contract import DOCUMENTS, Contract
from brigade.models.event_fields import feature_fields, taken_over

FIELDS = {"id": "string", "at": "timestamp", "alcohol": "number", "reading.temp": "number", "von": "string"}
FIELDS |= {"a, b": "number"}
CONTRACT = Contract.of({"id": "id", "time": "at", "fields": FIELDS})
EACH = {name: name for name in FIELDS if name != "reading.temp"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT alcohol FROM events", {"alcohol": "alcohol"}),
        ("select\n alcohol\n from events where alcohol > 1, reading.temp", {"alcohol": "alcohol"}),
        ("SELECT alcohol AS strength, reading.temp, von v FROM events",
         {"strength": "alcohol", "temp": "reading.temp", "v": "von"}),
        ("SELECT events.alcohol, `reading` . `temp` AS `t`, `a, b` FROM events",
         {"alcohol": "alcohol", "t": "reading.temp", "a, b": "a, b"}),
        ("SELECT alcohol / 100 AS alcohol, -von, lower(von) AS von, 'alcohol', alcohol2 FROM events", {}),
        ("SELECT alcohol, coalesce(alcohol, 0) AS von, if(von = ',', von, ')') x FROM events", {"alcohol": "alcohol"}),
        ("SELECT -- alcohol, von\n /* von, */ reading.temp /* , von */ FROM events", {"temp": "reading.temp"}),
        ("SELECT * FROM events", EACH),
        ("SELECT *, alcohol * 2 AS double FROM events", EACH),
        ("SELECT *, upper(von) AS von FROM events", {name: path for name, path in EACH.items() if name != "von"}),
        ("SELECT missing, unknown AS alcohol, reading.pressure FROM events", {}),
        ("WITH rows AS (SELECT alcohol FROM events) SELECT alcohol FROM rows", {}),
        ("SELECT alcohol, (SELECT max(von) FROM events) AS von FROM events", {"alcohol": "alcohol"}),
        ("", {}),
        ("SELECT", {}),
        ("SELECT ((((", {}),
    ],
)  # fmt: skip
def test_a_column_is_a_field_where_the_query_takes_it_over_as_it_came(query, found):
    assert {name: ".".join(path) for name, path in taken_over(query, CONTRACT).items()} == found


def test_a_feature_that_the_second_query_computes_is_no_field():
    model = {"label": "von", "features": ["alcohol", "temp", "lag"]}
    pipeline = {"query": "SELECT alcohol, reading.temp, von FROM events", "model": model}
    fields = {"alcohol": ("alcohol",), "temp": ("reading", "temp"), "von": ("von",)}
    assert feature_fields(pipeline, CONTRACT) == fields
    model["query"] = "SELECT *, lag(von) OVER (ORDER BY at) AS lag, round(alcohol) AS `alcohol` FROM rows"
    assert feature_fields(pipeline, CONTRACT) == {name: fields[name] for name in ("temp", "von")}
    model["query"] = "SELECT *, 'x AS von' AS lag -- AS temp\n FROM rows"
    assert feature_fields(pipeline, CONTRACT) == fields


def test_documents_have_their_text():
    assert feature_fields(None, DOCUMENTS) == {"payload": ("doc", "payload")}
