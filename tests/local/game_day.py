"""A day on the local cloud: all of its services, landing and serving, a light load, and sums that have to add up."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from google.pubsub_v1.types import PubsubMessage

from local import emulators, topics
from local.demo import LineCount
from local.services import INPUT_BUCKET, OUTPUT_BUCKET, PROJECT, REGION, ROOT, SUBSCRIPTION, TOPIC, Services
from tests.serving.pushed_messages import EVENT
from tests.waiting import wait_until

SECONDS_BETWEEN = 0.2  # the light load
PATIENCE_SECONDS = 180  # for sums; a message that was refused comes again after 10 seconds and more
LANDING = "pubsub_gcs"
EVERYTHING, CLASSIFIED, DEAD = (
    f"projects/{PROJECT}/subscriptions/{name}"
    for name in ("game-day-all", "sub-brigade-classified", "sub-brigade-dead-letter")
)


class Day:
    """The running services, and what came of each message that was published."""

    def __init__(self, services: Services):
        from google.cloud import pubsub, storage

        self.services, self.storage = services, storage.Client(project=PROJECT)
        self.landed_lines = LineCount(self.storage, INPUT_BUCKET, "input/")
        self.publisher, self.subscriber = pubsub.PublisherClient(), emulators.subscriber_client()
        self.subscriber.create_subscription(name=EVERYTHING, topic=TOPIC)
        self.numbers = itertools.count()
        self.inboxes: dict[str, dict[str, PubsubMessage]] = {EVERYTHING: {}, CLASSIFIED: {}, DEAD: {}}
        self.goes_on, self.ended = threading.Event(), threading.Event()
        self.idle = threading.Lock()  # held while the load publishes
        self.goes_on.set()
        self.load = threading.Thread(target=self.publish_lightly, daemon=True)
        self.port = 0  # classify's
        self.reconciled = ""

    # ------------------------------------------------------------------------------------------------ the load

    def publish_lightly(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN):
            self.goes_on.wait()
            with self.idle:
                if self.goes_on.is_set():
                    self.publish(1)

    def publish(self, count: int, broken: bool = False) -> None:
        """Publishes so many messages, which is done when the server has them."""
        numbers = [next(self.numbers) for _ in range(count)]
        data = [json.dumps(EVENT | {"eventId": f"event-{number}"} | {"broken": broken}).encode() for number in numbers]
        for future in [self.publisher.publish(TOPIC, one[:-1] if broken else one) for one in data]:
            future.result(timeout=120)

    # -------------------------------------------------------------------------------------------- the processes

    def land(self, name: str = LANDING) -> None:
        """Starts landing."""
        flags = [f"--project={PROJECT}", f"--region={REGION}", "--runner=DirectRunner", "--window_size=0.05"]
        flags += [f"--input_subscription={SUBSCRIPTION}", f"--output_path=gs://{INPUT_BUCKET}/input", "--num_shards=1"]
        self.services.start(name, [sys.executable, "pubsub_gcs.py", *flags])

    def classify(self) -> None:
        """Starts classification, where Pub/Sub pushes to."""
        self.port = self.services.start_function("classify", port=self.port)

    def pids(self, name: str) -> list[int]:
        """The processes of a service, without its guard."""
        listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        found = [self.services.processes[name].pid]
        for parent in found:  # which grows
            found += [pid for pid, of in pairs if of == parent]
        return found[1:]

    def signal(self, name: str, number: signal.Signals) -> None:
        for pid in self.pids(name):
            os.kill(pid, number)

    def kill(self, name: str) -> None:
        """Ends a service as a machine's failure would."""
        self.signal(name, signal.SIGKILL)
        self.services.stop(name)

    @contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """The service takes connections and does nothing."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def log(self, name: str) -> list[dict]:
        """The lines of JSON that a function has logged."""
        lines = self.services.log(name).read_text("utf-8", "replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Runs a program of this project to its end."""
        environment = self.services.environment
        return subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True)

    def upload_models(self, folder: Path) -> None:
        """Copies models to where the functions look, each manifest last."""
        bucket = self.storage.bucket(OUTPUT_BUCKET)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        for path in sorted(paths, key=lambda path: path.name == "manifest.json"):
            bucket.blob(f"output/{path.relative_to(folder)}").upload_from_filename(path)

    # -------------------------------------------------------------------------------------------------- the sums

    def pull(self) -> None:
        for subscription, inbox in self.inboxes.items():
            while found := emulators.pull(self.subscriber, subscription):
                inbox |= {message.message_id: message for message in found}

    def good_and_broken(self) -> tuple[set[str], set[str]]:
        """The event ids of what can be classified, and the message ids of the rest, of all that was published."""
        good, broken = set(), set()
        for message_id, message in self.inboxes[EVERYTHING].items():
            try:
                good.add(json.loads(message.data)["eventId"])
            except ValueError:
                broken.add(message_id)
        return good, broken

    def is_served(self) -> bool:
        """Whether each event is classified at least once, and each broken message a dead letter."""
        self.pull()
        good, broken = self.good_and_broken()
        classified = {message.attributes["eventId"] for message in self.inboxes[CLASSIFIED].values()}
        dead = {message.attributes["originalMessageId"] for message in self.inboxes[DEAD].values()}
        assert classified <= good and dead <= broken
        return (classified, dead) == (good, broken)

    def is_landed(self) -> bool:
        """Whether each message is landed or a dead letter, as `make reconcile` says."""
        published = f"--published={len(self.inboxes[EVERYTHING])}"
        done = self.run("-m", "local.reconcile", f"--output_path=gs://{INPUT_BUCKET}/input", published)
        self.reconciled = done.stderr
        return done.returncode == 0

    def adds_up(self) -> None:
        """Holds the load, waits until every message has become what it has to become, and lets the load go on."""
        self.goes_on.clear()
        with self.idle:
            self.pull()
            wait_until(self.is_served, "that each event is classified or a dead letter")
            end = time.monotonic() + PATIENCE_SECONDS
            while not self.is_landed():
                assert time.monotonic() < end, self.reconciled
                assert self.services.processes[LANDING].poll() is None, "landing has ended"
                time.sleep(1)
        self.goes_on.set()


@contextmanager
def day_on(folder: Path) -> Iterator[Day]:
    """A day whose cloud is as `make up` starts it, with landing beside it."""
    with mock.patch.dict(os.environ), Services(folder) as services:
        services.start_emulators()
        services.create_resources()
        day = Day(services)
        day.classify()
        services.push_to(day.port)
        day.land()
        day.load.start()
        try:
            yield day
        finally:
            day.ended.set()
            day.goes_on.set()
            day.load.join(timeout=130)


def recreate(day: Day, topic: str, subscription: str) -> None:
    """Creates a topic again after it was deleted, and its subscription, which still belongs to the deleted one."""
    day.publisher.create_topic(request=topics.topic(PROJECT, topic))
    day.subscriber.delete_subscription(subscription=f"projects/{PROJECT}/subscriptions/{subscription}")
    day.subscriber.create_subscription(request=topics.subscription(PROJECT, subscription))
