"""WHEN: creates the Cloud Scheduler job that calls the trigger every week, or updates it.

The job is weekly because cron has no "every four weeks"; the trigger (`main.py`) decides. Running this again
changes the job to what the flags say, field by field, or finds it unchanged; a job that is paused stays so. It
prints one line of JSON.

On this machine, with a stand-in for Cloud Scheduler:
    python scheduler/create_job.py --project=brigade-local --region=us-central1 \\
        --trigger_url=http://127.0.0.1:8081/ --api_endpoint=http://127.0.0.1:9000
On GCP:
    python scheduler/create_job.py --project=P --region=us-central1 --trigger_url=https://trigger-….run.app \\
        --service_account=brigade-scheduler@P.iam.gserviceaccount.com --dry_run
    python scheduler/create_job.py --project=P --region=us-central1 --pause
Without the trigger, by calendar months:
    python scheduler/create_job.py --project=P --region=us-central1 \\
        --direct=projects/P/regions/us-central1/workflowTemplates/brigade-retrain \\
        --service_account=brigade-scheduler@P.iam.gserviceaccount.com
"""

import argparse
import base64
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import scheduler_v1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from brigade.schedule import workflow_client

log = logging.getLogger("create_job")

CALL_SECONDS = 60
WEEKLY, MONTHLY = "0 2 * * 1", "0 2 1 * *"
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 60, 1800
DATAPROC = "https://dataproc.googleapis.com/v1"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SERVICE_ERRORS = (GoogleAPIError, GoogleAuthError, OSError)  # OSError: no network
CRON_FIELD = r"[A-Za-z0-9*/,-]+"
# What a job must not keep from before: who calls, and retries, which the JSON form leaves out if they are 0.
NEVER_LEFT = ("httpTarget.oidcToken.", "httpTarget.oauthToken.", "retryConfig.retryCount")
DIRECT_MEANS = (
    "--direct starts the workflow by calendar months, whether or not a model exists: nobody counts four weeks,"
    " a month that is missed is not caught up, a run that failed waits a month, and one that still runs gets another"
    " beside it; the parameters keep the values that stand in the template now"
)


# ---------------------------------------------------------------------------------------------------- the job


def build_job(name: str, schedule: str, time_zone: str, retries: int, deadline_seconds: int, target: dict) -> dict:
    """The job that sends `target`, an HttpTarget, at the schedule's times."""
    return {
        "name": name,
        "description": "Brigade: retrains the document classifier",
        "schedule": schedule,
        "time_zone": time_zone,
        "http_target": target,
        "attempt_deadline": Duration(seconds=deadline_seconds),
        "retry_config": {
            "retry_count": retries,
            "min_backoff_duration": Duration(seconds=FIRST_RETRY_SECONDS),
            "max_backoff_duration": Duration(seconds=LAST_RETRY_SECONDS),
        },
    }


def trigger_target(url: str, service_account: str | None) -> dict:
    """A POST to the trigger, with an OIDC token of the service account if there is one."""
    target = post(url, {})
    if service_account:
        target["oidc_token"] = {"service_account_email": service_account, "audience": url}
    return target


def direct_target(template: str, parameters: dict[str, str], service_account: str) -> dict:
    """A POST that instantiates the template; Google's own APIs take an OAuth token, not an OIDC one."""
    target = post(f"{DATAPROC}/{template}:instantiate", {"parameters": parameters})
    return target | {"oauth_token": {"service_account_email": service_account, "scope": CLOUD_PLATFORM}}


def post(url: str, body: dict) -> dict:
    return {
        "uri": url,
        "http_method": scheduler_v1.HttpMethod.POST,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body).encode(),
    }


