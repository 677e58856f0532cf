"""The whole way through, on one machine: publish → land → convert → train → serve → monitor, and what became of every
message.

    python -m local.demo                                   generated business documents
    python -m local.demo --drift=language                  … that change after the training
    python -m local.demo --data=FILE --text=title+body     your own CSV, JSON lines or Parquet, or a folder of them
    python -m local.demo --pipeline=wine --data=FILE       rows of a table, as a pipeline's definition says

Your own data are looked through before anything starts. Every stage is the real program. The run adds up, or it
fails and says which number is off. It ends with a table, and the same as JSON in .local/demo.json.
"""

import argparse
import fcntl
import json
import logging
import shutil
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from brigade.errors import WrongInput
from brigade.events.contract import DOCUMENTS
from brigade.pipelines.definition import Definition
from brigade.pipelines.load import load
from brigade.schedule.refusals import Refusal, asking
from local import demo_result, emulators, plan, spark_jobs, workflow_templates
from local.demo_arguments import parse_arguments
from local.demo_drift import possible, spoil, told
from local.demo_newest import hold_out_newest, predict_newest
from local.demo_progress import Clock, Failed, driver_output, publish, wait_for
from local.demo_serving import Known, serve, some_unseen
from local.demo_watched import watch, watched_in_words
from local.services import CODE_BUCKET, INPUT_BUCKET, PROJECT, REGION, ROOT, SUBSCRIPTION, TEMPLATE, Services

log = logging.getLogger("demo")


# ------------------------------------------------------------------------------------------------- publish, land


class LineCount:
    """Counts the lines of the objects below a prefix; each object is read once, since none of them changes."""

    def __init__(self, client, bucket: str, prefix: str):
        self.bucket, self.prefix = client.bucket(bucket), prefix
        self.lines: dict[str, int] = {}

    def __call__(self) -> int:
        for blob in self.bucket.list_blobs(prefix=self.prefix):
            if blob.name not in self.lines and "/." not in blob.name:  # hidden: a file that has no name yet
                self.lines[blob.name] = blob.download_as_bytes().count(b"\n")
        return sum(self.lines.values())


def dead_letter_reasons(client) -> Counter:
    """How many dead letters there are of each reason."""
    found: Counter = Counter()
    for blob in client.list_blobs(INPUT_BUCKET, prefix="dead_letter/"):
        found.update(json.loads(line)["reason"] for line in blob.download_as_bytes().splitlines())
    return found


def land(
    clock: Clock,
    services: Services,
    source: list[str],
    unseen: Path,
    hold_out: float | None,
    pipeline: list[str],
    client,
) -> dict:
    """Starts the streaming job, publishes, and waits until every message is in a file. Then ends the job.

    source, pipeline: the publisher's flags, and those of both programs that say what the events are. unseen: a file of
    those that are held out; hold_out: which share of them it shall be, None if the file is there already.
    """
    services.start(
        "pubsub_gcs",
        [
            sys.executable,
            "pubsub_gcs.py",
            f"--project={PROJECT}",
            f"--region={REGION}",
            "--runner=DirectRunner",
        ]
        + [f"--input_subscription={SUBSCRIPTION}", f"--output_path=gs://{INPUT_BUCKET}/input"]
        + ["--window_size=0.05", "--num_shards=1", f"--temp_location=gs://{INPUT_BUCKET}/temp", *pipeline],
    )
    flags = [] if hold_out is None else [f"--hold_out={hold_out}", f"--hold_out_file={unseen}"]
    sent = publish(services, *source, *pipeline, *flags)
    held_out = unseen.read_bytes().count(b"\n")
    clock.say(f"{sent['published']:,} messages published, {held_out:,} held out")
    if not sent["published"]:
        raise Failed("expected documents or rows, found none")
    if not held_out:
        raise Failed("too few to hold some of them out; use a larger file")
    landed, dead = LineCount(client, INPUT_BUCKET, "input/"), LineCount(client, INPUT_BUCKET, "dead_letter/")
    wait_for(clock, sent["published"], lambda: landed() + dead(), "messages in files", services, "pubsub_gcs")
    services.stop("pubsub_gcs")
    return {
        "published": sent["published"],
        "landed": landed(),
        "dead_lettered": dead(),
        "reasons": dict(dead_letter_reasons(client).most_common()),
        "held_out": held_out,
    }


