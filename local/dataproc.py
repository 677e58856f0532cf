"""Dataproc's REST API, v1, on one machine: workflow templates, operations, jobs and clusters.

The names, the messages and the errors are those of the service, so that `gcloud dataproc` and
`google-cloud-dataproc` (transport "rest") work as they are. Bodies are read with the service's own protobuf
types: a field that it does not know is an error 400. What differs: nothing survives a restart, no more jobs run at a
time than the runner has places for, and a cluster is only a name.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterable
from functools import partial

from flask import Blueprint, abort, jsonify, request
from google.cloud import dataproc_v1
from google.protobuf import json_format

from local import list_filters, workflow_templates, workflows
from local.spark_jobs import STAGING_BUCKET, SparkJob, SparkRunner, create_staging_bucket, storage_client
from local.workflows import Operation, new

# There from the start, for `gcloud dataproc jobs submit … --cluster=brigade-cluster`.
STANDING_CLUSTER = "brigade-cluster"
_JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,100}")
# By name from `gcloud`, by number from the client.
_STATE_MATCHERS = dict.fromkeys(("ACTIVE", "1"), [("status.state", "ACTIVE")])
_STATE_MATCHERS |= dict.fromkeys(("NON_ACTIVE", "2"), [("status.state", "NON_ACTIVE")])
_REQUEST_ID = re.compile(r"[a-zA-Z0-9_-]{0,40}")


def read(kind: type, body: object):
    """The request's JSON as a message of one of google-cloud-dataproc's types; error 400 if it is something
    else."""
    try:
        return json_format.ParseDict(body or {}, new(kind))
    except (json_format.ParseError, ValueError) as error:
        abort(400, f"Invalid JSON payload received: {error}")


class Dataproc:
    """The API's state, and one method for each call. `project`, `kind` and `region` come from the path."""

    def __init__(self, runner: SparkRunner) -> None:
        self._runner = runner
        self._lock = threading.RLock()  # taken after an operation's own, never before it
        self._templates: dict[tuple, object] = {}
        self._clusters: dict[tuple, object] = {}
        self._jobs: dict[tuple, SparkJob] = {}
        self._operations: dict[str, Operation] = {}
        self._requests: dict[tuple, object] = {}  # what a requestId has started

    def blueprint(self) -> Blueprint:
        """The calls at their paths."""
        blueprint = Blueprint("dataproc", __name__)
        anywhere = "/v1/projects/<project>/<any(regions, locations):kind>/<region>"
        regional = "/v1/projects/<project>/<any(regions):kind>/<region>"
        templates, operations = f"{anywhere}/workflowTemplates", f"{anywhere}/operations"
        jobs, clusters = f"{regional}/jobs", f"{regional}/clusters"
        for method, path, view in (
            ("POST", templates, self.create_template),
            ("GET", templates, self.list_templates),
            ("GET", f"{templates}/<template_id>", self.get_template),
            ("PUT", f"{templates}/<template_id>", self.update_template),
            ("DELETE", f"{templates}/<template_id>", self.delete_template),
            ("POST", f"{templates}/<template_id>:instantiate", self.instantiate),
            ("POST", f"{templates}:instantiateInline", self.instantiate_inline),
            ("GET", operations, self.list_operations),
            ("GET", f"{operations}/<operation_id>", self.get_operation),
            ("DELETE", f"{operations}/<operation_id>", self.delete_operation),
            ("POST", f"{operations}/<operation_id>:cancel", self.cancel_operation),
            ("POST", f"{jobs}:submit", self.submit_job),
            ("POST", f"{jobs}:submitAsOperation", self.submit_job_as_operation),
            ("GET", jobs, self.list_jobs),
            ("GET", f"{jobs}/<job_id>", self.get_job),
            ("POST", f"{jobs}/<job_id>:cancel", self.cancel_job),
            ("DELETE", f"{jobs}/<job_id>", self.delete_job),
            ("POST", clusters, self.create_cluster),
            ("GET", clusters, self.list_clusters),
            ("GET", f"{clusters}/<cluster_name>", self.get_cluster),
            ("DELETE", f"{clusters}/<cluster_name>", self.delete_cluster),
        ):
            blueprint.add_url_rule(path, view.__name__, view, methods=[method])
        return blueprint

    # Workflow templates

    def create_template(self, project: str, kind: str, region: str):
        template = self._read_template()
        if not template.id:
            abort(400, "id is missing")
        key = project, region, template.id
        with self._lock:
            if key in self._templates:
                abort(409, f"Already exists: {_name(key, kind)}")
            template.version = 1
            template.create_time.GetCurrentTime()
            return self._store_template(key, kind, template)

    def update_template(self, project: str, kind: str, region: str, template_id: str):
        template = self._read_template()
        with self._lock:
            key, old = self._template(project, kind, region, template_id)
            if template.version != old.version:
                abort(
                    400,
                    f"version is {template.version}, {old.version} is the current one: read, change, update",
                )
            template.id = template_id
            template.version = old.version + 1
            template.create_time.CopyFrom(old.create_time)
            return self._store_template(key, kind, template)

    def get_template(self, project: str, kind: str, region: str, template_id: str):
        key, template = self._template(project, kind, region, template_id, request.args.get("version", 0, int))
        return self._template_json(key, kind, template)

    def list_templates(self, project: str, kind: str, region: str):
        found = [item for item in self._templates.items() if item[0][:2] == (project, region)]
        return jsonify(templates=[self._template_json(key, kind, template) for key, template in found])

    def delete_template(self, project: str, kind: str, region: str, template_id: str):
        with self._lock:
            key, _ = self._template(project, kind, region, template_id, request.args.get("version", 0, int))
            del self._templates[key]
        return {}

    def instantiate(self, project: str, kind: str, region: str, template_id: str):
        asked = read(dataproc_v1.InstantiateWorkflowTemplateRequest, request.get_json(force=True, silent=True))
        key, template = self._template(project, kind, region, template_id, asked.version)
        request_id = asked.request_id or request.args.get("requestId", "")
        return self._start(project, kind, region, template, asked.parameters, request_id, _name(key, kind))

    def instantiate_inline(self, project: str, kind: str, region: str):
        template = self._read_template()
        return self._start(project, kind, region, template, {}, request.args.get("requestId", ""), "")

    def _read_template(self):
        template = read(dataproc_v1.WorkflowTemplate, request.get_json(force=True, silent=True))
        try:
            workflow_templates.validate(template)
        except ValueError as error:
            abort(400, str(error))
        return template

    def _template(self, project: str, kind: str, region: str, template_id: str, version: int = 0):
        key = project, region, template_id
        if key not in self._templates:
            abort(404, f"Not found: {_name(key, kind)}")
        template = self._templates[key]
        if version and version != template.version:
            abort(
                404,
                f"Not found: version {version} of {_name(key, kind)}; {template.version} is the current one",
            )
        return key, template

    def _store_template(self, key: tuple, kind: str, template):
        template.update_time.GetCurrentTime()
        self._templates[key] = template
        return self._template_json(key, kind, template)

    def _template_json(self, key: tuple, kind: str, template) -> dict:
        return json_format.MessageToDict(template) | {"name": _name(key, kind)}

    def _start(self, project, kind, region, template, parameters, request_id, template_name):
        if not _REQUEST_ID.fullmatch(request_id):
            abort(400, f"requestId {request_id!r}: expected at most 40 letters, digits, _ and -")
        try:
            template = workflow_templates.with_parameters(template, parameters)
            workflow_templates.validate_complete(template)
        except ValueError as error:
            abort(400, str(error))
        with self._lock:
            request_key = project, region, "workflow", request_id
            operation = self._requests.get(request_key) if request_id else None
            is_new = operation is None or operation.done  # a tag of workflows that run, not of all that ever ran
            if is_new:
                metadata = workflows.metadata_for(template, self._workflow_cluster(project, region, template))
                metadata.template = template_name
                metadata.parameters.update(parameters)
                operation = self._requests[request_key] = self._operation(project, kind, region, metadata)
        body = operation.to_json()
        if is_new:
            submit = partial(self._submit, project, region)
            self._in_background(workflows.run, template, operation, submit)
        return body

    def _workflow_cluster(self, project: str, region: str, template) -> str:
        if template.placement.WhichOneof("placement") == "managed_cluster":
            return f"{template.placement.managed_cluster.cluster_name}-{workflows.suffix()}"
        labels = dict(template.placement.cluster_selector.cluster_labels)
        for cluster in self._all_clusters(project, region):
            if labels.items() <= dict(cluster.labels).items():
                return cluster.cluster_name
        abort(400, f"No cluster matches clusterSelector.clusterLabels {labels}")

    # Operations

    def _operation(self, project: str, kind: str, region: str, metadata) -> Operation:
        operation_id = str(uuid.uuid4())
        operation = Operation(f"projects/{project}/{kind}/{region}/operations/{operation_id}", metadata)
        self._operations[operation_id] = operation
        return operation

    def _get_operation(self, operation_id: str) -> Operation:
        if operation_id not in self._operations:
            abort(404, f"Not found: operation {operation_id}")
        return self._operations[operation_id]

    def get_operation(self, project: str, kind: str, region: str, operation_id: str):
        return self._get_operation(operation_id).to_json()

    def list_operations(self, project: str, kind: str, region: str):
        path = re.compile(rf"projects/{re.escape(project)}/(regions|locations)/{re.escape(region)}/operations/.*")
        asked = _filter(list_filters.read_operations)
        found = [operation for operation in list(self._operations.values()) if path.fullmatch(operation.name)]
        found = [one for one in found if list_filters.fit(asked, list_filters.facts_of_operation(one))]
        return jsonify(operations=[operation.to_json() for operation in found])

    def delete_operation(self, project: str, kind: str, region: str, operation_id: str):
        with self._lock:
            if not self._get_operation(operation_id).done:
                abort(400, f"Operation {operation_id} is running: cancel it first")
            del self._operations[operation_id]
        return {}

    def cancel_operation(self, project: str, kind: str, region: str, operation_id: str):
        self._get_operation(operation_id).cancel()
        return {}

    # Jobs

    def submit_job(self, project: str, kind: str, region: str):
        return json_format.MessageToDict(self._submit_request(project, region).snapshot())

    def submit_job_as_operation(self, project: str, kind: str, region: str):
        with self._lock:
            job = self._submit_request(project, region)
            metadata = new(dataproc_v1.JobMetadata)
            metadata.job_id = job.message.reference.job_id
            metadata.operation_type = "submit"
            metadata.start_time.GetCurrentTime()
            operation = self._operation(project, kind, region, metadata)
            operation.jobs.append(job)
        self._in_background(self._follow_job, operation)
        return operation.to_json()

    def _submit_request(self, project: str, region: str) -> SparkJob:
        asked = read(dataproc_v1.SubmitJobRequest, request.get_json(force=True, silent=True))
        if not asked.job.placement.cluster_name:
            abort(400, "job.placement.clusterName is missing")
        self._cluster(project, region, asked.job.placement.cluster_name)
        with self._lock:
            request_key = project, region, "job", asked.request_id
            if not asked.request_id or request_key not in self._requests:
                self._requests[request_key] = self._submit(project, region, asked.job)
            return self._requests[request_key]

    def _submit(self, project: str, region: str, message) -> SparkJob:
        message.reference.job_id = message.reference.job_id or str(uuid.uuid4())
        message.reference.project_id = project
        key = project, region, message.reference.job_id
        if not _JOB_ID.fullmatch(key[2]):
            abort(400, f"jobId {key[2]!r}: a job id has 1 to 100 letters, digits, _ and -")
        with self._lock:
            if key in self._jobs:
                abort(409, f"Already exists: job {key[2]}")
            try:
                job = SparkJob(message)
            except ValueError as error:
                abort(400, str(error))
            self._jobs[key] = job
            self._runner.submit(job)
            return job

    def _follow_job(self, operation: Operation) -> None:
        (job,) = operation.jobs
        job.wait()
        message, error = job.snapshot(), None
        if message.status.state != dataproc_v1.JobStatus.State.DONE:
            error = {"code": workflows.FAILED_PRECONDITION, "message": message.status.details or "Cancelled"}
        with operation.lock:
            operation.metadata.status.CopyFrom(message.status)
            operation.finish(error, message)

    def _job(self, project: str, region: str, job_id: str) -> SparkJob:
        if (project, region, job_id) not in self._jobs:
            abort(404, f"Not found: Job projects/{project}/regions/{region}/jobs/{job_id}")
        return self._jobs[project, region, job_id]

    def get_job(self, project: str, kind: str, region: str, job_id: str):
        return json_format.MessageToDict(self._job(project, region, job_id).snapshot())

    def list_jobs(self, project: str, kind: str, region: str):
        asked = _filter(partial(list_filters.read, of=list_filters.JOBS))
        if not asked:  # as the service: a filter is asked instead of the flag
            asked += _STATE_MATCHERS.get(request.args.get("jobStateMatcher", ""), [])
        if cluster := request.args.get("clusterName"):
            asked.append(("clusterName", cluster))
        with self._lock:
            found = [job.snapshot() for key, job in self._jobs.items() if key[:2] == (project, region)]
        found = [message for message in found if list_filters.fit(asked, list_filters.facts_of_job(message))]
        return jsonify(jobs=[json_format.MessageToDict(message) for message in reversed(found)])

    def cancel_job(self, project: str, kind: str, region: str, job_id: str):
        job = self._job(project, region, job_id)
        job.cancel()
        return json_format.MessageToDict(job.snapshot())

    def delete_job(self, project: str, kind: str, region: str, job_id: str):
        with self._lock:
            if not self._job(project, region, job_id).ended:
                abort(400, f"Job {job_id} is running: cancel it first")
            del self._jobs[project, region, job_id]
        return {}

    # Clusters

    def create_cluster(self, project: str, kind: str, region: str):
        cluster = read(dataproc_v1.Cluster, request.get_json(force=True, silent=True))
        if not cluster.cluster_name:
            abort(400, "clusterName is missing")
        with self._lock:
            key = project, region, cluster.cluster_name
            if key in self._clusters:
                abort(409, f"Already exists: cluster {cluster.cluster_name}")
            self._clusters[key] = _started(project, region, cluster)
            return self._cluster_operation(project, kind, region, cluster, "CREATE", response=cluster)

    def get_cluster(self, project: str, kind: str, region: str, cluster_name: str):
        cluster = self._cluster(project, region, cluster_name)
        create_staging_bucket(storage_client(project))  # whoever asks is about to upload
        return json_format.MessageToDict(cluster)

    def list_clusters(self, project: str, kind: str, region: str):
        asked = _filter(partial(list_filters.read, of=list_filters.CLUSTERS))
        clusters = self._all_clusters(project, region)
        clusters = [one for one in clusters if list_filters.fit(asked, list_filters.facts_of_cluster(one))]
        return jsonify(clusters=[json_format.MessageToDict(cluster) for cluster in clusters])

    def delete_cluster(self, project: str, kind: str, region: str, cluster_name: str):
        with self._lock:
            cluster = self._cluster(project, region, cluster_name)
            self._clusters.pop((project, region, cluster_name), None)
            return self._cluster_operation(project, kind, region, cluster, "DELETE", response=None)

    def _cluster(self, project: str, region: str, name: str):
        for cluster in self._all_clusters(project, region):
            if cluster.cluster_name == name:
                return cluster
        abort(404, f"Not found: Cluster projects/{project}/regions/{region}/clusters/{name}")

    def _all_clusters(self, project: str, region: str) -> Iterable:
        found = [cluster for key, cluster in self._clusters.items() if key[:2] == (project, region)]
        if all(cluster.cluster_name != STANDING_CLUSTER for cluster in found):
            standing = new(dataproc_v1.Cluster)
            standing.cluster_name = STANDING_CLUSTER
            found.append(_started(project, region, standing))
        return found

    def _cluster_operation(self, project, kind, region, cluster, verb: str, response) -> dict:
        metadata = new(dataproc_v1.ClusterOperationMetadata)
        metadata.cluster_name, metadata.cluster_uuid = cluster.cluster_name, cluster.cluster_uuid
        metadata.operation_type = verb
        metadata.status.state = dataproc_v1.ClusterOperationStatus.State.DONE
        operation = self._operation(project, kind, region, metadata)
        operation.finish(response=response)
        return operation.to_json()

    def _in_background(self, work, *args) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()


def _filter(read_filter: Callable[[str], list_filters.Clauses]) -> list_filters.Clauses:
    """The clauses of the request's filter; error 400 for one that cannot be read."""
    try:
        return read_filter(request.args.get("filter", "").strip())
    except ValueError as error:
        abort(400, str(error))


def _started(project: str, region: str, cluster):
    """Fill in what the service says of a cluster that runs."""
    cluster.project_id = project
    cluster.cluster_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{project}/{cluster.cluster_name}"))
    cluster.config.config_bucket = cluster.config.config_bucket or STAGING_BUCKET
    zone = cluster.config.gce_cluster_config.zone_uri or f"{region}-a"  # gcloud reads it
    cluster.config.gce_cluster_config.zone_uri = zone
    cluster.labels["goog-dataproc-cluster-name"] = cluster.cluster_name
    cluster.status.state = dataproc_v1.ClusterStatus.State.RUNNING
    cluster.status.state_start_time.GetCurrentTime()
    return cluster


def _name(key: tuple, kind: str) -> str:
    project, region, template_id = key
    return f"projects/{project}/{kind}/{region}/workflowTemplates/{template_id}"