def differences(found: dict, wanted: dict) -> dict[str, list]:
    """{field: [what it is, what it is to be]} of two jobs in their JSON form, None for what is not there.

    What nobody asked for, such as a header that Cloud Scheduler adds, is no difference, unless it is NEVER_LEFT.
    """
    before, after = dict(fields(found)), dict(fields(wanted))
    compared = after.keys() | {path for path in before if path.startswith(NEVER_LEFT)}
    pairs = {path: [before.get(path), after.get(path)] for path in sorted(compared)}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def fields(job: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The (path, value) pairs of a job in its JSON form; the body as text."""
    for name, value in job.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from fields(value, f"{path}.")
        else:
            yield path, base64.b64decode(value).decode() if path == "httpTarget.body" else value


# ------------------------------------------------------------------------------------------------ the service


def connect(api_endpoint: str | None) -> scheduler_v1.CloudSchedulerClient:
    """A client of Cloud Scheduler, or of what stands in for it at an `http://` address."""
    if api_endpoint is None:
        return scheduler_v1.CloudSchedulerClient()
    options: dict = {"client_options": {"api_endpoint": api_endpoint}}
    if api_endpoint.startswith("http://"):
        options |= {"transport": "rest", "credentials": AnonymousCredentials()}
    return scheduler_v1.CloudSchedulerClient(**options)


def create_or_update(client: scheduler_v1.CloudSchedulerClient, job: dict, dry_run: bool) -> dict:
    """Makes the job what `job` says. Returns {"action", "state", "changes": `differences`}: the action is created,
    updated or unchanged; in a dry run, which changes nothing, create, update or unchanged."""
    wanted = scheduler_v1.Job(job)
    try:
        made = client.get_job(name=wanted.name, timeout=CALL_SECONDS)
    except NotFound:
        made = None
    changes = differences(as_json(made) if made else {}, as_json(wanted))
    action = ("update" if made else "create") if changes else "unchanged"
    if changes and not dry_run:
        if made:
            mask = FieldMask(paths=[key for key in job if key != "name"])
            made = client.update_job(job=wanted, update_mask=mask, timeout=CALL_SECONDS)
        else:
            parent = wanted.name.partition("/jobs/")[0]
            made = client.create_job(parent=parent, job=wanted, timeout=CALL_SECONDS)
        action += "d"
    return {"action": action, "state": made.state.name if made else None, "changes": changes}


def as_json(job: scheduler_v1.Job) -> dict:
    return MessageToDict(scheduler_v1.Job.pb(job))


def pause_or_resume(client: scheduler_v1.CloudSchedulerClient, name: str, pause: bool) -> dict:
    """Pauses or resumes the job, unless it is so already, which Cloud Scheduler would refuse."""
    change, action, state = (
        (client.pause_job, "paused", scheduler_v1.Job.State.PAUSED)
        if pause
        else (client.resume_job, "resumed", scheduler_v1.Job.State.ENABLED)
    )
    found = client.get_job(name=name, timeout=CALL_SECONDS)
    if found.state == state:
        return {"action": "unchanged", "state": state.name}
    return {"action": action, "state": change(name=name, timeout=CALL_SECONDS).state.name}


def main(argv: Sequence[str] | None = None) -> int:
    """Does to the job what the flags say; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    name = f"projects/{arguments.project}/locations/{arguments.region}/jobs/{arguments.name}"
    try:
        summary = act(connect(arguments.api_endpoint), name, arguments)
    except (workflow_client.TemplateError, *SERVICE_ERRORS) as error:
        log.error("%s: %s: %s", name, type(error).__name__, " ".join(str(error).split())[:300])
        return 1
    print(json.dumps({"job": name} | summary))
    return 0


def act(client: scheduler_v1.CloudSchedulerClient, name: str, arguments: argparse.Namespace) -> dict:
    """What was done to the job of that name."""
    if arguments.pause or arguments.resume:
        return pause_or_resume(client, name, arguments.pause)
    if arguments.run:
        return {"action": "started", "state": client.run_job(name=name, timeout=CALL_SECONDS).state.name}
    if arguments.direct:
        log.warning(DIRECT_MEANS)
        dataproc = workflow_client.connect(arguments.direct, os.environ.get("DATAPROC_API_ENDPOINT", "").strip())
        _, parameters = workflow_client.get_template(dataproc, arguments.direct)
        target = direct_target(arguments.direct, parameters, arguments.service_account)
    else:
        target = trigger_target(arguments.trigger_url, arguments.service_account)
    schedule = arguments.schedule or (MONTHLY if arguments.direct else WEEKLY)
    job = build_job(name, schedule, arguments.time_zone, arguments.retries, arguments.deadline_seconds, target)
    done = create_or_update(client, job, arguments.dry_run)
    for path, (before, after) in done["changes"].items():
        log.info("%s: %r → %r", path, before, after)
    about = {"dryRun": arguments.dry_run, "schedule": schedule, "timeZone": arguments.time_zone, "uri": target["uri"]}
    return done | about


# ---------------------------------------------------------------------------------------------- the arguments


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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--trigger_url", type=web_address, help="the trigger's address; also the token's audience")
    what.add_argument(
        "--direct",
        metavar="TEMPLATE",
        type=matching(workflow_client.TEMPLATE.pattern, workflow_client.TEMPLATE_FORM),
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
        help=f"when to call (default: '{WEEKLY}', Mondays at two; with --direct '{MONTHLY}', the first of each month)",
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
        default=180,  # more than the trigger takes for its four calls of at most half a minute each
        help="after which a call has failed (default: %(default)s)",
    )
    add(
        "--api_endpoint",
        type=matching(r"(https?://)?[^\s/:]+(:\d+)?/?", "HOST:PORT or http://HOST:PORT"),
        help="another Cloud Scheduler than Google's; at http:// one that asks for no credentials",
    )
    arguments = parser.parse_args(argv)
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
