"""The command line of pubsub_gcs.py: the job's own flags, and all of Beam's.

A flag that neither knows is an error, where Beam alone would pass over it with a warning.
"""

import argparse
import re
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from brigade.cli import positive
from brigade.errors import WrongInput
from brigade.events.event import MAX_EVENT_BYTES
from brigade.paths import lies_in, sibling
from brigade.pipelines.flag import add_pipeline

MIB = 1 << 20
EPILOG = """All of Beam's own options work too, such as --runner, --project, --region, --temp_location.

examples:
  python pubsub_gcs.py --project=P --region=us-central1 --runner=DataflowRunner \\
      --input_subscription=projects/P/subscriptions/sub-brigade \\
      --output_path=gs://ml_input/input --temp_location=gs://ml_input/temp
  python pubsub_gcs.py --project=brigade-local --runner=DirectRunner --window_size=0.1 --num_shards=1 \\
      --input_topic=projects/brigade-local/topics/topic-brigade --output_path=landing/input"""


def parse_arguments(argv: list[str] | None) -> tuple[argparse.Namespace, PipelineOptions]:
    """The job's own arguments, and Beam's. Exits with status 2 and one line if they do not fit."""
    parser = job_parser()
    arguments, rest = parser.parse_known_args(argv)
    check_source(parser, arguments)
    arguments.output_path = arguments.output_path.rstrip("/")
    try:
        dead_letter_path = arguments.dead_letter_path or sibling(arguments.output_path, "dead_letter")
    except WrongInput as problem:
        parser.error(f"--output_path: {problem}")
    arguments.dead_letter_path = dead_letter_path.rstrip("/")
    for name in ("output_path", "dead_letter_path"):
        if not re.fullmatch(r"gs://[^/]+/.+|(?!\w+://).+", getattr(arguments, name)):
            parser.error(f"--{name}: expected gs://bucket/prefix or a local path, found {getattr(arguments, name)!r}")
    if lies_in(arguments.dead_letter_path, arguments.output_path):
        parser.error("--dead_letter_path must lie outside --output_path, or dead letters would be read as events")
    if arguments.max_event_bytes * 2 > arguments.max_file_mib * MIB:
        parser.error("--max_file_mib: expected room for two events of --max_event_bytes")

    options = PipelineOptions(rest, streaming=True)
    if unknown := unknown_options(rest):
        parser.error(f"neither this job nor Beam knows {' '.join(unknown)}; see --help")
    return arguments, options


def check_source(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if bool(arguments.input_topic) == bool(arguments.input_subscription):
        found = "both" if arguments.input_topic else "neither"
        parser.error(f"expected one of --input_topic and --input_subscription, found {found}")
    if arguments.without_topic and not arguments.input_subscription:
        parser.error("--without_topic: expected --input_subscription beside it, found --input_topic")
    for kind in ("topic", "subscription"):
        value = getattr(arguments, f"input_{kind}")
        form = rf"projects/[a-z][-a-z0-9:.]{{4,}}[a-z0-9]/{kind}s/[a-zA-Z][-\w.~+%]{{2,254}}"
        if value and not re.fullmatch(form, value):
            parser.error(f"--input_{kind}: expected projects/PROJECT/{kind}s/NAME, found {value}")


def unknown_options(flags: list[str]) -> list[str]:
    """The flags that no options class of Beam knows."""
    parser: Any = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options_class in PipelineOptions.__subclasses__():
        options_class._add_argparse_args(parser)
    return parser.parse_known_args(flags)[1]


def job_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pubsub_gcs.py",
        description="Lands every message of a Pub/Sub topic in Cloud Storage: events as dated JSON lines, all others "
        "as dead letters with a reason.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_argument_group("where messages come from (one of the two)")
    source.add_argument(
        "--input_topic",
        metavar="projects/P/topics/T",
        help="each launch makes a new subscription: what is published between two launches is lost to this job",
    )
    source.add_argument(
        "--input_subscription",
        metavar="projects/P/subscriptions/S",
        help="keeps what is published while no job runs; the one to use",
    )
    source.add_argument(
        "--without_topic",
        action="store_true",
        help="land what a subscription still holds whose topic was deleted; stop the job when nothing more lands",
    )
    add_pipeline(parser)
    target = parser.add_argument_group("where they land")
    target.add_argument("--output_path", required=True, metavar="URI", help="gs://bucket/prefix or a folder")
    target.add_argument(
        "--dead_letter_path",
        metavar="URI",
        help="for messages that are not events (default: dead_letter beside the output)",
    )
    add_shape(parser.add_argument_group("how files are cut"))
    return parser


def add_shape(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--window_size",
        type=positive(float),
        default=2.0,
        metavar="MINUTES",
        help="the longest that a message waits for its file to close (default: 2)",
    )
    group.add_argument(
        "--max_file_mib",
        type=positive(int),
        default=64,
        metavar="MIB",
        help="the largest file, uncompressed (default: 64)",
    )
    group.add_argument(
        "--max_file_lines",
        type=positive(int),
        default=100_000,
        metavar="N",
        help="the most lines in a file (default: 100000)",
    )
    group.add_argument(
        "--num_shards",
        type=positive(int),
        metavar="N",
        help="files written at a time (default: one for each worker process, so they grow with the runner's workers)",
    )
    group.add_argument(
        "--compress", action="store_true", help="gzip the files (.jsonl.gz); Spark reads them as they are"
    )
    group.add_argument(
        "--max_event_bytes",
        type=positive(int),
        default=MAX_EVENT_BYTES,
        metavar="BYTES",
        help=f"a larger message is a dead letter (default: {MAX_EVENT_BYTES}; Pub/Sub takes up to 10000000)",
    )
