"""The command line of CONVERT as a process of its own, with a Python and a Spark of its own."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from local import guard
from tests.conftest import ROOT
from tests.conversion.spark_cluster import driver

SECONDS = 300  # what no run of these tests comes near; a run that hangs must not hang the tests
SCRIPT = str(ROOT / "spark_sql.py")


class Run:
    """A run of CONVERT on a folder with a Python and a Spark of its own; ends with the `with` block."""

    def __init__(
        self,
        folder: Path,
        *program: str,
        arguments: list[str] | None = None,
        master: str = "local[2]",
        settings: dict[str, str] | None = None,
    ):
        """`program` is what Python runs: a script, or -c and a text, and arguments before those of CONVERT, which are
        the folder's input and parquet unless others are given."""
        own = {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": f"{folder}.scratch",
        }
        settings = own | driver() | (settings or {})
        submit = ["--master", master, "--driver-memory", "1g"]
        submit += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        environment = os.environ | {
            "PYSPARK_SUBMIT_ARGS": shlex.join([*submit, "pyspark-shell"]),
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        arguments = arguments or [f"{folder}/input", f"{folder}/parquet"]
        command = [sys.executable, *(program or [SCRIPT]), *arguments]
        with tempfile.NamedTemporaryFile(dir=folder.parent, suffix=".log", delete=False) as log:
            self.process = guard.start(command, env=environment, stdout=subprocess.PIPE, stderr=log, cwd=folder.parent)
        self.log = Path(log.name)
        self.limit = threading.Timer(SECONDS, guard.stop, [self.process])
        self.limit.daemon = True
        self.limit.start()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_) -> None:
        self.limit.cancel()
        guard.stop(self.process)
        self.process.stdout.close()

    def said(self) -> str:
        """Its standard error."""
        return self.log.read_text("utf-8")

    def wait_for(self, word: str) -> str:
        """What follows `word` on the line of standard output that begins with it."""
        for text in self.process.stdout:
            if text.startswith(word.encode("utf-8")):
                return text.decode("utf-8").removeprefix(word).strip()
        pytest.fail(f"CONVERT ended before it said {word!r}:\n{self.said()}")

    def finish(self) -> tuple[int, str]:
        """(status, the rest of standard output), when it has ended."""
        # All processes of the run hold this pipe: at its end none of them is left, Spark's Java process included.
        output = self.process.stdout.read().decode("utf-8")
        return self.process.wait(), output

    def summary(self) -> dict:
        """What it says on its last line, when it has ended, which must be well."""
        status, output = self.finish()
        assert status == 0, f"CONVERT ended with status {status}:\n{self.said()}"
        return json.loads(output.splitlines()[-1])


def run(folder: Path, **options) -> dict:
    with Run(folder, **options) as one:
        return one.summary()
