"""Starts the retraining workflow if it is due, or says when it will be; then sees to the monitoring.

Cloud Scheduler calls at least once, so two calls may decide at the same time. They share a request id, under which
Dataproc runs one workflow.
"""

import logging
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, time

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.dataproc_v1 import WorkflowTemplateServiceClient

from brigade.errors import BrigadeError, one_line
from brigade.models.history import EARLY
from brigade.models.manifest import model_dates
from brigade.schedule.decision import Decision, decide, request_id
from brigade.schedule.periods import next_period_starts, period_of
from brigade.schedule.refusals import Refusal, asking
from brigade.schedule.settings import Environment
from brigade.schedule.watching import start_monitoring, watch
from brigade.schedule.workflow_client import connect, get_template, running_workflow, start_workflow
from brigade.storage import folder_at

log = logging.getLogger("scheduler")  # alarms look for this name

# OSError: no network, no project, no such folder
SERVICE_ERRORS = (Refusal, GoogleAPIError, GoogleAuthError, OSError)


def run(
    environment: Environment, now: datetime, dry_run: bool = False, force: bool = False, look: bool = False
) -> dict:
    """Decides, and starts the workflow if it is due, without waiting for its end; then sees to the monitoring and to
    what it has found. A dry run starts and changes nothing. A look only acts on findings.

    Returns {"decision": "start" or "skip", "reason", "period": {"start", "end", "number"}, "dryRun", "nextDue": the
    first day of the next period, "parameters": the workflow's, "operation": of the workflow that was started or runs},
    and, where something is monitored, the members of `watch` and "monitoring".
    Raises TemplateError and SERVICE_ERRORS.
    """
    template, anchor = environment.template, environment.anchor
    client = connect(template, environment.endpoint)
    # In this order: a workflow that ends in between has left its model before the models are listed.
    operation = running(client, environment)
    since = period_of(now.astimezone(UTC).date(), anchor).start  # older models do not matter and need no look
    with asking_storage(environment.models_uri):
        models = model_dates(folder_at(environment.models_uri), since, environment.model_prefix)
    decision = decide(now, anchor, models, operation, force)
    is_free = not decision.start and not operation and decision.day >= anchor
    if look and decision.start:
        decision = replace(decision, start=False, reason=f"{decision.reason}, which is not for a look to start")
    parameters: dict[str, str] = {}
    if decision.start:
        parameters, operation = start(client, template, decision, operation, dry_run)
    about: dict = {}
    if environment.findings_uri:
        with asking_storage(environment.models_uri):
            watched = watch(environment, now, decision, is_free, dry_run)
        about = watched.about
        if watched.acted:
            is_early = watched.acted == EARLY
            reason = f"{decision.reason}; {watched.acted}: {watched.reason}"
            decision = replace(decision, start=is_early, reason=reason)
            if is_early:
                parameters, operation = start(client, template, decision, operation, dry_run)
    if environment.monitor_template and not look:
        is_free = not decision.start and not operation
        about = about | {"monitoring": start_monitoring(client, environment, now, is_free, dry_run)}
    answer = decision.about() | {
        "dryRun": dry_run,
        "nextDue": f"{next_period_starts(now, anchor, 1)[0]}",
        "parameters": parameters,
        "operation": operation,
    }
    log.info("%s%s: %s", "dry run, " if dry_run else "", answer["decision"], decision.reason)
    return answer | about


def running(client: WorkflowTemplateServiceClient, environment: Environment) -> str | None:
    """The operation of a workflow that runs, the training's or the monitoring's: both convert into one table."""
    templates = filter(None, (environment.template, environment.monitor_template))
    return next(filter(None, (running_workflow(client, one) for one in templates)), None)


def start(
    client: WorkflowTemplateServiceClient, template: str, decision: Decision, operation: str | None, dry_run: bool
) -> tuple[dict[str, str], str | None]:
    """Starts the training of a decision. Returns its parameters and its operation; of a dry run, the one that runs."""
    version, parameters = get_template(client, template)
    if "DATE" in parameters:
        parameters["DATE"] = f"{decision.day}"
    if not dry_run:
        # The version is that of the values. A repeated call has the same request id, so it may be retried.
        operation = start_workflow(client, template, version, parameters, request_id(decision))
    return parameters, operation


def asking_storage(uri: str) -> AbstractContextManager[None]:
    """Raises Refusal for what Cloud Storage answers instead of what is asked of the models."""
    bucket = uri.removeprefix("gs://").partition("/")[0]
    return asking("Cloud Storage", uri, f"create its bucket with: gcloud storage buckets create gs://{bucket}")


def preview(environment: Environment, now: datetime, count: int) -> dict:
    """What happens today and on the first days of the next `count` periods, if nothing else changes.

    People read it as a table on standard error. "today" is None if the models are not known.
    """
    try:
        uri, prefix = environment.models_uri, environment.model_prefix
        models = model_dates(folder_at(uri), prefix=prefix) if uri else None
    except SERVICE_ERRORS as error:
        log.warning("MODELS_URI: %s", failure(error))
        models = None
    moments = [datetime.combine(day, time(), UTC) for day in next_period_starts(now, environment.anchor, count)]
    if models is not None:
        moments.insert(0, now)
    rows = []
    for moment in moments:
        decision = decide(moment, environment.anchor, models or ())
        rows.append({"date": f"{decision.day}"} | decision.about())
        when = "today" if moment == now else ""
        print(f"{decision.day}  {when:5}  {rows[-1]['decision']:5}  {decision.reason}", file=sys.stderr)
    return {"today": rows[0] if models is not None else None, "next": rows[-count:]}


def failure(error: Exception) -> str:
    """An error in one line; one that is not told in this project's words begins with its type."""
    return one_line(error) if isinstance(error, BrigadeError) else f"{type(error).__name__}: {one_line(error)}"
