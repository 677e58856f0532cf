"""What a conversion has written, as tests compare it."""

import json
from pathlib import Path

from brigade.conversion.run import json_into_parquet
from brigade.conversion.table import read_parquet

CONTRACT = """eventId string, eventTimestamp timestamp, eventSource string, eventType string, eventVersion string,
 docId string, accountId string, superTag01 string, superTag02 string, concatOtherTags string, payload string,
 messageId string, publishTime timestamp, dt string""".replace("\n", "")
NAMES = [column.split()[0] for column in CONTRACT.split(", ")]


def numbers(counts: dict) -> list[int]:
    return [counts[name] for name in ("lines", "converted", "duplicates", "quarantined")]


def days(path: Path) -> list[str]:
    return sorted(folder.name for folder in path.glob("dt=*"))


def quarantined(path: Path) -> list[dict]:
    return [json.loads(text) for part in path.glob("*.json") for text in part.read_text("utf-8").splitlines()]


def convert(spark, folder: Path, **settings) -> dict:
    counts = json_into_parquet(spark, f"{folder}/input", f"{folder}/parquet", **settings)
    assert counts["lines"] == counts["converted"] + counts["duplicates"] + counts["quarantined"]
    return {name: counts[name] for name in ("files", "lines", "converted", "duplicates", "replaced", "rows")}


def state(spark, folder: Path) -> tuple[list, list]:
    """All that a conversion holds: its rows, and what is quarantined without the run that did it."""
    rows = sorted(read_parquet(spark, f"{folder}/parquet").collect(), key=str)
    plain = sorted(spark.read.parquet(f"{folder}/parquet").select(*NAMES).collect(), key=str)
    assert plain == rows, "the files that lie there are not those of the manifest"
    return rows, sorted((one["reason"], one["line"]) for one in quarantined(folder / "quarantine"))


def as_if_at_once(spark, folder: Path) -> tuple[list, list]:
    """What one conversion of everything gives."""
    json_into_parquet(spark, f"{folder}/input", f"{folder}/fresh/parquet")
    return state(spark, folder / "fresh")


def files_below(folder: Path) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
