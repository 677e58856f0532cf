"""CONVERT: landed JSON lines → parquet, with SparkSQL.

What enters: a folder of JSON lines, one event a line, as `pubsub_gcs.py` lands them (or plain files of raw events that
somebody copied there; .gz too). What leaves: parquet partitioned by `dt`, one row an `eventId`; and the lines that are
not events, as JSON lines in a quarantine folder, each with its file and reason. The work is in `brigade/conversion/`.

On this machine:
    spark-submit spark_sql.py landing/input parquet
On GCP:
    gcloud dataproc jobs submit pyspark spark_sql.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=build/brigade.zip -- gs://ml_input/input/ gs://ml_input/parquet/
"""

import argparse
import sys
from dataclasses import replace

from brigade import cli
from brigade.causes import told
from brigade.conversion.errors import QueryError, SchemaError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import OWN, QUERY, Reading, reading_of
from brigade.errors import BrigadeError, WrongInput
from brigade.packages import check_packages
from brigade.pipelines.flag import add_pipeline
from brigade.program import summarised
from brigade.spark import open_session
from brigade.storage import open_to_read


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="spark_sql.py",
        description="Converts landed JSON lines to parquet, one row an eventId, partitioned by day. Only files that "
        "are new or changed since the last run are read.",
        epilog="examples:\n"
        "  spark-submit spark_sql.py gs://ml_input/input/ gs://ml_input/parquet/\n"
        "  spark-submit spark_sql.py --pipeline=wine gs://wine_input/input/ gs://wine_input/parquet/\n"
        "  spark-submit spark_sql.py --sql=invoices.sql --schema=invoices.ddl invoices/ invoices_parquet/\n\n"
        "the query that is in use without --sql:\n" + QUERY.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("input_path", metavar="INPUT", type=cli.path, help="a folder of JSON lines, gs:// or local")
    parser.add_argument("output_path", metavar="OUTPUT", type=cli.path, help="where the parquet goes")
    parser.add_argument(
        "--quarantine_path",
        type=cli.path,
        metavar="PATH",
        help="where lines that are not events go (default: quarantine beside the output)",
    )
    add_pipeline(parser)
    parser.add_argument(
        "--sql",
        type=cli.path,
        metavar="FILE",
        help="a query of your own, SELECT … FROM events, that yields at least eventId and dt",
    )
    parser.add_argument(
        "--schema",
        type=cli.path,
        metavar="FILE",
        help="the fields of your own documents, as Spark's DDL: number STRING, total DOUBLE, …",
    )
    parser.add_argument(
        "--full", action="store_true", help="start over: convert all files again and replace what OUTPUT holds"
    )
    parser.add_argument(
        "--dates",
        type=cli.date_range,
        metavar="A..B",
        help="do these days again, and touch no other: the files in INPUT/dt=YYYY-MM-DD/, first and last day included",
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="do what is not there: files of OUTPUT that are missing or cut off too; with --dates of these days alone",
    )
    parser.add_argument(
        "--check_packages",
        action="store_true",
        help="end at once if a Python package is missing that the cluster needs, for training too; log all versions",
    )
    cli.add_summary(parser)
    arguments = parser.parse_args(argv)
    if arguments.pipeline and (arguments.sql or arguments.schema):
        parser.error("expected --pipeline, which has a query and a schema, or --sql and --schema; found both")
    if arguments.full and (arguments.dates or arguments.missing):
        parser.error("expected --full, which does everything again, or --dates and --missing; found both")
    return arguments


def read_text(path: str) -> str:
    """The text of a file. Raises WrongInput if it is not there, or no text."""
    with told(WrongInput), open_to_read(path) as file:
        data = file.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongInput(f"{path}: expected text in UTF-8, found another byte at {error.start}") from None


def reading_for(arguments: argparse.Namespace) -> Reading:
    """How lines become rows. Raises WrongInput if a file that was named cannot be read."""
    if arguments.pipeline:
        return reading_of(arguments.pipeline.query, arguments.pipeline.contract)
    reading = OWN
    if arguments.schema:
        reading = replace(reading, schema=read_text(arguments.schema), contract=None)
    return replace(reading, query=read_text(arguments.sql)) if arguments.sql else reading


def main(argv: list[str] | None = None) -> int:
    cli.log_to_stderr()
    arguments = parse_arguments(argv)
    try:
        reading = reading_for(arguments)
        if arguments.check_packages:
            check_packages()
        summarised(
            lambda: json_into_parquet(
                open_session("brigade-convert"),
                arguments.input_path,
                arguments.output_path,
                arguments.quarantine_path,
                reading=reading,
                full=arguments.full,
                dates=arguments.dates,
                missing=arguments.missing,
            ),
            arguments.summary,
        )
    except BrigadeError as problem:
        own = f"the definition {arguments.pipeline.name}" if arguments.pipeline else None
        texts: dict[type, str | None] = {QueryError: arguments.sql or own, SchemaError: arguments.schema or own}
        file = texts.get(type(problem))
        cli.print_error("spark_sql.py", f"{file}: {problem}" if file else problem)
        return problem.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
