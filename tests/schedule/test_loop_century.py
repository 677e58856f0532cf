"""A century of weekly calls through the trigger with both actions on and findings of any kind, on a simulated clock."""

import json
import logging
import random
import shutil
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from functions_framework import create_app

from brigade.schedule import retraining, trigger
from tests.schedule.test_simulation import ANCHOR, REGION, SOURCE, Dataproc, calls_of, period_of
from tests.schedule.written_findings import BETTER, DRIFT, WORSE, document

pytestmark = pytest.mark.long
FILES = ("model.json", "weights.safetensors", "golden.jsonl")
KEPT = 30  # entries of the history that are kept, since each call reads all


class World(Dataproc):
    """Dataproc, with models that are whole, and findings about the one that serves."""

    def leave_model(self, day: date) -> None:
        name, run_id = f"doc-classification-model-{day}", f"run-{day}"
        folder = self.models / name / "runs" / run_id
        folder.mkdir(parents=True)
        for file in FILES:
            (folder / file).write_text("1")
        files = [{"name": file, "size": 1, "sha256": "0" * 64} for file in FILES]
        promoted = self.chance.random() < 0.7
        manifest = {"formatVersion": 2, "runId": run_id, "createdAt": self.now.isoformat(), "files": files}
        manifest |= {"promoted": promoted, "reason": "r", "label": "l", "codeVersion": "1"}
        for place in (folder, self.models / name):
            (place / "manifest.json").write_text(json.dumps(manifest))
        for old in sorted(self.models.glob("doc-*"))[:-5]:
            shutil.rmtree(old)
        for entry in sorted(self.models.glob("history/*"))[:-KEPT]:
            entry.unlink()

    def promoted(self) -> list[dict]:
        """The name and run id of the promoted models, newest first."""
        found = []
        for path in sorted(self.models.glob("doc-*/manifest.json"), reverse=True):
            manifest = json.loads(path.read_text())
            found += [{"name": path.parent.name, "runId": manifest["runId"]}] if manifest["promoted"] else []
        return found

    def write_findings(self, folder: Path) -> None:
        """Findings of any kind, at times about another model, broken, or old."""
        shutil.rmtree(folder, ignore_errors=True)
        promoted = self.promoted()
        if not promoted or self.chance.random() < 0.1:
            return
        about = self.chance.choice([promoted[0]] * 9 + [{"name": "another", "runId": "r"}])
        former = BETTER | promoted[1] | {"servingBetter": self.chance.randrange(90)} if promoted[1:] else None
        worse = self.chance.random() < 0.5
        created = self.now - self.chance.choice((timedelta(hours=3), timedelta(hours=3), timedelta(days=7)))
        content = document(
            createdAt=created.isoformat(),
            model=about,
            labelled=self.chance.choice((10, 1000)),
            verdict="decay" if worse else self.chance.choice(("ok", "drift")),
            performance=WORSE | {"isWorse": worse},
            former=former,
            validation={"stops": self.chance.random() < 0.2, "reasons": ["r"]},
            findings=[DRIFT],
        )
        (folder / f"{created.date()}").mkdir(parents=True)
        broken = "{" if self.chance.random() < 0.03 else ""
        (folder / f"{created.date()}" / "findings.json").write_text(broken + json.dumps(content))


@pytest.mark.parametrize("seed", [1])
def test_in_a_century_with_findings_each_period_has_one_regular_training_and_one_more_at_most(
    tmp_path, monkeypatch, seed
):
    chance = random.Random(seed)
    models, findings = tmp_path / "models", tmp_path / "monitor"
    models.mkdir()
    for name, value in {
        "WORKFLOW_TEMPLATE": f"{REGION}/workflowTemplates/retrain",
        "MODELS_URI": str(models),
        "SCHEDULE_ANCHOR": f"{ANCHOR}",
        "FINDINGS_URI": str(findings),
        "EARLY_TRAINING": "on",
        "WITHDRAWAL": "on",
        "FUNCTION_TARGET": "trigger",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MONITOR_TEMPLATE", raising=False)
    for logger in ("scheduler", "brigade.models.history"):
        monkeypatch.setattr(logging.getLogger(logger), "disabled", True)
    world, client = World(chance, models), create_app("trigger", SOURCE).test_client()
    monkeypatch.setattr(trigger, "clock", lambda: world.now)
    monkeypatch.setattr(retraining, "connect", lambda template, endpoint: world)
    extras: dict[int, set[date]] = {}  # of each period; what fails may be tried again on its day
    actions: list[tuple[date, str]] = []
    for comes, meant, again in calls_of("Etc/UTC", chance):
        world.pass_to(comes)
        world.write_findings(findings)
        for look in ("", "?look=1") if again else ("",):
            before, day = len(world.workflows), world.now.date()
            answer = client.post(f"/{look}", headers={"X-CloudScheduler-ScheduleTime": meant.isoformat()})
            if answer.status_code != 200:
                assert answer.status_code == 503
                continue
            acted = answer.json["acted"]
            if acted:
                actions.append((day, acted))
            if acted == "trained early":
                extras.setdefault(period_of(day), set()).add(day)
            assert acted or not look or len(world.workflows) == before  # a look starts no regular training

    # never two workflows at once; one regular training that succeeds a period, as without findings
    assert all(first.end <= second.start for first, second in pairwise(world.workflows))
    days = set().union(*extras.values())
    succeeded = Counter(period_of(one.day) for one in world.workflows if one.succeeds and one.day not in days)
    assert set(succeeded.values()) == {1} and len(succeeded) > 1100
    # at most one more, and at least a week between two things that are done
    assert max(map(len, extras.values())) == 1 and len(extras) > 100
    assert all((later - earlier).days >= 7 for (earlier, _), (later, _) in pairwise(actions) if earlier != later)
    assert Counter(acted for _, acted in actions)["withdrawn"] > 30
    assert world.promoted(), "the loop never takes the last model away"
