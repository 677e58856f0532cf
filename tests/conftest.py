"""What several rooms' tests need: the official Pub/Sub emulator, and one Spark session."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from local import emulators, guard

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"


def real_data(path: str) -> Path:
    """A file of real documents that lie beside the project; skips the test, and says so, when they do not."""
    if not (DATA / path).exists():
        pytest.skip(f"{DATA / path} is not on this machine")
    return DATA / path


class PubSub:
    """The emulator as tests need it: topics, subscriptions, and every message that came."""

    project = "brigade-test"

    def __init__(self):
        from google.cloud import pubsub

        self.publisher = pubsub.PublisherClient()
        self.subscriber = emulators.subscriber_client()

    def topic(self, name: str) -> str:
        path = f"projects/{self.project}/topics/{name}"
        self.publisher.create_topic(name=path)
        return path

    def subscription(self, topic: str, name: str, **settings) -> str:
        path = f"projects/{self.project}/subscriptions/{name}"
        self.subscriber.create_subscription(request={"name": path, "topic": topic, **settings})
        return path

    def pull_all(self, subscription: str, count: int, timeout: float = 30) -> list:
        """At least `count` messages, acknowledged; what has come by then if they do not come in `timeout` seconds."""
        from google.api_core.exceptions import DeadlineExceeded

        messages = []
        end = time.monotonic() + timeout
        while len(messages) < count and time.monotonic() < end:
            try:
                pulled = self.subscriber.pull(subscription=subscription, max_messages=1000, timeout=2)
            except DeadlineExceeded:
                continue
            received = pulled.received_messages
            if received:
                acknowledged = [one.ack_id for one in received]
                self.subscriber.acknowledge(subscription=subscription, ack_ids=acknowledged)
                messages += [one.message for one in received]
        return messages


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory):
    """The address of one emulator for the whole run; PUBSUB_EMULATOR_HOST names it meanwhile."""
    try:
        command = emulators.pubsub_command(port := emulators.free_port())
    except emulators.Missing as missing:
        pytest.skip(str(missing))
    with open(tmp_path_factory.mktemp("pubsub") / "emulator.log", "wb") as output:
        process = guard.start(command, stdout=output, stderr=subprocess.STDOUT)
    emulators.wait_for_port(port, process)
    os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{port}"
    yield os.environ["PUBSUB_EMULATOR_HOST"]
    del os.environ["PUBSUB_EMULATOR_HOST"]
    guard.stop(process)


@pytest.fixture(scope="session")
def pubsub(pubsub_emulator) -> PubSub:
    return PubSub()


@pytest.fixture(scope="session")
def storage_emulator(tmp_path_factory):
    """The folder in which the storage emulator keeps its buckets; STORAGE_EMULATOR_HOST names it meanwhile."""
    folder = tmp_path_factory.mktemp("storage")
    port = emulators.free_port()
    with open(folder / "emulator.log", "wb") as output:
        process = guard.start(
            emulators.storage_command(port, folder), stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
        )
    emulators.wait_for_port(port, process)
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
    urllib.request.urlopen(os.environ["STORAGE_EMULATOR_HOST"]).read()
    yield folder / ".cloudstorage"
    del os.environ["STORAGE_EMULATOR_HOST"]
    guard.stop(process)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One session for all tests; its workers run the Python that runs the tests."""
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    import spark_sql

    scratch = tmp_path_factory.mktemp("spark")
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("brigade-tests")
        .config("spark.ui.enabled", "false")
        .config(
            "spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m"
        )
        .config("spark.default.parallelism", "2")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config("spark.local.dir", str(scratch / "local"))
        # What --py-files brings to the workers of a real job.
        .config("spark.executorEnv.PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'cloud_function'}")
    )
    for key, value in spark_sql.SESSION.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    gateway = session.sparkContext._gateway
    session.stop()
    # Spark's Java process ends when its standard input does; a run that is over leaves none behind.
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The URL of the master of a Spark cluster with two workers."""
    from tests.spark_cluster import standalone_cluster

    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as master:
        yield master
