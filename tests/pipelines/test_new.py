"""`python -m brigade.pipelines new` writes a first definition that is right, for tables that nobody here has chosen."""

import csv
import re

import orjson
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import datasets

from brigade.pipelines.__main__ import main
from brigade.pipelines.load import checked, load
from brigade.pipelines.schema import NAME, json_schema
from brigade.pipelines.writing import text_of
from brigade.publishing.drafting import TAKEN, draft, safe_name, safe_names
from brigade.publishing.looking import Column, Look
from tests.publishing.door import run, write

# Each of scikit-learn's tables: its label, what is learned of it, and how many columns it is learned from.
TABLES = {
    "iris": ("target", "classification", 4),
    "wine": ("target", "classification", 13),
    "breast_cancer": ("target", "classification", 30),
    "diabetes": ("target", "regression", 10),
    "digits": ("target", "classification", 61),  # of 64 pixels three are blank on each picture
}


@pytest.fixture
def table(tmp_path):
    """Writes one of scikit-learn's tables as CSV; returns its path."""

    def write_table(name: str):
        loaded = getattr(datasets, f"load_{name}")()
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*loaded.feature_names, "target"])
            writer.writerows(
                [*row, label] for row, label in zip(loaded.data.tolist(), loaded.target.tolist(), strict=True)
            )
        return tmp_path / f"{name}.csv"

    return write_table


def new(tmp_path, *flags):
    """main(["new", …]): the status, the definition's text if it was written."""
    output = tmp_path / "new.yaml"
    status = main(["new", *map(str, flags), f"--output={output}"])
    return status, output.read_text("utf-8") if output.exists() else None


def definition_of(tmp_path, *flags) -> dict:
    status, text = new(tmp_path, *flags, "--force")
    assert status == 0
    load(str(tmp_path / "new.yaml"))
    return yaml.safe_load(text)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_scikit_learn_gets_a_definition_that_takes_its_rows(tmp_path, table, name):
    path, (label, task, features) = table(name), TABLES[name]
    definition = definition_of(tmp_path, path, f"--label={label}")
    assert definition["name"] == name.replace("_", "-") and definition["model"]["kind"] == "table"
    assert definition["model"]["task"] == task and len(definition["model"]["features"]) == features
    done = run(path, f"--pipeline={tmp_path}/new.yaml", "--dry_run")
    rows = len(path.read_text().splitlines()) - 1
    assert done.status == 0 and done.summary["published"] == rows
    assert done.summary["wrong_type"] == 0 and done.summary["columns_left_out"] == []
    fields = {
        path: about if isinstance(about, str) else about["type"]
        for path, about in definition["event"]["fields"].items()
    }
    types = {"number": float, "integer": int, "string": str, "timestamp": str}
    for line in done.lines:
        event = orjson.loads(line)
        assert {name: type(value) for name, value in event.items()} == {
            name: types[kind] for name, kind in fields.items()
        }


MESSY = ["ID", "Größe (cm)", "order", "Order", "1st", "null", "line", "价格", "zip", "date", "empty", "always"]
MESSY += ["note", "flag", "price", "tags", "Class"]


def messy_row(n: int) -> list[object]:
    size, flag, label = (("1.5", "yes", "good"), ("NA", "no", "bad"), ("?", "", ""))[n % 3]
    return [
        f"a-{n:05}", size, n % 4, "xy"[n % 2], 2.5 if n else 1, n % 9, "pq"[n % 2], n % 3, f"{n % 5:05}",
        f"2024-05-{n % 30 + 1:02}", "", "k", f"the text {n} of several words that differ", flag, f"{n},5", f"u{n}x",
        label,
    ]  # fmt: skip


