"""Alarms: that the API takes them; and that alarms and dashboard ask for what there is.

Each check is also run on the files with one thing broken. What is counted from logs is in test_terraform_logs.py.
"""

import re

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf.json_format import ParseError

from brigade.landing.pipeline import build
from tests.landing.landed import message
from tests.terraform.monitoring_plan import (
    ALARMS,
    GIVEN,
    asked_by_alarms,
    asked_by_dashboard,
    own_metrics,
    planned,
    policies,
)
from tests.terraform.monitoring_rules import DOCUMENTED, problems, seconds
from tests.terraform.terraform_files import changed
from tests.terraform.terraform_run import FILES, Plan, Refused

DENOMINATOR = "denominator_aggregations {\n        alignment_period     = "
RATE_LIMIT = 'notification_rate_limit {\n      period = "3600s"\n    }'
COUNTER = "dataflow.googleapis.com/job/user_counter"


def wrong(values: Plan) -> list[str]:
    """All that Cloud Monitoring would refuse or never answer in alarms and dashboard."""
    own = own_metrics(values)
    return [one for asked in asked_by_alarms(values) + asked_by_dashboard(values) for one in problems(asked, own)]


@pytest.fixture(scope="module")
def values(terraform) -> Plan:
    return planned(terraform)


# ----------------------------------------------------------------------------------------------------- the questions


def test_alarms_and_dashboard_ask_for_metrics_and_labels_that_there_are(values):
    assert wrong(values) == []
    assert len(asked_by_alarms(values)) > 12 and len(asked_by_dashboard(values)) > 25


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("alarms_serving.tf", "request_latencies", "request_latency", "neither a documented metric nor one of ours"),
        ("alarms_serving.tf", "ALIGN_PERCENTILE_99", "ALIGN_MAX", "ALIGN_MAX is not for a DELTA of DISTRIBUTION"),
        ("alarms_serving.tf", 'alignment_period     = "300s"', 'alignment_period     = "90s"', "whole minutes"),
        ("alarms_serving.tf", "metric.labels.response_code =", "metric.labels.code =", "found code"),
        ("alarms_serving.tf", "resource.label.service_name", "resource.label.service", "groups by resource.label.serv"),
        ("alarms_serving.tf", "labels.subscription_id =", "labels.subscription =", "found subscription"),
        ("alarms_landing.tf", "dataflow_job\\\" AND", "dataflow_jobs\\\" AND", "found dataflow_jobs"),
        ("alarms_landing.tf", "metric_name=", "counter=", "found counter"),
        ("alarms_landing.tf", "sum(max_over_time", "sum(increase", "increase is not for a GAUGE"),
        ("alarms_training.tf", "ALIGN_DELTA", "ALIGN_PERCENTILE_50", "is not for a DELTA of INT64"),
        ("monitoring.tf", '"${local.underscore}brigade_documents"', '"brigade_document"', "brigade_documents: neither"),
        ("monitoring.tf", 'key         = "agrees"', 'key         = "agree"', "found agrees"),
    ],
)  # fmt: skip
def test_a_question_that_nothing_answers_is_noticed(terraform, name, old, new, found):
    values = planned(terraform, FILES | {name: FILES[name].replace(old, new)})
    assert any(found in problem for problem in wrong(values)), found


def test_no_alarm_waits_for_a_metric_that_is_made_with_it(values):
    """Google refuses an alarm on a log-based metric for up to ten minutes after the metric was made.
    https://github.com/hashicorp/terraform-provider-google/issues/11102"""
    assert {asked.metric for asked in asked_by_alarms(values)} & own_metrics(values).keys() == set()


def test_every_metric_and_resource_in_the_list_has_its_page_and_is_used(values):
    for about in (*DOCUMENTED["metrics"].values(), *DOCUMENTED["resources"].values()):
        assert about["page"].startswith("https://docs.cloud.google.com/")
    used = {asked.metric for asked in asked_by_alarms(values) + asked_by_dashboard(values)}
    assert DOCUMENTED["metrics"].keys() | own_metrics(values).keys() == used


