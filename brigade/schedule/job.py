"""The Cloud Scheduler job that calls the trigger every week, or starts the workflow template directly.

A job is compared field by field with what it should be, and is changed only where it differs. A paused job stays
paused.
"""

import base64
import json
from collections.abc import Iterator

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import scheduler_v1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

CALL_SECONDS = 60
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 60, 1800
DATAPROC = "https://dataproc.googleapis.com/v1"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
# A job must not keep these from before: who calls, and retries, which the JSON form leaves out if they are 0.
NEVER_LEFT = ("httpTarget.oidcToken.", "httpTarget.oauthToken.", "retryConfig.retryCount")


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


def trigger_target(url: str, service_account: str | None, look: bool = False) -> dict:
    """A POST to the trigger, with an OIDC token of the service account if there is one. look: for findings alone."""
    target = post(f"{url.rstrip('/')}/?look=1" if look else url, {})
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
    """{field: [what it is, what it should be]} of two jobs in their JSON form; None is a missing field.

    A field that nobody asked for, such as a header that Cloud Scheduler adds, does not count unless it is NEVER_LEFT.
    """
    before, after = dict(fields(found)), dict(fields(wanted))
    compared = after.keys() | {path for path in before if path.startswith(NEVER_LEFT)}
    pairs = {path: [before.get(path), after.get(path)] for path in sorted(compared)}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def fields(job: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The (path, value) pairs of a job in its JSON form; the body is text."""
    for name, value in job.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from fields(value, f"{path}.")
        else:
            yield path, base64.b64decode(value).decode() if path == "httpTarget.body" else value


# ------------------------------------------------------------------------------------------------ the service


def connect(api_endpoint: str | None) -> scheduler_v1.CloudSchedulerClient:
    """A client of Cloud Scheduler, or of a stand-in for it at an `http://` address."""
    if api_endpoint is None:
        return scheduler_v1.CloudSchedulerClient()
    options: dict = {"client_options": {"api_endpoint": api_endpoint}}
    if api_endpoint.startswith("http://"):
        options |= {"transport": "rest", "credentials": AnonymousCredentials()}
    return scheduler_v1.CloudSchedulerClient(**options)


def create_or_update(client: scheduler_v1.CloudSchedulerClient, job: dict, dry_run: bool) -> dict:
    """Makes the job what `job` says. Returns {"action", "state", "changes": `differences`}.

    The action is created, updated or unchanged. A dry run changes nothing; its action is create, update or unchanged.
    """
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
    """Pauses or resumes the job. A job in that state is left alone: Cloud Scheduler would refuse the change."""
    change, action, state = (
        (client.pause_job, "paused", scheduler_v1.Job.State.PAUSED)
        if pause
        else (client.resume_job, "resumed", scheduler_v1.Job.State.ENABLED)
    )
    found = client.get_job(name=name, timeout=CALL_SECONDS)
    if found.state == state:
        return {"action": "unchanged", "state": state.name}
    return {"action": action, "state": change(name=name, timeout=CALL_SECONDS).state.name}


def run_now(client: scheduler_v1.CloudSchedulerClient, name: str) -> dict:
    """Calls the job's target now, whatever its schedule says."""
    return {"action": "started", "state": client.run_job(name=name, timeout=CALL_SECONDS).state.name}
