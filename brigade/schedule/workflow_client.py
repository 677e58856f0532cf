"""WHEN: what the trigger and the Cloud Scheduler job need of Dataproc: which workflow runs, and what a template's
parameters stand at."""

import re

from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud.dataproc_v1 import WorkflowTemplate, WorkflowTemplateServiceClient

CALL_SECONDS = 30  # for each of the trigger's four calls: Cloud Scheduler gives up after three minutes
RETRY = Retry(timeout=CALL_SECONDS)
TEMPLATE = re.compile(r"projects/[^/\s]+/regions/([a-z0-9-]+)/workflowTemplates/([A-Za-z0-9_-]+)")
TEMPLATE_FORM = "projects/P/regions/R/workflowTemplates/T"
FIELD_PATH_PART = re.compile(r"""\.?([^.\[\]]+)|\[['"]?([^\]'"]+)['"]?\]""")


class TemplateError(Exception):
    """A template's parameter is wrong; the message says which, what was expected and found."""


def connect(template: str, endpoint: str = "") -> WorkflowTemplateServiceClient:
    """A client of Dataproc in the template's region.

    endpoint: another one than the region's own, `host:port` for gRPC or an `http://` address, which is asked
    for no credentials, for REST.
    """
    if endpoint.startswith("http://"):
        options: dict = {"transport": "rest", "credentials": AnonymousCredentials()}
    else:
        options = {}
        endpoint = endpoint or f"{TEMPLATE.fullmatch(template)[1]}-dataproc.googleapis.com:443"
    return WorkflowTemplateServiceClient(client_options={"api_endpoint": endpoint}, **options)


def running_workflow(client: WorkflowTemplateServiceClient, template: str) -> str | None:
    """The operation in which a workflow of the template runs; None if there is none.

    The filter: https://cloud.google.com/dataproc/docs/concepts/workflows/debugging
    """
    region, _, name = template.partition("/workflowTemplates/")
    request = {"name": f"{region}/operations", "filter": f"labels.goog-dataproc-workflow-template-id={name}"}
    while True:
        page = client.list_operations(request, retry=RETRY, timeout=CALL_SECONDS)
        for operation in page.operations:
            if not operation.done:
                return operation.name
        if not page.next_page_token:
            return None
        request["page_token"] = page.next_page_token


def get_template(client: WorkflowTemplateServiceClient, template: str) -> tuple[int, dict[str, str]]:
    """The template's version, and the value at which each of its parameters stands.

    Dataproc has no defaults and wants a value for each: taken from the template itself, no second place can say
    something else. Raises TemplateError.
    """
    found = client.get_workflow_template({"name": template}, retry=RETRY, timeout=CALL_SECONDS)
    content = WorkflowTemplate.to_dict(found, preserving_proto_field_name=False)
    return found.version, {one.name: value_at(content, one.fields[0]) for one in found.parameters}


def value_at(template: dict, path: str) -> str:
    """The value in a template, in its JSON form, to which a field path such as `jobs['train'].pysparkJob.args[1]`
    leads. Raises TemplateError."""
    found: object = template
    try:
        for name, key in FIELD_PATH_PART.findall(path):
            if isinstance(found, list):  # of jobs, which go by their step's id, or of texts
                found = {one["stepId"] if isinstance(one, dict) else str(n): one for n, one in enumerate(found)}
            found = found[name or key]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, str | int):
        raise TemplateError(f"workflow template: expected a value at its parameter's {path}, found none")
    return str(found)
