"""Does to the Cloud Scheduler job what the command line says: create or update, pause, resume, or call it now."""

import argparse
import logging
import os

from brigade.schedule import workflow_client
from brigade.schedule.job import (
    build_job,
    connect,
    create_or_update,
    direct_target,
    pause_or_resume,
    run_now,
    trigger_target,
)
from brigade.schedule.job_arguments import LATER, MONTHLY, WEEKLY
from brigade.schedule.refusals import asking

log = logging.getLogger("create_job")

DIRECT_MEANS = (
    "--direct starts the workflow by calendar months, whether or not there is a model: nobody counts four weeks, a"
    " missed month is not caught up, a run that failed waits a month, and a run that takes longer gets another one"
    " beside it; the parameters keep the values that the template has now"
)


def carry_out(name: str, arguments: argparse.Namespace) -> dict:
    """Does to the job of that name what the arguments say. Returns what was done. Raises TemplateError and Refusal."""
    place = f"--project={arguments.project} --region={arguments.region}"
    with asking("Cloud Scheduler", name, f"create it with: python scheduler/create_job.py {place} --trigger_url=URL"):
        client = connect(arguments.api_endpoint)
        if arguments.pause or arguments.resume:
            return pause_or_resume(client, name, arguments.pause)
        if arguments.run:
            return run_now(client, name)
    if arguments.direct:
        log.warning(DIRECT_MEANS)
        dataproc = workflow_client.connect(arguments.direct, os.environ.get("DATAPROC_API_ENDPOINT", "").strip())
        _, parameters = workflow_client.get_template(dataproc, arguments.direct)
        target = direct_target(arguments.direct, parameters, arguments.service_account)
    else:
        target = trigger_target(arguments.trigger_url, arguments.service_account, arguments.look)
    schedule = arguments.schedule or (MONTHLY if arguments.direct else LATER if arguments.look else WEEKLY)
    job = build_job(name, schedule, arguments.time_zone, arguments.retries, arguments.deadline_seconds, target)
    location = name.partition("/jobs/")[0]
    with asking("Cloud Scheduler", location, f"see: gcloud scheduler locations list --project={arguments.project}"):
        done = create_or_update(client, job, arguments.dry_run)
    for path, (before, after) in done["changes"].items():
        log.info("%s: %r → %r", path, before, after)
    about = {"dryRun": arguments.dry_run, "schedule": schedule, "timeZone": arguments.time_zone, "uri": target["uri"]}
    return done | about
