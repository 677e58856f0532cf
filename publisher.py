"""PUBLISH: files, standard input, generated documents or made-up rows → Pub/Sub. It also replays dead letters.

What enters: tables (CSV, TSV) with a text and a label column; JSON lines, either rows of that kind or whole events,
which go out byte for byte; rows of any table (`--pipeline`); generated business mail (`--generate`), or with both flags
made-up rows of that table, from which a model can learn; or dead letters, landing's from their folder and
classification's from their subscription. What leaves: one message for each, counted when the server has acknowledged
it. The same file gives the same eventIds again, so publishing it twice adds no document. The work is in
brigade/publishing.

On this machine, with a local Pub/Sub server (PUBSUB_EMULATOR_HOST):
    python publisher.py --generate=1000 --seed=1 --topic=projects/brigade-local/topics/topic-brigade
    python publisher.py --generate=1000 --pipeline=wine --topic=projects/brigade-local/topics/topic-brigade
On GCP:
    python publisher.py mails.csv --text=title+body --label=label --topic=projects/P/topics/topic-brigade
"""

import sys

from brigade.cli import log_to_stderr, print_problem, print_summary
from brigade.publishing.arguments import parse_arguments
from brigade.publishing.run import run


def main(argv: list[str] | None = None) -> int:
    log_to_stderr()
    flags = parse_arguments(argv)
    outcome = run(flags)
    if outcome.problem is not None:
        print_problem("publisher.py", outcome.problem)
    if outcome.summary is not None:
        print_summary(outcome.summary, sys.stderr if flags.dry_run else sys.stdout)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