def test_of_a_messy_table_each_guess_is_said_in_a_comment(tmp_path):
    path = tmp_path / "Été 2024.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([MESSY, *map(messy_row, range(60))])
    status, text = new(tmp_path, path, "--label=Class")
    assert status == 0
    definition = yaml.safe_load(text)
    assert definition["name"] == "ete-2024" and definition["model_prefix"] == "ete-2024-model"
    fields = definition["event"]["fields"]
    assert fields["eventId"] == {"type": "string", "required": True, "column": "ID"}
    assert fields["groe_cm"] == {"type": "number", "column": "Größe (cm)"}
    assert fields["order"] == "integer" and fields["order_2"] == {"type": "string", "column": "Order"}
    assert fields["_1st"] == {"type": "number", "column": "1st"}
    assert fields["null_2"] == {"type": "integer", "column": "null"} and fields["line_2"]["column"] == "line"
    assert fields["column"] == {"type": "integer", "column": "价格"} and fields["zip"] == "string"
    assert fields["date"] == "timestamp" and fields["flag"] == "boolean"
    assert fields["class"] == {"type": "string", "column": "Class"}
    features = definition["model"]["features"]
    assert features == ["groe_cm", "order", "order_2", "_1st", "null_2", "line_2", "column", "zip", "flag"]
    said = {line.split(":")[0].strip(): line.partition(" # ")[2] for line in text.splitlines() if " # " in line}
    assert said["eventId"] == "its values differ: rows of the same id are one"
    assert said["groe_cm"] == "40 of 60 rows have none" and said["zip"].startswith("digits that are no number")
    assert said["date"].startswith("a time: no feature") and said["empty"] == "no row has a value: no feature"
    assert said["always"] == "the same value in each row: no feature"
    assert said["note"] == "a text: no feature of a table"
    assert said["price"].startswith("numbers with a decimal comma, which are texts here: nearly each row has a value")
    assert said["tags"].startswith("nearly each row has a value of its own")
    assert said["class"] == "the label, 2 classes; 20 rows have none: they are predicted and not trained on"
    done = run(path, f"--pipeline={tmp_path}/new.yaml", "--dry_run")
    assert done.summary["published"] == 60 and done.summary["wrong_type"] == 0
    assert done.summary["columns_left_out"] == [] and done.summary["classes"] == {"good": 20, "bad": 20}
    assert orjson.loads(done.lines[0])["eventId"] == "a-00000"


def test_a_time_is_the_row_s_own_when_it_is_named(tmp_path):
    rows = "".join(f"2024-05-{day:02},{day % 7},{day * 1.25}\n" for day in range(1, 31))
    definition = definition_of(tmp_path, write(tmp_path, "a.csv", "Day,x,y\n" + rows), "--label=y", "--time=Day")
    assert definition["event"]["fields"]["eventTimestamp"] == {"type": "timestamp", "required": True, "column": "Day"}
    assert definition["model"]["split"] == "time" and definition["model"]["task"] == "regression"
    assert definition["model"]["features"] == ["x"] and "day" not in definition["event"]["fields"]


def test_a_long_text_with_hardly_anything_else_makes_a_text_model(tmp_path):
    rows = "".join(f"{n},{'spam' if n % 3 else 'ham'},the {n}th text of several words,{n % 2}\n" for n in range(60))
    definition = definition_of(tmp_path, write(tmp_path, "mails.csv", "id,Label,Body,x\n" + rows), "--label=Label")
    assert definition["model"]["kind"] == "text" and definition["model"]["features"] == ["body"]
    assert definition["event"]["fields"]["body"] == {"type": "text", "column": "Body"}
    assert definition["event"]["fields"]["eventId"]["column"] == "id"


def test_json_lines_give_a_definition_of_their_nested_values(tmp_path):
    lines = "".join(
        orjson.dumps({"size": {"a": n / 2, "b": n % 2 == 0}, "tags": ["x"], "kind": f"k{n % 3}", "of": None}).decode()
        + "\n"
        for n in range(40)
    )
    path = write(tmp_path, "rows.jsonl", lines)
    definition = definition_of(tmp_path, path, "--label=kind")
    fields = definition["event"]["fields"]
    assert fields["size_a"] == {"type": "number", "column": "size.a"} and fields["tags"] == "json"
    assert definition["model"]["features"] == ["size_a", "size_b"]
    done = run(path, f"--pipeline={tmp_path}/new.yaml", "--dry_run")
    event = orjson.loads(done.lines[3])
    assert (event["size_a"], event["size_b"], event["tags"]) == (1.5, False, ["x"])
    assert done.summary["wrong_type"] == 0 and done.summary["columns_left_out"] == []