def test_each_name_in_a_question_is_that_of_a_resource(terraform, values):
    """The dashboard is no Terraform: its names are written out."""
    names = values.named("google_cloudfunctions2_function")
    names |= values.named("google_pubsub_topic") | values.named("google_pubsub_subscription")
    names |= {terraform.local("landing_job", **GIVEN), terraform.local("cluster_name", **GIVEN)}
    for asked in asked_by_alarms(values) + asked_by_dashboard(values):
        for side, name, found in asked.labels:
            if side != "metric" and name != "metric_name":
                assert set(found) <= names, f"{asked.where}: {name}"


def test_the_counters_that_they_name_are_those_that_landing_counts(values, tmp_path):
    pipeline = beam.Pipeline(runner=FnApiRunner())
    messages = [message(1), PubsubMessage(b"no event", {}, "2", message(1).publish_time)]
    folders = {"output_path": f"{tmp_path}/input", "dead_letter_path": f"{tmp_path}/dead_letter"}
    shape = {"max_seconds": 60, "max_lines": 10, "max_bytes": 1 << 20, "num_shards": 1}
    build(pipeline, beam.Create(messages, reshuffle=False), **folders, **shape)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("landing"))["counters"]
    counted = {counter.key.metric.name for counter in counters}
    asked = [one for one in asked_by_alarms(values) + asked_by_dashboard(values) if one.metric == COUNTER]
    named = {found[0] for one in asked for _, name, found in one.labels if name == "metric_name"}
    assert {"files_landed", "dead_lettered"} <= named <= counted


# -------------------------------------------------------------------------------------------------------- the alarms


def test_every_alarm_that_is_wanted_is_there_with_its_threshold(values):
    found: dict[str, list] = {}
    for name, policy in policies(values).items():
        for condition in policy["conditions"]:
            if log := condition.get("conditionMatchedLog"):
                (term,) = {term.strip("()") for term in re.split(" AND | OR ", log["filter"]) if ">=" in term}
                entry = ("log", term, "")
            elif promql := condition.get("conditionPrometheusQueryLanguage"):
                query = promql["query"]
                threshold = re.search(r"\) ([<>] \d)", query)[1]
                counter, period = re.search(r'metric_name="(\w+)"', query)[1], re.search(r"\[(\w+)\]", query)[1]
                entry = ("promql", f"{counter} {threshold} in {period}", "")
            else:
                threshold = condition["conditionThreshold"]
                assert threshold["comparison"] == "COMPARISON_GT"
                metric = re.search('metric.type = "([^"]+)"', threshold["filter"])[1]
                unit = "share" if "denominatorFilter" in threshold else DOCUMENTED["metrics"][metric]["unit"]
                entry = (metric, threshold.get("thresholdValue", 0), unit)
            found.setdefault(name, []).append(entry)
    assert found == ALARMS


def test_every_alarm_tells_somebody_what_to_look_at_first(values):
    titles = [policy["displayName"] for policy in policies(values).values()]
    assert len(set(titles)) == len(titles)
    channels = [*channel_ids(values, "alerts"), *channel_ids(values, "email")]
    assert len(set(channels)) == 2
    for name, policy in policies(values).items():
        assert policy["notificationChannels"] == channels, name
        about = policy["documentation"]
        assert about["mimeType"] == "text/markdown" and len(about["subject"].encode()) <= 255
        assert len(about["content"]) <= 8192 and len(about["content"].encode()) <= 10240
        assert re.search(r"(^    |`)(gcloud|make|python) ", about["content"], re.M), f"{name}: no command"
        assert about["links"] and len(about["links"]) <= 3
        assert all(re.fullmatch(r"https://\S+project=my-project", link["url"]) for link in about["links"])
        for command in re.findall(r"gcloud (?!storage cat|storage ls)[^`\n]+", about["content"]):
            assert "--project=my-project" in command, command


def channel_ids(values: Plan, name: str) -> list[str]:
    return [one["id"] for one in values.instances(f"google_monitoring_notification_channel.{name}").values()]


