"""Training's paths are taken as they are, whatever characters they hold."""

import json

import pytest

from brigade.training.options import Options
from brigade.training.sources import Sources, read_sources
from tests.conversion.sample_events import line, written


@pytest.mark.long
def test_input_test_set_and_data_json_are_those_that_are_named(spark, tmp_path):
    odd = tmp_path / "t[1]{a,b}*?\\ ,%41#é ^!"
    for folder, name in ((odd, ""), (tmp_path / "t1a ,%41#é ^!", "another ")):
        written(folder / "landed" / "l[a].jsonl", *(line(f"{name}l{number}") for number in range(3)))
        written(folder / "test" / "t?.jsonl", line(f"{name}t1"))

    def ids(sources: Sources) -> list[list[str]]:
        return [sorted(row.eventId for row in one.events.collect()) for one in (sources.learned, sources.held_out)]

    first = read_sources(spark, f"{odd}/landed", f"{odd}/models", f"{odd}/test", f"{odd}/parquet")
    assert ids(first) == [["l0", "l1", "l2"], ["t1"]]
    (odd / "data.json").write_text(json.dumps(first.version(spark, Options())), "utf-8")
    assert ids(read_sources(spark, f"{odd}/data.json", f"{odd}/models", None, None)) == ids(first)
    assert ids(read_sources(spark, f"{odd}/parquet", f"{odd}/models", f"{odd}/parquet_test", None)) == ids(first)
