"""WHEN: creates the Cloud Scheduler job that calls the trigger every week, or updates it.

The job is weekly because cron has no "every four weeks"; the trigger (`main.py`) decides. Running this again
changes the job to what the flags say. It prints one line of JSON.

On this machine, with a stand-in for Cloud Scheduler:
    python scheduler/create_job.py --project=brigade-local --region=us-central1 \\
        --trigger_url=http://127.0.0.1:8081/ --api_endpoint=http://127.0.0.1:9000
On GCP:
    python scheduler/create_job.py --project=P --region=us-central1 --trigger_url=https://trigger-….run.app \\
        --service_account=brigade-scheduler@P.iam.gserviceaccount.com
"""

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from google.api_core.exceptions import Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import scheduler_v1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

log = logging.getLogger("create_job")

CALL_SECONDS = 60
ATTEMPT_SECONDS = 180  # more than the trigger takes for its two calls, of a minute at most each
RETRIES, FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = (
    3,
    60,
    1800,
)  # within the hour; a week later it is called anyway
CRON_FIELD = r"[A-Za-z0-9*/,-]+"


def build_job(name: str, schedule: str, time_zone: str, trigger_url: str, service_account: str | None) -> dict:
    """The job: a POST to the trigger, with an OIDC token of the service account if there is one."""
    target: dict = {
        "uri": trigger_url,
        "http_method": scheduler_v1.HttpMethod.POST,
        "headers": {"Content-Type": "application/json"},
        "body": b"{}",
    }
    if service_account:
        target["oidc_token"] = {"service_account_email": service_account, "audience": trigger_url}
    return {
        "name": name,
        "description": "Brigade: starts retraining when a four-week period has no model yet",
        "schedule": schedule,
        "time_zone": time_zone,
        "http_target": target,
        "attempt_deadline": Duration(seconds=ATTEMPT_SECONDS),
        "retry_config": {
            "retry_count": RETRIES,
            "min_backoff_duration": Duration(seconds=FIRST_RETRY_SECONDS),
            "max_backoff_duration": Duration(seconds=LAST_RETRY_SECONDS),
        },
    }


def connect(api_endpoint: str | None) -> scheduler_v1.CloudSchedulerClient:
    """A client of Cloud Scheduler, or of what stands in for it at an `http://` address."""
    if api_endpoint is None:
        return scheduler_v1.CloudSchedulerClient()
    options: dict = {"client_options": {"api_endpoint": api_endpoint}}
    if api_endpoint.startswith("http://"):
        options |= {"transport": "rest", "credentials": AnonymousCredentials()}
    return scheduler_v1.CloudSchedulerClient(**options)


def create_or_update(client: scheduler_v1.CloudSchedulerClient, parent: str, job: dict) -> tuple[str, str]:
    """("created" or "updated", the job's state)."""
    try:
        made = client.create_job(parent=parent, job=job, timeout=CALL_SECONDS)
        return "created", made.state.name
    except Conflict:  # AlreadyExists is one, and over REST it comes as no more than that
        mask = FieldMask(paths=[key for key in job if key != "name"])
        made = client.update_job(job=job, update_mask=mask, timeout=CALL_SECONDS)
        return "updated", made.state.name


def main(argv: Sequence[str] | None = None) -> int:
    """Creates or updates the job; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    parent = f"projects/{arguments.project}/locations/{arguments.region}"
    name = f"{parent}/jobs/{arguments.name}"
    job = build_job(name, arguments.schedule, arguments.time_zone, arguments.trigger_url, arguments.service_account)
    try:
        action, state = create_or_update(connect(arguments.api_endpoint), parent, job)
    except Exception as error:  # credentials, network, permissions: each has its own types
        log.error("cannot create %s: %s: %s", name, type(error).__name__, " ".join(str(error).split())[:300])
        return 1
    summary = {"job": name, "action": action, "state": state, "schedule": arguments.schedule}
    print(json.dumps(summary | {"timeZone": arguments.time_zone, "triggerUrl": arguments.trigger_url}))
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Creates or updates the Cloud Scheduler job that calls the trigger every week. "
        "The trigger itself knows what four weeks are, so the schedule stays weekly.",
        epilog="Exit status: 0 done, 1 Cloud Scheduler refused or could not be reached, 2 wrong arguments.",
    )
    add = parser.add_argument
    add("--project", required=True, type=matching("[a-z][a-z0-9:.-]{4,}", "a project's id"))
    add("--region", required=True, type=matching("[a-z]+-[a-z]+[0-9]+", "a region, such as us-central1"))
    add("--name", default="brigade-retrain", type=matching("[A-Za-z0-9_-]{1,500}", "letters, digits, - and _"))
    add(
        "--schedule",
        default="0 2 * * 1",
        type=matching(rf"{CRON_FIELD}( +{CRON_FIELD}){{4}}", "five fields of unix-cron, such as '0 2 * * 1'"),
        help="when to call, weekly (default: '%(default)s', Mondays at two)",
    )
    add(
        "--time_zone",
        default="Etc/UTC",
        help="of the schedule (default: %(default)s)",
    )
    add(
        "--trigger_url",
        required=True,
        type=web_address,
        help="its address; also the token's audience",
    )
    add(
        "--service_account",
        type=matching(r"[^@\s]+@[^@\s]+", "an e-mail address"),
        help="who calls: needs run.invoker on the trigger. Required unless the trigger's address is http://",
    )
    add(
        "--api_endpoint",
        type=matching(r"(https?://)?[^\s/:]+(:\d+)?/?", "HOST:PORT or http://HOST:PORT"),
        help="another Cloud Scheduler than Google's; at http:// one that asks for no credentials",
    )
    arguments = parser.parse_args(argv)
    if arguments.trigger_url.startswith("https://") and not arguments.service_account:
        parser.error("--service_account: expected who calls the https:// trigger, found none")
    return arguments


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """The type of a flag whose value has to match the pattern, whole."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return text

    return check


def web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"expected an http:// or https:// address, found {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())
