from brigade.conversion.run import ROWS_A_TASK, SESSION, open_session, settings  # noqa: F401
