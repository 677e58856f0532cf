"""What can go wrong in Brigade, as one tree of exceptions.

An error that a person can act on is a BrigadeError. Its message is one line: what was expected, what was found, and
what to do. Programs print it and exit with its `status`. Any other exception is a bug and shows its stack trace.
"""


class BrigadeError(Exception):
    """The base of all errors that are told in one line. `status` is the exit status of a program that ends with it."""

    status = 1


class WrongInput(BrigadeError):
    """The arguments, settings or files do not fit: the caller has to change them."""

    status = 2


class SettingError(WrongInput):
    """An environment variable is missing or wrong. The message says which one, what was expected and what was found."""


class CannotGoOn(BrigadeError):
    """The work stops before its end; nothing half-written stays."""


def one_line(problem: object) -> str:
    """The text of an error (or any value) as one line of at most 300 characters that every log and JSON can hold.

    An error without a text is named by its type.
    """
    text = str(problem).strip() or (type(problem).__name__ if isinstance(problem, BaseException) else "")
    return " ".join(text.encode("utf-8", "replace").decode().split())[:300]
