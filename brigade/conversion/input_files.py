from brigade.conversion.run import holds_files  # noqa: F401
