"""For the benchmarks of Spark: a new process with a session, and how much memory it took."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from brigade.spark import SESSION, open_session
from local import guard

ROOT = Path(__file__).parent.parent


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def concluded(name: str, result: dict, missed: list[str]) -> int:
    """Logs the missed targets and prints the result as one line of JSON. Returns the exit status."""
    for line in missed:
        say(f"{name}: target missed: {line}")
    print(json.dumps(result | {"targets_met": not missed}))
    return 1 if missed else 0


def in_session(module: str, job: str, scratch: str, memory: str, **values) -> dict:
    """Runs a function of benchmarks/<module>.py in a new process, with a Spark session as its first argument.

    Returns what the function returns. Spark writes its temporary files to `scratch`.
    """
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    settings |= {"spark.local.dir": scratch, "spark.sql.warehouse.dir": f"{scratch}/warehouse"}
    settings |= {"spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={scratch}"} | SESSION
    submit = ["--master", "local[2]", "--driver-memory", memory]
    submit += itertools.chain.from_iterable(("--conf", f"{name}={value}") for name, value in settings.items())
    foreign = ("SPARK_", "PYSPARK_", "HADOOP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"PYSPARK_SUBMIT_ARGS": shlex.join([*submit, "pyspark-shell"]), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {"TMPDIR": scratch, "POLARS_MAX_THREADS": "2"}
    code = f"from benchmarks import sessions, {module} as m; sessions.answer_with(m.{job}, **{values!r})"
    process = guard.start([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        output = process.stdout.read()
    finally:
        status = guard.stop(process)
    if status:
        raise RuntimeError(f"{job} ended with {status}; its error is above")
    return json.loads(output)


def answer_with(job, **values) -> None:
    spark = open_session("brigade-bench")
    spark.range(1).count()  # the session has started
    print(json.dumps(job(spark, **values)), flush=True)
    spark.stop()  # the guard ends Java, should it stay


def peak_mib(pid: int | str) -> float:
    """The most memory that a process has held, as Linux counts it."""
    return memory_mib(pid, "VmHWM")


def memory_mib(pid: int | str, kind: str) -> float:
    """A figure from Linux's status of a process: VmRSS, what it holds; VmHWM, the most that it has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(re.search(rf"^{kind}:\s+(\d+) kB$", status, re.M)[1]) / 1024, 1)


def over(what: str, found: float | None, most: float) -> list[str]:
    """The missed target, if it is one. None, which stands for no answer, is above every limit."""
    return [] if found is not None and found <= most else [f"{what}: expected at most {most}, found {found}"]
