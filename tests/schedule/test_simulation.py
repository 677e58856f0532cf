"""A century of weekly calls through the trigger, on a simulated clock, with a Dataproc in memory."""

import logging
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from functions_framework import create_app
from google.api_core.exceptions import ServiceUnavailable
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2

from brigade.schedule import retraining, trigger

pytestmark = pytest.mark.long

SOURCE = str(Path(__file__).parents[2] / "scheduler" / "main.py")
ANCHOR = date(1970, 1, 5)  # a Monday; the years since have all the changes of the clocks that the zones ever had
YEARS = 100
REGION = "projects/brigade-test/regions/us-central1"
ON_TIME = timedelta(seconds=20)


def period_of(day: date) -> int:
    return (day.toordinal() - ANCHOR.toordinal()) // 28


@dataclass
class Workflow:
    name: str
    tag: str
    day: date  # of its model
    start: datetime
    end: datetime
    succeeds: bool


class Dataproc:
    """The three calls that the trigger makes, and models that appear in a folder when a workflow succeeds."""

    def __init__(self, chance: random.Random, models: Path) -> None:
        self.chance, self.models = chance, models
        self.now = datetime.combine(ANCHOR, time(), UTC) - timedelta(days=60)
        self.workflows: list[Workflow] = []
        self.models_of: set[int] = set()  # periods
        self.at_once = lambda: None  # what happens between two of the trigger's calls
        self.template = dataproc_v1.WorkflowTemplate(
            name=f"{REGION}/workflowTemplates/retrain",
            version=3,
            jobs=[{"step_id": "train", "pyspark_job": {"args": ["gs://documents/", "--date", "today"]}}],
            parameters=[
                {"name": "INPUT", "fields": ["jobs['train'].pysparkJob.args[0]"]},
                {"name": "DATE", "fields": ["jobs['train'].pysparkJob.args[2]"]},
            ],
        )

    def pass_to(self, moment: datetime) -> None:
        """The clock goes on; a workflow that ends leaves its model, in place of the oldest of five."""
        for workflow in self.workflows[-5:]:
            if workflow.succeeds and self.now < workflow.end <= moment:
                self.models_of.add(period_of(workflow.day))
                self.leave_model(workflow.day)
        self.now = max(self.now, moment)

    def leave_model(self, day: date) -> None:
        folder, kept = self.models / f"doc-classification-model-{day}", sorted(self.models.iterdir())
        if len(kept) == 5:
            kept[0].rename(folder)
        else:
            folder.mkdir()
            (folder / "manifest.json").write_text("{}")

    def running(self) -> list[Workflow]:
        return [workflow for workflow in self.workflows[-5:] if workflow.end > self.now]

    def list_operations(self, request: dict, **_) -> operations_pb2.ListOperationsResponse:
        if self.chance.random() < 0.03:
            raise ServiceUnavailable("come again")
        assert request == {
            "name": f"{REGION}/operations",
            "filter": "labels.goog-dataproc-workflow-template-id=retrain",
        }
        known = self.workflows[-5:]
        answer = operations_pb2.ListOperationsResponse(
            operations=[{"name": workflow.name, "done": workflow.end <= self.now} for workflow in known]
        )
        self.pass_to(self.now + timedelta(seconds=self.chance.choice((0, 0, 5))))
        return answer

    def get_workflow_template(self, request: dict, **_) -> dataproc_v1.WorkflowTemplate:
        assert request == {"name": self.template.name}
        self.at_once()
        return self.template

    def instantiate_workflow_template(self, request: dict, **_) -> SimpleNamespace:
        request = dataproc_v1.InstantiateWorkflowTemplateRequest(request)
        assert (request.name, request.version) == (self.template.name, self.template.version)
        assert request.parameters["INPUT"] == "gs://documents/" and set(request.parameters) == {"INPUT", "DATE"}
        same = [workflow for workflow in self.running() if workflow.tag == request.request_id]
        if not same:
            hours = self.chance.choice((0.1, 0.5, 2, 10, 30, 70)) * self.chance.uniform(0.5, 1.5)
            day, end = date.fromisoformat(request.parameters["DATE"]), self.now + timedelta(hours=hours)
            name = f"{REGION}/operations/{len(self.workflows)}"
            same = [Workflow(name, request.request_id, day, self.now, end, self.chance.random() < 0.6)]
            self.workflows += same
        return SimpleNamespace(operation=operations_pb2.Operation(name=same[0].name))


