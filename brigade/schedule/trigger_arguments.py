"""The command line of the trigger by hand, `python scheduler/main.py`."""

import argparse
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from brigade.models.manifest import is_future
from brigade.schedule.settings import LAST_YEAR
from brigade.schedule.trigger import moment_of


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the trigger when it is run by hand. Exits with 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        description="Starts the retraining workflow if the current four-week period has no model yet and no other "
        "one runs, else the monitoring, and acts on its findings. Reads WORKFLOW_TEMPLATE, MODELS_URI, MODEL_PREFIX, "
        "SCHEDULE_ANCHOR, DATAPROC_API_ENDPOINT, MONITOR_TEMPLATE, FINDINGS_URI, EARLY_TRAINING and WITHDRAWAL.",
        epilog="Exit status: 0 done, 1 storage or Dataproc failed, 2 wrong arguments or settings.",
    )
    parser.add_argument("--dry_run", action="store_true", help="only print the decision; start nothing")
    parser.add_argument(
        "--now", type=moment_argument, metavar="TIME",
        help="decide as at 2026-01-12T02:00:00Z; default: now; a day after today only with --dry_run or --next",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--force", action="store_true", help="whatever the period has, but never beside another one")
    what.add_argument("--look", action="store_true", help="only act on the newest findings of the monitoring")
    what.add_argument(
        "--next", nargs="?", const=5, type=count_argument, metavar="N",
        help="only print the next N days on which a training is due (default: 5), and what today's call would do; "
        "needs SCHEDULE_ANCHOR, and MODELS_URI for today",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    only_looks = arguments.dry_run or arguments.next
    if arguments.now and not only_looks and is_future(arguments.now.astimezone(UTC).date()):
        parser.error(f"--now: expected today, UTC, or earlier, found {arguments.now:%Y-%m-%d}; try --dry_run or --next")
    return arguments


def moment_argument(text: str) -> datetime:
    found = moment_of(text)
    if found is None or found.year > LAST_YEAR:
        raise argparse.ArgumentTypeError(f"expected RFC 3339, such as 2026-01-12T02:00:00Z, found {text!r}")
    return found


def count_argument(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError(f"expected 1 to 999, found {text!r}")
    return int(text)
