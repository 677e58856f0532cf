"""Publishes documents and watches them come back classified.

    make gcp-demo PROJECT=P

Without a model that serves it publishes labelled documents first, waits until they have landed, and starts a training
as Cloud Scheduler does. Then it publishes documents that no model has seen, and waits for each of them. It uses what
every user of the pipeline has: publisher.py, the scheduler's job, a subscription.

It acknowledges its own classified documents only; others stay in the subscription.
"""

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from gcp import preflight
from gcp.answers import Answers, PublicationTimes, table
from gcp.commands import (
    DEFAULT_PIPELINE,
    ROOT,
    Failed,
    Terraform,
    ask,
    ask_json,
    check_home,
    finish,
    named,
    needed,
    parse,
    parser,
    python,
    say,
)

OUTPUTS = ("region", "topic", "classified_subscription", "input_bucket", "output_bucket", "scheduler_job")
TEACHING, TEACHING_SEED = 2000, 1
UNSEEN = 40
POLL_SECONDS = 5.0
SAID_SECONDS = 60.0
LAND_SECONDS = 900.0  # a file closes after two minutes; the machines of a new job need some more
TRAIN_SECONDS = 3600.0  # of which a cluster takes three minutes to come and two to go
STARTED_SECONDS = 600.0
DOCUMENTS = ROOT / ".local" / "gcp-demo.jsonl"


class Demo:
    """What the steps share: the project, and Terraform's outputs."""

    def __init__(self, terraform: Terraform, outputs: dict, classified_seconds: float):
        self.project, self.prefix, self.settings = terraform.project, terraform.prefix, terraform.settings
        self.classified_seconds = classified_seconds
        self.region, self.topic, subscription, self.input_bucket, self.output_bucket, self.scheduler_job = needed(
            outputs, OUTPUTS, terraform
        )
        self.subscription = f"projects/{self.project}/subscriptions/{subscription.rsplit('/', 1)[-1]}"
        self.models = f"gs://{self.output_bucket}/output/"

    def publish(self, *flags: str) -> dict:
        """Runs publisher.py; returns its summary. Raises Failed."""
        return json.loads(ask(python("publisher.py", *flags, f"--topic={self.topic}"), errors=None).splitlines()[-1])

    def serving_model(self) -> dict | None:
        """The row of the model that serves, as `python -m brigade.models list` says it, or None. Raises Failed."""
        try:
            found = json.loads(ask(python("-m", "brigade.models", "list", self.models, "--json")))
        except Failed as problem:
            if "found none" in str(problem):
                return None
            raise
        return next((row for row in found["models"] if row["state"] == "serving"), None)

    def jobs(self) -> dict[str, str]:
        """{id of a job of the workflow: its state}. Raises Failed."""
        command = ["gcloud", "dataproc", "jobs", "list", f"--project={self.project}", f"--region={self.region}"]
        listed = ask_json([*command, "--format=json"]) or []
        return {job["reference"]["jobId"]: job["status"]["state"] for job in listed}


# ---------------------------------------------------------------------------------------------------- the first model


class Landed:
    """Counts the lines of the files that have come since it was made; each is read once, since none of them changes."""

    def __init__(self, demo: Demo):
        from google.cloud import storage

        self.bucket = storage.Client(project=demo.project).bucket(demo.input_bucket)
        self.lines = {blob.name: 0 for blob in self.files()}

    def files(self) -> list:
        found = [blob for prefix in ("input/", "dead_letter/") for blob in self.bucket.list_blobs(prefix=prefix)]
        # A hidden name is that of a file which is not whole yet.
        return [blob for blob in found if "/." not in blob.name and ".jsonl" in blob.name]

    def __call__(self) -> int:
        for blob in self.files():
            if blob.name not in self.lines:
                self.lines[blob.name] = blob.download_as_bytes().count(b"\n")
        return sum(self.lines.values())


def teach(demo: Demo) -> dict:
    """Publishes labelled documents, waits until they have landed, trains; returns the model that serves then."""
    say(f"no model serves yet: {TEACHING:,} labelled documents are published, landed and learned first")
    landed = Landed(demo)
    sent = demo.publish(f"--generate={TEACHING}", f"--seed={TEACHING_SEED}", "--copies=0", "--malformed=0")
    wait_for(
        lambda: f"{landed():,} of {sent['published']:,} messages landed" if landed() < sent["published"] else None,
        LAND_SECONDS,
        f"expected {sent['published']:,} messages in gs://{demo.input_bucket}/input/ within {LAND_SECONDS:g} s; does "
        f"landing run? make gcp-landing {demo.settings}",
    )
    say(f"{landed():,} messages landed in gs://{demo.input_bucket}/")
    before = demo.jobs()
    ask(
        ["gcloud", "scheduler", "jobs", "run", demo.scheduler_job]
        + [f"--project={demo.project}", f"--location={demo.region}"]
    )
    return wait_for_model(demo, before)


