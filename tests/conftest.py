"""What several tests need: emulators, places with models, the function as HTTP, and one Spark session."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

from local import emulators, guard

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
SERVING_SETTINGS = (
    "MODEL_PREFIX", "MODEL_REFRESH_SECONDS", "MODEL_PIN", "RESULT_TOPIC", "DEAD_LETTER_TOPIC", "GOOGLE_CLOUD_PROJECT",
    "AIP_STORAGE_URI", "AIP_HEALTH_ROUTE",
)  # fmt: skip


# How long inputs take to make says how busy the machine is, and fixtures here hold nothing that an example changes.
BUSY = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile("brigade", deadline=None, suppress_health_check=BUSY)
hypothesis.settings.load_profile("brigade")

for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # a make that a test runs is no part of the one that runs the tests
    os.environ.pop(name, None)

SPARK = ("conversion", "prediction", "profiles", "training")  # the folders of tests that need a Spark session
MARKERS = {"gcloud": "gcloud", "providers": "terraform"}  # of the tests that have these fixtures
MARKERS |= dict.fromkeys(("runs", "second", "again", "house_runs"), "long")  # four trainings each
LONG = ("test_demo", "test_gcp", "test_tutorial")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs gcloud or Terraform, or looks at many trainings, is marked so. Side by side, a file's tests stay
    together, and so do all of a folder that need a Spark session, which is slow to warm up; what takes longest begins
    first."""
    for item in items:
        for fixture, marker in MARKERS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        file = f"{item.path.parent.name}/{item.path.stem}"
        item.add_marker(pytest.mark.xdist_group(folder_of(item) if folder_of(item) in SPARK else file))
    items.sort(key=lambda item: folder_of(item) not in SPARK and not item.path.stem.startswith(LONG))


def folder_of(item: pytest.Item) -> str:
    """The folder in tests/ that a test lies below; its file if there is none."""
    return item.path.relative_to(ROOT / "tests").parts[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gcloud") and shutil.which("gcloud") is None:
        pytest.skip("the Google Cloud CLI is not installed")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes give a case no name: a packed file holds the second of its packing, and the workers have to agree."""
    return argname if isinstance(val, bytes) else None


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
        messages = []
        end = time.monotonic() + timeout
        while len(messages) < count and time.monotonic() < end:
            messages += emulators.pull(self.subscriber, subscription)
            time.sleep(0.02)
        return messages


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory):
    """The Pub/Sub server for the whole run, embedded or, with PUBSUB=official, the official emulator;
    PUBSUB_EMULATOR_HOST names it meanwhile."""
    try:
        server = emulators.start_pubsub(tmp_path_factory.mktemp("pubsub") / "server.log")
    except emulators.Missing as missing:
        pytest.skip(str(missing))
    os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{server.port}"
    yield server
    del os.environ["PUBSUB_EMULATOR_HOST"]
    guard.stop(server.process)


@pytest.fixture(scope="session")
def api(pubsub_emulator):
    """The same server as the conformance tests see it."""
    from tests.local.pubsub_api import Api

    return Api(pubsub_emulator.http_port)


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


class ControlPlane(NamedTuple):
    """The stand-ins for Dataproc and Cloud Scheduler as tests need them."""

    endpoint: str
    state_dir: Path

    def client(self, kind: type):
        from google.auth.credentials import AnonymousCredentials

        options = {"api_endpoint": self.endpoint}
        return kind(transport="rest", credentials=AnonymousCredentials(), client_options=options)


def start_control_plane(state_dir: Path, buckets_dir: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "local.control_plane", f"--port={port}"]
    command += [f"--state_dir={state_dir}", f"--buckets_dir={buckets_dir}"]
    process = guard.start(command, cwd=ROOT)
    emulators.wait_for_port(port, process)
    return process


@pytest.fixture(scope="session")
def control_plane(storage_emulator, tmp_path_factory):
    """One for the whole run, next to the storage emulator."""
    state_dir, port = tmp_path_factory.mktemp("control plane"), emulators.free_port()  # the space is on purpose
    process = start_control_plane(state_dir, storage_emulator, port)
    yield ControlPlane(f"http://127.0.0.1:{port}", state_dir)
    assert guard.stop(process) == 0


@pytest.fixture(scope="session")
def cloud(storage_emulator):
    """A client of the storage emulator that holds the buckets, the code of the tests' workflows and two documents."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    from tests.local.workflow_steps import STEP

    client = storage.Client(project="brigade-test", credentials=AnonymousCredentials())
    for bucket in ("ml_input", "ml_output", "ml_code"):
        if not client.bucket(bucket).exists():
            client.create_bucket(bucket)
    for name, content in {
        "ml_code/step.py": STEP,
        "ml_code/labels.py": "NAME = 'label '",
        "ml_input/raw/dt=2026-03-01/a.jsonl": "first\n",
        "ml_input/raw/dt=2026-03-02/b.jsonl": "second\n",
    }.items():
        bucket, _, path = name.partition("/")
        client.bucket(bucket).blob(path).upload_from_string(content)
    return client


@pytest.fixture
def gcloud(control_plane, tmp_path):
    """Runs `gcloud …` in `tmp_path` against the stand-ins, which is to end with `status`; returns its standard output
    and error."""
    if shutil.which("gcloud") is None:
        pytest.skip("the Google Cloud CLI is not installed")
    env = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{control_plane.endpoint}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": f"{control_plane.endpoint}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"{control_plane.endpoint}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_PROJECT": "brigade-test",
        "CLOUDSDK_DATAPROC_REGION": "us-central1",
    }

    def run(*args: str, status: int = 0) -> tuple[str, str]:
        done = subprocess.run(["gcloud", *args], env=env, capture_output=True, text=True, cwd=tmp_path, timeout=180)
        assert done.returncode == status, done.stderr
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope="session")
def providers():
    """The variables with which Terraform finds the stand-in for its providers, see terraform_provider.serving."""
    from tests.terraform import terraform_files, terraform_provider, terraform_schema

    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    try:
        for name in terraform_schema.PACKAGES:
            terraform_schema.fetch(name)
    except terraform_schema.NotThere as error:
        pytest.skip(str(error))
    with terraform_provider.serving(terraform_files.FOLDER) as environments:
        yield environments


