"""The whole way through, on one machine: publish → land → convert → train → serve, and what became of every message.

    python -m local.demo                                   generated business documents
    python -m local.demo --docs=FILE --text=title+body     your own CSV, JSON lines or Parquet, or a folder of them

Your own documents are looked through before anything starts. Every stage is the real program. The run adds up, or it
fails and says which number is off. It ends with a table, and the same as JSON in .local/demo.json.
"""

import argparse
import fcntl
import json
import logging
import math
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from brigade.events.labels import label_of
from brigade.schedule.refusals import Refusal, asking
from local import demo_result, emulators, plan, spark_jobs, workflow_templates
from local.demo_arguments import parse_arguments
from local.services import (
    DEAD_LETTER_TOPIC,
    INPUT_BUCKET,
    PROJECT,
    REGION,
    RESULT_TOPIC,
    ROOT,
    SUBSCRIPTION,
    TEMPLATE,
    TOPIC,
    Services,
    wait_until_ready,
)

log = logging.getLogger("demo")

RESULTS = f"projects/{PROJECT}/subscriptions/demo-classified"
SENT = f"projects/{PROJECT}/subscriptions/demo-sent"
POISON = f"projects/{PROJECT}/subscriptions/demo-poison"
STALLED_SECONDS = 120  # a stage that makes no progress for so long has failed


class Failed(Exception):
    """A stage failed, or a number is off; the message says which and where to look."""


class Clock:
    """Seconds by stage, and the progress lines."""

    def __init__(self):
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.stage_name = ""

    @contextmanager
    def stage(self, name: str):
        began, self.stage_name = time.monotonic(), name
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.say(f"done in {self.seconds[name]} s")

    def say(self, text: str) -> None:
        print(
            f"[{time.monotonic() - self.started:6.1f} s] {self.stage_name:<8} {text}",
            file=sys.stderr,
            flush=True,
        )


def wait_for(clock: Clock, wanted: int, count: Callable[[], int], what: str, services: Services, process: str) -> int:
    """Waits until `count()` reaches what is wanted. Raises Failed when it stalls or the working process ends."""
    found, moved, said = -1, time.monotonic(), 0.0
    while True:
        now = count()
        if now != found:
            found, moved = now, time.monotonic()
        if found >= wanted:
            clock.say(f"{found:,} of {wanted:,} {what}")
            return found
        if services.processes[process].poll() is not None:
            raise Failed(f"{process} ended after {found:,} of {wanted:,} {what}; see {services.log(process)}")
        if time.monotonic() - moved > STALLED_SECONDS:
            raise Failed(f"no progress for {STALLED_SECONDS} s: {found:,} of {wanted:,} {what}; see {services.logs}")
        if time.monotonic() - said > 5:
            clock.say(f"{found:,} of {wanted:,} {what}")
            said = time.monotonic()
        time.sleep(0.25)


# ------------------------------------------------------------------------------------------------- publish, land


def publish(services: Services, *arguments: str) -> dict:
    """Runs publisher.py to its end; gives its summary."""
    with open(services.log("publisher"), "ab") as errors:
        done = subprocess.run(
            [sys.executable, "publisher.py", *arguments, f"--topic={TOPIC}"],
            env=services.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    if done.returncode:
        last = services.log("publisher").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise Failed(f"publisher.py ended with status {done.returncode}: {''.join(last)}")
    return json.loads(done.stdout.splitlines()[-1])


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


def land(clock: Clock, services: Services, source: list[str], hold_out: float, client) -> dict:
    """Starts the streaming job, publishes, and waits until every message is in a file. Then ends the job."""
    unseen = services.folder / "unseen.jsonl"
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
        + ["--window_size=0.05", "--num_shards=1", f"--temp_location=gs://{INPUT_BUCKET}/temp"],
    )
    sent = publish(services, *source, f"--hold_out={hold_out}", f"--hold_out_file={unseen}")
    clock.say(f"{sent['published']:,} messages published, {sent['held_out']:,} documents held out")
    if not sent["published"]:
        raise Failed("expected documents, found none; see the file and --text")
    if not sent["held_out"]:
        raise Failed(f"too few documents to hold {hold_out:.0%} of them out; use a larger file")
    landed, dead = LineCount(client, INPUT_BUCKET, "input/"), LineCount(client, INPUT_BUCKET, "dead_letter/")
    wait_for(clock, sent["published"], lambda: landed() + dead(), "messages in files", services, "pubsub_gcs")
    services.stop("pubsub_gcs")
    return {
        "published": sent["published"],
        "landed": landed(),
        "dead_lettered": dead(),
        "reasons": dict(dead_letter_reasons(client).most_common()),
        "held_out": sent["held_out"],
        "unseen_file": unseen,
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


def retrain(clock: Clock, services: Services, client) -> dict[str, dict]:
    """Imports the workflow template and runs it; gives the summary of each of its jobs, by step."""
    import yaml
    from google.cloud import dataproc
    from google.protobuf import json_format

    templates, jobs = dataproc_clients(services)
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))
    message = dataproc.WorkflowTemplate()
    json_format.ParseDict(template | {"id": TEMPLATE.rsplit("/", 1)[1]}, message._pb)
    templates.create_workflow_template(parent=f"projects/{PROJECT}/regions/{REGION}", template=message)
    parameters = workflow_templates.own_values(message._pb)
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


def driver_output(client, uri: str) -> dict:
    """The summary that a job printed, or {"output": its lines} when there is none."""
    bucket, prefix = uri.removeprefix("gs://").split("/", 1)
    blobs = sorted(client.list_blobs(bucket, prefix=prefix), key=lambda blob: blob.name)
    lines = b"".join(blob.download_as_bytes() for blob in blobs).decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if line.startswith("{"):
            return json.loads(line)
    return {"output": [line for line in lines if line.strip()]}


