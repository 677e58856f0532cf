"""Reads documents from Parquet: rows with the names of the columns."""

import os
from collections.abc import Iterator

from brigade.errors import WrongInput, one_line
from brigade.publishing.columns import Columns
from brigade.storage import open_to_read

BATCH_ROWS = 1000


def parquet_rows(source: str, columns: Columns) -> Iterator[tuple[dict, str]]:
    """The rows, each with its place. Raises WrongInput. Only the columns that are wanted are read."""
    import pyarrow.parquet  # half a second, which other files need not pay

    rows = 0
    try:
        with open_to_read(source) as stream:
            file = pyarrow.parquet.ParquetFile(stream)
            leaves = [file.schema.column(number).path for number in range(len(file.schema))]
            columns.check(source, [*file.schema_arrow.names, *(path for path in leaves if "." in path)])
            names = [one for one in leaves if any(one == name or one.startswith(f"{name}.") for name in columns.names)]
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                for row in batch.to_pylist():
                    rows += 1
                    yield row, f"{os.path.basename(source)} {rows}"
    except (pyarrow.ArrowException, OSError) as error:
        raise WrongInput(f"{source}: expected Parquet, found a damaged file: {one_line(error)}") from None
    if not rows:
        raise WrongInput(f"{source}: expected rows, found none")