# ------------------------------------------------------------------------------------------------ convert, train


def dataproc_clients(services: Services) -> tuple:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import dataproc

    settings = {
        "transport": "rest",
        "credentials": AnonymousCredentials(),
        "client_options": {"api_endpoint": services.environment["DATAPROC_API_ENDPOINT"]},
    }
    return dataproc.WorkflowTemplateServiceClient(**settings), dataproc.JobControllerClient(**settings)


def retrain(clock: Clock, services: Services, changed: dict[str, str], client) -> dict[str, dict]:
    """Imports the workflow template and runs it; gives the summary of each of its jobs, by step.

    changed: the parameters whose value is not the template's own.
    """
    import yaml
    from google.cloud import dataproc
    from google.protobuf import json_format

    templates, jobs = dataproc_clients(services)
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))
    message = dataproc.WorkflowTemplate()
    json_format.ParseDict(template | {"id": TEMPLATE.rsplit("/", 1)[1]}, message._pb)
    templates.create_workflow_template(parent=f"projects/{PROJECT}/regions/{REGION}", template=message)
    parameters = workflow_templates.own_values(message._pb) | changed
    operation = templates.instantiate_workflow_template(name=TEMPLATE, parameters=parameters)
    states: dict[str, str] = {}
    while not operation.done():
        report(clock, states, operation.metadata)
        time.sleep(0.3)
    report(clock, states, operation.metadata)
    summaries = {}
    for node in operation.metadata.graph.nodes:
        if node.job_id:
            job = jobs.get_job(project_id=PROJECT, region=REGION, job_id=node.job_id)
            summaries[node.step_id] = driver_output(client, job.driver_output_resource_uri)
    failed = operation.exception()
    if failed:
        steps = [node.step_id for node in operation.metadata.graph.nodes if node.job_id and node.error]
        said = spark_jobs.last_words("\n".join(line for step in steps for line in summaries[step].get("output", [])))
        raise Failed(f"{' and '.join(steps) or 'the workflow'} failed: {said or failed}; see {services.folder}/jobs")
    for step, summary in summaries.items():
        if "output" in summary:
            raise Failed(f"{step} ended without a summary; see {services.folder}/jobs")
    return summaries


def report(clock: Clock, states: dict[str, str], metadata) -> None:
    """A progress line for each step whose state has changed."""
    for node in metadata.graph.nodes:
        if states.get(node.step_id) != node.state.name:
            states[node.step_id] = node.state.name
            clock.say(f"{node.step_id}: {node.state.name.lower()}")


# ------------------------------------------------------------------------------------------------------ the run


def definition_of(arguments: argparse.Namespace) -> Definition | None:
    """The pipeline's definition; None for documents. Raises Failed."""
    if arguments.pipeline is None:
        return None
    try:
        found = load(arguments.pipeline)
    except WrongInput as problem:
        raise Failed(str(problem)) from None
    return None if found.contract == DOCUMENTS else found


def workflow_values(services: Services, arguments: argparse.Namespace, definition: Definition | None) -> dict[str, str]:
    """The template's parameters for the pipeline. A definition's file goes where the cluster finds it."""
    if definition is None:
        return {}
    named = Path(arguments.pipeline)
    if named.suffix:
        from google.cloud import storage

        name = f"pipelines/{definition.name}{named.suffix}"
        storage.Client(project=PROJECT).bucket(CODE_BUCKET).blob(name).upload_from_filename(named)
        return {"PIPELINE": f"gs://{CODE_BUCKET}/{name}"}
    return {"PIPELINE": arguments.pipeline}


