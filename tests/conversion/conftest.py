"""A conversion that several tests look at."""

import pytest

from brigade.conversion.run import json_into_parquet
from tests.conversion.sample_events import line, written


@pytest.fixture(scope="package")
def converted(spark, tmp_path_factory) -> dict:
    """A folder as it is found in practice, converted once: {"folder", and the counts and paths}."""
    folder = tmp_path_factory.mktemp("converted")
    landed = folder / "input" / "dt=2019-04-03"
    written(
        landed / "landed.jsonl",
        line("twice", {"payload": "the second"}, published="2019-04-03T00:00:02Z"),
        line("twice", {"payload": "the first"}, published="2019-04-03T00:00:01Z"),
        *(line("landed", published="2019-04-03T12:00:00Z"), "{broken"),
    )
    written(landed / "more.jsonl.gz", line("packed", published="2019-04-03T13:00:00Z"), line("twice"))
    written(
        folder / "input" / "raw.json",
        *(line("raw"), "", "   \t ", f"[{line('in an array')}]", line("no day", eventTimestamp="today")),
        line("late in the west", eventTimestamp="2019-04-02T23:00:00-03:00") + "\r",
        line("ancient", eventTimestamp="0001-01-01T00:00:00Z"),
        line("last", eventTimestamp="9999-12-31T23:59:59.999999999Z"),
    )
    for hidden in ("_hidden.jsonl", ".hidden.jsonl", "copy of the editor.jsonl~"):
        written(folder / "input" / hidden, line(hidden), "{broken")
    return {"folder": folder} | json_into_parquet(spark, f"{folder}/input", f"{folder}/parquet")
