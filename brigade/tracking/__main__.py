"""Tells MLflow what it has missed: the runs of a folder of models, and who is champion.

On this machine:
    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python -m brigade.tracking sync models
On GCP:
    MLFLOW_TRACKING_URI=https://mlflow.example python -m brigade.tracking sync gs://ml_output/output/
"""

import argparse
import sys

from brigade.cli import log_to_stderr, path, print_error, print_summary
from brigade.errors import BrigadeError, one_line
from brigade.models.manifest import DOCUMENTS_PREFIX, check_prefix
from brigade.storage import folder_at
from brigade.tracking.sync import sync

PROGRAM = "python -m brigade.tracking"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Makes the MLflow server of MLFLOW_TRACKING_URI say what a folder of models says: runs, versions, "
        "and the aliases champion and challenger. What is there already stays as it is.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong arguments or settings.",
    )
    parser.add_argument("command", choices=["sync"], help="logs what is missing, once, and moves the aliases")
    parser.add_argument("uri", type=path, help="gs://bucket/prefix or a folder, as MODELS_URI")
    parser.add_argument(
        "--model_prefix", default=DOCUMENTS_PREFIX, metavar="PREFIX", help="whose models; default: %(default)s"
    )
    arguments = parser.parse_args(argv)
    try:
        folder_at(arguments.uri)
        check_prefix(arguments.model_prefix)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Tells MLflow, prints what was done as one line of JSON, and returns the exit status."""
    log_to_stderr()
    arguments = parse_arguments(argv)
    try:
        print_summary(sync(arguments.uri, arguments.model_prefix))
    except BrigadeError as problem:
        print_error(PROGRAM, one_line(problem))
        return problem.status
    except Exception as error:  # whatever MLflow's server or storage says
        print_error(PROGRAM, f"{type(error).__name__}: {one_line(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
