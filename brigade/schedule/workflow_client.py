"""What the trigger and the Cloud Scheduler job ask Dataproc: which workflow runs, a template's parameters, a start."""

import re
from contextlib import AbstractContextManager
from typing import Any

from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud.dataproc_v1 import WorkflowTemplate, WorkflowTemplateServiceClient

from brigade.errors import WrongInput
from brigade.schedule.refusals import asking

CALL_SECONDS = 30  # for each of the trigger's three calls; Cloud Scheduler gives up after three minutes
RETRY = Retry(timeout=CALL_SECONDS)
TEMPLATE = re.compile(r"projects/([^/\s]+)/regions/([a-z0-9-]+)/workflowTemplates/([A-Za-z0-9_-]+)")
TEMPLATE_FORM = "projects/P/regions/R/workflowTemplates/T"
RETRAINING, MONITORING = "workflow_template.yaml", "monitor_template.yaml"  # what templates are imported from
FIELD_PATH_PART = re.compile(r"""\.?([^.\[\]]+)|\[['"]?([^\]'"]+)['"]?\]""")


class TemplateError(WrongInput):
    """A template's parameter is wrong. The message says which one, what was expected and what was found."""


def connect(template: str, endpoint: str = "") -> WorkflowTemplateServiceClient:
    """A client of Dataproc in the region of a template, whose name TEMPLATE matches. endpoint: see `client_of`."""
    with asking_for(template):
        return client_of(WorkflowTemplateServiceClient, TEMPLATE.sub(r"\2", template), endpoint)


def client_of(kind: type, region: str, endpoint: str = "") -> Any:
    """A client of one of Dataproc's services in a region.

    endpoint: another than the region's own, `host:port` for gRPC, or an `http://` address for REST, which asks for no
    credentials.
    """
    if endpoint.startswith("http://"):
        options: dict = {"transport": "rest", "credentials": AnonymousCredentials()}
    else:
        options = {}
        endpoint = endpoint or f"{region}-dataproc.googleapis.com:443"
    return kind(client_options={"api_endpoint": endpoint}, **options)


def asking_for(template: str) -> AbstractContextManager[None]:
    """Raises Refusal for what Dataproc answers instead of what is asked of the template."""
    command = "gcloud dataproc workflow-templates import"
    source = MONITORING if template.endswith("monitor") else RETRAINING
    hint = rf"import it with: {command} \3 --source={source} --region=\2 --project=\1"
    return asking("Dataproc", template, TEMPLATE.sub(hint, template))


def running_workflow(client: WorkflowTemplateServiceClient, template: str) -> str | None:
    """The operation of a workflow of the template that runs; None if none runs. Raises Refusal.

    The filter: https://cloud.google.com/dataproc/docs/concepts/workflows/debugging
    """
    region, _, name = template.partition("/workflowTemplates/")
    request = {"name": f"{region}/operations", "filter": f"labels.goog-dataproc-workflow-template-id={name}"}
    while True:
        with asking_for(template):
            page = client.list_operations(request, retry=RETRY, timeout=CALL_SECONDS)
        for operation in page.operations:
            if not operation.done:
                return operation.name
        if not page.next_page_token:
            return None
        request["page_token"] = page.next_page_token


def get_template(client: WorkflowTemplateServiceClient, template: str) -> tuple[int, dict[str, str]]:
    """The template's version, and the value of each of its parameters in the template.

    Raises TemplateError and Refusal.
    Dataproc has no defaults and wants a value for each parameter. The template itself is the one place that has them.
    """
    with asking_for(template):
        found = client.get_workflow_template({"name": template}, retry=RETRY, timeout=CALL_SECONDS)
    content = WorkflowTemplate.to_dict(found, preserving_proto_field_name=False)
    return found.version, {one.name: value_at(content, one.fields[0]) for one in found.parameters}


def start_workflow(
    client: WorkflowTemplateServiceClient, template: str, version: int, parameters: dict[str, str], request_id: str
) -> str:
    """Starts a workflow of that version of the template, or finds the running one of that request id; returns its
    operation. Raises Refusal."""
    request = {"name": template, "version": version, "parameters": parameters, "request_id": request_id}
    with asking_for(template):
        return client.instantiate_workflow_template(request, retry=RETRY, timeout=CALL_SECONDS).operation.name


def value_at(template: dict, path: str) -> str:
    """The value in a template, in its JSON form, at a path such as `jobs['train'].pysparkJob.args[1]`.

    Raises TemplateError if there is none.
    """
    found: Any = template
    try:
        for name, key in FIELD_PATH_PART.findall(path):
            if isinstance(found, list):  # jobs are found by their step's id, texts by their position
                found = {one["stepId"] if isinstance(one, dict) else str(n): one for n, one in enumerate(found)}
            found = found[name or key]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, str | int):
        raise TemplateError(f"workflow template: expected a value at its parameter's {path}, found none")
    return str(found)
