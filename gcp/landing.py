"""Starts landing on Google Cloud: pubsub_gcs.py as a Dataflow job that reads until it is drained.

    make gcp-landing PROJECT=P                  nothing, if a job of that name runs already
    make gcp-landing PROJECT=P UPDATE=1         the running job goes on with this folder's code
    make gcp-landing PROJECT=P MAX_WORKERS=5    the most machines that it may grow to
    make gcp-landing PROJECT=P PREFIX=X         the job of the pipeline that was created with this prefix

Terraform's outputs say where it reads and writes, what its events are, and as which account its machines run.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from gcp import preflight
from gcp.commands import (
    DEFAULT_PIPELINE,
    LANDING_JOB,
    Failed,
    Terraform,
    ask,
    check_home,
    finish,
    named,
    needed,
    parse,
    parser,
    python,
    say,
)
from gcp.dataflow import active_jobs, current_state, has_ended, log_command
from gcp.google_checks import MAX_WORKERS

OUTPUTS = (
    "region", "landing_subscription", "input_bucket", "temp_bucket", "landing_service_account", "subnetwork", "pipeline"
)  # fmt: skip
MACHINE = "e2-standard-2"
POLL_SECONDS = 10.0
START_SECONDS = 600.0


def job_flags(project: str, job: str, values: Sequence[str], max_workers: int, update: bool) -> list[str]:
    """The arguments of pubsub_gcs.py; `job` is the Dataflow job's name, `values` are those of OUTPUTS."""
    region, subscription, input_bucket, temp_bucket, account, subnetwork, pipeline = values
    flags = [
        f"--project={project}",
        f"--region={region}",
        "--runner=DataflowRunner",
        f"--job_name={job}",
        f"--input_subscription={subscription}",
        f"--output_path=gs://{input_bucket}/input",
        f"--dead_letter_path=gs://{input_bucket}/dead_letter",
        f"--temp_location=gs://{temp_bucket}/dataflow",
        f"--service_account_email={account}",
        # Beam takes a subnetwork's path from its region on.
        f"--subnetwork=regions/{subnetwork.split('/regions/')[1]}",
        "--no_use_public_ips",
        "--enable_streaming_engine",
        "--autoscaling_algorithm=THROUGHPUT_BASED",
        f"--max_num_workers={max_workers}",
        f"--worker_machine_type={MACHINE}",
        "--labels=app=brigade",
    ]
    return flags + [f"--pipeline={pipeline}"] * (pipeline != DEFAULT_PIPELINE) + ["--update"] * update


def land(project: str, region: str, prefix: str, max_workers: int, update: bool) -> dict:
    """Starts the job, or updates it, and waits until Dataflow runs it."""
    preflight.require_tools()
    terraform, name = Terraform(project, prefix), named(LANDING_JOB, prefix)
    outputs = terraform.outputs()
    region = str(outputs.get("region") or region)
    check_home(outputs, project, region)
    values = needed(outputs, OUTPUTS, terraform)
    running = active_jobs(project, region, name)
    watch = f"https://console.cloud.google.com/dataflow/jobs/{region}"
    for job in running:
        say(f"{name} {job['id']}: {job['state'].lower()}; watch it: {watch}/{job['id']}?project={project}")
        if job["state"] in ("Draining", "Cancelling"):
            raise Failed(f"{name} {job['id']} is about to end; call this again when it has")
    if running and not update:
        say("nothing was started; UPDATE=1 lets it go on with this folder's code")
        return {"project": project, "job": running[0]["id"], "started": False}
    if update and not running:
        say(f"no {name} runs that could be updated: this starts one")
    command = python("pubsub_gcs.py", *job_flags(project, name, values, max_workers, bool(update and running)))
    lines = ask(command, errors=None).strip().splitlines()
    job = json.loads(lines[-1])["job"] if lines else ""
    say(f"{name} {job} is submitted; watch it: {watch}/{job}?project={project}")
    wait_until_running(project, region, name, job)
    say(f"its log: {log_command(project, name)}")
    say(f"next: make gcp-demo {terraform.settings}")
    return {"project": project, "job": job, "started": True}


def wait_until_running(project: str, region: str, name: str, job: str) -> None:
    """Raises Failed when the job ends, or does not run in time."""
    end = time.monotonic() + START_SECONDS
    while (state := current_state(project, region, job)) != "JOB_STATE_RUNNING":
        if has_ended(state) or time.monotonic() > end:
            raise Failed(f"{name} {job}: expected it to run, found {state}; see why: {log_command(project, name)}")
        time.sleep(POLL_SECONDS)
    say(f"{name} {job} runs; its machines need some minutes to come up")


def workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"expected 1 to 1000, found {text}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser("gcp.landing", __doc__)
    arguments.add_argument("--max_workers", type=workers, default=MAX_WORKERS, help=f"default: {MAX_WORKERS}")
    arguments.add_argument("--update", action="store_true", help="replace the code of the running job")
    flags = parse(arguments, argv)
    if not flags.project:
        return preflight.without_project("gcp-landing")
    where = (flags.project, flags.region, flags.prefix)
    return finish(lambda: land(*where, flags.max_workers, flags.update), flags.json, "gcp-landing")


if __name__ == "__main__":
    sys.exit(main())
