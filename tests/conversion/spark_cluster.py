"""A Spark cluster of processes of their own on this machine, for tests that ask what a real distribution does."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pyspark

from local import emulators, guard, spark_classes

JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # a process of Java that lives for seconds only


def driver() -> dict[str, str]:
    """The settings of a driver's Java: it maps the archive of classes that a job of the local cloud has left."""
    return {
        "spark.driver.extraClassPath": spark_classes.class_path(),
        "spark.driver.extraJavaOptions": f"{JAVA} {spark_classes.mapping()}",
    }


@contextlib.contextmanager
def standalone_cluster(folder: Path) -> Iterator[str]:
    """A standalone master and two workers of one core and 1 GB, all processes of their own, on loopback; its URL.

    All that they write lies below `folder`, what their executors say in worker-N/APPLICATION/EXECUTOR/stderr.
    """
    home = Path(pyspark.__file__).parent
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": JAVA,
    }

    def daemon(name: str, kind: str, *options: str) -> subprocess.Popen:
        command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1", *options]
        with open(folder / f"{name}.log", "wb") as log:
            process = guard.start(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        daemons.callback(guard.stop, process)
        return process

    with contextlib.ExitStack() as daemons:
        port, page = emulators.free_port(), emulators.free_port()
        master = daemon("master", "master.Master", "--port", f"{port}", "--webui-port", f"{page}")
        emulators.wait_for_port(port, master)
        for name in ("worker-1", "worker-2"):
            options = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", str(folder / name))
            daemon(name, "worker.Worker", *options, f"spark://127.0.0.1:{port}")
        emulators.wait_for_port(page, master)
        end = time.monotonic() + 60
        while alive_workers(page) < 2:
            assert time.monotonic() < end, f"two workers did not register within 60 s; see the logs in {folder}"
            time.sleep(0.1)
        yield f"spark://127.0.0.1:{port}"


def alive_workers(page: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/") as answer:
            return json.load(answer)["aliveworkers"]
    except (urllib.error.HTTPError, json.JSONDecodeError):  # the port is open, and answers, before the page is there
        return 0


def on_a_cluster(events: Path) -> dict[str, str]:
    """The settings of a session that uses both workers and logs its events in the folder, which exists."""
    return {
        "spark.cores.max": "2",
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": JAVA,
        # No task before both workers are there, else one of them may do all.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": events.as_uri(),
    }


def busy_workers(events: Path) -> set[str]:
    """The addresses of the workers on which tasks have succeeded, from the one event log in the folder."""
    (log,) = events.iterdir()
    workers, found = {}, set()
    for one in map(json.loads, log.read_text("utf-8").splitlines()):
        if one["Event"] == "SparkListenerExecutorAdded":
            # The executor's output is shown by the worker that started it.
            workers[one["Executor ID"]] = urlsplit(one["Executor Info"]["Log Urls"]["stderr"]).netloc
        elif one["Event"] == "SparkListenerTaskEnd" and one["Task End Reason"]["Reason"] == "Success":
            found.add(workers[one["Task Info"]["Executor ID"]])
    return found