@pytest.fixture(scope="session")
def terraform(tmp_path_factory, providers):
    """The real Terraform in a copy of terraform/; what it plans is there for all tests of the run."""
    from tests.terraform.terraform_run import Terraform

    return Terraform(tmp_path_factory.mktemp("terraform"), providers[1])


class LocalPlace:
    """Models in a folder."""

    def __init__(self, root: Path):
        self.root, self.uri = root, str(root)

    def sync(self) -> None:
        """What is in `root` is what readers find from now on."""

    def read(self, path: str) -> bytes:
        """A file as readers find it."""
        return (self.root / path).read_bytes()


class EmulatedPlace:
    """The same folder's contents in a bucket of the storage emulator."""

    def __init__(self, root: Path, bucket):
        self.root, self.bucket, self.uri = root, bucket, f"gs://{bucket.name}/some/output/"
        self.uploaded: dict[str, bytes] = {}

    def sync(self) -> None:
        found = {str(path.relative_to(self.root)): path for path in self.root.rglob("*") if path.is_file()}
        contents = {f"some/output/{name}": path.read_bytes() for name, path in found.items()}
        for name in self.uploaded.keys() - contents.keys():
            self.bucket.blob(name).delete()
        for name, content in contents.items():
            if self.uploaded.get(name) != content:
                self.bucket.blob(name).upload_from_string(content)
        self.uploaded = contents

    def read(self, path: str) -> bytes:
        return self.bucket.blob(f"some/output/{path}").download_as_bytes()


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return LocalPlace(tmp_path)
    request.getfixturevalue("storage_emulator")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    from google.cloud import storage

    client = storage.Client()
    return EmulatedPlace(tmp_path, client.create_bucket(f"bucket-{time.monotonic_ns()}", project="brigade-test"))


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """serve(target, **environment): a client of the function as functions-framework starts it, on `tmp_path`'s models.

    The client has the door's `ENVIRONMENT` and `STORE`.
    """

    def start(target: str, **environment: str):
        for name in SERVING_SETTINGS:
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"MODELS_URI": str(tmp_path), "FUNCTION_TARGET": target} | environment).items():
            monkeypatch.setenv(name, value)
        from functions_framework import create_app

        from brigade.models import table_model

        monkeypatch.setattr(table_model, "left_out", [])  # put back, the door leaves out what training needs
        client = create_app(target, str(ROOT / "cloud_function" / "main.py")).test_client()
        door = sys.modules["main"]  # the name that the framework loads every function's file under
        client.environment, client.store = door.ENVIRONMENT, door.STORE
        return client

    return start


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One session for all tests; its workers run the Python that runs the tests."""
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    from brigade.spark import SESSION
    from tests.conversion.spark_cluster import driver

    scratch = tmp_path_factory.mktemp("spark")
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("brigade-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.default.parallelism", "2")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config("spark.local.dir", str(scratch / "local"))
        # What --py-files brings to the workers of a real job.
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
    )
    own = driver()
    own["spark.driver.extraJavaOptions"] += " -XX:ReservedCodeCacheSize=240m"  # of all tests' queries
    for key, value in (SESSION | own).items():
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
    from tests.conversion.spark_cluster import standalone_cluster

    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as master:
        yield master
