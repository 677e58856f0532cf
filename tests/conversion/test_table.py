"""The parquet: its columns, its days, and what is refused."""

from pathlib import Path

import pyarrow.parquet
import pytest

from brigade.conversion.errors import ConversionError
from brigade.conversion.table import read_parquet
from tests.conversion.outputs import CONTRACT, NAMES, days


def test_the_parquet_has_the_columns_of_the_contract(spark, converted):
    frame = spark.read.parquet(converted["parquet"])
    assert ", ".join(f"{name} {kind}" for name, kind in frame.dtypes) == CONTRACT
    stored = pyarrow.parquet.ParquetFile(next(Path(converted["parquet"]).glob("dt=2019-04-03/*.parquet")))
    assert stored.schema_arrow.names == NAMES[:-1]
    assert str(stored.schema_arrow.field("eventTimestamp").type) == "timestamp[us, tz=UTC]"
    assert stored.metadata.row_group(0).column(0).compression == "SNAPPY"


def test_rows_lie_in_the_folder_of_their_day(spark, converted):
    rows = read_parquet(spark, converted["parquet"]).select("eventId", "dt", "payload").collect()
    assert {row.eventId: row.dt for row in rows} == {
        **dict.fromkeys(("twice", "landed", "packed", "late in the west"), "2019-04-03"),
        **{"raw": "2019-04-02", "ancient": "0001-01-01", "last": "9999-12-31"},
    }
    assert {row.payload for row in rows if row.eventId == "twice"} == {"the second"}
    assert days(Path(converted["parquet"])) == [f"dt={day}" for day in sorted({row.dt for row in rows})]


def test_parquet_of_another_form_is_refused_with_what_it_lacks(spark, tmp_path):
    spark.createDataFrame([("e1", "text")], "eventId string, payload string").write.parquet(f"{tmp_path}/other")
    with pytest.raises(ConversionError, match="lacks the columns eventTimestamp, .*, dt"):
        read_parquet(spark, f"{tmp_path}/other")
