"""LAND: Pub/Sub → dated files of JSON lines in Cloud Storage. A Beam streaming job.

What enters: Pub/Sub messages, each one event in UTF-8 JSON (brigade/events/event.py), of the contract that --pipeline
names. What leaves: every message
exactly once. An event becomes a line of `<output_path>/dt=YYYY-MM-DD/….jsonl`: its own bytes, with `"pubsub":
{messageId, publishTime, attributes}` added. Any other message becomes a line of `<dead_letter_path>/dt=…/….jsonl`,
with the reason why it is not an event. The work is in brigade/landing, the graph in brigade/landing/pipeline.py.

On this machine, with a local Pub/Sub server (PUBSUB_EMULATOR_HOST):
    python pubsub_gcs.py --project=brigade-local --runner=DirectRunner --window_size=0.1 --num_shards=1 \\
        --input_subscription=projects/brigade-local/subscriptions/sub-brigade --output_path=landing/input
On GCP:
    python pubsub_gcs.py --project=P --region=us-central1 --input_subscription=projects/P/subscriptions/sub-brigade \\
        --output_path=gs://ml_input/input --temp_location=gs://ml_input/temp --runner=DataflowRunner
"""

import logging
import os
import sys

from brigade.cli import log_to_stderr, print_error, print_summary
from brigade.errors import CannotGoOn
from brigade.events.contract import DOCUMENTS
from brigade.landing.arguments import MIB, parse_arguments
from brigade.landing.run import land, runs_here


def main(argv: list[str] | None = None) -> int:
    log_to_stderr()
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    arguments, options = parse_arguments(argv)
    try:
        summary, status = land(
            arguments.input_topic or arguments.input_subscription,
            options,
            output_path=arguments.output_path,
            dead_letter_path=arguments.dead_letter_path,
            without_topic=arguments.without_topic,
            contract=arguments.pipeline.contract if arguments.pipeline else DOCUMENTS,
            max_seconds=arguments.window_size * 60,
            max_lines=arguments.max_file_lines,
            max_bytes=arguments.max_file_mib * MIB,
            max_event_bytes=arguments.max_event_bytes,
            num_shards=arguments.num_shards,
            compress=arguments.compress,
        )
    except CannotGoOn as problem:
        print_error("pubsub_gcs.py", problem)
        return problem.status
    print_summary(summary)
    if runs_here(options):
        # The local runner's threads poll Pub/Sub without end and are not daemons: without this the process would stay.
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
