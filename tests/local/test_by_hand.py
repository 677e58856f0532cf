"""README's commands for each stage by hand, pasted into a shell as one block."""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from local import emulators
from tests.conftest import ROOT
from tests.test_readme import FENCES, README


@pytest.fixture
def project(tmp_path):
    """A copy of the project, whose folders and local cloud are its own; all that was started there ends."""
    copy = tmp_path / "project"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
        os.utime(copy / name, (0, 0))  # older than .venv, which is not its own: no setup of the copy may change it
    (copy / ".venv").symlink_to(ROOT / ".venv")
    yield copy
    subprocess.run(["make", "-s", "down"], cwd=copy, capture_output=True)


def paste(block: str, project: Path) -> tuple[str, str]:
    """Runs the block as one; gives its standard output and error. Ends what it has left running."""
    log = project.parent / "errors"
    with open(log, "wb") as errors:
        shell = subprocess.Popen(
            ["bash", "-c", block],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = shell.communicate(timeout=800)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    return out, log.read_text("utf-8", "replace")


@pytest.mark.long
def test_the_block_lands_every_message_and_then_converts_trains_and_serves(project):
    (block,) = [text for _, text in FENCES.findall(README) if "source .venv/bin/activate" in text]
    assert "8080" in block
    out, errors = paste(block.replace("8080", str(emulators.free_port())), project)
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    told = [answer for answer in found if "adds_up" in answer]
    assert [(one["adds_up"], one["published"], one["landed"]) for one in told] == [(True, 2040, 2020)], errors
    (converted,) = [answer for answer in found if "quarantined" in answer]
    assert (converted["converted"], converted["duplicates"]) == (2000, 20), converted
    (answer,) = [answer for answer in found if "predictions" in answer]
    assert re.fullmatch(r"doc-classification-model-\d{4}-\d\d-\d\d", answer["model"]["name"])
    processes = subprocess.run(["ps", "-Aww", "-o", "command"], capture_output=True, text=True).stdout
    assert str(project) not in processes
