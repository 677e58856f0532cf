"""Runs steps on Dataproc: one workflow on a cluster that lives as long as it, with the jobs' logs followed.

The workflow is made of workflow_template.yaml, which says what such a cluster is: image, packages, how long it may
live. The environment says where it is and how large; the steps take the place of the template's jobs.
"""

import importlib.resources
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import yaml
from google.cloud.dataproc_v1 import JobControllerClient, WorkflowTemplate, WorkflowTemplateServiceClient
from google.protobuf import json_format

from brigade import storage
from brigade.schedule.refusals import asking
from brigade.schedule.workflow_client import CALL_SECONDS, RETRY, client_of
from brigade.steps.commands import Command
from brigade.steps.environment import Dataproc
from brigade.steps.output import Output, StepFailed

log = logging.getLogger("pipeline")

TEMPLATE = "workflow_template.yaml"  # lies beside the package
LOOK_SECONDS = 2  # between two looks at the workflow
HINT = "look at project and region in the environment's file"


def run(steps: list[Command], place: Dataproc) -> dict[str, dict]:
    """The summaries of the steps. Raises StepFailed with what a failed job said, and Refusal."""
    endpoint = os.environ.get("DATAPROC_API_ENDPOINT", "").strip()
    region = f"projects/{place.project}/regions/{place.region}"
    message = json_format.ParseDict(workflow(steps, place, read_template()), WorkflowTemplate()._pb)
    with asking("Dataproc", region, HINT):
        client = client_of(WorkflowTemplateServiceClient, place.region, endpoint)
        jobs = client_of(JobControllerClient, place.region, endpoint)
        operation = client.instantiate_inline_workflow_template(
            parent=region, template=WorkflowTemplate(message), retry=RETRY, timeout=CALL_SECONDS
        )
        log.info("%s: the workflow has started; the cluster takes a minute or two", region)

        def find_job(job_id: str) -> Any:
            named = {"project_id": place.project, "region": place.region, "job_id": job_id}
            return jobs.get_job(named, retry=RETRY, timeout=CALL_SECONDS)

        following = Following(find_job)
        try:
            while not operation.done():
                following.look(operation.metadata)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            # operation.cancel() fails over REST, which the stand-in speaks
            client.cancel_operation({"name": operation.operation.name}, timeout=CALL_SECONDS)
            log.warning("cancelled: Dataproc ends the jobs and deletes the cluster")
            raise
        following.look(operation.metadata)
        failed = operation.exception()
    if failed:
        steps_failed = [node.step_id for node in operation.metadata.graph.nodes if node.error and node.job_id]
        words = next((following.outputs[step].last_words for step in steps_failed), "")
        raise StepFailed(f"{' and '.join(steps_failed) or 'the workflow'} failed: {words or failed}")
    return {one.step: following.outputs[one.step].summary for one in steps}


def read_template() -> dict:
    package: Any = importlib.resources.files("brigade")
    return yaml.safe_load((package.parent / TEMPLATE).read_text("utf-8"))


def workflow(steps: list[Command], place: Dataproc, template: dict) -> dict:
    """The workflow as JSON. template: the content of workflow_template.yaml, whose cluster it has."""
    cluster, code = template["placement"]["managedCluster"], place.code.rstrip("/")
    config, machine = cluster["config"], cluster["config"]["gceClusterConfig"]
    set_if_said(config, "configBucket", place.temp_bucket)
    set_if_said(config, "tempBucket", place.temp_bucket)
    set_if_said(machine, "serviceAccount", place.service_account)
    set_if_said(machine, "subnetworkUri", place.subnetwork)
    set_if_said(config["masterConfig"], "machineTypeUri", place.master)
    set_if_said(config["workerConfig"], "numInstances", place.workers)
    set_if_said(config["workerConfig"], "machineTypeUri", place.worker)
    if place.workers:
        del config["softwareConfig"]["properties"]["dataproc:dataproc.allow.zero.workers"]
    return {
        "labels": template["labels"] | {"purpose": "steps"},
        "placement": {"managedCluster": cluster},
        "dagTimeout": template["dagTimeout"],
        "jobs": [job_of(step, before, code) for before, step in zip([None, *steps], steps, strict=False)],
    }


def set_if_said(config: dict, key: str, value: Any) -> None:
    if value is not None:
        config[key] = value


def job_of(step: Command, before: Command | None, code: str) -> dict:
    """A step as a job of the workflow, after the one before it. code: where the programs are."""
    job = {
        "stepId": step.step,
        "pysparkJob": {
            "mainPythonFileUri": f"{code}/{step.program}",
            "pythonFileUris": [f"{code}/brigade.zip"],
            "args": step.arguments,
        },
    }
    return job | ({"prerequisiteStepIds": [before.step]} if before else {})


class Following:
    """Follows a workflow: the states of its steps, and what their jobs print.

    outputs: by step. job: a job's id → the job, as the API has it.
    """

    def __init__(self, job: Callable[[str], Any]):
        self.job = job
        self.states: dict[str, str] = {}
        self.outputs: dict[str, Output] = {}
        self.places: dict[str, str] = {}  # by step: the beginning of the names of its output's objects
        self.read: dict[str, int] = {}  # by object: how many bytes of it

    def look(self, metadata: Any) -> None:
        """Tells what is new since the last look. metadata: of the workflow."""
        for node in metadata.graph.nodes:
            step, state = node.step_id, node.state.name.lower()
            if node.job_id:
                self.follow(step, node.job_id)
            if self.states.get(step) != state:
                self.states[step] = state
                log.info("%s: %s", step, state)

    def follow(self, step: str, job_id: str) -> None:
        """Takes what has been added to the output of a step's job: objects PLACE.000000000 and on, of which the last
        one grows."""
        output = self.outputs.setdefault(step, Output())
        place = self.places.get(step) or self.job(job_id).driver_output_resource_uri
        if not place:  # the job has no output yet
            return
        self.places[step] = place
        bucket, _, prefix = place.removeprefix("gs://").partition("/")
        for one in sorted(storage.client().list_blobs(bucket, prefix=f"{prefix}."), key=lambda one: one.name):
            known = self.read.get(one.name, 0)
            if one.size > known:
                content = one.download_as_bytes(start=known)
                self.read[one.name] = known + len(content)
                output.add(content)
