"""What the tests of predictions share: texts as events, and what a run has written."""

import random
from pathlib import Path

from brigade.conversion.schema import COLUMNS
from brigade.models.folder import find_champion
from brigade.prediction.run import predict
from brigade.storage import folder_at
from tests.models.written_models import NEW

WORDS = ["oil", "prices", "rose", "on", "Monday", "while", "harvest", "wheat", "and", "texto", "teste", "some", "words"]
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")


def texts(number: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(number)]


def documents(number: int, seed: int = 0, prefix: str = "e") -> list[dict]:
    """Documents over DAYS; every second one has a label."""
    return [
        {"eventId": f"{prefix}{at}", "payload": text, "superTag01": "A" if at % 2 else None, "dt": DAYS[at % 3]}
        for at, text in enumerate(texts(number, seed))
    ]


def written(spark, path: Path, rows: list[dict], name: str = "part") -> str:
    """A file of parquet with these rows in each of their days' folders, as somebody may have written it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [column for column in COLUMNS if column != "dt"]
    schema = pa.schema([(column, pa.string()) for column in columns])
    for day in sorted({row["dt"] for row in rows}, key=str):
        folder = path / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        of_day = [{column: row.get(column) for column in columns} for row in rows if row["dt"] == day]
        pq.write_table(pa.Table.from_pylist(of_day, schema), folder / f"{name}.parquet")
    return str(path)


def run(spark, folder: Path, **settings) -> dict:
    """Predicts the folder's `input` by its `models`."""
    return predict(spark, f"{folder}/input", f"{folder}/predictions", f"{folder}/models", **settings)


def counts(done: dict) -> dict:
    """The counts of a run that are not 0."""
    found = {name: done[name] for name in ("events", "predicted", "already_there", "duplicates", "replaced")}
    return {name: count for name, count in (found | done["refused"]).items() if count}


def told(spark, folder: Path) -> list[dict]:
    """All predictions, as somebody reads them who knows no more than that it is a folder of parquet."""
    rows = spark.read.parquet(f"{folder}/predictions").collect()
    return sorted((row.asDict(recursive=True) for row in rows), key=lambda row: (row["model"], row["eventId"]))


def model_in(folder: Path, prefix: str = NEW[:-11]):
    """The latest model of the folder's `models`."""
    return find_champion(folder_at(f"{folder}/models"), prefix).model
