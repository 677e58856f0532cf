"""TRAIN: parquet → candidates → evaluation → gate → a dated model. PySpark, scikit-learn and XGBoost.

What enters: landed JSON, which is converted first, or the parquet that was made of it. What leaves:
`<OUTPUT>/doc-classification-model-YYYY-MM-DD/` with a manifest and the run's files below `runs/<run id>/`: weights,
description, metrics, the data's version, golden documents and a report. The model is promoted if it is about as good as
the model that serves now, or better, on held-out documents that neither has learned.

    documents ─► parts ─► blocks of counted features, cached ─► candidates ─► the best one, on all but the test part
                                                                          ─► test ─► gate ─► model, report

A table (--pipeline) has rows instead of documents, and boosted trees learn them. Its model has its own name.

On this machine:
    spark-submit --py-files=build/brigade.zip train_ml_model.py landing/input models
    spark-submit --py-files=build/brigade.zip train_ml_model.py landing/input models --pipeline=wine
On GCP:
    gcloud dataproc jobs submit pyspark train_ml_model.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=build/brigade.zip -- gs://ml_input/input/ gs://ml_output/output/
"""

import sys
from dataclasses import fields

from brigade import cli
from brigade.errors import BrigadeError
from brigade.program import summarised
from brigade.spark import FIXED_EXECUTORS, open_session
from brigade.training.arguments import parse_arguments
from brigade.training.options import Options
from brigade.training.run import train


def main(argv: list[str] | None = None) -> int:
    cli.log_to_stderr()
    arguments = parse_arguments(argv)
    pipeline = arguments.pipeline
    spark_settings = FIXED_EXECUTORS if pipeline and pipeline.model.kind == "table" else {}
    given = {one.name: getattr(arguments, one.name) for one in fields(Options)}
    try:
        summarised(
            lambda: train(
                open_session("brigade-train", spark_settings),
                arguments.input_path,
                arguments.output_path,
                test_path=arguments.test,
                day=arguments.date,
                parquet_path=arguments.parquet_path,
                tolerance=arguments.tolerance,
                force=arguments.force,
                accept_data=arguments.accept_data,
                definition=pipeline,
                **{name: value for name, value in given.items() if value is not None},
            ),
            arguments.summary,
        )
    except BrigadeError as problem:
        cli.print_error("train_ml_model.py", problem)
        return problem.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
