"""What happens when the events of a pipeline change upstream, or its query: docs/pipelines.md has the table."""

import json
from pathlib import Path

import pytest
import yaml

import spark_sql
from brigade.conversion.table import read_parquet
from tests.conversion.outputs import quarantined
from tests.conversion.sample_events import written

DEFINITION = {
    "name": "shop",
    "model_prefix": "shop-model",
    "event": {
        "id": "id",
        "time": "at",
        "fields": {
            "id": {"type": "string", "required": True},
            "at": {"type": "timestamp", "required": True},
            "shop.name": "string",
            "shop.floors": "integer",
            "sales": {"type": "number", "required": True},
        },
    },
    "query": "SELECT id AS eventId, eventTime, shop.name, shop.floors, sales, to_date(eventTime) AS dt FROM events",
    "model": {"kind": "table", "task": "regression", "label": "sales", "features": ["name", "floors"], "metric": "mae"},
}


def row(event_id: str, **changes) -> str:
    whole = {"id": event_id, "at": "2026-11-02T08:00:00Z", "shop": {"name": "north", "floors": 2}, "sales": 7.5}
    return json.dumps({name: value for name, value in (whole | changes).items() if value is not ...})


class Shop:
    """A pipeline whose events are converted by the program."""

    def __init__(self, folder: Path, capsys):
        self.folder, self.capsys, self.status = folder, capsys, 0
        self.definition = folder / "shop.yaml"
        self.describe(**DEFINITION)

    def describe(self, **changes) -> None:
        self.definition.write_text(yaml.safe_dump(DEFINITION | changes, sort_keys=False))

    def convert(self, *flags: str) -> dict:
        """The program's summary; {"error": its line} if it has failed."""
        folders = [str(self.folder / name) for name in ("landed", "parquet")]
        self.status = spark_sql.main([*folders, f"--pipeline={self.definition}", *flags])
        printed = self.capsys.readouterr()
        return json.loads(printed.out) if self.status == 0 else {"error": printed.err.splitlines()[-1]}


@pytest.fixture
def shop(tmp_path, capsys) -> Shop:
    return Shop(tmp_path, capsys)


@pytest.mark.long
def test_a_field_that_is_added_renamed_retyped_or_dropped_is_told_and_no_event_is_lost(spark, shop):
    lines = {
        "as described": row("e1"),
        "added": row("e2", shop={"name": "north", "floors": 2, "lift": True}, weather="rain"),
        "renamed, optional": row("e3", shop={"label": "north", "floors": 2}),
        "renamed, required": row("e4", sales=..., turnover=7.5),
        "retyped": row("e5", shop={"name": "north", "floors": "two"}),
        "dropped, optional": row("e6", shop=...),
        "dropped, required": row("e7", sales=...),
        "its object became a value": row("e8", shop="north"),
    }
    written(shop.folder / "landed" / "a.jsonl", *lines.values())
    summary = shop.convert()
    assert {name: summary[name] for name in ("lines", "converted", "quarantined", "unknown_fields")} == {
        "lines": 8,
        "converted": 4,
        "quarantined": 4,
        "unknown_fields": {"shop.label": 1, "shop.lift": 1, "weather": 1},
    }
    rows = {one.eventId: one for one in read_parquet(spark, str(shop.folder / "parquet")).collect()}
    assert {name: (one["name"], one.floors, one.sales) for name, one in rows.items()} == {
        "e1": ("north", 2, 7.5),
        "e2": ("north", 2, 7.5),
        "e3": (None, 2, 7.5),
        "e6": (None, None, 7.5),
    }
    told = {
        json.loads(one["line"])["id"]: (one["reason"], one["detail"]) for one in quarantined(shop.folder / "quarantine")
    }
    assert told == {
        "e4": ("missing_field", "sales"),
        "e5": ("wrong_type", "shop.floors: expected a whole number of 64 bits, found a string"),
        "e7": ("missing_field", "sales"),
        "e8": ("wrong_type", "shop: expected an object, found a string"),
    }


@pytest.mark.long
def test_a_query_that_yields_another_column_goes_on_and_one_of_another_type_is_refused(spark, shop):
    written(shop.folder / "landed" / "a.jsonl", row("e1"))
    assert shop.convert()["rows"] == 1
    written(shop.folder / "landed" / "b.jsonl", row("e2"))
    shop.describe(query=DEFINITION["query"].replace("sales,", "sales, sales / shop.floors AS per_floor,"))
    assert shop.convert()["rows"] == 2
    rows = read_parquet(spark, str(shop.folder / "parquet")).collect()
    assert {one.eventId: one.per_floor for one in rows} == {"e1": None, "e2": 3.75}
    written(shop.folder / "landed" / "c.jsonl", row("e3"))
    shop.describe(query=DEFINITION["query"].replace("sales,", "CAST(sales AS INT) AS sales,"))
    told = shop.convert()["error"]
    assert (shop.status, "sales: double there, int now" in told, "start over with --full" in told) == (1, True, True)
    assert shop.convert("--full")["rows"] == 3


def test_a_query_that_names_a_field_that_the_definition_has_not_is_refused_before_anything_is_written(shop):
    written(shop.folder / "landed" / "a.jsonl", row("e1"))
    shop.describe(query=DEFINITION["query"].replace("shop.floors", "shop.rooms AS floors"))
    told = shop.convert()["error"]
    assert shop.status == 1 and told.startswith("spark_sql.py: the definition shop: ") and "rooms" in told
    assert not (shop.folder / "parquet").exists()
