"""MONITOR: what landed since the last look → is it still the same data, is the model still right? PySpark.

What enters: a folder of landed JSON, which is converted first, or the parquet that was made of it; and the folder of
the dated models, of which the latest promoted one is looked at. What leaves: `<OUTPUT>/monitor/YYYY-MM-DD/` with
`profile.json`, what the events look like; `report.html` for people; and `findings.json`, which the loop reads. A line
is logged for each finding. The work is in `brigade/monitoring/`.

On this machine:
    spark-submit --py-files=build/brigade.zip monitor.py landing/input --models=models --output=watched
    spark-submit --py-files=build/brigade.zip monitor.py landing/input --models=models --output=watched --pipeline=sales
On GCP:
    gcloud dataproc jobs submit pyspark monitor.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=build/brigade.zip -- gs://ml_input/parquet/ --models=gs://ml_output/output/ --output=gs://ml_output/
"""

import argparse
import sys
from datetime import date

from brigade import cli
from brigade.errors import BrigadeError
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.monitoring.run import monitor
from brigade.pipelines.flag import add_pipeline
from brigade.program import summarised
from brigade.spark import open_session
from brigade.storage import folder_at

FAIL_ON = {"error": ("errors",), "warning": ("errors", "warnings"), "never": ()}  # counts of the summary


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; `prefix` is that of the model's name. Ends the program with status 2 if one is wrong."""
    parser = argparse.ArgumentParser(
        prog="monitor.py",
        description="Looks at what landed since the last look: whether it is like the data that the model has learned, "
        "and whether the model is still right.",
        epilog="examples:\n"
        "  spark-submit --py-files=build/brigade.zip monitor.py \\\n"
        "      gs://ml_input/parquet/ --models=gs://ml_output/output/ --output=gs://ml_output/\n"
        "  … --pipeline=sales --since=2026-11-01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "input_path", metavar="INPUT", type=cli.path,
        help="landed JSON lines (converted first) or their parquet, gs:// or local",
    )  # fmt: skip
    add("--models", required=True, type=cli.path, metavar="URI", help="the folder of the dated models, gs:// or local")
    add(
        "--output", required=True, type=cli.path, metavar="URI", dest="output_path",
        help="where monitor/YYYY-MM-DD/ goes; one place for each pipeline",
    )  # fmt: skip
    add_pipeline(parser)
    days = parser.add_mutually_exclusive_group()
    days.add_argument(
        "--since", type=one_day, metavar="DATE",
        help="looks at this day and those after it (default: since the last look, or since the model's last day)",
    )  # fmt: skip
    days.add_argument(
        "--dates", type=cli.date_range, metavar="A..B",
        help="looks at these days alone, both included; one date is one day",
    )  # fmt: skip
    add("--fail_on", choices=FAIL_ON, default="never", help="ends with status 1 if there is such a finding")
    add(
        "--parquet_path", type=cli.path, metavar="PATH",
        help="where converted JSON goes (default: parquet beside INPUT)",
    )  # fmt: skip
    cli.add_summary(parser)
    arguments = parser.parse_args(argv)
    try:
        folder_at(arguments.models)
        folder_at(arguments.output_path)
    except ValueError as problem:
        parser.error(str(problem))
    arguments.prefix = arguments.pipeline.model_prefix if arguments.pipeline else DOCUMENTS_PREFIX
    return arguments


def one_day(text: str) -> date:
    """The argparse type of one day."""
    first, last = cli.date_range(text)
    if first != last:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, found {text}; --dates takes two")
    return first


def main(argv: list[str] | None = None) -> int:
    cli.log_to_stderr()
    arguments = parse_arguments(argv)
    try:
        summary = summarised(
            lambda: monitor(
                open_session("brigade-monitor"),
                arguments.input_path,
                arguments.models,
                arguments.output_path,
                prefix=arguments.prefix,
                definition=arguments.pipeline,
                since=arguments.since,
                days=arguments.dates,
                parquet_path=arguments.parquet_path,
            ),
            arguments.summary,
        )
    except BrigadeError as problem:
        cli.print_error("monitor.py", problem)
        return problem.status
    return 1 if any(summary[count] for count in FAIL_ON[arguments.fail_on]) else 0


if __name__ == "__main__":
    sys.exit(main())
