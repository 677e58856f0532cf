"""The filters of Dataproc's list of operations: what they ask, and what they can ask of an operation."""

import json
import re

from flask import abort
from google.cloud import dataproc_v1

from local.workflows import Operation


def read(text: str) -> dict[str, str]:
    """{field: value} of `field = value AND field = value`, or of the JSON that `gcloud` makes of its flags."""
    if text.startswith("{"):
        flags = json.loads(text)
        state = {"ACTIVE": "ACTIVE", "NON_ACTIVE": "DONE"}.get(flags.get("operation_state_matcher"))
        found = {"status.state": state, "clusterName": flags.get("cluster_name")}
        return {field: value for field, value in found.items() if value}
    parts = [part.partition("=") for part in re.split(r"\s+AND\s+", text.strip()) if part]
    found = {field.strip(): value.strip() for field, _, value in parts}
    for field, value in found.items():
        if not value or not re.fullmatch(r"status\.state|operationType|clusterName|labels\.[\w-]+", field):
            abort(400, f"filter {text!r}: expected status.state, operationType, clusterName or labels.KEY = a value")
    return found


def fields_of(operation: Operation) -> dict[str, str]:
    """What a filter can ask of an operation."""
    found = {"status.state": "DONE" if operation.done else "ACTIVE"}
    if isinstance(operation.metadata, dataproc_v1.WorkflowMetadata.pb()):
        template = operation.metadata.template.rsplit("/", 1)[-1]
        return found | {"operationType": "WORKFLOW", "labels.goog-dataproc-workflow-template-id": template}
    found["operationType"] = operation.metadata.operation_type
    if isinstance(operation.metadata, dataproc_v1.ClusterOperationMetadata.pb()):
        found["clusterName"] = operation.metadata.cluster_name
    return found
