"""Rows of a table as the events of a pipeline's definition: names, types, missing values, ids and times."""

import gzip
import io
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from brigade.events.event import is_timestamp
from brigade.publishing.values import value_as
from tests.conftest import ROOT, real_data
from tests.publishing.door import TABLE, Pipe, run, write

DEFINITION = """\
name: beans
model_prefix: beans-model
event:
  id: eventId
  time: eventTimestamp
  fields:
    eventId: {type: string, required: true}
    eventTimestamp: {type: timestamp, required: true}
    shape.area: {type: number, column: Area, required: true}
    shape.round: boolean
    grains: integer
    tags: json
    sort: string
query: SELECT eventId, shape.area, sort, date_format(eventTime, 'yyyy-MM-dd') AS dt FROM events
model: {kind: table, task: classification, label: sort, features: [area]}
"""


@pytest.fixture
def beans(folder):
    return f"--pipeline={write(folder, 'beans.yaml', DEFINITION)}"


def events(done) -> list[dict]:
    return [orjson.loads(line) for line in done.lines]


def without_ids(done) -> list[dict]:
    return [{name: value for name, value in event.items() if not name.startswith("event")} for event in events(done)]


def test_a_row_becomes_an_event_by_the_definition_s_columns(folder, beans, caplog):
    path = write(folder, "beans.csv", "sort,Area,round,grains,note\nflat,1.50,yes,7,x\n,2e1,0,5.0,\n,3,,?,y\n")
    done = run(path, beans, "--dry_run")
    assert done.status == 0
    assert without_ids(done) == [
        {"shape": {"area": 1.5, "round": True}, "grains": 7, "sort": "flat"},
        {"shape": {"area": 20.0, "round": False}, "grains": 5},
        {"shape": {"area": 3.0}},
    ]
    assert all(is_timestamp(event["eventTimestamp"]) and len(event["eventId"]) == 40 for event in events(done))
    assert done.summary["wrong_type"] == 0 and done.summary["columns_left_out"] == ["note"]
    assert done.summary["classes"] == {"flat": 1}
    assert done.summary["read"] == done.summary["published"] == 3
    assert caplog.text.count("no field takes the columns note") == 1


def test_the_same_file_gives_the_same_ids_and_no_row_shares_one(folder, beans):
    path = write(folder, "beans.csv", "sort,Area\na,1\na,1\nb,1\n")
    first, second = ([event["eventId"] for event in events(run(path, beans, "--dry_run"))] for _ in range(2))
    assert first == second and len(set(first)) == 3


def test_an_id_and_a_time_of_the_file_are_taken(folder, beans):
    content = (
        "eventId,eventTimestamp,Area\nk1,2024-05-01,1\n,2024-05-01T10:00:00+02:00,1\nk3,2024-05-01 10:00,1\nk4,,1\n"
    )
    found = events(run(write(folder, "beans.csv", content), beans, "--dry_run"))
    assert [event.get("eventTimestamp") for event in found] == [
        "2024-05-01T00:00:00Z",
        "2024-05-01T10:00:00+02:00",
        "2024-05-01T10:00:00Z",
        None,  # landing refuses it: a time that is left out must not become today
    ]
    assert [event["eventId"] for event in found][::2] == ["k1", "k3"] and len(found[1]["eventId"]) == 40


def test_what_is_of_another_type_goes_as_it_is_and_is_counted(folder, beans, caplog):
    content = "Area,round,grains,eventTimestamp\nbig,1,1,2024-05-01\n1e999,often,5.5,yesterday\n"
    content += "1,1,9223372036854775808,\n2,,,\n"
    done = run(write(folder, "beans.csv", content), beans, "--dry_run")
    assert without_ids(done) == [
        {"shape": {"area": "big", "round": True}, "grains": 1},
        {"shape": {"area": "1e999", "round": "often"}, "grains": "5.5"},
        {"shape": {"area": 1.0, "round": True}, "grains": "9223372036854775808"},
        {"shape": {"area": 2.0}},
    ]
    assert done.status == 0 and done.summary["wrong_type"] == 3 and done.summary["published"] == 4
    assert caplog.text.count("column Area: expected a number, found another value (first in beans.csv 1)") == 1
    assert "yesterday" not in caplog.text and "often" not in caplog.text
    assert events(done)[1]["eventTimestamp"] == "yesterday"


