"""What is counted and watched in logs: that the programs, run as they are on GCP, log it.

The functions run in processes of functions-framework; their lines are taken apart as Cloud Logging does it.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import emulators, guard
from tests.conftest import ROOT
from tests.models.written_models import OLD, tiny_model, write_model
from tests.schedule.written_findings import BETTER, DECAYED, DRIFT, write_findings
from tests.serving.pushed_messages import EVENT, envelope
from tests.terraform import log_filter
from tests.terraform.monitoring_rules import RESOURCES
from tests.terraform.terraform_files import changed
from tests.terraform.terraform_run import FILES, Plan, Terraform

TEXT = "words that no log may hold"


def resource(kind: str, **labels: str) -> dict:
    """As Cloud Logging names it, with all labels that it has."""
    known = RESOURCES[kind]["labels"]
    assert labels.keys() <= set(known)
    return {"type": kind, "labels": dict.fromkeys(known, "some") | labels}


def planned(terraform: Terraform, files: Mapping[str, str]) -> Plan:
    return terraform.plan(files, project_id="my-project")


@pytest.fixture(scope="module")
def values(terraform) -> Plan:
    return planned(terraform, FILES)


def log_of(
    target: str, source: str, environment: dict[str, str], bodies: list[bytes | None], folder: Path
) -> list[str]:
    """The lines that a function writes while it answers requests; None: GET /model."""
    port = emulators.free_port()
    program = Path(sys.executable).with_name("functions-framework")
    command = [program, f"--source={source}/main.py", f"--target={target}", "--host=127.0.0.1", f"--port={port}"]
    known = {name: os.environ[name] for name in ("PATH", "PUBSUB_EMULATOR_HOST") if name in os.environ}
    with open(folder / f"{target}.log", "wb") as output:
        process = guard.start(command, env=known | environment, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
    emulators.wait_for_port(port, process)
    for body in bodies:
        try:
            urllib.request.urlopen(
                f"http://127.0.0.1:{port}{'/model' if body is None else '/'}", body, timeout=60
            ).read()
        except urllib.error.HTTPError as error:
            error.read()
    guard.stop(process)
    return (folder / f"{target}.log").read_text().splitlines()


@pytest.fixture(scope="module")
def lines(pubsub, tmp_path_factory) -> dict[str, list[str]]:
    """Function → what it logged; the model is 36 days old."""
    folder = tmp_path_factory.mktemp("logs")
    created = (datetime.now(UTC) - timedelta(days=36, hours=1)).isoformat(timespec="seconds")
    (folder / "models").mkdir()
    write_model(folder / "models", OLD, seed=1, createdAt=created)
    label = tiny_model(seed=1).predict(TEXT)["label"]
    topics = {
        name: pubsub.topic(f"{name.lower()}-{time.monotonic_ns()}") for name in ("RESULT_TOPIC", "DEAD_LETTER_TOPIC")
    }
    serving = {"MODELS_URI": str(folder / "models"), "GOOGLE_CLOUD_PROJECT": pubsub.project}
    documents = [
        EVENT | {"doc": EVENT["doc"] | {"payload": TEXT, "metadata": metadata}}
        for metadata in ({"superTag01": label}, {"superTag01": "another"}, {})
    ]
    messages = [*(json.dumps(one).encode() for one in documents), TEXT.encode(), json.dumps({"eventId": TEXT}).encode()]
    pushes = [json.dumps(envelope(data, {})).encode() for data in messages]
    instances = [json.dumps({"instances": one}).encode() for one in (documents[:1], documents, [{"payload": 1}])]
    watching = watched_shop(folder)
    wrong = {"WORKFLOW_TEMPLATE": "retrain", "MODELS_URI": "gs://models", "SCHEDULE_ANCHOR": "2026-01-05"}
    return {
        "classify": log_of("classify", "cloud_function", serving | topics, [*pushes, None], folder),
        "predict": log_of("predict", "cloud_function", serving, [*instances, None, b"{" + TEXT.encode()], folder),
        "retrain-trigger": [
            *log_of("trigger", "scheduler", wrong, [b"", None], folder),
            *log_of("trigger", "scheduler", watching, [b""], folder),
        ],
    }


def watched_shop(folder: Path) -> dict[str, str]:
    """The trigger's settings where a model is withdrawn: two models, findings of each kind, and a Dataproc on which
    nothing runs."""
    now, models = datetime.now(UTC), folder / "watched"
    day = now - timedelta(days=8)
    former, serving = (f"doc-classification-model-{day - timedelta(days=one):%Y-%m-%d}" for one in (1, 0))
    models.mkdir()
    write_model(models, former, seed=1)
    write_model(models, serving, seed=2)
    weak = DRIFT | {"severity": "warning", "kind": "volume"}
    found = [DRIFT | {"kind": "decay", "field": "prediction", "aspect": "agreement"}, DRIFT, weak]
    about = {"model": {"name": serving, "runId": "run-1"}, "former": BETTER | {"name": former}, "findings": found}
    write_findings(folder / "monitor", f"{now:%Y-%m-%d}", createdAt=now.isoformat(), **DECAYED | about)
    monday = day.date() - timedelta(days=day.weekday())
    return {
        "WORKFLOW_TEMPLATE": "projects/p/regions/us-central1/workflowTemplates/brigade-retrain",
        "DATAPROC_API_ENDPOINT": nothing_runs(),
        "MODELS_URI": str(models),
        "SCHEDULE_ANCHOR": f"{monday}",
        "FINDINGS_URI": str(folder / "monitor"),
        "WITHDRAWAL": "on",
    }


def nothing_runs() -> str:
    """The address of a Dataproc that lists no operation, until the tests end."""

    class Dataproc(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"operations": []}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dataproc)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def entries(lines) -> list[dict]:
    """What Cloud Logging makes of the functions' lines, and what Google's own services log."""
    finished = "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"
    return [
        *(
            log_filter.entry_of(line, resource("cloud_run_revision", service_name=name))
            for name, written in lines.items()
            for line in written
        ),
        # https://docs.cloud.google.com/scheduler/docs/viewing-logs
        {
            "resource": resource("cloud_scheduler_job", job_id="brigade-retrain"),
            "severity": "ERROR",
            "jsonPayload": {"@type": finished, "status": "UNAVAILABLE"},
        },
    ]


def watched(values: Plan) -> Iterator[tuple[str, str, list[str]]]:
    """Name, filter and extractors of each log-based metric and of each alarm on log lines."""
    for body in values.all_of("google_logging_metric"):
        about = body.given()
        extractors = [*about.get("label_extractors", {}).values(), *filter(None, [about.get("value_extractor")])]
        yield about["name"], about["filter"], extractors
    for body in values.all_of("google_monitoring_alert_policy"):
        for condition in body.given()["conditions"]:
            for matched in condition.get("condition_matched_log", []):
                yield body.name, matched["filter"], [*matched["label_extractors"].values()]


def not_logged(values: Plan, entries: list[dict]) -> list[str]:
    """Filters, parts of them and extractors that no entry answers, and labels that a resource does not have."""
    found = []
    for name, text, extractors in watched(values):
        tree = log_filter.parse(text)
        for branch in tree.parts if tree.operator == "OR" else [tree]:
            if not any(branch.matches(entry) for entry in entries):
                found.append(f"{name}: no line matches {branch}")
        matching = [entry for entry in entries if tree.matches(entry)]
        for extractor in extractors:
            if not any(log_filter.extracted(entry, extractor) for entry in matching):
                found.append(f"{name}: no line has a value for {extractor}")
    return found


def test_all_that_is_watched_in_logs_is_logged(values, entries):
    assert len(list(watched(values))) == 9
    assert not_logged(values, entries) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        (
            "monitoring.tf",
            "jsonPayload.modelAgeDays>",
            "jsonPayload.modelAge>",
            "brigade_model_age_days: no line matches",
        ),
        ("monitoring.tf", "(jsonPayload.modelAgeDays)", "(jsonPayload.model)", "not a number"),
        (
            "monitoring.tf",
            "EXTRACT(jsonPayload.agrees)",
            "EXTRACT(jsonPayload.agree)",
            "no line has a value for EXTRACT",
        ),
        ("monitoring.tf", "EXTRACT(jsonPayload.reason)", "EXTRACT(reason)", "no line has a value for EXTRACT(reason)"),
        ("monitoring.tf", '\\"classified\\"', '\\"predicted\\"', "brigade_documents: no line matches"),
        ("alarms_serving.tf", '"jsonPayload.modelAgeDays>', '"jsonPayload.modelAgedays>', "old_model: no line matches"),
        ("alarms_watch.tf", '=\\"decay\\"', '=\\"decays\\"', "decayed: no line matches"),
        ("alarms_watch.tf", "jsonPayload.acted=(", "jsonPayload.act=(", "acted: no line matches"),
        ("monitoring.tf", "EXTRACT(jsonPayload.findingSeverity)", "EXTRACT(jsonPayload.weight)", "no line has a value"),
        ("alarms_training.tf", '=\\"scheduler\\"', '=\\"trigger\\"', "trigger_failed: no line matches"),
        ("names.tf", '"${local.prefix}brigade-retrain"', '"retrain"', "trigger_failed: no line matches"),
    ],
)
def test_a_field_that_nobody_logs_is_noticed(terraform, entries, name, old, new, found):
    broken = planned(terraform, changed(FILES, name, old, new))
    assert any(found in problem for problem in [*not_logged(broken, entries), *no_numbers(broken, entries)])


def no_numbers(values: Plan, entries: list[dict]) -> list[str]:
    """Distributions whose values are no numbers."""
    found = []
    for body in values.all_of("google_logging_metric"):
        about = body.given()
        if extractor := about.get("value_extractor"):
            matching = [entry for entry in entries if log_filter.parse(about["filter"]).matches(entry)]
            values_ = [log_filter.extracted(entry, extractor) for entry in matching]
            found += [f"{about['name']}: {one!r} is not a number" for one in values_ if not re.fullmatch(r"\d+", one)]
    return found


def test_what_a_distribution_takes_is_a_number(values, entries):
    assert no_numbers(values, entries) == []


def test_labels_and_their_extractors_are_the_same(values):
    for body in values.all_of("google_logging_metric"):
        about = body.given()
        (descriptor,) = about["metric_descriptor"]
        labels = [label["key"] for label in descriptor.get("labels", [])]
        assert sorted(labels) == sorted(about.get("label_extractors", {})), about["name"]
        assert (
            (descriptor["value_type"] == "DISTRIBUTION") == ("value_extractor" in about) == ("bucket_options" in about)
        )


def counted(values: Plan, entries: list[dict], name: str) -> list[dict[str, str]]:
    """What a metric's labels are for each line that it counts."""
    (about,) = (body.given() for body in values.all_of("google_logging_metric") if body["name"] == name)
    matching = [entry for entry in entries if log_filter.parse(about["filter"]).matches(entry)]
    return [
        {key: log_filter.extracted(entry, one) for key, one in about["label_extractors"].items()} for entry in matching
    ]


