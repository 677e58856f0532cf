from brigade.conversion.run import COLUMNS, read_parquet  # noqa: F401
