"""What a table's training reads: the query over its rows, the features' types, what it refuses, the matrices."""

import math

import numpy as np
import pytest

from brigade.models.matrices import matrix_of
from brigade.models.table_model import UNCALIBRATED, Feature, TableModel
from brigade.training.errors import TrainingError
from brigade.training.tables.columns import columns_of, learned_features, queried
from brigade.training.tables.matrices import encoded, laid_out
from brigade.training.tables.parts import Split, in_parts, labelled
from tests.training.tables.made_up_tables import SCHEMA, definition, houses

RANDOM = Split("random", 0, 0.2)


@pytest.fixture(scope="module")
def rows(spark):
    values = [tuple(row.values()) for row in houses(60)]
    return spark.createDataFrame(values, SCHEMA).cache()


def test_numbers_and_booleans_are_numbers_and_strings_are_categories(rows):
    found = columns_of(rows, definition().model)
    assert found.features == {"size": "number", "rooms": "number", "garden": "number", "place": "category"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"label": "pice"}, "model.label: expected a column pice of the query, found only eventId"),
        ({"features": ["size", "siez"]}, "model.features: expected a column siez of the query"),
        ({"features": ["size", "price"]}, "model.features: expected features beside the label price"),
        (
            {"features": ["size", "eventTimestamp"]},
            "expected numbers, booleans or strings in the column eventTimestamp",
        ),
        ({"label": "sold"}, "model.label: expected numbers in the column sold, found string; cast it in the query"),
        ({"baseline": "place"}, "model.baseline: expected numbers in the column place, found string"),
        ({"query": "SELECT eventId, size, price FROM rows"}, "the event's time: expected a column eventTimestamp"),
        ({"query": "SELECT *, size FROM rows"}, "model.features: expected a column size of the query, found 2 of them"),
    ],
)
def test_columns_that_do_not_fit_are_told_in_a_line(rows, model, said):
    section = definition(**model).model
    with pytest.raises(TrainingError) as problem:
        columns_of(queried(rows, section), section)
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("query", ["SELECT nothing FROM rows", "SELEC", "SELECT :horizon AS h FROM rows", ""])
def test_a_query_that_does_not_run_is_told_in_a_line(rows, query):
    with pytest.raises(TrainingError, match=r"^model\.query: expected a SELECT over rows that runs, found: .+$"):
        queried(rows, definition(query=query or "SELECT * FROM elsewhere").model)


def test_the_query_sees_the_horizon_and_the_view_is_gone_afterwards(spark, rows):
    section = definition(
        query="SELECT *, lag(price, :horizon) OVER (ORDER BY eventTimestamp) AS l FROM rows", horizon=3
    )
    found = queried(rows, section.model).orderBy("eventTimestamp").collect()
    assert [row.l for row in found[3:]] == [row.price for row in found[:-3]]
    assert not spark.catalog.tableExists("rows")


def test_the_commonest_categories_are_learned_from_rows_that_do_not_test(spark, rows, monkeypatch):
    monkeypatch.setattr("brigade.training.tables.columns.MOST_CATEGORIES", 2)
    names = ["b"] * 30 + ["c"] * 20 + ["a"] * 9 + ["only tested"] * 200
    values = [tuple((row | {"place": name}).values()) for row, name in zip(houses(259), names, strict=True)]
    frame = spark.createDataFrame(values, SCHEMA)
    columns = columns_of(frame, definition().model)
    laid = laid_out(labelled(frame, columns, 0), columns.unlearned)
    parts = laid.selectExpr("*", "if(f3 = 'only tested', 'test', 'train') AS part")
    assert learned_features(parts, columns.unlearned)[3].categories == ("b", "c")


def test_a_category_and_a_number_have_the_codes_that_serving_gives_them(spark):
    import xgboost

    wild = [1.5, -0.0, math.nan, math.inf, -math.inf, 1e300, -1e300, 3.4e38, None]
    names = ["red", "Red", "", "white ", "white", None, "ﬁsh", "x" * 1000, "unknown"]
    features = [
        Feature("number", "number"),
        Feature("kind", "category", ("red", "white", "ﬁsh")),
        Feature("no", "number"),
    ]
    rows = [{"number": number, "kind": name} for number, name in zip(wild, names, strict=True)]
    frame = spark.createDataFrame([(row["number"], row["kind"]) for row in rows], "number double, kind string")
    frame = frame.selectExpr("'id' AS id", "0L AS place", "0L AS moment", "1D AS label", "struct(*) AS row").coalesce(1)
    laid = laid_out(frame, features)
    found = encoded(laid.selectExpr("*", "'train' AS part"), features, []).select("f0", "f1", "f2").collect()
    model = TableModel("regression", features, [], UNCALIBRATED, None, {}, xgboost.Booster())
    np.testing.assert_array_equal(np.array(found, np.float32), model.matrix(rows))
    (batch,) = laid.toArrow().to_batches() if hasattr(laid, "toArrow") else [None]
    if batch is not None:
        np.testing.assert_array_equal(matrix_of(batch, features), model.matrix(rows))


def test_a_row_stays_in_its_part_whatever_comes_beside_it(rows):
    columns = columns_of(rows, definition("classification").model)
    all_rows = {row.id: row.part for row in in_parts(labelled(rows, columns, 0), RANDOM).collect()}
    few = rows.where("size < 100")
    some = {row.id: row.part for row in in_parts(labelled(few, columns, 0), RANDOM).collect()}
    assert some.items() <= all_rows.items()
    assert set(all_rows.values()) == {"train", "validation", "test", "unlabelled"}


def test_a_test_part_of_a_tenth_lies_in_that_of_a_fifth(rows):
    columns = columns_of(rows, definition("classification").model)
    large, small = (
        {
            row.id
            for row in in_parts(labelled(rows, columns, 0), Split("random", 0, share)).collect()
            if row.part == "test"
        }
        for share in (0.2, 0.1)
    )
    assert small < large
