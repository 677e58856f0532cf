"""A definition that is wrong is refused before anything starts, in one line for each mistake, with the key's path."""

import gzip
import json

import pytest
import yaml

from brigade.pipelines.load import MAX_PROBLEMS, WrongDefinition, checked, load
from tests.conftest import ROOT

RIGHT = """\
name: beans
description: Dry beans, told from three measurements
model_prefix: beans-model
event:
  id: eventId
  time: eventTimestamp
  fields:
    eventId: {type: string, required: true}
    eventTimestamp: {type: timestamp, required: true}
    shape.area: {type: number, column: Area}
    shape.round: boolean
    tags: {type: list, items: {name: json}}
    sort: string
query: |
  SELECT eventId, eventTime AS eventTimestamp, shape.area, shape.round, sort, -- not: weight
         date_format(eventTime, 'yyyy-MM-dd') AS dt FROM events
model:
  kind: table
  task: classification
  label: sort
  features: [area, round]
  split: random
  metric: macro_f1
  tolerance: 0.01
"""
CASES = yaml.safe_load((ROOT / "tests" / "pipelines" / "wrong_definitions.yaml").read_text("utf-8"))
A_MAPPING = "expected a mapping with the keys name, description, model_prefix, event, query, model, monitoring, found"
FILES = {
    "empty": (b"", "expected a definition, found an empty file"),
    "blank": (b" \n\n", "expected a definition, found an empty file"),
    "comments alone": (b"# nothing\n", f"{A_MAPPING} nothing"),
    "a text": (b"hello\n", f'{A_MAPPING} "hello"'),
    "a list": (b"- name: beans\n", f"{A_MAPPING} a list"),
    "a number": (b"12\n", f"{A_MAPPING} 12"),
    "a table": (b"a,b,c\n1,2,3\n", f'{A_MAPPING} "a,b,c 1,2,3"'),
    "latin-1": ("name: m\u00fcsli\n".encode("latin-1"), "expected UTF-8, found a byte that is none at 7"),
    "UTF-16": ("name: beans\n".encode("utf-16"), "expected UTF-8, found a byte that is none at 0"),
    "NUL": (b"name: be\0ans\n", "expected a text, found NUL bytes"),
    "a control character": (
        b"name: be\x07ans\n",
        "expected YAML, found a mistake: unacceptable character #x0007: control characters are not allowed in "
        '"<unicode string>", position 8',
    ),
    "too large": (b"# " + b"x" * (1 << 20), "expected at most 1,048,576 bytes, found more; is it a definition?"),
}


def problems_of(data: bytes, source: str = "beans.yaml") -> list[str]:
    """The lines that tell what is wrong with a definition; empty if nothing is."""
    try:
        checked(data, source)
    except WrongDefinition as error:
        return error.problems
    return []


def changed(changes: list[list[str]]) -> bytes:
    text = RIGHT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    return text.encode()


def test_the_definition_that_the_cases_change_is_right():
    assert problems_of(changed([])) == []
    regression = CASES["model.query without horizon"]["change"][:-1]
    assert checked(changed(regression), "beans.yaml").model.horizon == 2


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_wrong_definition_is_told_in_a_line_for_each_mistake(case):
    assert problems_of(changed(case["change"])) == [f"beans.yaml: {line}" for line in case["lines"]]


@pytest.mark.parametrize(("data", "line"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_definition_is_told_in_one_line(data, line):
    assert problems_of(data) == [f"beans.yaml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"name": "a", "name": "b"}', "expected each key once, found name twice"),
        ('{"name": }', "line 1: expected JSON, found a mistake: Expecting value"),
        ("[" * 100_000, "expected at most 20 levels, found more"),
        ("[]", f"{A_MAPPING} a list"),
    ],
)
def test_json_is_read_as_strictly(text, line):
    assert problems_of(text.encode(), "beans.json") == [f"beans.json: {line}"]
    right = json.dumps(yaml.safe_load(RIGHT), indent="\t")
    assert problems_of(right.encode(), "beans.json") == []


def told(name: str) -> str:
    with pytest.raises(WrongDefinition) as refused:
        load(name)
    assert refused.value.status == 2 and str(refused.value) == "\n".join(refused.value.problems)
    (line,) = refused.value.problems
    return line


def test_a_name_that_is_none_is_told_with_those_there_are():
    names = "expected one of documents, sales, wine, or a path that ends in .yaml, found no such name"
    assert told("vine") == f"vine: {names}; did you mean wine?"
    assert told("../wine").startswith("../wine: expected a file, found none")
    assert told("") == f": {names}" and told("*") == f"*: {names}"


def test_a_path_that_cannot_be_read_is_told_with_its_name(tmp_path, storage_emulator):
    assert told(f"{tmp_path}") == f"{tmp_path}: expected a file, found a folder"
    assert told(f"{tmp_path}/mine.yaml") == f"{tmp_path}/mine.yaml: expected a file, found none"
    assert told("gs://nowhere/mine.yaml").startswith("gs://nowhere/mine.yaml: expected a file, found none")
    broken = tmp_path / "mine.yaml.gz"
    broken.write_bytes(gzip.compress(RIGHT.encode())[:-10])
    assert told(f"{broken}") == f"{broken}: expected a whole gzip file, found one that is cut off"
    broken.write_bytes(RIGHT.encode())
    assert "expected a file, found one that cannot be read: Not a gzipped file" in told(f"{broken}")
    broken.write_bytes(gzip.compress(bytes(10 << 20)))
    assert "expected at most 1,048,576 bytes" in told(f"{broken}")


def test_of_many_problems_the_first_are_told():
    fields = "".join(f"    field{number}: strin\n" for number in range(MAX_PROBLEMS + 5))
    data = changed([["    sort: string\n", f"    sort: string\n{fields}"]])
    with pytest.raises(WrongDefinition) as refused:
        checked(data, "beans.yaml")
    lines = str(refused.value).splitlines()
    assert len(lines) == MAX_PROBLEMS + 1 and lines[-1] == "… and 5 more problems"
    assert len(refused.value.problems) == MAX_PROBLEMS + 5