def run(arguments: argparse.Namespace, folder: Path) -> dict:
    clock, definition = Clock(), definition_of(arguments)
    if arguments.drift and arguments.drift not in (faults := possible(definition)):
        raise Failed(f"DRIFT: expected {' or '.join(faults) or 'none'} with this pipeline, found {arguments.drift}")
    source = [f"--generate={arguments.generate}", f"--seed={arguments.seed}"]
    pipeline = [f"--pipeline={arguments.pipeline}"] if definition else []
    if arguments.data:
        with clock.stage("look"):
            source = own_data(clock, arguments, definition)
    with Services(folder) as services:
        if definition:
            services.environment["MODEL_PREFIX"] = definition.model_prefix
        with clock.stage("start"):
            services.start_emulators()
            services.create_resources()
        from google.cloud import storage

        client = storage.Client(project=PROJECT)
        unseen, hold_out = services.folder / "unseen.jsonl", arguments.hold_out
        looks_back = definition is not None and bool(definition.model.query)
        with clock.stage("land"):
            if looks_back:
                flags, hold_out = [*source, *pipeline], None
                flags += [] if arguments.data else ["--malformed=0"]  # which no file of rows can hold
                source = [str(hold_out_newest(services, flags, Known(definition), arguments.hold_out, unseen))]
            result = land(clock, services, source, unseen, hold_out, pipeline, client)
        values = workflow_values(services, arguments, definition)
        with clock.stage("retrain"), asking("Dataproc", TEMPLATE, f"see {services.log('control-plane')}"):
            summaries = retrain(clock, services, values, client)
        if looks_back:
            with clock.stage("predict"):
                result |= predict_newest(clock, services, unseen, client, Known(definition), values["PIPELINE"])
        if arguments.drift:
            spoil(unseen, arguments.drift, definition)
            clock.say(told(arguments.drift, definition))
        known = Known(definition)
        events = some_unseen(unseen, arguments.sample, known)
        with ThreadPoolExecutor(1) as beside:
            look = None
            if events and not looks_back:  # a few events at the end of many have no features of their own
                first = min(map(known.day_of, events))
                look = beside.submit(watch, services, unseen, client, values.get("PIPELINE"), first)
            with clock.stage("serve"):
                result |= serve(clock, services, events, unseen, arguments.rate, pipeline, definition)
            if look:
                with clock.stage("monitor"):
                    result |= look.result()
                    clock.say(watched_in_words(result))
        result |= {name: summaries[name] for name in ("convert", "train")}
        clock.seconds["all"] = round(time.monotonic() - clock.started, 1)
        result["seconds"] = clock.seconds | {name: summaries[name]["seconds"] for name in summaries}
        wrong = demo_result.off(result)
        public = demo_result.public(result) | {"adds_up": not wrong}
        (folder.parent / "demo.json").write_text(json.dumps(public, indent=1) + "\n")
        if wrong:
            raise Failed("; ".join(wrong))
        print(demo_result.table(result, services.folder))
        return public


def own_data(clock: Clock, arguments: argparse.Namespace, definition: Definition | None) -> list[str]:
    """Looks through the user's data, and gives the publisher's arguments for them. Raises Failed."""
    names = ("encoding", "delimiter") if definition else ("text", "label", "encoding", "delimiter")
    form = {name: getattr(arguments, name) for name in names}
    try:
        found = plan.look([arguments.data], **form, definition=definition)
    except plan.Unfit as problem:
        raise Failed(str(problem)) from None
    for line in found.lines():
        clock.say(line)
    return [arguments.data, *(f"--{name}={value}" for name, value in form.items() if value is not None)]


def stop(signal_number, frame):
    raise SystemExit(128 + signal_number)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    folder = arguments.state.absolute() / "demo"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "demo.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("demo: another demo runs in this folder; wait for its end", file=sys.stderr)
            return 1
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder.parent / "demo.json").unlink(missing_ok=True)
        try:
            run(arguments, folder)
        except (Failed, Refusal, RuntimeError, emulators.Missing) as problem:
            print(f"demo: {problem}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