def test_documents_are_counted_by_label_and_agreement_and_dead_letters_by_reason(values, entries):
    label = tiny_model(seed=1).predict(TEXT)["label"]
    documents = counted(values, entries, "brigade_documents")
    assert documents == [{"label": label, "agrees": agrees} for agrees in ("true", "false", "")]
    reasons = counted(values, entries, "brigade_dead_letters")
    assert reasons == [{"reason": "malformed_json"}, {"reason": "missing_field"}]


def test_the_alarm_on_the_model_s_age_begins_with_35_days(values, entries):
    (alarm,) = (log_filter.parse(text) for name, text, _ in watched(values) if name == "old_model")
    matching = [entry for entry in entries if alarm.matches(entry)]
    services = {entry["resource"]["labels"]["service_name"] for entry in matching}
    assert services == {"classify", "predict"} and {entry["jsonPayload"]["modelAgeDays"] for entry in matching} == {36}
    for days, fires in ((-1, False), (0, False), (34, False), (35, True), (400, True)):
        entry = matching[0] | {"jsonPayload": matching[0]["jsonPayload"] | {"modelAgeDays": days}}
        assert alarm.matches(entry) == fires


def test_a_call_that_was_refused_or_went_well_is_no_failure_of_the_trigger(values, entries):
    (alarm,) = (log_filter.parse(text) for name, text, _ in watched(values) if name == "trigger_failed")
    own = [entry for entry in entries if entry["resource"]["labels"].get("service_name") == "retrain-trigger"]
    logged = [entry for entry in own if entry.get("jsonPayload", {}).get("logger") == "scheduler"]
    assert [(entry["severity"], alarm.matches(entry)) for entry in logged] == [
        ("ERROR", True),
        ("WARNING", False),
        ("INFO", False),
    ]
    assert logged[0]["jsonPayload"]["message"].startswith("WORKFLOW_TEMPLATE: expected projects/P")
    assert not alarm.matches(logged[0] | {"severity": "INFO"})
    look, other = (resource("cloud_scheduler_job", job_id=name) for name in ("brigade-look", "another"))
    assert alarm.matches(entries[-1] | {"resource": look})
    assert alarm.matches(entries[-1]) and not alarm.matches(entries[-1] | {"resource": other})