def test_a_required_column_that_is_missing_is_refused_before_the_first_message(folder, beans):
    good = write(folder, "good.csv", "Area\n1\n")
    done = run(good, write(folder, "beans.csv", "sort,area\na,1\n"), beans, "--dry_run")
    assert done.status == 2 and done.lines == [] and done.summary is None
    (line,) = done.error.splitlines()
    expected = (
        "expected the columns of the required fields, found no Area (field shape.area); the columns are sort, area"
    )
    assert f"{folder}/beans.csv: {expected}; the definition's `column:` names another one" in line


def test_a_time_of_a_named_column_must_be_there(folder):
    done = run(write(folder, "shops.csv", "Store,date\n1,2010-02-05\n"), "--pipeline=sales", "--dry_run")
    assert done.status == 2 and "found no Date (field eventTimestamp)" in done.error
    done = run(write(folder, "shops.csv", "Store,Date\n1,2010-02-05\n"), "--pipeline=sales", "--dry_run")
    (event,) = events(done)
    assert event["eventTimestamp"] == "2010-02-05T00:00:00Z" and event["store"] == "1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Area,sort,Area\n1,a,2\n", "expected one column Area, found 2 of this name; rename them"),
        ("Area;sort\n1\n", "line 2: expected 2 fields, as the header has, found 1"),
        ("Area\n", "expected rows below the header, found none"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(folder, beans, content, said):
    done = run(write(folder, "beans.csv", content), beans, "--dry_run")
    assert done.status == 2 and said in done.error and done.lines == []


def test_a_file_with_none_of_the_columns_is_refused(folder):
    done = run(write(folder, "mails.csv", TABLE), "--pipeline=wine", "--dry_run")
    assert done.status == 2 and "expected some of the columns eventId, eventTimestamp, colour, fixed acid" in done.error


@pytest.mark.parametrize(
    "content",
    [
        '"sort";"Area";"note"\n"a;b";1.5;"x"\n',
        "sort\tArea\tnote\na;b\t1.5\tx\n",
        '{"sort": "a;b", "Area": 1.5, "note": "x"}\n',
        '{"sort": "a;b", "shape": {"area": "1.5"}, "note": {"inner": "x"}}\n',
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_tables_and_json_lines_give_the_same_event(folder, beans, content, packed, caplog):
    name = "beans.jsonl" if content.startswith("{") else "beans.csv"
    data = gzip.compress(content.encode()) if packed else content.encode()
    done = run(write(folder, name + ".gz" * packed, data), beans, "--dry_run")
    assert without_ids(done) == [{"shape": {"area": 1.5}, "sort": "a;b"}], done.error
    assert caplog.text.count("no field takes the columns note") == 1
    piped = run("-", beans, "--dry_run", stdin=Pipe(content.encode()))
    assert without_ids(piped) == without_ids(done)


def test_parquet_gives_the_same_event_of_typed_values(folder, beans):
    columns = {
        "eventTimestamp": [datetime(2024, 5, 1, 10), None],
        "Area": [Decimal("1.50"), Decimal("2")],
        "round": [True, None],
        "grains": [7.0, float("nan")],
        "sort": [3, None],
        "other": ["x", "y"],
    }
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    done = run(write(folder, "beans.parquet", buffer.getvalue()), beans, "--dry_run")
    assert without_ids(done) == [
        {"shape": {"area": 1.5, "round": True}, "grains": 7, "sort": "3"},
        {"shape": {"area": 2.0}},
    ]
    assert events(done)[0]["eventTimestamp"] == "2024-05-01T10:00:00Z"


def test_whole_events_go_out_byte_for_byte(folder, beans):
    lines = [
        b'{"eventId":"e1",  "eventTimestamp":"2024-05-01T00:00:00Z", "shape":{"area":1.50}, "sort":"flat", "new":1}',
        b'{"eventId":"e2", "eventTimestamp": 5}',
        b'{"eventId":"e3", ',
    ]
    done = run(write(folder, "events.jsonl", b"\n".join(lines) + b"\n"), beans, "--dry_run")
    assert done.lines == lines and done.summary["malformed"] == 1 and done.summary["classes"] == {"flat": 1}


def test_rows_are_held_out_by_their_content(folder, beans):
    rows = "".join(f"{number % 50},sort\n" for number in range(500))
    flags = [beans, "--hold_out=0.3", f"--hold_out_file={folder}/held.jsonl", "--dry_run"]
    done = run(write(folder, "beans.csv", "Area,sort\n" + rows), *flags)
    held = [orjson.loads(line)["shape"]["area"] for line in (folder / "held.jsonl").read_bytes().splitlines()]
    sent = [event["shape"]["area"] for event in events(done)]
    assert not set(held) & set(sent) and len(held) + len(sent) == 500 and 50 <= len(held) <= 250
    assert done.summary["held_out"] == len(held)


def test_text_and_label_do_not_go_with_a_table(folder, beans):
    done = run(write(folder, "beans.csv", "Area\n1\n"), beans, "--label=sort", "--text=Area", "--dry_run")
    assert done.status == 2 and done.lines == []
    assert "--text and --label: expected no columns here, found some; --pipeline=" in done.error


def test_with_documents_by_name_all_is_as_without(folder):
    path = write(folder, "mails.csv", TABLE)
    without, by_name = (run(path, *flags, "--dry_run") for flags in ([], ["--pipeline=documents"]))
    same = [[{**event, "eventTimestamp": ""} for event in events(done)] for done in (without, by_name)]
    assert same[0] == same[1] and "wrong_type" not in by_name.summary
    assert run(path, "--pipeline=documents", "--label=label", "--text=text", "--dry_run").status == 0


def test_a_definition_that_is_wrong_is_told_in_a_line_for_each_mistake(folder):
    wrong = write(folder, "wrong.yaml", DEFINITION.replace("sort: string", "sort: str").replace("[area]", "[]"))
    done = run(write(folder, "beans.csv", "Area\n1\n"), f"--pipeline={wrong}", "--dry_run")
    assert done.status == 2 and done.lines == [] and len(done.error.splitlines()) == 2
    assert all(line.startswith(f"publisher.py: {wrong}: ") for line in done.error.splitlines())


def test_wine_is_read_in_both_colours():
    red, white = (real_data(f"wine_quality/winequality-{colour}.csv") for colour in ("red", "white"))
    done = run(red, white, "--pipeline=wine", "--dry_run")
    assert done.summary["published"] == 6497 and done.summary["wrong_type"] == 0
    assert len({event["eventId"] for event in events(done)}) == 6497
    assert {len(event) for event in events(done)} == {14}  # all fields but the colour


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("number", " 7 ", 7.0),
        ("number", "+.5e-3", 0.0005),
        ("number", "N/A", None),
        ("number", "nan", None),
        ("number", float("nan"), None),
        ("number", 10**400, str(10**400)),
        ("number", float("inf"), "inf"),
        ("number", "Infinity", "Infinity"),
        ("number", "1_000", "1_000"),
        ("number", "1,5", "1,5"),
        ("number", "٣", "٣"),
        ("number", True, True),
        ("number", [1], [1]),
        ("integer", "-0012", -12),
        ("integer", "1e3", "1e3"),
        ("integer", "9" * 5000, "9" * 5000),
        ("integer", 3.0, 3),
        ("integer", 3.5, 3.5),
        ("boolean", "TRUE", True),
        ("boolean", "n", False),
        ("boolean", 1, True),
        ("boolean", 2, 2),
        ("string", "NA", "NA"),
        ("string", "", None),
        ("string", 1.5, "1.5"),
        ("string", {"a": 1}, '{"a":1}'),
        ("string", float("nan"), None),
        ("text", "", ""),
        ("text", None, None),
        ("json", "", None),
        ("json", 5, 5),
        ("timestamp", date(2024, 5, 1), "2024-05-01T00:00:00Z"),
        ("timestamp", "2024-05-01T10:00:00.5", "2024-05-01T10:00:00.5Z"),
        ("timestamp", "01/05/2024", "01/05/2024"),
        ("timestamp", 5, 5),
        ("list", '[{"a": 1}]', [{"a": 1}]),
        ("list", "[", "["),
    ],
)
def test_a_value_becomes_one_of_its_field_s_type_or_stays_as_it_is(kind, value, becomes):
    found, _ = value_as(kind, value)
    assert found == becomes and type(found) is type(becomes)


def test_the_publisher_loads_definitions_only_when_it_is_given_one():
    program = "import publisher, sys; print([name for name in ('pydantic', 'yaml', 'brigade.pipelines') "
    program += "if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
