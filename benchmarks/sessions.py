"""What the benchmarks of Spark share: a process with a session of its own, and how much memory it took."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from brigade.conversion import run as spark_sql
from local import guard

ROOT = Path(__file__).parent.parent


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def concluded(name: str, result: dict, missed: list[str]) -> int:
    """Says which targets were missed, prints the result as one line of JSON; the exit status."""
    for line in missed:
        say(f"{name}: target missed: {line}")
    print(json.dumps(result | {"targets_met": not missed}))
    return 1 if missed else 0


def in_session(module: str, job: str, scratch: str, memory: str, **values) -> dict:
    """Runs a function of benchmarks/<module>.py, whose first argument is a Spark session, in a new process; what it
    returns. `scratch` takes all that Spark writes beside its results."""
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    settings |= {"spark.local.dir": scratch, "spark.sql.warehouse.dir": f"{scratch}/warehouse"}
    settings |= {"spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={scratch}"} | spark_sql.SESSION
    submit = ["--master", "local[2]", "--driver-memory", memory]
    submit += itertools.chain.from_iterable(("--conf", f"{name}={value}") for name, value in settings.items())
    foreign = ("SPARK_", "PYSPARK_", "HADOOP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"PYSPARK_SUBMIT_ARGS": shlex.join([*submit, "pyspark-shell"]), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "TMPDIR": scratch, "POLARS_MAX_THREADS": "2"}
    paths = [str(ROOT), str(ROOT / "cloud_function"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths)}
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
    spark = spark_sql.open_session("brigade-bench")
    spark.range(1).count()  # the session has started
    print(json.dumps(job(spark, **values)), flush=True)
    spark.stop()  # the guard ends Java, should it stay


def peak_mib(pid: int | str) -> float:
    """The most memory that a process has held, by Linux's account."""
    return memory_mib(pid, "VmHWM")


def memory_mib(pid: int | str, kind: str) -> float:
    """What Linux's account of a process says: VmRSS, what it holds; VmHWM, the most that it has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(re.search(rf"^{kind}:\s+(\d+) kB$", status, re.M)[1]) / 1024, 1)