def test_findings_are_counted_by_kind_field_and_weight_and_the_grave_ones_call_somebody(values, entries):
    assert counted(values, entries, "brigade_findings") == [
        {"kind": "decay", "field": "prediction", "severity": "error"},
        {"kind": "drift", "field": "payload", "severity": "error"},
        {"kind": "volume", "field": "payload", "severity": "warning"},
    ]
    alarms = {name: log_filter.parse(text) for name, text, _ in watched(values)}
    found = [entry for entry in entries if entry.get("jsonPayload", {}).get("logger") == "monitoring"]
    assert [alarms["decayed"].matches(entry) for entry in found] == [True, False, False]
    assert [alarms["drifted"].matches(entry) for entry in found] == [False, True, False]


def test_somebody_is_told_when_a_model_was_withdrawn(values, entries):
    (alarm,) = (log_filter.parse(text) for name, text, _ in watched(values) if name == "acted")
    (entry,) = (one for one in entries if alarm.matches(one))
    assert entry["jsonPayload"]["acted"] == "withdrawn" and entry["severity"] == "INFO"
    for acted, fires in (("trained early", True), (None, False)):
        assert alarm.matches(entry | {"jsonPayload": entry["jsonPayload"] | {"acted": acted}}) is fires


def test_the_sink_keeps_what_the_pipeline_logs_and_nothing_else(values, entries):
    (body,) = values.all_of("google_logging_project_sink")
    sink = log_filter.parse(body["filter"])
    assert all(sink.matches(entry) for entry in entries)
    ours = [
        resource("dataflow_step", job_name="brigade-landing"),
        resource("cloud_dataproc_cluster", cluster_name="brigade-cluster-x7ao4lxqxvpz2"),
        resource("cloud_dataproc_job"),
        resource("build"),
    ]
    others = [
        resource("dataflow_step", job_name="another"),
        resource("cloud_dataproc_cluster", cluster_name="another-brigade-cluster"),
        resource("cloud_run_revision", service_name="another"),
        resource("cloud_scheduler_job", job_id="another"),
        resource("pubsub_topic"),
    ]
    found = [sink.matches({"resource": one, "severity": "INFO"}) for one in ours + others]
    assert found == [True] * len(ours) + [False] * len(others)


