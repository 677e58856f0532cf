"""PREDICT: landed JSON or its parquet → a model → parquet with one prediction an event. PySpark.

What enters: a folder of landed JSON, which is converted first, or the parquet that was made of it; and the folder of
the dated models. What leaves: `<OUTPUT>/model=NAME/runId=RUN/dt=YYYY-MM-DD/*.parquet` with the event's id, its label
and confidence and the top scores, or its value and interval, and when it was predicted. The model is the latest
promoted one, verified as the function verifies it. What it has predicted is not predicted again. The work is in
`brigade/prediction/`.

On this machine:
    spark-submit --py-files=build/brigade.zip predict.py landing/input predictions --models=models
    spark-submit --py-files=build/brigade.zip predict.py landing/input predictions --models=models --pipeline=sales
On GCP:
    gcloud dataproc jobs submit pyspark predict.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=build/brigade.zip -- gs://ml_input/parquet/ gs://ml_output/predictions/ \\
        --models=gs://ml_output/output/
"""

import argparse
import sys

from brigade import cli
from brigade.errors import BrigadeError
from brigade.models.manifest import DOCUMENTS_PREFIX, model_and_run, split_name
from brigade.pipelines.flag import add_pipeline
from brigade.prediction.run import predict
from brigade.program import summarised
from brigade.spark import open_session
from brigade.storage import folder_at


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; `prefix` is that of the model's name. Ends the program with status 2 if one is wrong."""
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Predicts events in bulk: one row an event, partitioned by day. Only events that the model has not "
        "predicted yet are predicted.",
        epilog="examples:\n"
        "  spark-submit --py-files=build/brigade.zip predict.py \\\n"
        "      gs://ml_input/parquet/ gs://ml_output/predictions/ --models=gs://ml_output/output/\n"
        "  … --pipeline=sales --dates=2026-11-01..2026-11-07",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "input_path", metavar="INPUT", type=cli.path,
        help="landed JSON lines (converted first) or their parquet, gs:// or local",
    )  # fmt: skip
    add("output_path", metavar="OUTPUT", type=cli.path, help="where the predictions go, in a folder for each model")
    add("--models", required=True, type=cli.path, metavar="URI", help="the folder of the dated models, gs:// or local")
    add("--model", metavar="NAME[/RUN]", help="this model, promoted or not (default: the latest promoted one)")
    add_pipeline(parser)
    add(
        "--dates", type=cli.date_range, metavar="A..B",
        help="does all of these days again, both included, and touches no other; one date is one day",
    )  # fmt: skip
    add("--missing", action="store_true", help="only events without a prediction, wherever they lie; not changed ones")
    add("--full", action="store_true", help="start over: predict all again and replace what the model's table holds")
    add(
        "--parquet_path",
        type=cli.path,
        metavar="PATH",
        help="where converted JSON goes (default: parquet beside INPUT)",
    )
    cli.add_summary(parser)
    arguments = parser.parse_args(argv)
    if arguments.full and (arguments.dates or arguments.missing):
        parser.error("expected --full, or --dates and --missing; found both")
    named = split_name((arguments.model or "").partition("/")[0])[0]
    prefix = arguments.pipeline.model_prefix if arguments.pipeline else named or DOCUMENTS_PREFIX
    try:
        folder_at(arguments.models)
        if arguments.model:
            model_and_run(arguments.model, prefix)
    except ValueError as problem:
        parser.error(str(problem))
    arguments.prefix = prefix
    return arguments


def main(argv: list[str] | None = None) -> int:
    cli.log_to_stderr()
    arguments = parse_arguments(argv)
    try:
        summarised(
            lambda: predict(
                open_session("brigade-predict"),
                arguments.input_path,
                arguments.output_path,
                arguments.models,
                prefix=arguments.prefix,
                model=arguments.model,
                parquet_path=arguments.parquet_path,
                days=arguments.dates,
                missing=arguments.missing,
                full=arguments.full,
            ),
            arguments.summary,
        )
    except BrigadeError as problem:
        cli.print_error("predict.py", problem)
        return problem.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
