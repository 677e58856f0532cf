"""The command line of `python scheduler/create_job.py`, which creates or changes the trigger's job."""

import argparse
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from brigade.schedule.workflow_client import TEMPLATE, TEMPLATE_FORM

WEEKLY, MONTHLY = "0 2 * * 1", "0 2 1 * *"
LATER = "0 6 * * 1"  # when the monitoring that the weekly call has started has its findings
RETRAIN, LOOK = "brigade-retrain", "brigade-look"  # the jobs' names
CRON_FIELD = r"[A-Za-z0-9*/,-]+"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments that say what to do to the job. Exits with 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        description="Creates or updates the Cloud Scheduler job that calls the trigger every week. "
        "The trigger itself knows what four weeks are, so the schedule stays weekly.",
        epilog="Exit status: 0 done, 1 Cloud Scheduler refused or could not be reached, 2 wrong arguments.",
    )
    add = parser.add_argument
    add("--project", required=True, type=matching("[a-z][a-z0-9:.-]{4,}", "a project's id"))
    add("--region", required=True, type=matching("[a-z]+-[a-z]+[0-9]+", "a region, such as us-central1"))
    add(
        "--name",
        type=matching("[A-Za-z0-9_-]{1,500}", "letters, digits, - and _"),
        help=f"(default: {RETRAIN}, with --look {LOOK})",
    )
    add("--look", action="store_true", help="the job that calls the trigger for what the monitoring has found")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--trigger_url", type=web_address, help="the trigger's address; also the token's audience")
    what.add_argument(
        "--direct",
        metavar="TEMPLATE",
        type=matching(TEMPLATE.pattern, TEMPLATE_FORM),
        help="start the workflow template itself, without the trigger: by calendar months, come what may. "
        "Its parameters are read now, where DATAPROC_API_ENDPOINT says if not at Google's",
    )
    what.add_argument("--pause", action="store_true", help="the job stays and is not called")
    what.add_argument("--resume", action="store_true", help="a paused job is called again")
    what.add_argument("--run", action="store_true", help="call now, whatever the schedule says")
    add("--dry_run", action="store_true", help="only say, field by field, what would change")
    add(
        "--schedule",
        type=matching(rf"{CRON_FIELD}( +{CRON_FIELD}){{4}}", "five fields of unix-cron, such as '0 2 * * 1'"),
        help=f"when to call (default: '{WEEKLY}', Mondays at two; with --look '{LATER}'; "
        f"with --direct '{MONTHLY}', the first of each month)",
    )
    add("--time_zone", default="Etc/UTC", help="of the schedule (default: %(default)s)")
    add(
        "--service_account",
        type=matching(r"[^@\s]+@[^@\s]+", "an e-mail address"),
        help="who calls: needs run.invoker on the trigger, or with --direct dataproc.workflowTemplates.instantiate. "
        "Required unless the trigger's address is http://",
    )
    add("--retries", type=between(0, 5), default=3, help="of a call that fails (default: %(default)s)")
    add(
        "--deadline_seconds",
        type=between(15, 1800),
        default=180,  # more than the trigger takes for its calls of at most half a minute each
        help="after which a call has failed (default: %(default)s)",
    )
    add(
        "--api_endpoint",
        type=matching(r"(https?://)?[^\s/:]+(:\d+)?/?", "HOST:PORT or http://HOST:PORT"),
        help="another Cloud Scheduler than Google's; at http:// one that asks for no credentials",
    )
    arguments = parser.parse_args(argv)
    if arguments.look and arguments.direct:
        parser.error("--look: expected it with the trigger, found --direct")
    arguments.name = arguments.name or (LOOK if arguments.look else RETRAIN)
    if arguments.dry_run and not (arguments.trigger_url or arguments.direct):
        parser.error("--dry_run: expected with --trigger_url or --direct, found neither")
    if (arguments.direct or (arguments.trigger_url or "").startswith("https://")) and not arguments.service_account:
        parser.error("--service_account: expected who calls the https:// address, found none")
    return arguments


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """The type of a flag whose value has to match the pattern, whole."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return text

    return check


def between(low: int, high: int) -> Callable[[str], int]:
    """The type of a flag whose value is a whole number from low to high."""

    def check(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected {low} to {high}, found {text!r}")
        return int(text)

    return check


def web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"expected an http:// or https:// address, found {text!r}")
    return text