def test_without_an_address_alarms_go_to_the_topic_alone(terraform):
    values = terraform.plan(project_id="my-project")
    assert {tuple(policy["notificationChannels"]) for policy in policies(values).values()} == {
        tuple(channel_ids(values, "alerts"))
    }
    (channel,) = values.all_of("google_monitoring_notification_channel")
    about = channel.given()
    assert (about["type"], about["labels"]) == ("pubsub", {"topic": "projects/my-project/topics/ml_alerts"})


def beyond_limits(values: Plan) -> list[str]:
    """What https://docs.cloud.google.com/monitoring/quotas and the API's reference do not allow."""
    found = []
    for name, policy in policies(values).items():
        kinds = [next(iter(condition.keys() - {"displayName"})) for condition in policy["conditions"]]
        if len(kinds) > 6 or (len(kinds) > 1 and set(kinds) != {"conditionThreshold"}):
            found.append(f"{name}: expected thresholds, or one condition of another kind, found {kinds}")
        for condition in policy["conditions"]:
            threshold = condition.get("conditionThreshold", {})
            if len(threshold.get("filter", "")) > 2048 or len(threshold.get("denominatorFilter", "")) > 2048:
                found.append(f"{name}: expected a filter of at most 2048 characters")
            if seconds(threshold.get("duration", "0s")) not in range(0, 23 * 3600 + 1801, 60):
                found.append(f"{name}: expected whole minutes up to 23.5 hours, found {threshold['duration']}")
            if "evaluationMissingData" in threshold and not seconds(threshold.get("duration", "0s")):
                found.append(f"{name}: expected a duration, since it says what missing data means")
            if threshold.get("denominatorAggregations", threshold.get("aggregations")) != threshold.get("aggregations"):
                found.append(f"{name}: expected both sides of the share in the same windows")
            promql = condition.get("conditionPrometheusQueryLanguage")
            if promql and (seconds(promql["evaluationInterval"]) % 30 or not promql.get("disableMetricValidation")):
                found.append(
                    f"{name}: expected a multiple of 30 seconds, and no question whether the metric exists yet"
                )
        strategy = policy.get("alertStrategy", {})
        if ("notificationRateLimit" in strategy) != ("conditionMatchedLog" in kinds):
            found.append(f"{name}: a rate limit belongs to conditions on log lines, and to each of them")
        if seconds(strategy.get("autoClose", "1800s")) not in range(1800, 7 * 86400 + 1):
            found.append(f"{name}: expected to close within half an hour and 7 days, found {strategy['autoClose']}")
    return found


def test_every_alarm_is_within_the_apis_limits(values):
    assert beyond_limits(values) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("serving", '= "900s"', '= "930s"', "latency: expected whole minutes"),
        ("serving", '= "900s"', '= "0s"', "latency: expected a duration"),
        ("serving", '= "3600s"', '= "86400s"', "errors: expected whole minutes up to 23.5 hours"),
        ("serving", DENOMINATOR + '"1200s"', DENOMINATOR + '"600s"', "errors: expected both sides"),
        ("landing", "validation = true", "validation = false", "whether the metric exists yet"),
        ("training", '= "86400s"', '= "60s"', "trigger_failed: expected to close"),
        ("training", RATE_LIMIT, "", "trigger_failed: a rate limit belongs to"),
    ],
)
def test_a_value_that_the_api_refuses_is_noticed(terraform, name, old, new, found):
    values = planned(terraform, changed(FILES, f"alarms_{name}.tf", old, new))
    assert any(found in problem for problem in beyond_limits(values))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('severity              = "WARNING"', 'severity              = "LOUD"'),
        ("EVALUATION_MISSING_DATA_INACTIVE", "EVALUATION_MISSING_DATA_OFF"),
        ("ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_98"),
        ('combiner              = "OR"', 'combiner              = "EITHER"'),
        ("threshold_value ", "threshold "),
    ],
)
def test_a_word_that_the_api_does_not_know_is_noticed(terraform, old, new):
    files = FILES | {"alarms_serving.tf": FILES["alarms_serving.tf"].replace(old, new, 1)}
    with pytest.raises((ParseError, Refused), match=re.findall(r"\w+", new)[-1]):
        policies(planned(terraform, files))
