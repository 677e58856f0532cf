"""How steadily SERVE answers while models change, what comes is broken, and the function dies: three of the commands of
serving.py, with small models."""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks import functions, mutations
from benchmarks.functions import ROOT, Beside, cloud, framework, upload, write_model
from benchmarks.sessions import say
from brigade.publishing.generated import generate
from local import emulators
from local.services import DEAD_LETTER_TOPIC, RESULT_TOPIC, TOPIC, Services

SWAP_SECONDS, SETTLED_SWAPS, GROWTH = 2, 10, 1.15
ALLOWED = {200, 400, 404, 405, 413}
PATIENCE_SECONDS = 120  # without a further message


def documents(count: int) -> list[str]:
    return [document.text for document in generate(count, seed=1)]


# ------------------------------------------------------------------------------------------------------- swaps


def promote(name: str) -> None:
    """What the operator does. Raises RuntimeError."""
    command = [
        sys.executable,
        "-m",
        "brigade.models",
        "promote",
        os.environ["MODELS_URI"],
        name,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"promote {name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def swaps(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: while a new model is promoted every 2 s no request fails, every answer is wholly that of the model that
    it names, every model has answered, and the worker holds at most 15 % more after the last swap than after the tenth.

    Each model is uploaded as training leaves one that is not promoted, and promoted by the operator's command.
    """
    texts, names, resident, lateness = documents(40), [], [], 0.0
    count, seconds = arguments.swaps, arguments.swaps * SWAP_SECONDS
    with cloud() as services, tempfile.TemporaryDirectory() as scratch:
        expected = {}
        for number in range(count + 1):
            name, expected[f"run-{number}"] = write_model(
                Path(scratch, str(number)), number, texts, promoted=not number
            )
            names.append(name)
        upload(Path(scratch, "0"))
        with functions.on_core(0):
            port = services.start_function("predict", MODEL_REFRESH_SECONDS="0.5")
        plan = {"port": port, "rate": arguments.rate, "seconds": seconds + 5, "texts": texts, "expected": expected}
        client, started = Beside("open_loop", scratch, plan, core=1), time.monotonic()
        for number in range(1, count + 1):
            due = started + number * SWAP_SECONDS
            time.sleep(max(0, due - time.monotonic()))
            lateness = max(lateness, time.monotonic() - due)
            resident.append(functions.memory(services)["rss_mib"])  # after the swaps before this one
            upload(Path(scratch, str(number)))
            promote(names[number])
        run = client.answer()
        resident.append(functions.memory(services)["rss_mib"])
    served = run.pop("runs")
    run |= {"swaps": count, "models_that_answered": len(served), "most_seconds_late": round(lateness, 1)}
    run |= {"rss_mib": [resident[min(SETTLED_SWAPS, count // 2)], resident[-1]]}
    say("\n".join(f"  {name:<22}{value}" for name, value in run.items()))
    missed = [f"errors: expected none, found {run['errors']}"] if run["errors"] else []
    if set(served) != set(expected):
        missed.append(f"models_that_answered: expected {len(expected)}, found {len(served)}")
    settled, last = run["rss_mib"]
    if last > GROWTH * settled:
        missed.append(f"rss_mib: expected at most {GROWTH} times {settled}, found {last}")
    return {"swaps": run}, missed


# ----------------------------------------------------------------------------------------------------- mutated


def send(port: int, request: mutations.Request) -> int | str:
    """The status, or why there is none. Each request has a connection of its own: an answer that is missing is then its
    own, and not the end of the one before."""
    chunked = "Transfer-Encoding" in request.headers
    body = iter([request.body]) if chunked and request.body else request.body
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        # Refused for its headers alone, a large body cannot be sent to its end; the answer is there all the same.
        with contextlib.suppress(BrokenPipeError):
            connection.request(request.method, request.path, body, request.headers, encode_chunked=chunked)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


class Inboxes:
    """What has come to the two topics behind `classify`: `classified` and `dead`, message id → event id."""

    def __init__(self, subscriber):
        self.subscriber, self.classified, self.dead = subscriber, {}, {}
        self.inboxes = {}
        for topic, inbox in ((RESULT_TOPIC, self.classified), (DEAD_LETTER_TOPIC, self.dead)):
            subscription = topic.replace("/topics/", "/subscriptions/")
            subscriber.create_subscription(name=subscription, topic=topic)
            self.inboxes[subscription] = inbox

    def messages(self) -> int:
        return len(self.classified) + len(self.dead)

    def events(self) -> int:
        """How many different events have been classified."""
        return len(set(self.classified.values()))

    def pull(self) -> bool:
        """Whether something has come."""
        before = self.messages()
        for subscription, inbox in self.inboxes.items():
            found = emulators.pull(self.subscriber, subscription)
            inbox |= {message.message_id: message.attributes.get("eventId") for message in found}
        return self.messages() > before

    def wait(self, measure: Callable[[], int], enough: int) -> None:
        """Pulls until there is enough, or until nothing has come for a while."""
        changed = time.monotonic()
        while measure() < enough and time.monotonic() < changed + PATIENCE_SECONDS:
            if self.pull():
                changed = time.monotonic()
            else:
                time.sleep(0.1)


def mutated(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Targets: 10,000 mutated requests to `predict` and messages to `classify`, half of them each: statuses 200, 400,
    404, 405 and 413 alone, and the processes alive; each 200 of `classify` is a classified event or a dead letter.
    """
    rng, examples, missed, taken = random.Random(arguments.seed), [], [], 0
    statuses = {target: Counter() for target in mutations.KINDS}
    events = [event_of(number, text) for number, text in enumerate(documents(50))]
    with cloud() as services, tempfile.TemporaryDirectory() as scratch, emulators.subscriber_client() as subscriber:
        write_model(Path(scratch), 0, documents(5), promoted=True)
        upload(Path(scratch))
        inboxes = Inboxes(subscriber)
        ports = {target: services.start_function(target) for target in mutations.KINDS}
        workers = {target: functions.workers(services, target) for target in ports}
        for number, target in zip(range(arguments.count), itertools.cycle(ports), strict=False):
            request = mutations.KINDS[target](rng, events)
            status = send(ports[target], request)
            statuses[target][str(status)] += 1
            taken += target == "classify" and request.method == "POST" and status == 200
            if status not in ALLOWED:
                examples.append({"number": number, "target": target, "status": status, "method": request.method})
        inboxes.wait(inboxes.messages, taken)
        inboxes.pull()  # what is too much
        for target, before in workers.items():
            if functions.workers(services, target) != before:
                missed.append(f"{target}: expected its worker to live, found that it ended")
    classified, dead = len(inboxes.classified), len(inboxes.dead)
    for target, found in statuses.items():
        say(f"{target:<10}{dict(found)}")
        if odd := {status: often for status, often in found.items() if status not in map(str, ALLOWED)}:
            missed.append(f"{target}: expected statuses {sorted(ALLOWED)}, found {odd}")
    say(f"classify answered {taken} messages with 200: {classified} classified, {dead} dead letters")
    if classified + dead != taken:
        missed.append(f"classified + dead letters: expected {taken}, found {classified} + {dead}")
    result = {"statuses": statuses, "taken": taken, "classified": classified, "dead_letters": dead}
    return {"mutated": result | {"examples": examples[:20]}}, missed


def event_of(number: int, text: str) -> dict:
    return {
        "eventTimestamp": "2019-04-02T21:55:57Z",
        "eventId": f"{number:040x}",
        "eventSource": "doc.contract",
        "eventVersion": "1.0",
        "eventType": "DocSchedule",
        "doc": {"docId": str(number), "metadata": {"superTag01": "class-1"}, "payload": text},
    }


# ------------------------------------------------------------------------------------------------------ pubsub


def kill(services: Services, target: str) -> None:
    """Ends the function and its workers as a machine's failure would."""
    os.killpg(framework(services, target), signal.SIGKILL)
    services.stop(target)


def publish(count: int) -> None:
    from google.cloud import pubsub

    publisher = pubsub.PublisherClient()
    events = (event_of(number, text) for number, text in enumerate(documents(count)))
    for future in [publisher.publish(TOPIC, json.dumps(event).encode()) for event in events]:
        future.result(timeout=120)
    publisher.stop()


def pubsub(arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    """Target: each of 2,000 documents comes out classified at least once, though the function is killed when half of
    them have, and started again."""
    count = arguments.count
    with cloud() as services, tempfile.TemporaryDirectory() as scratch, emulators.subscriber_client() as subscriber:
        write_model(Path(scratch), 0, documents(5), promoted=True)
        upload(Path(scratch))
        inboxes = Inboxes(subscriber)
        port = services.start_function("classify")
        services.push_to(port)
        started = time.monotonic()
        publish(count)
        inboxes.wait(inboxes.events, count // 2)
        before = inboxes.events()
        kill(services, "classify")
        services.start_function("classify", port=port)
        inboxes.wait(inboxes.events, count)
        seconds = round(time.monotonic() - started, 1)
    run = {"documents": count, "classified": inboxes.events(), "messages": len(inboxes.classified)}
    run |= {"dead_letters": len(inboxes.dead), "classified_when_killed": before, "seconds": seconds}
    say("\n".join(f"  {name:<24}{value}" for name, value in run.items()))
    missed = [] if run["classified"] == count else [f"classified: expected {count}, found {run['classified']}"]
    missed += [f"dead_letters: expected none, found {len(inboxes.dead)}"] if inboxes.dead else []
    if not 0 < before < count:
        missed.append(f"classified_when_killed: expected some and not all of {count}, found {before}")
    return {"pubsub": run}, missed
