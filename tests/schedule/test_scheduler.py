"""What four weeks are, whether a workflow starts, and with what; test_scheduler_trigger.py calls the function."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import dataproc_v1
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.schedule.workflow_client import TemplateError, connect, get_template, value_at
from local.emulators import free_port
from scheduler import main as room
from scheduler.main import decide, moment_of, next_period_starts, period_of, request_id

ANCHOR = date(2026, 1, 5)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ----------------------------------------------------------------------------------------------- the decision


@pytest.mark.parametrize(
    ("now", "models", "start", "period"),
    [
        # the period's edges
        ("2026-01-05T00:00:00Z", [], True, "2026-01-05"),
        ("2026-01-05T02:00:00Z", [], True, "2026-01-05"),
        ("2026-02-01T23:59:59Z", [], True, "2026-01-05"),
        ("2026-02-02T00:00:00Z", [], True, "2026-02-02"),
        # before the first period
        ("2026-01-04T23:59:59Z", [], False, "2026-01-05"),
        ("2025-06-01T00:00:00Z", ["2025-06-01"], False, "2026-01-05"),
        # a model of this period, of its first and last day, of its neighbours
        ("2026-01-12T02:00:00Z", ["2026-01-05"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-02-01"], False, "2026-01-05"),
        ("2026-01-12T02:00:00Z", ["2026-01-04"], True, "2026-01-05"),
        ("2026-02-09T02:00:00Z", ["2026-02-01"], True, "2026-02-02"),
        ("2026-01-26T02:00:00Z", ["2026-02-02"], True, "2026-01-05"),
        # the first week's run failed; the second's, third's and last's may still come
        ("2026-01-12T02:00:00Z", [], True, "2026-01-05"),
        ("2026-01-26T02:00:00Z", ["2025-12-08"], True, "2026-01-05"),
        # periods were missed altogether
        ("2026-06-15T02:00:00Z", ["2026-01-05"], True, "2026-05-25"),
        # the moment counts in UTC, wherever the clock that tells it stands
        ("2026-02-01T22:00:00-03:00", [], True, "2026-02-02"),
        ("2026-02-02T00:30:00+01:00", [], True, "2026-01-05"),
        # summer time starts on 2026-03-29 in Lisbon: 01:30 there is 00:30 in UTC
        ("2026-03-30T01:00:00+01:00", ["2026-03-02"], True, "2026-03-30"),
        ("2026-03-30T00:59:59+01:00", ["2026-03-02"], False, "2026-03-02"),
        # over the year's end, and over 29 February 2028
        ("2026-12-31T23:00:00Z", ["2026-12-07"], False, "2026-12-07"),
        ("2027-01-04T02:00:00Z", ["2026-12-31"], True, "2027-01-04"),
        ("2028-02-28T02:00:00Z", ["2028-02-27"], True, "2028-02-28"),
        ("2028-03-26T23:59:59Z", ["2028-02-29"], False, "2028-02-28"),
        ("2028-03-27T00:00:00Z", ["2028-02-29"], True, "2028-03-27"),
    ],
)
def test_a_workflow_starts_when_its_period_has_no_model(now, models, start, period):
    decision = decide(at(now), ANCHOR, {date.fromisoformat(day) for day in models})
    assert (decision.start, decision.period.start.isoformat()) == (start, period)
    assert decision.period.start.isoformat() in decision.reason


@settings(max_examples=300, deadline=None)
@given(
    first=st.integers(0, 400),
    hour=st.integers(0, 23),
    calls=st.lists(st.integers(1, 3), min_size=8, max_size=60),
)
def test_weekly_calls_start_exactly_one_workflow_a_period_when_runs_succeed(first, hour, calls):
    """Each week the job fires once, or, as at least once means, up to three times."""
    begin = datetime(2026, 1, 5, hour, tzinfo=UTC) + timedelta(days=first)
    models, started = set(), []
    for week, times in enumerate(calls):
        for _ in range(times):
            now = begin + timedelta(weeks=week)
            decision = decide(now, ANCHOR, models)
            if decision.start:
                started.append(decision.period.start)
                models.add(now.date())  # the run's model, whether promoted or not
    days = [(begin + timedelta(weeks=week)).date() for week in range(len(calls))]
    periods = {ANCHOR + timedelta(days=(day - ANCHOR).days // 28 * 28) for day in days}
    assert started == sorted(periods)


@settings(max_examples=200, deadline=None)
@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    weeks=st.integers(0, 500),
)
def test_a_period_holds_the_moment_and_starts_on_a_monday(now, weeks):
    anchor = ANCHOR - timedelta(weeks=weeks)
    decision = decide(now, anchor, [])
    assert decision.period.start.weekday() == 0
    assert decision.start == (now.date() >= anchor)
    if decision.start:
        assert decision.period.start <= now.date() < decision.period.start + timedelta(days=28)
        assert next_period_starts(now, anchor, 1)[0] == decision.period.start + timedelta(days=28)
    else:
        assert next_period_starts(now, anchor, 1)[0] == anchor


@pytest.mark.parametrize(
    ("models", "running", "force", "start"),
    [
        ([], "op", False, False),
        ([], "op", True, False),
        (["2026-01-05"], "op", True, False),
        (["2026-01-05"], None, True, True),
        ([], None, True, True),
    ],
)
def test_force_overrides_a_model_and_nothing_a_running_workflow(models, running, force, start):
    days = {date.fromisoformat(day) for day in models}
    assert decide(at("2026-01-12T02:00:00Z"), ANCHOR, days, running, force).start == start


@pytest.mark.parametrize(
    ("day", "start", "end", "number"),
    [
        ("2025-12-31", "2026-01-05", "2026-02-01", 1),
        ("2026-01-05", "2026-01-05", "2026-02-01", 1),
        ("2026-02-01", "2026-01-05", "2026-02-01", 1),
        ("2026-02-02", "2026-02-02", "2026-03-01", 2),
        ("2027-01-04", "2027-01-04", "2027-01-31", 14),  # 13 periods are 364 days
    ],
)
def test_periods_are_numbered_from_the_anchor(day, start, end, number):
    period = period_of(date.fromisoformat(day), ANCHOR)
    assert (f"{period.start}", f"{period.end}", period.number) == (start, end, number)


def test_calls_of_a_day_share_a_request_id_and_the_next_weeks_has_another():
    def identifier(time: str) -> str:
        return request_id(decide(at(time), ANCHOR, []))

    assert identifier("2026-01-12T02:00:00Z") == "brigade-2026-01-05-2026-01-12"
    assert len(identifier("2026-01-12T02:00:00Z")) <= 40
    assert identifier("2026-01-12T23:59:59Z") == identifier("2026-01-12T02:00:00Z")
    assert identifier("2026-01-11T23:00:00-03:00") == identifier("2026-01-12T02:00:00Z")
    assert identifier("2026-01-19T02:00:00Z") != identifier("2026-01-12T02:00:00Z")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T02:00:00Z", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05t02:00:00.123456789z", datetime(2026, 1, 5, 2, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-04T23:00:00-03:00", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05", None),
        ("2026-01-05T02:00:00", None),
        ("2026-02-30T02:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_schedule_time_is_rfc_3339_or_it_is_none(text, moment):
    assert moment_of(text) == moment


# ----------------------------------------------------------------------------------------------- the parameters

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
    monkeypatch.setattr("workflow_client.WorkflowTemplateServiceClient", lambda **options: options)
    template = "projects/P/regions/us-central1/workflowTemplates/retrain"
    assert connect(template, endpoint) == {"client_options": {"api_endpoint": asked}}


# --------------------------------------------------------------------------------------------------- the models


def write_manifest(root: Path, day: str, name: str = "manifest.json") -> None:
    folder = root / f"doc-classification-model-{day}"
    folder.mkdir()
    (folder / name).write_text('{"promoted": false}')


def test_folders_without_a_manifest_or_a_date_are_no_models(tmp_path):
    write_manifest(tmp_path, "2026-01-05")
    write_manifest(tmp_path, "2026-01-06", name="model.json")
    write_manifest(tmp_path, "2026-01-99")
    write_manifest(tmp_path, "2026-01-07-copy")
    assert room.model_dates(str(tmp_path)) == room.model_dates(f"{tmp_path}/") == {date(2026, 1, 5)}


@pytest.mark.parametrize("uri", ["gs://models/some/output", "gs://models/some/output/", "gs://models"])
def test_models_are_found_in_a_bucket(uri, monkeypatch):
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="models")
    server.start()
    from google.cloud import storage

    bucket = storage.Client().bucket("models")
    prefix = "some/output/" if "some" in uri else ""
    for name in (
        "doc-classification-model-2026-01-05/manifest.json",
        "doc-classification-model-2026-02-02/runs/run-1/manifest.json",
        "doc-classification-model-2026-03-02/model.json",
        "deeper/doc-classification-model-2026-03-30/manifest.json",
    ):
        bucket.blob(prefix + name).upload_from_string("{}")
    try:
        assert room.model_dates(uri) == {date(2026, 1, 5)}
    finally:
        server.stop()


# ---------------------------------------------------------------------------------------------- the days to come


@pytest.fixture
def nothing_but_the_anchor(monkeypatch):
    for name in ("WORKFLOW_TEMPLATE", "MODELS_URI", "DATAPROC_API_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCHEDULE_ANCHOR", "2026-01-05")


def test_next_prints_the_next_days_of_training_and_needs_no_more_than_the_anchor(nothing_but_the_anchor, capsys):
    assert room.main(["--next", "2", "--now=2026-01-12T02:00:00Z"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary == {
        "today": None,
        "next": [
            {
                "date": "2026-02-02",
                "decision": "start",
                "reason": "the period 2026-02-02 to 2026-03-01 has no model yet",
                "period": {"start": "2026-02-02", "end": "2026-03-01", "number": 2},
            },
            {
                "date": "2026-03-02",
                "decision": "start",
                "reason": "the period 2026-03-02 to 2026-03-29 has no model yet",
                "period": {"start": "2026-03-02", "end": "2026-03-29", "number": 3},
            },
        ],
    }
    assert [line.split()[:2] for line in printed.err.splitlines()] == [["2026-02-02", "start"], ["2026-03-02", "start"]]


def test_next_prints_five_days_by_default_over_the_year_s_end(nothing_but_the_anchor, capsys):
    assert room.main(["--next", "--now=2026-11-30T02:00:00Z"]) == 0
    days = [row["date"] for row in json.loads(capsys.readouterr().out)["next"]]
    assert days == ["2026-12-07", "2027-01-04", "2027-02-01", "2027-03-01", "2027-03-29"]


@pytest.mark.parametrize(
    ("models", "today", "following"),
    [
        ([], "start", ["start", "start"]),
        (["2026-01-06"], "skip", ["start", "start"]),
        (["2026-01-06", "2026-03-02"], "skip", ["start", "skip"]),
    ],
)
def test_with_the_models_next_says_what_happens_today_too(
    nothing_but_the_anchor, tmp_path, monkeypatch, capsys, models, today, following
):
    monkeypatch.setenv("MODELS_URI", str(tmp_path))
    for day in models:
        write_manifest(tmp_path, day)
    assert room.main(["--next=2", "--now=2026-01-12T02:00:00Z"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["today"]["date"], summary["today"]["decision"]) == ("2026-01-12", today)
    assert [row["decision"] for row in summary["next"]] == following
    assert printed.err.splitlines()[0].split()[:3] == ["2026-01-12", "today", today]


def test_before_the_first_period_next_begins_with_the_anchor(nothing_but_the_anchor, capsys):
    assert room.main(["--next=1", "--now=2025-06-01T00:00:00Z"]) == 0
    assert [row["date"] for row in json.loads(capsys.readouterr().out)["next"]] == ["2026-01-05"]


def test_models_that_cannot_be_listed_are_a_warning_for_next(nothing_but_the_anchor, monkeypatch, capsys, caplog):
    def refused(uri: str):
        raise OSError("no\nroute")

    monkeypatch.setenv("MODELS_URI", "gs://models/output")
    monkeypatch.setattr(room, "model_dates", refused)
    assert room.main(["--next=1", "--now=2026-01-12T02:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["today"] is None
    assert [record.getMessage() for record in caplog.records] == ["MODELS_URI: OSError: no route"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--now=tomorrow"], "expected RFC 3339, such as 2026-01-12T02:00:00Z, found 'tomorrow'"),
        (["--now=9999-12-31T00:00:00Z"], "expected RFC 3339, such as 2026-01-12T02:00:00Z, found '9999"),
        (["--next=0"], "expected 1 to 999, found '0'"),
        (["--next=1000"], "expected 1 to 999, found '1000'"),
        (["--next=some"], "expected 1 to 999, found 'some'"),
        (["--next", "--force"], "not allowed with argument"),
        (["--sometimes"], "unrecognized arguments: --sometimes"),
    ],
)
def test_wrong_arguments_are_status_2_and_say_what_was_expected(flags, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        room.main(flags)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err
