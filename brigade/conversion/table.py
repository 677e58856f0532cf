from brigade.conversion.run import read_parquet  # noqa: F401
