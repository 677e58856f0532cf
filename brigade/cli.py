"""What every command-line program of Brigade does the same way: logs, argument types, the summary.

People read standard error; programs read the one line of JSON on standard output. The exit status is 0 for done, 1 for
failed, 2 for wrong arguments.
"""

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import date
from typing import TextIO

from brigade.errors import one_line


def log_to_stderr() -> None:
    """Sends log lines to standard error, with time and name."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")


def print_summary(summary: dict, stream: TextIO | None = None) -> None:
    """Prints the summary of a run as one line of JSON, on standard output unless another stream is given."""
    print(summary_line(summary), file=stream or sys.stdout, flush=True)


def summary_line(summary: dict) -> str:
    """The summary of a run as one line of JSON."""
    return json.dumps(summary, ensure_ascii=False)


def add_summary(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that names a file for the summary."""
    parser.add_argument(
        "--summary",
        type=path,
        metavar="FILE",
        help="where the summary goes too, gs:// or local: spark-submit mixes log lines into standard output",
    )


def print_error(program: str, problem: object) -> None:
    """Prints `PROGRAM: PROBLEM` on standard error."""
    print(f"{program}: {problem}", file=sys.stderr)


def print_problem(program: str, problem: BaseException) -> None:
    """Prints a problem on standard error, in one line, or in a line for each mistake of a pipeline's definition."""
    for line in str(problem).splitlines() if hasattr(problem, "problems") else [problem]:
        print_error(program, one_line(line))


def path(text: str) -> str:
    """The argparse type of a path, which is never empty: an unset variable of a shell must not name a place."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected gs://bucket/prefix or a local path, found nothing")
    return text


def positive(kind: type) -> Callable[[str], float]:
    """The argparse type of a finite number above 0; `kind` is int or float."""

    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
        return value

    convert.__name__ = "whole number" if kind is int else "number"  # argparse puts it into its own messages
    return convert


def whole_number(text: str) -> int:
    """The argparse type of a whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, found {text}")
    return int(text)


def date_range(text: str) -> tuple[date, date]:
    """The argparse type of some days, `2026-11-01..2026-11-07` or one date: the first and the last, both included."""
    first, dots, last = text.partition("..")
    names = (first, last if dots else first)
    try:
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\d", name) for name in names):
            raise ValueError(text)
        days = date.fromisoformat(names[0]), date.fromisoformat(names[1])
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD, found {text}") from None
    if days[0] > days[1]:
        raise argparse.ArgumentTypeError(f"expected the earlier date first, found {text}")
    return days
