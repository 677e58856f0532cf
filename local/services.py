"""The cloud on one machine: emulators, stand-ins and the functions, each a guarded process on a free loopback port.

    python -m local.services up            starts them, creates topics and buckets, and prints `export` lines
    python -m local.services up --empty    creates nothing, for the tutorial's commands, which do
    python -m local.services up --keep     goes on with the buckets that earlier services left
    python -m local.services down          ends what `up` started, by process id

Programs find the services through the environment variables that Google's own libraries and `gcloud` read. Functions
run from the folders that are built for deployment. All files lie in one folder.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path

from local import emulators, guard, package, topics

ROOT = Path(__file__).parent.parent
PROJECT = "brigade-local"
REGION = "us-central1"
TOPIC = f"projects/{PROJECT}/topics/topic-brigade"
SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/sub-brigade"
RESULT_TOPIC = f"projects/{PROJECT}/topics/topic-brigade-classified"
DEAD_LETTER_TOPIC = f"projects/{PROJECT}/topics/topic-brigade-dead-letter"
TEMPLATE = f"projects/{PROJECT}/regions/{REGION}/workflowTemplates/brigade-retrain"
INPUT_BUCKET, OUTPUT_BUCKET, CODE_BUCKET = "ml_input", "ml_output", "ml_code"
FUNCTIONS = {"predict": "cloud_function", "classify": "cloud_function", "trigger": "scheduler"}  # entry point → folder
OWN_BUCKETS = (CODE_BUCKET, "dataproc-staging", "vertex-artifacts")  # what is in the others is the user's
PROGRAMS = ("spark_sql.py", "train_ml_model.py", "predict.py", "monitor.py")  # of the workflow's jobs
SCHEDULE_ANCHOR = "2026-01-05"
STATE = "services.json"


class Services:
    """The running services, as a context manager: all of them have ended when it is left."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ)
        self.processes: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Services":
        return self

    def __exit__(self, *failure) -> None:
        # The last started first: what uses a service ends before the service.
        for name in reversed(list(self.processes)):
            self.stop(name)

    @cached_property
    def build(self) -> Path:
        """The folder of a build of its own, which stays as it is while the services run."""
        package.build(self.folder / "build")
        return self.folder / "build"

    def start(self, name: str, command: list[str], **environment: str) -> subprocess.Popen:
        """Starts a guarded process that writes to `logs/<name>.log`."""
        with open(self.log(name), "ab") as output:
            self.processes[name] = guard.start(
                command, env=self.environment | environment, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
            )
        return self.processes[name]

    def stop(self, name: str) -> int:
        return guard.stop(self.processes.pop(name))

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def start_emulators(self) -> None:
        """Starts Pub/Sub, storage and the control plane, and names them in `environment` and `os.environ`."""
        pubsub = emulators.start_pubsub(self.log("pubsub"))
        self.processes["pubsub"] = pubsub.process
        storage, control = emulators.free_port(), emulators.free_port()
        settings = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{pubsub.port}",
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{storage}",
            "DATAPROC_API_ENDPOINT": f"http://127.0.0.1:{control}",
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://127.0.0.1:{pubsub.http_port}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"http://127.0.0.1:{storage}/storage/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"http://127.0.0.1:{control}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": f"http://127.0.0.1:{control}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"http://127.0.0.1:{control}/",
            "MODELS_URI": f"gs://{OUTPUT_BUCKET}/output/",
            "RESULT_TOPIC": RESULT_TOPIC,
            "DEAD_LETTER_TOPIC": DEAD_LETTER_TOPIC,
            "WORKFLOW_TEMPLATE": TEMPLATE,
            "SCHEDULE_ANCHOR": SCHEDULE_ANCHOR,
        }
        self.environment |= settings
        os.environ.update(settings)
        started = [(storage, self.start("storage-emulator", emulators.storage_command(storage, self.folder)))]
        control_plane = [sys.executable, "-m", "local.control_plane", f"--port={control}"]
        control_plane += [f"--state_dir={self.folder}", f"--buckets_dir={self.folder / '.cloudstorage'}"]
        started.append((control, self.start("control-plane", control_plane)))
        for port, process in started:
            emulators.wait_for_port(port, process)

    def create_resources(self) -> None:
        """Topics and subscriptions but for the pushed one, buckets, and the jobs' code in gs://ml_code/."""
        from google.cloud import pubsub, storage

        with pubsub.PublisherClient() as publisher, pubsub.SubscriberClient() as subscriber:
            for name in topics.TOPICS:
                publisher.create_topic(request=topics.topic(PROJECT, name))
            for name in topics.SUBSCRIPTIONS:
                if name != topics.PUSHED:
                    subscriber.create_subscription(request=topics.subscription(PROJECT, name))
        client = storage.Client(project=PROJECT)
        for bucket in (INPUT_BUCKET, OUTPUT_BUCKET, CODE_BUCKET):
            if client.lookup_bucket(bucket) is None:
                client.create_bucket(bucket)
        for path in (*(ROOT / name for name in PROGRAMS), self.build / "brigade.zip"):
            client.bucket(CODE_BUCKET).blob(path.name).upload_from_filename(path)

    def start_function(self, target: str, source: Path | None = None, port: int = 0, **environment: str) -> int:
        """Starts an entry point under functions-framework, of the project's own functions unless a source is given;
        returns its port when it listens. The process has the entry point's name."""
        source = source or self.build / FUNCTIONS[target] / package.DOOR
        port = port or emulators.free_port()
        settings = {"MODEL_REFRESH_SECONDS": "5"} | environment
        process = self.start(target, function_command(target, source, port), **settings)
        emulators.wait_for_port(port, process)
        return port

    def push_to(self, port: int) -> None:
        """Lets Pub/Sub push each message of the topic to the function on that port."""
        from google.cloud import pubsub

        request = topics.subscription(PROJECT, topics.PUSHED, f"http://127.0.0.1:{port}/")
        with pubsub.SubscriberClient() as subscriber:
            subscriber.create_subscription(request=request)


