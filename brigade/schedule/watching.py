"""What the trigger does with the monitoring: starts it, reads what it found, and does what `loop` decides.

It comes after the regular training and never stands in its way: findings that cannot be read hold back the two things
that follow from findings, and nothing else.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from google.cloud.dataproc_v1 import WorkflowTemplateServiceClient

from brigade.errors import one_line
from brigade.models.decisions import Promoted, Refused, decide
from brigade.models.history import EARLY, LOOP, read_history, record
from brigade.models.manifest import PassedOver, model_dates, model_name
from brigade.schedule.decision import Decision
from brigade.schedule.findings import FINDINGS_FILE, Findings, WrongFindings, newest_findings
from brigade.schedule.loop import Models, Verdict, early_training, obstacle, withdrawal
from brigade.schedule.settings import Environment
from brigade.schedule.workflow_client import get_template, start_workflow
from brigade.storage import ChangedMeanwhile, folder_at

log = logging.getLogger("scheduler")

WITHDRAWN = "withdrawn"
WAITS = "the regular training comes first, or a workflow is running"


@dataclass(frozen=True)
class Watched:
    """What findings have led to. acted: EARLY, WITHDRAWN or None. about: the members of the trigger's answer."""

    acted: str | None
    reason: str
    about: dict


def watch(environment: Environment, now: datetime, decision: Decision, is_free: bool, dry_run: bool) -> Watched:
    """Reads the newest findings, decides, and withdraws or notes the training that is to start now; starting it is the
    caller's. is_free: whether no workflow runs and no regular training is due."""
    findings, problem = find(environment, now)
    models = known_models(environment) if findings else Models(None, None, ())
    early = early_training(now, decision.period, findings, models)
    back = withdrawal(now, findings, models)
    acted, reason = None, ""
    may = is_free and not dry_run
    if back.would and may and environment.withdrawal == "on":  # the quicker and the surer of the two comes first
        refusal = withdraw(environment, now, findings, models, back)
        back = Verdict(not refusal, f"{back.reason}; but {refusal}" if refusal else back.reason, back.figures)
        if not refusal:
            acted, reason = WITHDRAWN, back.reason
    if early.would and may and environment.early_training == "on" and not acted:
        note_early(environment, now, decision, models, early)
        acted, reason = EARLY, f"ahead of time: {early.reason}"
    about: dict = {
        "findings": told(findings, problem, now, models),
        "acted": acted,
        "earlyTraining": outcome(early, environment.early_training, acted == EARLY, is_free),
        "withdrawal": outcome(back, environment.withdrawal, acted == WITHDRAWN, is_free),
    }
    for name in ("earlyTraining", "withdrawal"):
        if about[name]["would"]:
            log.info("%s: %s", name, about[name])
    return Watched(acted, reason, about)


def outcome(verdict: Verdict, mode: str, done: bool, is_free: bool) -> dict:
    """What has become of a verdict, as the trigger's answer has it."""
    waits = verdict.would and not is_free
    would = verdict.would and is_free and mode != "off"
    reason = f"{verdict.reason}; but {WAITS}" if waits else verdict.reason
    return {"mode": mode, "would": would, "done": done, "reason": reason, "figures": verdict.figures}


def find(environment: Environment, now: datetime) -> tuple[Findings | None, str]:
    """The newest findings, and why there are none that can be used."""
    try:
        findings = newest_findings(folder_at(environment.findings_uri), environment.model_prefix, now)
    except WrongFindings as problem:
        log.warning("the newest findings cannot be used: %s", problem)
        return None, str(problem)
    return findings, "" if findings else "no findings of late"


def known_models(environment: Environment) -> Models:
    """What storage says of the models."""
    folder, prefix = folder_at(environment.models_uri), environment.model_prefix
    store = Promoted(folder, prefix)
    whole = store.whole(store.candidates())
    serving, former = ((one.name, one.manifest.run_id) if (one := next(whole, None)) else None for _ in range(2))
    return Models(serving, former, model_dates(folder, prefix=prefix), read_history(folder, prefix))


def withdraw(
    environment: Environment, now: datetime, findings: Findings | None, models: Models, verdict: Verdict
) -> str:
    """Withdraws the model that serves, as `python -m brigade.models withdraw` does. Returns why not, or ""."""
    if findings is None or models.serving is None:
        return "nothing serves"
    store = Promoted(folder_at(environment.models_uri), environment.model_prefix)
    name, run_id = models.serving
    reason, figures = f"the loop: {verdict.reason}", verdict.figures
    try:
        done = decide(store, name, run_id, False, reason, never, by=LOOP, then=models.former, figures=figures, at=now)
    except (Refused, ChangedMeanwhile, PassedOver) as problem:
        return one_line(problem)
    return "" if done["changed"] else "somebody else has just withdrawn it"


def never(name: str, manifest: object) -> None:
    """In place of what verifies a model before its promotion: the loop promotes none."""
    raise Refused(f"{name}: expected the gate or an operator to promote it, found the loop")


def note_early(environment: Environment, now: datetime, decision: Decision, models: Models, verdict: Verdict) -> None:
    """Adds the training that starts now to the history, once a day. Before it starts: one that nobody knows of could be
    followed by another one."""
    name = model_name(environment.model_prefix, decision.day)
    if not any(one["what"] == EARLY and one["model"] == name for one in models.entries):
        record(folder_at(environment.models_uri), EARLY, LOOP, name, "", verdict.reason, verdict.figures, now)


def told(findings: Findings | None, problem: str, now: datetime, models: Models) -> dict:
    """The findings as the trigger's answer has them. `isCurrent`: whether they are about the model that serves now."""
    if findings is None:
        return {"isCurrent": False, "problem": problem}
    stale = obstacle(now, findings, Models(models.serving, models.former, ()))
    about: dict = {"isCurrent": not stale, "problem": stale or None, "model": findings.run[0], "runId": findings.run[1]}
    return about | findings.figures() | {"found": [one.about() for one in findings.findings]}


def start_monitoring(
    client: WorkflowTemplateServiceClient, environment: Environment, now: datetime, is_free: bool, dry_run: bool
) -> dict:
    """Starts the monitoring's workflow once a day unless another workflow runs: two conversions at once would be in
    each other's way. Returns {"decision": "start" or "skip", "reason", "operation"}. Raises TemplateError and Refusal.
    """
    template, day = environment.monitor_template, now.astimezone(UTC).date()
    if not is_free:
        return {"decision": "skip", "reason": "a training starts, or a workflow is running", "operation": None}
    if environment.findings_uri and FINDINGS_FILE in folder_at(environment.findings_uri).files(f"{day}"):
        return {"decision": "skip", "reason": f"there are findings of {day}", "operation": None}
    version, parameters = get_template(client, template)
    operation = None
    if not dry_run:
        operation = start_workflow(client, template, version, parameters, f"brigade-monitor-{day}")
    return {"decision": "start", "reason": "the weekly look", "operation": operation}
