"""Tables with known answers: houses, whose price follows from their size and place, and their definitions."""

import dataclasses
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from brigade.pipelines.definition import Definition

PLACES = {"lake": 90.0, "town": 40.0, "wood": 0.0}
SCHEMA = (
    "eventId string, eventTimestamp timestamp, dt string, size double, rooms int, garden boolean, place string, "
    "price double, sold string, valued double"
)
COLUMNS = [one.split()[0] for one in SCHEMA.split(", ")]
FIELDS = {
    "eventId": {"type": "string", "required": True},
    "eventTimestamp": {"type": "timestamp", "required": True},
    "size": "number",
    "rooms": "integer",
    "garden": "boolean",
    "place": "string",
    "price": "number",
    "sold": "string",
    "valued": "number",
}
MODELS = {
    "regression": {"task": "regression", "label": "price", "split": "time", "metric": "mae", "baseline": "valued"},
    "classification": {"task": "classification", "label": "sold", "split": "random", "metric": "macro_f1"},
}
SECTION = {"kind": "table", "features": ["size", "rooms", "garden", "place"], "tolerance": 0.02}


def definition(task: str = "regression", **model: object) -> Definition:
    """The definition of the houses' table. model: other values of its section."""
    document = {
        "name": "houses",
        "model_prefix": f"houses-{task}",
        "event": {"id": "eventId", "time": "eventTimestamp", "fields": FIELDS},
        "query": f"SELECT eventId, eventTime AS eventTimestamp, {', '.join(COLUMNS[3:])}, "
        "date_format(eventTime, 'yyyy-MM-dd') AS dt FROM events",
        "model": SECTION | MODELS[task] | model,
    }
    return Definition.of(document)


def houses(number: int, seed: int = 0) -> list[dict]:
    """Houses, one an hour. A tenth of the places and a few prices are missing; the valuation is off by a third."""
    draw = random.Random(seed)
    found = []
    for at in range(number):
        size, place = draw.uniform(40, 240), draw.choice([*PLACES, None])
        garden = draw.random() < 0.5
        price = 2 * size + PLACES.get(place, 20.0) + 15 * garden + draw.gauss(0, 8)
        found.append(
            {
                "eventId": f"house-{seed}-{at}",
                "eventTimestamp": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=at),
                "dt": "2026-01-01",
                "size": size,
                "rooms": int(size // 30),
                "garden": garden,
                "place": place,
                "price": price if at % 50 else None,
                "sold": ("yes" if price < 300 else "no") if at % 50 else None,
                "valued": price * draw.choice([0.67, 1.33]),
            }
        )
    return found


def written(spark, path: Path, rows: list[dict]) -> str:
    """Parquet of these rows, with null in the columns that they do not have."""
    values = [tuple(row.get(name) for name in COLUMNS) for row in rows]
    spark.createDataFrame(values, SCHEMA).coalesce(1).write.parquet(str(path))
    return str(path)


def changed(rows: list[dict], **values: object) -> list[dict]:
    """The rows with other values in some columns; a callable makes one of the row's number."""
    return [
        row | {name: value(at) if callable(value) else value for name, value in values.items()}
        for at, row in enumerate(rows)
    ]


def with_model(base: Definition, **model: object) -> Definition:
    return dataclasses.replace(base, model=dataclasses.replace(base.model, **model))
