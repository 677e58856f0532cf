"""STEPS: make_data → train_model → predict, and monitor, each by its name, on this machine or on Dataproc.

What enters: the name of a step, and of an environment: a file in environments/ that says where the data lie, what is
learned, and on which machines. What leaves: what the step's program writes, and its summary. The steps are the programs
spark_sql.py, train_ml_model.py, predict.py and monitor.py; the environment's values are their flags.

On this machine:
    python pipeline.py --step=all --environment=local
On GCP:
    python pipeline.py --step=train_model --environment=dev
With MLflow (the entry points of MLproject have the same names):
    mlflow run . -e train_model --env-manager=local -P environment=local
"""

import argparse
import sys
import time

from brigade import cli
from brigade.errors import BrigadeError
from brigade.steps.commands import ALL, STEPS
from brigade.steps.environment import names
from brigade.steps.run import run


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    about = "".join(f"\n  {name:12} {what}" for name, what in STEPS.items())
    parser = argparse.ArgumentParser(
        prog="pipeline.py",
        description="Runs a step of the pipeline, or all of them, in an environment.",
        epilog=f"steps:{about}\n  {ALL:12} the first three, one after the other\n\n"
        "example:\n  python pipeline.py --step=all --environment=local\n\n"
        "Exit status: 0 done, 1 failed, 2 wrong arguments or settings.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--step", required=True, choices=[*STEPS, ALL], help="what is done, see below")
    parser.add_argument(
        "--environment",
        default="local",
        metavar="NAME|FILE",
        help=f"where: {', '.join(names())}, or a file of your own (default: %(default)s)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    cli.log_to_stderr()
    arguments = parse_arguments(argv)
    started = time.time()
    try:
        steps = run(arguments.step, arguments.environment)
    except BrigadeError as problem:
        cli.print_error("pipeline.py", problem)
        return problem.status
    cli.print_summary(
        {"environment": arguments.environment, "steps": steps, "seconds": round(time.time() - started, 1)}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