def test_fields_of_resources_in_filters_are_labels_that_they_have(values):
    filters = [text for _, text, _ in watched(values)] + [
        one["filter"] for one in values.all_of("google_logging_project_sink")
    ]
    for text in filters:
        tree = log_filter.parse(text)
        for branch in tree.parts if tree.operator == "OR" else [tree]:
            found = list(log_filter.comparisons(branch))
            (kind,) = (one.values[0] for one in found if one.field == "resource.type")
            labels = {
                one.field.removeprefix("resource.labels.") for one in found if one.field.startswith("resource.labels.")
            }
            assert labels <= set(RESOURCES[kind]["labels"]), text


def test_no_line_holds_a_documents_text(lines):
    for name, written in lines.items():
        assert written and TEXT not in "\n".join(written), name
        assert not any(word in "\n".join(written) for word in ("words that", "log may hold")), name


def test_the_commands_in_the_alarms_texts_read_fields_that_are_logged(values, entries):
    texts = [body.given()["documentation"][0]["content"] for body in values.all_of("google_monitoring_alert_policy")]
    fields = {field for text in texts for field in re.findall(r"jsonPayload\.[A-Za-z.]*[A-Za-z]", text)}
    assert {"jsonPayload.milliseconds.total", "jsonPayload.logger", "jsonPayload.message"} <= fields
    for field in fields:
        assert any(log_filter.value_at(entry, field) is not None for entry in entries), field
    loggers = {one for text in texts for one in re.findall(r'jsonPayload\.logger="(\w+)"', text)}
    assert loggers == {"cloud_function", "monitoring", "scheduler"}
    assert loggers <= {entry.get("jsonPayload", {}).get("logger") for entry in entries}