def rows_of(values, header="x,y") -> str:
    return header + "\n" + "".join(f"{n % 5},{value}\n" for n, value in enumerate(values))


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (rows_of("ab" * 20), ["--label=z"], "--label: expected one of the columns x, y, found z"),
        (rows_of("ab" * 20, "x,Sort"), ["--label=sort"], "found sort; did you mean Sort?"),
        (rows_of("a" * 40), ["--label=y"], "--label=y: expected at least two classes, found only 'a'"),
        (rows_of("ab" * 9), ["--label=y"], "--label=y: expected at least 20 rows with a label, found 18"),
        (rows_of([""] * 30), ["--label=y"], "--label=y: expected labels, found none on any of 30 rows"),
        (rows_of(f"k{n}" for n in range(40)), ["--label=y"], "found 40 different values on 40 rows; is it an id"),
        (rows_of(f"2024-01-{n:02}" for n in range(1, 31)), ["--label=y"], "expected classes or numbers, found times"),
        (rows_of("ab" * 20), ["--label=y", "--time=x"], "--time: expected dates such as 2024-05-01 in x, found"),
        (rows_of("ab" * 20), ["--label=y", "--time=z"], "--time: expected one of the columns x, y, found z"),
        ("y\n" + "a\nb\n" * 20, ["--label=y"], "expected columns to learn from, found none among eventId"),
        ("x,y\n", ["--label=y"], "expected rows below the header, found none"),
        ("", ["--label=y"], "expected documents, found an empty file"),
        ("x,x,y\n" + "1,2,a\n1,2,b\n" * 20, ["--label=y"], "expected each column once, found 2 named 'x'; rename them"),
        ("x,y\n1,a,b\n", ["--label=y"], "line 2: expected 2 fields, as the header has, found 3"),
        (rows_of("ab" * 20), ["--label=y", "--name=My data"], "--name: expected a lower-case name of letters"),
        (rows_of("ab" * 20), ["--label=y", "--encoding=klingon"], "Python knows no text encoding klingon"),
        (rows_of("ab" * 20), ["--label=y", "--delimiter=ab"], "expected one character, no quote and no line end"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_in_one_line(tmp_path, capsys, content, flags, said):
    status, text = new(tmp_path, write(tmp_path, "rows.csv", content), *flags)
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2 and text is None and said in line and line.startswith("python -m brigade.pipelines new: ")


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path, capsys):
    path = write(tmp_path, "rows.csv", rows_of("ab" * 20))
    assert new(tmp_path, path, "--label=y")[0] == 0
    (tmp_path / "new.yaml").write_text("mine")
    status, text = new(tmp_path, path, "--label=y")
    assert status == 2 and text == "mine"
    assert (
        "expected no such file, found one; --output=FILE names another, --force replaces it" in capsys.readouterr().err
    )
    assert new(tmp_path, path, "--label=y", "--force")[1].startswith("# A first definition for rows.csv")


def test_several_files_and_a_folder_are_one_table(tmp_path):
    (tmp_path / "in").mkdir()
    files = [write(tmp_path / "in", f"part{n}.csv", rows_of("ab" * 20)) for n in range(2)]
    assert "80 rows of 2 columns" in new(tmp_path, *files, "--label=y")[1]
    status, text = new(tmp_path, tmp_path / "in", "--label=y", "--force")
    assert status == 0 and "80 rows of 2 columns" in text and "name: in\n" in text


def test_check_and_schema_print_what_they_are_asked_for(tmp_path, capsys):
    assert main(["check", "wine"]) == 0
    summary = orjson.loads(capsys.readouterr().out)
    assert summary == {
        "pipeline": "wine", "kind": "table", "task": "classification", "label": "good", "features": 12, "fields": 15
    }  # fmt: skip
    wrong = write(tmp_path, "wrong.yaml", "name: 1\nmodel_prefix: X\n")
    assert main(["check", str(wrong)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(line.startswith(f"python -m brigade.pipelines check: {wrong}: ") for line in lines)
    assert main(["schema"]) == 0 and capsys.readouterr().out == json_schema()


@given(st.lists(st.text(max_size=8), unique=True, max_size=30))
def test_names_are_safe_for_sql_and_each_is_its_own(columns):
    names = list(safe_names(columns).values())
    assert len({name.lower() for name in names}) == len(columns) and not {*names} & TAKEN
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in names)


@given(st.text(max_size=40))
def test_a_pipeline_s_name_is_made_of_any_file_s(text):
    assert re.search(NAME, safe_name(text))


header_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@pytest.mark.long
@settings(max_examples=50)
@example(header=["NONE", "0"])  # a label of this name is no baseline that is not there
@given(
    header=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6), unique=True, min_size=2, max_size=5
    )
)
def test_a_header_of_any_text_gives_a_definition_that_can_be_read(tmp_path, header):
    seen = Look(rows=40)
    for name in header:
        seen.columns[name] = column = Column(name)
        for n in range(40):
            column.add(str(n % 4) if name != header[0] else "ab"[n % 2])
    if not header[0].strip() or not any(name.strip() for name in header[1:]):
        return
    drawn = draft(seen, "any", header[0])
    text = text_of(drawn.document, drawn.comments, drawn.head, None)
    definition = checked(text.encode("utf-8"), "any.yaml")
    assert {*definition.columns.values()} >= {name for name in header if name.strip()}
