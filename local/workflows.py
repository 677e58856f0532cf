"""Runs a workflow: the jobs of a template, each after its prerequisites, and the operation by which one
follows them."""

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from google.cloud import dataproc_v1
from google.protobuf import json_format

from local import workflow_templates
from local.spark_jobs import SparkJob

logger = logging.getLogger(__name__)

_Node = dataproc_v1.WorkflowNode.NodeState
_State = dataproc_v1.WorkflowMetadata.State
# google.rpc.Code
CANCELLED, DEADLINE_EXCEEDED, FAILED_PRECONDITION, INTERNAL = 1, 4, 9, 13


def new(kind: type):
    """An empty protobuf message of one of google-cloud-dataproc's types."""
    return kind.pb(kind())


def suffix() -> str:
    """What Dataproc appends to the name of a workflow's cluster or job."""
    return uuid.uuid4().hex[:13]


@dataclass
class Operation:
    """A long-running operation. `metadata` and `response` are protobuf messages, `error` is a
    google.rpc.Status.

    Whoever changes or reads one that others know holds its lock.
    """

    name: str
    metadata: object
    done: bool = False
    error: dict | None = None
    response: object | None = None
    jobs: list[SparkJob] = field(default_factory=list)  # that were submitted for it
    cancelled: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def to_json(self) -> dict:
        with self.lock:
            body = {"name": self.name, "done": self.done, "metadata": _any(self.metadata)}
            if self.done and self.error:
                body["error"] = self.error
            elif self.done:
                body["response"] = _any(self.response)
            return body

    def cancel(self) -> None:
        """Ask for the end: the jobs that run are killed, and no other starts."""
        with self.lock:
            self.cancelled = True
            for job in self.jobs:
                job.cancel()

    def finish(self, error: dict | None = None, response: object | None = None) -> None:
        with self.lock:
            self.error, self.response, self.done = error, response, True


def _any(message) -> dict:
    if message is None:
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}
    return {
        "@type": f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        **json_format.MessageToDict(message),
    }


def metadata_for(template, cluster_name: str):
    """The `WorkflowMetadata` of a workflow that has not begun; each of its nodes comes after its prerequisites."""
    metadata = new(dataproc_v1.WorkflowMetadata)
    metadata.version = template.version
    metadata.state = _State.PENDING
    metadata.cluster_name = cluster_name
    metadata.start_time.GetCurrentTime()
    if template.HasField("dag_timeout"):
        metadata.dag_timeout.CopyFrom(template.dag_timeout)
    if template.placement.WhichOneof("placement") == "managed_cluster":
        metadata.create_cluster.operation_id = str(uuid.uuid4())
    for job in workflow_templates.execution_order(template):
        node = metadata.graph.nodes.add(step_id=job.step_id, state=_Node.BLOCKED)
        node.prerequisite_step_ids.extend(job.prerequisite_step_ids)
    return metadata


def run(template, operation: Operation, submit: Callable[[object], SparkJob]) -> None:
    """Run each job as soon as its prerequisites are done, side by side with what else runs, and finish the operation.

    Once a job has failed no other starts; those that run already come to their end. `submit` takes a `Job` message and
    returns the job that it has queued.
    """
    metadata = operation.metadata
    with operation.lock:
        metadata.state = _State.RUNNING
        metadata.dag_start_time.GetCurrentTime()
        if metadata.HasField("create_cluster"):
            metadata.create_cluster.done = True
    jobs = {job.step_id: job for job in template.jobs}
    errors: list[dict] = []
    running: set[Future] = set()
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        while True:
            for node in [] if errors else _make_runnable(operation):
                running.add(pool.submit(_run_node, template.labels, jobs[node.step_id], node, operation, submit))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            errors += [error for future in ended if (error := future.result())]
    with operation.lock:
        for node in metadata.graph.nodes:
            if node.state == _Node.BLOCKED:
                node.state, node.error = _Node.FAILED, "Not run: the workflow ended before"
        metadata.state = _State.DONE
        metadata.end_time.GetCurrentTime()
        metadata.dag_end_time.CopyFrom(metadata.end_time)
        if metadata.HasField("create_cluster"):
            metadata.delete_cluster.operation_id = str(uuid.uuid4())
            metadata.delete_cluster.done = True
        operation.finish(errors[0] if errors else None)


def _make_runnable(operation: Operation) -> list:
    """The nodes whose prerequisites are done, of those that were waiting for them."""
    nodes = operation.metadata.graph.nodes
    with operation.lock:
        done = {node.step_id for node in nodes if node.state == _Node.COMPLETED}
        found = [node for node in nodes if node.state == _Node.BLOCKED and done.issuperset(node.prerequisite_step_ids)]
        for node in found:
            node.state = _Node.RUNNABLE
    return found


def _run_node(labels, ordered_job, node, operation: Operation, submit: Callable) -> dict | None:
    """Run one step to its end; return the error that ends the workflow, if there is one."""
    try:
        return _run_job(labels, ordered_job, node, operation, submit)
    except Exception as failure:
        logger.exception("%s, step %s", operation.name, node.step_id)
        with operation.lock:
            node.state, node.error = _Node.FAILED, str(failure)
        return {"code": INTERNAL, "message": f"Step {node.step_id}: {failure}"}


def _run_job(labels, ordered_job, node, operation: Operation, submit: Callable) -> dict | None:
    metadata = operation.metadata
    message = new(dataproc_v1.Job)
    message.pyspark_job.CopyFrom(ordered_job.pyspark_job)
    message.labels.update({**labels, **ordered_job.labels})
    message.labels["goog-dataproc-workflow-instance-id"] = operation.name.rsplit("/", 1)[1]
    message.labels["goog-dataproc-workflow-step-id"] = node.step_id
    message.reference.job_id = f"{node.step_id}-{suffix()}"
    message.placement.cluster_name = metadata.cluster_name
    with operation.lock:
        if operation.cancelled:
            node.state = _Node.FAILED
            return {"code": CANCELLED, "message": "The workflow was cancelled"}
        job = submit(message)
        operation.jobs.append(job)
        node.job_id, node.state = message.reference.job_id, _Node.RUNNING
    in_time = job.wait(_seconds_left(metadata))
    if not in_time:
        job.cancel()
        job.wait()
    status = job.snapshot().status
    with operation.lock:
        if status.state == dataproc_v1.JobStatus.State.DONE:
            node.state = _Node.COMPLETED
            return None
        node.state = _Node.FAILED
        node.error = status.details or "The job was cancelled"
    if not in_time:
        return {"code": DEADLINE_EXCEEDED, "message": f"dagTimeout has passed in step {node.step_id}"}
    if operation.cancelled:
        return {"code": CANCELLED, "message": "The workflow was cancelled"}
    return {"code": FAILED_PRECONDITION, "message": f"Job {node.job_id} failed: {node.error}"}


def _seconds_left(metadata) -> float | None:
    """Until the workflow's dagTimeout, which counts from the first job's start; None if it has none."""
    if not metadata.HasField("dag_timeout"):
        return None
    now = new(dataproc_v1.WorkflowMetadata).start_time
    now.GetCurrentTime()
    spent = now.ToDatetime() - metadata.dag_start_time.ToDatetime()
    return (metadata.dag_timeout.ToTimedelta() - spent).total_seconds()
