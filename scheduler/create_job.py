"""WHEN: creates the Cloud Scheduler job that calls the trigger every week, or updates it.

The job is weekly because cron has no "every four weeks"; the trigger (`main.py`) decides. Running this again changes
the job to what the flags say, field by field, or finds it unchanged. A paused job stays paused. It prints one line of
JSON.

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

import logging
import sys
from collections.abc import Sequence

from brigade.cli import print_summary
from brigade.errors import BrigadeError, one_line
from brigade.schedule.job_arguments import parse_arguments
from brigade.schedule.job_commands import carry_out, log


def main(argv: Sequence[str] | None = None) -> int:
    """Does to the job what the flags say; prints one line of JSON and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments(argv)
    name = f"projects/{arguments.project}/locations/{arguments.region}/jobs/{arguments.name}"
    try:
        summary = carry_out(name, arguments)
    except BrigadeError as error:
        log.error(one_line(error))
        return 1
    print_summary({"job": name} | summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
