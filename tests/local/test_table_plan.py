"""Somebody's own table is looked through before anything starts, as its pipeline's definition reads it."""

import gzip
import json

import pytest

from brigade.pipelines.load import load
from local import plan
from tests.conftest import real_data
from tests.publishing.test_parquet import parquet

HEADER = "colour;fixed acidity;alcohol;quality;remark"
ROWS = [("red" if n % 2 else "white", f"{7 + n / 10}", f"{9 + n / 7:.3f}", f"{5 + n % 4}", "-") for n in range(40)]


def table(rows=ROWS, header: str = HEADER, delimiter: str = ";") -> str:
    lines = [header.replace(";", delimiter), *(delimiter.join(row) for row in rows)]
    return "\n".join([*lines, ""])


def looked(folder, name: str, content: str | bytes, pipeline: str = "wine", **form) -> plan.TablePlan:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return plan.look([str(path)], definition=load(pipeline), **form)


OBJECTS = [
    {"colour": colour, "fixed acidity": float(acidity), "alcohol": float(alcohol), "quality": int(quality)}
    for colour, acidity, alcohol, quality, _ in ROWS
]
BY_FIELD = [{name.replace(" ", "_"): value for name, value in one.items()} for one in OBJECTS]


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.csv", table(), {}),
        ("a.csv", table(delimiter=","), {}),
        ("a.tsv", table(delimiter="\t"), {}),
        ("a.csv", table(delimiter="|"), {"delimiter": "|"}),
        ("a.csv", table().replace("\n", "\r\n"), {}),
        ("a.csv", table().encode("utf-8-sig"), {}),
        ("a.csv", table().encode("utf-16"), {}),
        ("a.csv", table().replace("red", "açaí").encode("latin-1"), {"encoding": "latin-1"}),
        ("a.csv.gz", gzip.compress(table().encode()), {}),
        ("l'été wines.csv", table(), {}),
        ("a.csv", table(header=HEADER.replace("fixed acidity", '"fixed acidity"')), {}),
        ("a.jsonl", "".join(json.dumps(one) + "\n" for one in OBJECTS), {}),
        ("a.jsonl", "".join(json.dumps(one) + "\n" for one in BY_FIELD), {}),
        ("a.parquet", parquet({name: [one[name] for one in OBJECTS] for name in OBJECTS[0]}), {}),
    ],
)
def test_a_table_that_fits_is_described(tmp_path, name, content, form):
    found = looked(tmp_path, name, content, **form)
    assert (found.rows, found.refused.total()) == (40, 0)
    told = found.lines()
    assert told[0].startswith("40 rows, read in ")
    assert "good is learned, by classification, of 12 columns; the query computes it" in told
    assert found.present["fixed_acidity"] == found.present["quality"] == 40 and found.present["chlorides"] == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected documents, found an empty file"),
        (f"{HEADER}\n", "expected rows below the header, found none"),
        (table(ROWS[:5]), "expected at least 20 rows, found 5"),
        (table(header="a;b;c;d;e"), "expected some of the columns"),
        (table(header=HEADER.replace("alcohol", "colour")), "expected one column colour, found 2 of this name"),
        (table([*ROWS, ("red", "7")]), "line 42: expected 5 fields, as the header has, found 2"),
        (table().replace("red", "açaí").encode("latin-1"), "ENCODING="),
        (table([(c, a, "much", q, r) for c, a, _, q, r in ROWS]), "wrong_type: alcohol: expected a number"),
    ],
)
def test_a_table_that_teaches_nothing_stops_before_anything_starts(tmp_path, content, words):
    with pytest.raises(plan.Unfit) as problem:
        looked(tmp_path, "a.csv", content)
    assert words in str(problem.value) and "\n" not in str(problem.value)


def test_rows_that_landing_will_refuse_and_values_that_are_missing_are_counted(tmp_path):
    bad = [("red", "sour", "9.4", "5", ""), ("red", "1e400", "9.4", "5", ""), ("red", "7.0", "9.4", "5.5", "")]
    gaps = [("", "NA", "9.4", "5", ""), ("red", "?", "9.4", "", "")]
    found = looked(tmp_path, "a.csv", table([*ROWS, *bad, *gaps]))
    assert (found.rows, found.refused.total()) == (42, 3)
    assert any("3 rows become dead letters: " in line for line in found.lines())
    assert any(line.startswith("missing: ") and "fixed_acidity in 2" in line for line in found.lines())


def sales(weekly: list[str]) -> str:
    rows = [f"1,2026-01-{1 + n % 28:02},{value},0" for n, value in enumerate(weekly)]
    return "\n".join(["Store,Date,Weekly_Sales,Holiday_Flag", *rows, ""])


def test_what_is_learned_is_looked_at_where_a_field_is_it(tmp_path):
    found = looked(tmp_path, "a.csv", sales([f"{n}.5" for n in range(20)] + [""]), "sales")
    features = len(load("sales").model.features)
    assert f"weekly_sales is learned, by regression, of {features} columns; 20 rows have it" in found.lines()
    with pytest.raises(
        plan.Unfit, match="expected values to learn in column Weekly_Sales, found none in any of 20 rows"
    ):
        looked(tmp_path, "b.csv", sales([""] * 20), "sales")
    with pytest.raises(plan.Unfit, match="expected different values of weekly_sales, found only '7.0'"):
        looked(tmp_path, "c.csv", sales(["7"] * 20), "sales")
    with pytest.raises(plan.Unfit, match="found no Store"):
        looked(tmp_path, "d.csv", sales(["7"] * 20).replace("Store", "Shop"), "sales")


def test_real_tables_fit(tmp_path):
    for name, file, rows in (
        ("wine", "wine_quality/winequality-red.csv", 1599),
        ("sales", "walmart_sales/walmart.csv", 6435),
    ):
        found = plan.look([str(real_data(file))], definition=load(name))
        assert (found.rows, found.refused.total()) == (rows, 0)
