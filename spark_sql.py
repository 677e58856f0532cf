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
import time

from brigade.cli import log_to_stderr, print_error, print_summary
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import EVENT, QUERY
from brigade.errors import BrigadeError
from brigade.spark import open_session


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="spark_sql.py",
        description="Converts landed JSON lines to parquet, one row an eventId, partitioned by day. Only files that "
        "are new or changed since the last run are read.",
        epilog="examples:\n"
        "  spark-submit spark_sql.py gs://ml_input/input/ gs://ml_input/parquet/\n"
        "  spark-submit spark_sql.py --sql=invoices.sql --schema=invoices.ddl invoices/ invoices_parquet/\n\n"
        "the query that is in use without --sql:\n" + QUERY.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("input_path", metavar="INPUT", help="a folder of JSON lines, gs:// or local")
    parser.add_argument("output_path", metavar="OUTPUT", help="where the parquet goes")
    parser.add_argument(
        "--quarantine_path",
        metavar="PATH",
        help="where lines that are not events go (default: quarantine beside the output)",
    )
    parser.add_argument(
        "--sql",
        metavar="FILE",
        help="a query of your own, SELECT … FROM events, that yields at least eventId and dt",
    )
    parser.add_argument(
        "--schema",
        metavar="FILE",
        help="the fields of your own documents, as Spark's DDL: number STRING, total DOUBLE, …",
    )
    parser.add_argument(
        "--full", action="store_true", help="start over: convert all files again and replace what OUTPUT holds"
    )
    return parser.parse_args(argv)


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def main(argv: list[str] | None = None) -> int:
    log_to_stderr()
    arguments = parse_arguments(argv)
    started = time.time()
    try:
        query = read_text(arguments.sql) if arguments.sql else QUERY
        schema = read_text(arguments.schema) if arguments.schema else EVENT
    except (OSError, UnicodeDecodeError) as error:
        print_error("spark_sql.py", f"--sql and --schema expect text files: {error}")
        return 2
    try:
        summary = json_into_parquet(
            open_session("brigade-convert"),
            arguments.input_path,
            arguments.output_path,
            arguments.quarantine_path,
            query=query,
            schema=schema,
            full=arguments.full,
        )
    except BrigadeError as problem:
        print_error("spark_sql.py", problem)
        return problem.status
    print_summary(summary | {"seconds": round(time.time() - started, 1)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
