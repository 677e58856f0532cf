"""What is asked of Dataproc, and the values of a template's parameters."""

import pytest
from google.cloud import dataproc_v1

from brigade.schedule.workflow_client import TemplateError, connect, get_template, value_at

CONTENT = {
    "labels": {"team": "documents", "cost.center": "a b"},
    "placement": {
        "managedCluster": {"clusterName": "brigade", "labels": {"env": "test"}},
        "clusterSelector": {"zone": "us-central1-a"},
    },
    "jobs": [
        {"stepId": "convert", "pysparkJob": {"args": ["gs://in/", ""]}},
        {
            "stepId": "train-model",
            "labels": {"kind": "training"},
            "pysparkJob": {
                "mainPythonFileUri": "gs://code/train.py",
                "args": ["--date", "today"],
                "properties": {"spark.executor.memory": "2g"},
            },
            "scheduling": {"maxFailuresTotal": 3},
        },
    ],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("labels['team']", "documents"),
        ("labels['cost.center']", "a b"),
        ("placement.managedCluster.clusterName", "brigade"),
        ("placement.managedCluster.labels['env']", "test"),
        ("placement.clusterSelector.zone", "us-central1-a"),
        ("jobs['convert'].pysparkJob.args[0]", "gs://in/"),
        ("jobs['convert'].pysparkJob.args[1]", ""),
        ("jobs['train-model'].pysparkJob.args[1]", "today"),
        ('jobs["train-model"].labels["kind"]', "training"),
        ("jobs['train-model'].pysparkJob.mainPythonFileUri", "gs://code/train.py"),
        ("jobs['train-model'].pysparkJob.properties['spark.executor.memory']", "2g"),
        ("jobs['train-model'].scheduling.maxFailuresTotal", "3"),
    ],
)
def test_a_field_path_leads_to_the_value_that_stands_in_the_template(path, value):
    assert value_at(CONTENT, path) == value


@pytest.mark.parametrize(
    "path",
    [
        "", "labels", "labels['other']", "jobs['other'].pysparkJob.args[0]", "jobs['convert']",
        "jobs[0].pysparkJob.args[0]",
        "jobs['convert'].pysparkJob.args", "jobs['convert'].pysparkJob.args[2]", "jobs['convert'].pysparkJob.args[-1]",
        "labels['team'].more", "jobs['convert'].pyspark_job.args[0]",
    ],
)  # fmt: skip
def test_a_field_path_that_leads_to_no_value_is_refused(path):
    with pytest.raises(TemplateError, match="workflow template: expected a value at its parameter's"):
        value_at(CONTENT, path)


def test_a_template_without_parameters_has_no_values():
    class Client:
        def get_workflow_template(self, request, **_):
            return dataproc_v1.WorkflowTemplate(name="T", version=7)

    assert get_template(Client(), "T") == (7, {})


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [("", "us-central1-dataproc.googleapis.com:443"), ("dataproc.example:443", "dataproc.example:443")],
)
def test_dataproc_is_asked_in_the_template_s_region_unless_another_endpoint_is_said(endpoint, asked, monkeypatch):
    monkeypatch.setattr("brigade.schedule.workflow_client.WorkflowTemplateServiceClient", lambda **options: options)
    template = "projects/P/regions/us-central1/workflowTemplates/retrain"
    assert connect(template, endpoint) == {"client_options": {"api_endpoint": asked}}