# --------------------------------------------------------------------------------------------------------- serve


def some_unseen(file: Path, most: int) -> list[dict]:
    """Up to `most` events of the file, by their ids, so that those of all classes have the same chance. The file then
    holds these alone."""
    lines = {json.loads(line)["eventId"]: line for line in file.read_text("utf-8").splitlines()}
    chosen = [lines[name] for name in sorted(lines)[:most]]
    file.write_text("".join(f"{line}\n" for line in chosen), "utf-8")
    return [json.loads(line) for line in chosen]


def serve(clock: Clock, services: Services, unseen_file: Path, rate: float, most: int) -> dict:
    """Publishes held-out documents to the pushed function, and compares what comes back with their labels."""
    events = some_unseen(unseen_file, most)
    labels = {event["eventId"]: label_of(event, "superTag01") for event in events}
    with emulators.subscriber_client() as subscriber:
        for name, topic in ((RESULTS, RESULT_TOPIC), (SENT, TOPIC), (POISON, DEAD_LETTER_TOPIC)):
            subscriber.create_subscription(name=name, topic=topic)
        ready = wait_until_ready(f"http://127.0.0.1:{services.start_function('predict')}/model")
        clock.say(f"function serves {ready['name']}")
        services.push_to(services.start_function("classify"))
        clock.say(f"{len(events):,} unseen documents are published, {rate:g} a second")
        results, times = Inbox(subscriber, RESULTS), Inbox(subscriber, SENT)
        poison = Inbox(subscriber, POISON)
        with ThreadPoolExecutor(1) as beside:
            sent = beside.submit(publish, services, str(unseen_file), f"--rate={rate}")

            def classified() -> int:
                if sent.done():
                    sent.result()  # raises what publishing has raised
                return results.pull() + poison.pull()

            wait_for(clock, len(labels), classified, "classified", services, "classify")
        wait_for(clock, len(labels), times.pull, "times of publication", services, "classify")
    answers = {key: json.loads(message.data)["classification"] for key, message in results.messages.items()}
    waits = sorted(
        (message.publish_time - times.messages[key].publish_time).total_seconds() * 1000
        for key, message in results.messages.items()
    )
    known = [key for key in answers if labels[key] is not None]
    right = sum(answers[key]["label"] == labels[key] for key in known)
    return {
        "unseen": len(labels),
        "classified": len(answers),
        "accuracy": round(right / len(known), 4) if known else None,
        "p50_ms": round(statistics.median(waits), 1) if waits else None,
        "p99_ms": round(waits[math.ceil(len(waits) * 0.99) - 1], 1) if waits else None,
        "models": sorted({f"{answer['model']}/{answer['runId']}" for answer in answers.values()}),
    }


class Inbox:
    """A subscription's messages, one for each eventId; Pub/Sub may bring one twice."""

    def __init__(self, subscriber, subscription: str):
        self.subscriber, self.subscription = subscriber, subscription
        self.messages: dict[str, object] = {}

    def pull(self) -> int:
        for message in emulators.pull(self.subscriber, self.subscription):
            key = message.attributes.get("eventId") or json.loads(message.data)["eventId"]
            self.messages.setdefault(key, message)
        return len(self.messages)


def run(arguments: argparse.Namespace, folder: Path) -> dict:
    clock = Clock()
    source = [f"--generate={arguments.generate}", f"--seed={arguments.seed}"]
    if arguments.docs:
        with clock.stage("look"):
            source = own_documents(clock, arguments)
    with Services(folder) as services:
        with clock.stage("start"):
            services.start_emulators()
            services.create_resources()
        from google.cloud import storage

        client = storage.Client(project=PROJECT)
        with clock.stage("land"):
            result = land(clock, services, source, arguments.hold_out, client)
        with clock.stage("retrain"), asking("Dataproc", TEMPLATE, f"see {services.log('control-plane')}"):
            summaries = retrain(clock, services, client)
        with clock.stage("serve"):
            result |= serve(clock, services, result.pop("unseen_file"), arguments.rate, arguments.sample)
        result |= {name: summaries[name] for name in ("convert", "train")}
        clock.seconds["all"] = round(time.monotonic() - clock.started, 1)
        result["seconds"] = clock.seconds | {name: summaries[name]["seconds"] for name in summaries}
        wrong = demo_result.off(result)
        public = {
            key: result[key]
            for key in (
                "published",
                "landed",
                "dead_lettered",
                "reasons",
                "held_out",
                "unseen",
                "classified",
                "accuracy",
                "p50_ms",
                "p99_ms",
            )
        }
        public |= {key: result["convert"][key] for key in ("converted", "duplicates", "quarantined")}
        public |= {key: result["train"][key] for key in ("trained_on", "unlabelled")}
        public |= {"seconds": result["seconds"]}
        public |= {"model": result["train"]["model"], "runId": result["train"]["runId"], "adds_up": not wrong}
        (folder.parent / "demo.json").write_text(json.dumps(public, indent=1) + "\n")
        if wrong:
            raise Failed("; ".join(wrong))
        print(demo_result.table(result, services.folder))
        return public


def own_documents(clock: Clock, arguments: argparse.Namespace) -> list[str]:
    """Looks through the user's documents, and gives the publisher's arguments for them. Raises Failed."""
    form = {name: getattr(arguments, name) for name in ("text", "label", "encoding", "delimiter")}
    try:
        found = plan.look([arguments.docs], **form)
    except plan.Unfit as problem:
        raise Failed(str(problem)) from None
    for line in found.lines():
        clock.say(line)
    return [arguments.docs, *(f"--{name}={value}" for name, value in form.items() if value is not None)]


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
