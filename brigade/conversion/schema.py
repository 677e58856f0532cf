from brigade.conversion.run import COLUMNS  # noqa: F401
