"""What Terraform plans of Cloud Monitoring, as the API would return it, and what alarms and dashboard ask for.

ALARMS are those that there have to be.
"""

import json
import re

from google.cloud.monitoring_dashboard_v1.types import Dashboard
from google.cloud.monitoring_v3.types import AlertPolicy
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.terraform.monitoring_rules import Asked, filtered, in_promql
from tests.terraform.terraform_run import FILES, Plan, Terraform

GIVEN = {"project_id": "my-project", "alert_email": "operator@example.com"}
# The alarms that there have to be: what each looks at, and from what value on, in the metric's unit.
ALARMS = {
    "latency": [("run.googleapis.com/request_latencies", 500, "ms")],
    "errors": [("run.googleapis.com/request_count", 0.01, "share"), ("run.googleapis.com/request_count", 0.5, "share")],
    "dead_letters": [("pubsub.googleapis.com/subscription/num_undelivered_messages", 0, "1")],
    "oldest_message": [("pubsub.googleapis.com/subscription/oldest_unacked_message_age", 1800, "s")],
    "old_model": [("log", "jsonPayload.modelAgeDays>=35", "")],
    "landing_lag": [
        ("dataflow.googleapis.com/job/system_lag", 600, "s"),
        ("dataflow.googleapis.com/job/is_failed", 0, "1"),
    ],
    "landing_dead_letters": [("promql", "dead_lettered > 0 in 1h", "")],
    "nothing_landed": [("promql", "files_landed < 1 in 1d", "")],
    "workflow_failed": [
        ("dataproc.googleapis.com/cluster/job/failed_count", 0, "1"),
        ("dataproc.googleapis.com/cluster/operation/failed_count", 0, "1"),
    ],
    "trigger_failed": [("log", "severity>=ERROR", "")],
    "decayed": [("log", "severity>=WARNING", "")],
    "drifted": [("log", "severity>=WARNING", "")],
    "acted": [("log", "severity>=INFO", "")],
}


def planned(terraform: Terraform, files: dict[str, str] = FILES) -> Plan:
    return terraform.plan(files, **GIVEN)


def as_message(value: object, descriptor) -> object:
    """A body's values as the API's JSON: what Terraform has as a block and the API as one message is no list."""
    if isinstance(value, list):
        return [as_message(one, descriptor) for one in value]
    if not isinstance(value, dict) or descriptor is None or descriptor.GetOptions().map_entry:
        return value
    found = {}
    for name, inner in value.items():
        field = descriptor.fields_by_name.get(name)
        if field and not field.is_repeated and isinstance(inner, list):
            (inner,) = inner
        found[name] = as_message(inner, field.message_type if field else None)
    return found


def policies(values: Plan) -> dict[str, dict]:
    """Name → policy, as the API would return it. Raises ParseError for what it would refuse."""
    found = {}
    for body in values.all_of("google_monitoring_alert_policy"):
        policy = AlertPolicy.pb(AlertPolicy())
        ParseDict(as_message(body.given(), policy.DESCRIPTOR), policy)
        found[body.name] = MessageToDict(policy)
    return found


def dashboard(values: Plan) -> dict:
    """The dashboard, as the API would return it. Raises ParseError for what it would refuse."""
    (body,) = values.all_of("google_monitoring_dashboard")
    message = Dashboard.pb(Dashboard())
    ParseDict(json.loads(body["dashboard_json"]), message)
    return MessageToDict(message)


def own_metrics(values: Plan) -> dict[str, dict]:
    """The log-based metrics, as google_metrics.json has others."""
    found = {}
    for body in values.all_of("google_logging_metric"):
        about = body.given()
        (descriptor,) = about["metric_descriptor"]
        found[f"logging.googleapis.com/user/{about['name']}"] = {
            "kind": descriptor["metric_kind"],
            "type": descriptor["value_type"],
            "labels": [label["key"] for label in descriptor.get("labels", [])],
            "resources": re.findall(r'resource\.type="(\w+)"', about["filter"]),
        }
    return found


def asked_by_alarms(values: Plan) -> list[Asked]:
    found = []
    for name, policy in policies(values).items():
        for condition in policy["conditions"]:
            if promql := condition.get("conditionPrometheusQueryLanguage"):
                found += in_promql(name, promql["query"])
            elif threshold := condition.get("conditionThreshold"):
                found += [filtered(name, threshold["filter"], one) for one in threshold["aggregations"]]
                if below := threshold.get("denominatorFilter"):
                    found += [filtered(name, below, one) for one in threshold["denominatorAggregations"]]
    return found


def asked_by_dashboard(values: Plan) -> list[Asked]:
    found = []
    for tile in dashboard(values)["mosaicLayout"]["tiles"]:
        for data_set in tile["widget"].get("xyChart", {}).get("dataSets", []):
            query, title = data_set["timeSeriesQuery"], tile["widget"]["title"]
            if "prometheusQuery" in query:
                found += in_promql(title, query["prometheusQuery"])
            else:
                ratio = query.get("timeSeriesFilterRatio", {})
                for one in ratio.values() if ratio else [query["timeSeriesFilter"]]:
                    found.append(filtered(title, one["filter"], one["aggregation"]))
    return found
