"""The Dataflow job that lands messages: which ones run, and whether one has ended."""

from gcp.commands import Failed, ask, ask_json
from gcp.google_checks import api_is_off

ENDED = ("DONE", "DRAINED", "CANCELLED", "FAILED", "UPDATED")


def active_jobs(project: str, region: str, name: str) -> list[dict]:
    """The jobs of this name that have not ended, each with its id and state (Running, Draining, …). Raises Failed."""
    command = ["gcloud", "dataflow", "jobs", "list", f"--project={project}", f"--region={region}"]
    try:
        return ask_json([*command, "--status=active", f"--filter=name={name}", "--format=json"]) or []
    except Failed as problem:
        if api_is_off(str(problem)):
            return []
        raise


def current_state(project: str, region: str, job: str) -> str:
    """JOB_STATE_RUNNING and the like."""
    command = ["gcloud", "dataflow", "jobs", "describe", job, f"--project={project}", f"--region={region}"]
    return ask([*command, "--format=value(currentState)"]).strip()


def log_command(project: str, name: str) -> str:
    """The command that shows what went wrong in landing."""
    job = f'resource.type="dataflow_step" resource.labels.job_name="{name}" severity>=WARNING'
    return f"gcloud logging read '{job}' --project={project} --limit=20"


def has_ended(state: str) -> bool:
    return state.removeprefix("JOB_STATE_") in ENDED