def function_command(target: str, source: str | Path, port: int) -> list[str]:
    """Starts an entry point under functions-framework on the port."""
    program = str(Path(sys.executable).with_name("functions-framework"))
    return [program, f"--source={source}", f"--target={target}", "--host=127.0.0.1", f"--port={port}"]


def wait_until_ready(url: str, seconds: float = 60) -> dict:
    """The JSON that the function answers to GET once it has a model. Raises RuntimeError when the time runs out."""
    end = time.monotonic() + seconds
    answer = "nothing"
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = f"{error.code} {error.read().decode('utf-8', 'replace').strip()}"
        except OSError as error:
            answer = str(error)
        time.sleep(0.2)
    raise RuntimeError(f"{url} has not become ready within {seconds:g} s; last answer: {answer}")


# ---------------------------------------------------------------------------------------------------- up and down


def serve(folder: Path, empty: bool) -> int:
    """Starts everything (empty: emulators, stand-ins and the trigger only), writes services.json, and waits for a
    signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal that started it may close
    with Services(folder) as services:
        services.start_emulators()
        urls = {"TRIGGER_URL": services.start_function("trigger")}
        if not empty:
            services.create_resources()
            urls["PREDICT_URL"] = services.start_function("predict")
            services.push_to(services.start_function("classify"))
        changed = {key: value for key, value in services.environment.items() if os.environ.get(key) == value}
        exports = {key: changed[key] for key in sorted(changed) if key.startswith(("CLOUDSDK_", "PUBSUB_", "STORAGE_"))}
        exports |= {key: changed[key] for key in ("GOOGLE_CLOUD_PROJECT", "MODELS_URI", "RESULT_TOPIC")}
        exports |= {key: changed[key] for key in ("DEAD_LETTER_TOPIC", "WORKFLOW_TEMPLATE", "DATAPROC_API_ENDPOINT")}
        exports["SCHEDULE_ANCHOR"] = changed["SCHEDULE_ANCHOR"]
        exports |= {name: f"http://127.0.0.1:{port}/" for name, port in urls.items()}
        write_state(folder, {"pid": os.getpid(), "exports": exports})
        while all(process.poll() is None for process in services.processes.values()):
            time.sleep(0.5)
        dead = [name for name, process in services.processes.items() if process.poll() is not None]
        (folder / STATE).unlink()
        print(f"ended unexpectedly: {', '.join(dead)}; see {services.logs}", file=sys.stderr)
        return 1


def write_state(folder: Path, state: dict) -> None:
    new = folder / f"{STATE}.new"
    new.write_text(json.dumps(state))
    new.rename(folder / STATE)


def running(folder: Path) -> dict | None:
    """What services.json says if the process that it names still runs: its pid and, once all is started, `exports`."""
    try:
        state = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return None
    command = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(state["pid"])], capture_output=True, text=True
    ).stdout
    return state if "local.services" in command and str(folder) in command else None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until nobody else starts or ends the services of the folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("# another `make up` or `make down` is at work; waiting for its end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_room(folder: Path, keep: bool) -> None:
    """A folder for services that start. What earlier ones left in buckets stays (keep), or lies under another name."""
    buckets = [one for one in folder.glob(".cloudstorage/[!._]*") if one.name not in OWN_BUCKETS]
    data = [file for bucket in buckets for file in bucket.rglob("*") if file.is_file()]
    if keep:
        print(f"# goes on with {len(data)} files in buckets; messages, templates and jobs are gone", file=sys.stderr)
        (folder / STATE).unlink(missing_ok=True)
    elif data:
        former = folder.with_name(f"{folder.name}-{datetime.now():%Y-%m-%dT%H%M%S.%f}")
        folder.rename(former)
        print(f"# starts from empty; {len(data)} files of earlier services are kept in {former}", file=sys.stderr)
        old, new = shlex.quote(str(former)), shlex.quote(str(folder))
        print(f"# to go back to them: make down; rm -r {new}; mv {old} {new}; make up KEEP=1", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def begin(folder: Path, empty: bool) -> None:
    """Starts the process that starts and watches all others. It outlives this one."""
    with open(folder / "services.log", "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.services", "serve", f"--folder={folder}", *["--empty"] * empty],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
        )
    write_state(folder, {"pid": process.pid})


def up(folder: Path, empty: bool, keep: bool) -> int:
    with alone(folder):
        if running(folder) is None:
            make_room(folder, keep)
            begin(folder, empty)
        while (state := running(folder)) is not None and "exports" not in state:
            time.sleep(0.1)
    if state is None:
        print(f"the services did not start; see {folder / 'services.log'}", file=sys.stderr)
        return 1
    print(f"# services run; files and logs in {folder}; end them with `make down`", file=sys.stderr)
    for key, value in state["exports"].items():
        print(f"export {key}={shlex.quote(value)}")
    return 0


def down(folder: Path) -> int:
    with alone(folder):
        state = running(folder)
        if state is None:
            print("nothing to end: `make up` has not been called, or its services have ended", file=sys.stderr)
            return 0
        os.kill(state["pid"], signal.SIGTERM)
        end = time.monotonic() + 60
        while running(folder):
            if time.monotonic() > end:
                print(f"process {state['pid']} does not end; see {folder / 'services.log'}", file=sys.stderr)
                return 1
            time.sleep(0.1)
        (folder / STATE).unlink(missing_ok=True)
    print("ended", file=sys.stderr)
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="local.services", description=__doc__.split("\n\n")[0])
    parser.add_argument("action", choices=("up", "down", "serve"))
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "up")
    parser.add_argument("--empty", action="store_true", help="up: only emulators, stand-ins and the trigger")
    parser.add_argument("--keep", action="store_true", help="up: go on with the buckets that earlier services left")
    arguments = parser.parse_args(argv)
    folder = arguments.folder.absolute()
    if arguments.action == "up":
        return up(folder, arguments.empty, arguments.keep)
    return down(folder) if arguments.action == "down" else serve(folder, arguments.empty)


if __name__ == "__main__":
    sys.exit(main())
