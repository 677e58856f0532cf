"""The flag --pipeline of every program, which reads and checks the definition before anything starts."""

import argparse
from typing import Any

from brigade.errors import WrongInput


def add_pipeline(parser: Any) -> None:
    """Adds the flag to a parser or a group of its arguments. Its value is a Definition, or None if it is not given."""
    parser.add_argument(
        "--pipeline",
        type=definition,
        metavar="NAME|URI",
        help="what the events are and what is learned: a name in pipelines/, or a file, gs:// or local "
        "(default: documents, as pipelines/documents.yaml says)",
    )


def definition(text: str) -> Any:
    """The argparse type of a definition."""
    from brigade.pipelines.load import load  # documents, the default, need neither PyYAML nor pydantic

    try:
        return load(text)
    except WrongInput as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
