"""Parquet is read like a table, whatever its name says."""

import gzip
import io
from datetime import date
from decimal import Decimal

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from tests.publishing.door import payloads, run, write

ROWS = {
    "text": ["a", None, "c"],
    "label": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
    "mail": [{"subject": "s1", "sent": date(2026, 11, 1)}, None, {"subject": "s3", "sent": None}],
    "price": [Decimal("1.50"), Decimal("2.00"), None],
}


def parquet(columns: dict = ROWS) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def labels(lines) -> list:
    return [orjson.loads(line)["doc"]["metadata"].get("superTag01") for line in lines]


@pytest.mark.parametrize("name", ["mails.parquet", "mails.csv", "mails"])
def test_each_row_is_a_document(folder, name):
    done = run(write(folder, name, parquet()), "--dry_run")
    assert (done.status, payloads(done.lines), labels(done.lines)) == (0, ["a", "", "c"], ["x", "y", "x"])


def test_a_column_may_be_nested_and_its_values_may_be_dates_and_decimals(folder):
    done = run(write(folder, "m.parquet", parquet()), "--text=mail.subject+mail.sent+price", "--dry_run")
    assert (done.status, payloads(done.lines)) == (0, ['s1 "2026-11-01" "1.50"', '"2.00"', "s3"]), done.error


def test_what_does_not_fit_is_one_line(folder):
    lacking = run(write(folder, "m.parquet", parquet()), "--text=body", "--dry_run")
    assert lacking.status == 2
    assert "expected the text in column body, found columns text, label, mail, price, mail.subject" in lacking.error
    cut = run(write(folder, "cut.parquet", parquet()[:-20]), "--dry_run")
    assert cut.status == 2 and "expected Parquet, found a damaged file" in cut.error and len(cut.lines) == 0
    none = run(write(folder, "none.parquet", parquet({"text": pyarrow.array([], "string")})), "--dry_run")
    assert none.status == 2 and "expected rows, found none" in none.error


@pytest.mark.parametrize("packed", [True, False])
def test_packed_or_from_a_pipe_it_is_named(folder, packed):
    path = write(folder, "mails.parquet.gz", gzip.compress(parquet()))
    done = run(path, "--dry_run") if packed else run("-", "--dry_run", stdin=parquet())
    assert done.status == 2 and "found a Parquet file (one is read from a file or a bucket" in done.error
