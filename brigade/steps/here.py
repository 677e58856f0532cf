"""Runs steps on this machine, one after the other, by the spark-submit of this Python environment."""

import importlib.resources
import os
import shutil
import subprocess
import sys
from pathlib import Path

from brigade.errors import WrongInput
from brigade.steps.commands import Command
from brigade.steps.output import Output, StepFailed

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
    command = [spark_submit(), str(PROGRAMS / step.program), *step.arguments]
    with subprocess.Popen(
        command, env=os.environ | python, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        for line in process.stdout:
            output.add(line)
    if process.returncode:
        words = output.last_words or f"{step.program} ended with status {process.returncode}; its log is above"
        raise StepFailed(f"{step.step} failed: {words}", 2 if process.returncode == 2 else 1)
    return output.summary


def spark_submit() -> str:
    """The spark-submit beside this Python, or the one on PATH. Raises WrongInput if there is none."""
    beside = Path(sys.executable).with_name("spark-submit")
    found = str(beside) if beside.exists() else shutil.which("spark-submit")
    if not found:
        raise WrongInput("expected spark-submit beside Python or on PATH, found none; make setup")
    return found
