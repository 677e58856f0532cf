"""Runs a step in an environment, here or on Dataproc."""

from brigade.pipelines.load import load as load_pipeline
from brigade.steps import dataproc, here
from brigade.steps.commands import commands
from brigade.steps.environment import load
from brigade.tracking.client import is_asked_for
from brigade.tracking.sync import sync_if_asked


def run(step: str, environment: str) -> dict[str, dict]:
    """The summaries of a step, or of all, by name. Raises a BrigadeError: what was wrong, or which step failed."""
    found = load(environment)
    steps = commands(step, found)
    if found.dataproc is None:
        return here.run(steps)
    is_asked_for()
    prefix = load_pipeline(found.pipeline).model_prefix
    summaries = dataproc.run(steps, found.dataproc)
    if "train_model" in summaries:  # the cluster neither has MLflow nor reaches its server: this machine tells it
        sync_if_asked(found.paths.models, prefix)
    return summaries