def wait_for_model(demo: Demo, before: dict[str, str]) -> dict:
    """The model, once it serves. Raises Failed when the workflow's jobs fail, or none begins."""
    started = time.monotonic()
    trigger = named("retrain-trigger", demo.prefix)
    log = f"gcloud functions logs read {trigger} --gen2 --project={demo.project} --region={demo.region}"
    states: dict[str, str] = {}
    while time.monotonic() < started + TRAIN_SECONDS:
        for job, state in demo.jobs().items():
            if job in before or states.get(job) == state:
                continue
            states[job] = state
            say(f"  {job}: {state.lower()} after {time.monotonic() - started:.0f} s")
            if state in ("ERROR", "CANCELLED"):
                raise Failed(
                    f"{job} ended with {state}; see why: "
                    f"gcloud dataproc jobs wait {job} --project={demo.project} --region={demo.region}"
                )
        if set(states.values()) == {"DONE"} and (model := demo.serving_model()):
            say(f"{model['model']} serves, accuracy {model['accuracy']}, after {time.monotonic() - started:.0f} s")
            return model
        if not states and time.monotonic() > started + STARTED_SECONDS:
            raise Failed(
                f"expected a training within {STARTED_SECONDS:g} s, found no job; the trigger starts none while the "
                f"four weeks have a model already, promoted or not, or a workflow runs; see what it said: {log}"
            )
        time.sleep(POLL_SECONDS)
    raise Failed(f"expected a promoted model in {demo.models} within {TRAIN_SECONDS:g} s, found none; see {log}")


def wait_for(progress, seconds: float, problem: str) -> None:
    """Returns when `progress()` gives None; says what it gives once a minute. Raises Failed after so many seconds."""
    end, said = time.monotonic() + seconds, 0.0
    while text := progress():
        if time.monotonic() > end:
            raise Failed(f"{problem} ({text})")
        if time.monotonic() > said + SAID_SECONDS or not said:
            say(f"  {text}")
            said = time.monotonic()
        time.sleep(POLL_SECONDS)


# ------------------------------------------------------------------------------------------------ documents come back


def classify(demo: Demo, seed: int) -> dict:
    """Publishes unseen documents, waits for their classification, shows the table; returns the sums."""
    DOCUMENTS.parent.mkdir(exist_ok=True)
    generate = [f"--generate={UNSEEN}", f"--seed={seed}", "--copies=0", "--malformed=0", "--dry_run"]
    DOCUMENTS.write_text(ask(python("publisher.py", *generate)), "utf-8")
    events = [json.loads(line) for line in DOCUMENTS.read_text("utf-8").splitlines()]
    labels = {event["eventId"]: event["doc"]["metadata"]["superTag01"] for event in events}
    with PublicationTimes(demo.project, demo.topic, labels) as times, Answers(demo.subscription, labels) as answers:
        shown = DOCUMENTS.relative_to(ROOT) if DOCUMENTS.is_relative_to(ROOT) else DOCUMENTS
        published = demo.publish(str(shown))["published"]
        end = time.monotonic() + demo.classified_seconds
        said = time.monotonic()
        while (len(answers.found) < published or len(times.found) < published) and time.monotonic() < end:
            answers.pull()
            times.pull()
            if time.monotonic() > said + SAID_SECONDS:
                say(f"  {len(answers.found)} of {published} documents classified")
                said = time.monotonic()
    rows, agreed = table(events, answers.found, times.found)
    say()
    for row in rows:
        say(row)
    missing = published - len(answers.found)
    others = len(answers.others)
    say()
    say(f"{published} published = {len(answers.found)} classified + {missing} missing")
    say(f"{len(answers.found)} classified = {agreed} with their own label + {len(answers.found) - agreed} with another")
    if others:
        say(f"{others} classified documents of others were seen and left in {demo.subscription}")
    summary = {"published": published, "classified": len(answers.found), "missing": missing, "agreed": agreed}
    return summary | {"others": others, "models": sorted({one["model"] for one in answers.found.values()})}


def where_to_look(demo: Demo) -> None:
    flags = f"--project={demo.project} --region={demo.region}"
    say("look first at")
    classify = named("classify", demo.prefix)
    say(f"  the function's log      gcloud functions logs read {classify} --gen2 {flags} --limit=20")
    pull = f"gcloud pubsub subscriptions pull {named('sub-brigade-dead-letter', demo.prefix)} --limit=5"
    say(f"  what it could not read  {pull} --project={demo.project}")
    say(f"  which model serves      python -m brigade.models list {demo.models}")


def run(project: str, region: str, prefix: str, seconds: float, seed: int) -> dict:
    preflight.require_tools()
    terraform = Terraform(project, prefix)
    outputs = terraform.outputs()
    check_home(outputs, project, str(outputs.get("region") or region))
    if (found := outputs.get("pipeline", DEFAULT_PIPELINE)) != DEFAULT_PIPELINE:
        raise Failed(
            f"expected the pipeline {DEFAULT_PIPELINE}, of which the demo has events, found {found}; publish your own: "
            f"python publisher.py --pipeline={found} FILE --topic={outputs.get('topic')}"
        )
    demo = Demo(terraform, outputs, seconds)
    model = demo.serving_model()
    trained = model is None
    if model:
        say(f"{model['model']} serves")
    else:
        model = teach(demo)
    summary = classify(demo, seed)
    if summary["missing"]:
        where_to_look(demo)
    return {"ok": not summary["missing"], "project": project, "trained": trained} | summary


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser("gcp.demo", __doc__)
    arguments.add_argument("--seconds", type=float, default=900, help="for the classification (default: 900)")
    arguments.add_argument("--seed", type=int, help="which documents (default: others each time)")
    flags = parse(arguments, argv)
    if not flags.project:
        return preflight.without_project("gcp-demo")
    seed = int(datetime.now().timestamp()) if flags.seed is None else flags.seed
    where = (flags.project, flags.region, flags.prefix)
    return finish(lambda: run(*where, flags.seconds, seed), flags.json, "gcp-demo")


if __name__ == "__main__":
    sys.exit(main())