def calls_of(zone: str, chance: random.Random) -> list[tuple[datetime, datetime, bool]]:
    """(when it comes, when it was meant, whether another comes at the same time), in the order of coming, of
    YEARS years of Mondays at two: some missing, some late, some twice."""
    calls = []
    for week in range(-2, YEARS * 365 // 7):
        meant = datetime.combine(ANCHOR + timedelta(weeks=week), time(2), ZoneInfo(zone)).astimezone(UTC)
        for _ in range(chance.choices((0, 1, 2), (20, 65, 15))[0]):
            late = chance.choices((ON_TIME, timedelta(hours=12), timedelta(days=9)), (70, 15, 15))[0]
            calls.append((meant + chance.random() * late, meant, chance.random() < 0.1))
    return sorted(calls)


@pytest.fixture
def century(tmp_path, monkeypatch):
    """Runs the calls of a zone; returns Dataproc, and of each call that was answered (moment, answer, whether a
    workflow ran when it came, whether its period had a model)."""
    for name, value in {
        "WORKFLOW_TEMPLATE": f"{REGION}/workflowTemplates/retrain",
        "MODELS_URI": str(tmp_path),
        "SCHEDULE_ANCHOR": f"{ANCHOR}",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FUNCTION_TARGET", "trigger")
    app = create_app("trigger", SOURCE)
    monkeypatch.setattr(logging.getLogger("scheduler"), "disabled", True)  # thousands of lines

    def run(zone: str, seed: int):
        chance = random.Random(f"{zone} {seed}")
        dataproc, answered = Dataproc(chance, tmp_path), []
        monkeypatch.setattr(trigger, "clock", lambda: dataproc.now)
        monkeypatch.setattr(retraining, "connect", lambda template, endpoint: dataproc)

        def call(meant: datetime) -> None:
            for attempt in range(4):
                moment, ran = dataproc.now, bool(dataproc.running())
                has_model = period_of(moment.date()) in dataproc.models_of
                answer = app.test_client().post("/", headers={"X-CloudScheduler-ScheduleTime": meant.isoformat()})
                if answer.status_code == 200:
                    answered.append((moment, answer.json, ran, has_model))
                    return
                assert answer.status_code == 503
                dataproc.pass_to(dataproc.now + timedelta(minutes=2**attempt))

        def once(meant: datetime) -> None:
            dataproc.at_once = lambda: None
            call(meant)

        for comes, meant, twice in calls_of(zone, chance):
            dataproc.pass_to(comes)
            dataproc.at_once = (lambda meant=meant: once(meant)) if twice else (lambda: None)
            call(meant)
        return dataproc, answered

    return run


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Auckland"])
@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_century_each_period_has_one_training_that_succeeds(century, zone, seed):
    dataproc, answered = century(zone, seed)
    workflows = {workflow.name: workflow for workflow in dataproc.workflows}

    # never two that succeed in a period, never two at once
    succeeded = Counter(period_of(workflow.day) for workflow in dataproc.workflows if workflow.succeeds)
    assert set(succeeded.values()) == {1}
    assert all(first.end <= second.start for first, second in pairwise(dataproc.workflows))

    # a call starts a workflow if and only if its period has no model and none runs; the rhythm never shifts
    tries: dict[int, list[bool]] = {}
    for moment, answer, ran, has_model in answered:
        number = period_of(moment.date())
        start = ANCHOR + timedelta(days=28 * max(number, 0))
        end, following = start + timedelta(days=27), start + timedelta(days=28 if number >= 0 else 0)
        assert answer["period"] == {"start": f"{start}", "end": f"{end}", "number": max(number, 0) + 1}
        assert answer["nextDue"] == f"{following}"
        assert (answer["decision"] == "start") == (number >= 0 and not ran and not has_model), answer
        if answer["decision"] == "start":
            assert workflows[answer["operation"]].day == moment.date()
            assert workflows[answer["operation"]].tag.startswith(f"brigade-{start}")
        if number >= 0 and not has_model:
            tries.setdefault(number, []).append(not ran and workflows[answer["operation"]].succeeds)

    # a period has no training that succeeded only if in it no call came, or none but while another workflow ran
    # or to start one that failed
    periods = range(period_of(answered[-1][0].date()))
    assert {number for number in periods if any(tries.get(number, []))} == succeeded.keys() & set(periods)

    # and the century had enough of all that can go wrong
    outcomes = Counter(workflow.succeeds for workflow in dataproc.workflows)
    assert outcomes[False] > 300 and 0.85 < len(succeeded) / len(periods) < 1
    assert sum(ran for _, _, ran, _ in answered) > 20
    operations = Counter(answer["operation"] for _, answer, _, _ in answered if answer["decision"] == "start")
    assert sum(count > 1 for count in operations.values()) > 20
