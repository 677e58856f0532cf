"""Runs steps on this machine, one after the other, by the spark-submit of this Python environment."""

import contextlib
import importlib.resources
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from brigade.errors import WrongInput
from brigade.steps.commands import Command
from brigade.steps.output import Output, StepFailed

POLL_SECONDS = 0.2  # between two looks at what a running step has said
PROGRAMS = Path(str(importlib.resources.files("brigade"))).parent  # they lie beside the package


def run(steps: list[Command]) -> dict[str, dict]:
    """The summaries of the steps. Raises StepFailed with the first one that fails, and WrongInput before any starts."""
    for one in steps:
        if not (PROGRAMS / one.program).is_file():
            raise WrongInput(f"{one.step}: expected the program {PROGRAMS / one.program}, found none")
    return {one.step: run_step(one) for one in steps}


def run_step(step: Command) -> dict:
    """The summary of a step. Raises StepFailed."""
    output = Output()
    python = {name: sys.executable for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")}
    with tempfile.TemporaryDirectory(prefix="brigade-") as folder:
        log_file = Path(folder) / "log"
        driver = f"spark.pyspark.driver.python={driver_python(Path(folder), log_file)}"
        command = [spark_submit(), "--conf", driver, str(PROGRAMS / step.program), *step.arguments]
        with (
            open(log_file, "ab") as log,  # as the driver's Python has it: who writes, adds
            open(log_file, "rb") as said,
            subprocess.Popen(
                command, env=os.environ | python, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            ) as process,
        ):
            while process.poll() is None:
                output.add(said.read())
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
            output.add(said.read())
    if process.returncode:
        words = output.last_words or f"{step.program} ended with status {process.returncode}; its log is above"
        raise StepFailed(f"{step.step} failed: {words}", 2 if process.returncode == 2 else 1)
    return output.summary


def driver_python(folder: Path, log_file: Path) -> Path:
    """Write FOLDER/driver-python, which runs this Python and adds what it says to the log; return it.

    Otherwise spark-submit copies the driver's output in a thread that it does not wait for: on a busy machine the last
    words of a program, its summary, are lost when Java ends first.
    """
    python = folder / "driver-python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@" >>{shlex.quote(str(log_file))} 2>&1\n')
    python.chmod(0o755)
    return python


def spark_submit() -> str:
    """The spark-submit beside this Python, or the one on PATH. Raises WrongInput if there is none."""
    beside = Path(sys.executable).with_name("spark-submit")
    found = str(beside) if beside.exists() else shutil.which("spark-submit")
    if not found:
        raise WrongInput("expected spark-submit beside Python or on PATH, found none; make setup")
    return found
