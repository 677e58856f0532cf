"""WHEN: starts the retraining workflow every four weeks.

Cloud Scheduler's cron has no "every four weeks", and it fires at least once. So it calls `trigger` every week, and the
trigger decides. A period starts on SCHEDULE_ANCHOR (a Monday) and every 28 days after it, at 00:00 UTC, and needs one
model. While the period has none, promoted or not, and no workflow of the template runs, a call starts one: a run that
failed is tried again the week after, and a missed week is caught up. The model is dated by the day of the decision, so
it belongs to the period for which it was started.

In a week without a training the call starts the monitoring, if MONITOR_TEMPLATE names its workflow. What that has found
lies in FINDINGS_URI. EARLY_TRAINING and WITHDRAWAL (off, dry or on) say what may follow from it: a training ahead of
time, and the former model back in place of one that is clearly worse.

On this machine, after `make up` and the lines that it prints:
    gcloud dataproc workflow-templates import brigade-retrain --source=workflow_template.yaml --region=us-central1
    SCHEDULE_ANCHOR=2026-01-05 python scheduler/main.py --dry_run
    SCHEDULE_ANCHOR=2026-01-05 python scheduler/main.py --next 3
On GCP, after `make package`:
    gcloud functions deploy retrain-trigger --gen2 --runtime=python312 --source=build/scheduler --trigger-http \\
        --timeout=180s --entry-point=trigger --set-env-vars=WORKFLOW_TEMPLATE=…,MODELS_URI=…,SCHEDULE_ANCHOR=2026-01-05
    python scheduler/create_job.py --project=P --region=R --trigger_url=URL --service_account=ACCOUNT
"""

import logging
import sys
from collections.abc import Sequence

import flask
import functions_framework

from brigade.cli import print_summary
from brigade.errors import WrongInput
from brigade.schedule import trigger as http
from brigade.schedule.retraining import SERVICE_ERRORS, failure, log, preview, run
from brigade.schedule.settings import get_env
from brigade.schedule.trigger_arguments import parse_arguments


@functions_framework.http
def trigger(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Cloud Scheduler's call → 200 and what `run` returns.

    `?dry_run=1` starts nothing and may come as GET; `?force=1` starts a workflow even if the period has a model;
    `?look=1` only acts on the newest findings, an hour or more after the call that started the monitoring.
    Statuses: 400 for any other query, 405 for any other method than POST, 500 for a wrong setting, 503 if storage or
    Dataproc fails, so that Cloud Scheduler calls again.
    """
    return http.respond(request)


def main(argv: Sequence[str] | None = None) -> int:
    """Does the same by hand; prints one line of JSON and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    now = arguments.now or http.clock()
    try:
        if arguments.next:
            summary = preview(get_env(preview=True), now, arguments.next)
        else:
            summary = run(get_env(), now, arguments.dry_run, arguments.force, arguments.look)
    except WrongInput as error:
        log.error(failure(error))
        return error.status
    except SERVICE_ERRORS as error:
        log.error(failure(error))
        return 1
    print_summary(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
