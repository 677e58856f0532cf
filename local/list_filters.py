"""The filters of Dataproc's lists of jobs, clusters and operations: what they ask, and what each of the three is.

    status.state = ACTIVE AND labels.env = staging AND labels.starred = *

Spaces between two clauses are an AND, and * is any value; of jobs, a field alone means that too. Anything else is
refused by name. Sources: `gcloud dataproc jobs list --help`, and the same of clusters and operations.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from google.cloud import dataproc_v1

from local.workflows import Operation


class Listed(NamedTuple):
    """What a list can be filtered by, beside labels."""

    fields: set[str]
    states: set[str]
    alone: bool = False  # whether a field may stand without a value


Clauses = list[tuple[str, str]]
Facts = Mapping[str, Collection[str]]  # field → the values of a clause that fit

_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[!<>]?=|[^\s=\"'!<>]+|\S")
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|\*|[\w.-]+")
_LABEL = re.compile(r"labels\.[\w-]+")

_JOB_STATES = {state.name for state in dataproc_v1.JobStatus.State} - {"STATE_UNSPECIFIED"}
_CLUSTER_STATES = {state.name for state in dataproc_v1.ClusterStatus.State} - {"UNKNOWN"}
_ACTIVE_CLUSTER_STATES = {"CREATING", "STARTING", "RUNNING", "UPDATING", "REPAIRING"}
JOBS = Listed(
    {"status.state", "clusterName", "placement.clusterName"}, {"ACTIVE", "NON_ACTIVE", "INACTIVE"} | _JOB_STATES, True
)
CLUSTERS = Listed({"status.state", "clusterName"}, {"ACTIVE", "INACTIVE"} | _CLUSTER_STATES)
OPERATIONS = Listed({"status.state", "clusterName", "operationType"}, {"PENDING", "RUNNING", "ACTIVE", "DONE"})


def read(text: str, of: Listed) -> Clauses:
    """The clauses of a filter, as (field, value). Raises ValueError."""
    clauses: Clauses = []
    tokens = _TOKEN.findall(text)
    while tokens:
        field = tokens.pop(0)
        if field == "AND" and clauses and tokens:
            field = tokens.pop(0)
        if field not in of.fields and not _LABEL.fullmatch(field):
            known = ", ".join([*sorted(of.fields), "labels.KEY"])
            raise ValueError(f"filter {text!r}: expected {known}, joined by AND, found {field!r}")
        value = "*"
        if tokens[:1] == ["="] or not of.alone:
            sign, value = [*tokens[:2], "", ""][:2]
            if sign != "=" or not _VALUE.fullmatch(value):
                raise ValueError(f"filter {text!r}: expected {field} = VALUE, found {field} {sign} {value}".strip())
            value = value.strip("\"'")
            del tokens[:2]
        if field == "status.state" and value not in of.states | {"*"}:
            raise ValueError(f"filter {text!r}: expected a state of {', '.join(sorted(of.states))}, found {value!r}")
        clauses.append((field, value))
    return clauses


def read_operations(text: str) -> Clauses:
    """The clauses of a filter of operations, which `gcloud` also makes of its flags, as JSON. Raises ValueError."""
    if not text.startswith("{"):
        return read(text, OPERATIONS)
    try:
        flags = json.loads(text)
    except ValueError as error:
        raise ValueError(f"filter {text!r}: expected clauses or JSON, found {error}") from error
    state = {"ACTIVE": "ACTIVE", "NON_ACTIVE": "DONE"}.get(flags.get("operation_state_matcher"))
    found = {"status.state": state, "clusterName": flags.get("cluster_name")}
    return [(field, value) for field, value in found.items() if value]


def fit(clauses: Clauses, facts: Facts) -> bool:
    """Whether all clauses hold."""
    return all(field in facts and (value == "*" or value in facts[field]) for field, value in clauses)


def facts_of_job(job) -> Facts:
    state = dataproc_v1.JobStatus.State(job.status.state).name
    states = {state, *(("NON_ACTIVE", "INACTIVE") if job.done else ("ACTIVE",))}
    cluster = {job.placement.cluster_name}
    return {"status.state": states, "clusterName": cluster, "placement.clusterName": cluster} | _labels(job)


def facts_of_cluster(cluster) -> Facts:
    state = dataproc_v1.ClusterStatus.State(cluster.status.state).name
    states = {state, "ACTIVE" if state in _ACTIVE_CLUSTER_STATES else "INACTIVE"}
    return {"status.state": states, "clusterName": {cluster.cluster_name}} | _labels(cluster)


def facts_of_operation(operation: Operation) -> Facts:
    facts: dict[str, Collection[str]] = {"status.state": {"DONE"} if operation.done else {"ACTIVE", "RUNNING"}}
    if isinstance(operation.metadata, dataproc_v1.WorkflowMetadata.pb()):
        template = operation.metadata.template.rsplit("/", 1)[-1]
        return facts | {"operationType": {"WORKFLOW"}, "labels.goog-dataproc-workflow-template-id": {template}}
    facts["operationType"] = {operation.metadata.operation_type}
    if isinstance(operation.metadata, dataproc_v1.ClusterOperationMetadata.pb()):
        facts["clusterName"] = {operation.metadata.cluster_name}
    return facts


def _labels(of) -> dict[str, Collection[str]]:
    return {f"labels.{key}": {value} for key, value in of.labels.items()}
