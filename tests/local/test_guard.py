"""The guard: what it started ends with the process that asked for it, however that process ends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local import guard
from tests.conftest import ROOT
from tests.waiting import wait_until

# A command with a child of its own in the same group, as spark-submit has: both pids go to a file, then both
# sleep.
FAMILY = textwrap.dedent("""
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    time.sleep(600)
""")


def family(pids: Path) -> list[str]:
    return [sys.executable, "-c", FAMILY, str(pids)]


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie (an orphan stays one where no init reaps it)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def pids_in(path: Path) -> list[int]:
    wait_until(path.exists, f"{path}")
    return [int(pid) for pid in path.read_text().split()]


def test_the_command_ends_with_its_grandchildren_when_the_parent_is_killed(tmp_path):
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from local import guard; guard.start(sys.argv[1:]); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, *family(tmp_path / "pids")])
    pids = pids_in(tmp_path / "pids")
    assert all(runs(pid) for pid in pids)

    parent.kill()
    parent.wait()

    wait_until(lambda: not any(runs(pid) for pid in pids), "the end of command and grandchild")


def test_stop_ends_the_whole_group_and_returns_the_status(tmp_path):
    process = guard.start(family(tmp_path / "pids"))
    pids = pids_in(tmp_path / "pids")
    assert guard.stop(process) == 128 + signal.SIGTERM
    assert not any(runs(pid) for pid in pids)


def test_who_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "GRACE_SECONDS", 0.2)
    program = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    program += "os.mkdir(sys.argv[1]); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "ignores")], start_new_session=True)
    wait_until((tmp_path / "ignores").exists, "ignoring")
    guard._end_group(child)
    assert child.wait(30) == -signal.SIGKILL


# A command that leaves a child which has ended and whose status nobody has taken.
LEAVES_A_ZOMBIE = """
import os
child = os.fork() or os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
"""
# Orphans go to this process, which takes the exit status of the guard alone, as a container's process 1 may.
NO_INIT = f"""
import ctypes, subprocess, sys
assert ctypes.CDLL(None).prctl({guard._SET_CHILD_SUBREAPER}, 1, 0, 0, 0) == 0
patient = "import sys; from local import guard; guard.GRACE_SECONDS = float('inf'); sys.exit(guard.main(sys.argv[1:]))"
command = [sys.executable, "-c", patient, "--", sys.executable, "-c", {LEAVES_A_ZOMBIE!r}]
sys.exit(subprocess.Popen(command, stdin=subprocess.PIPE).wait())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_a_zombie_that_no_init_reaps_is_not_waited_for():
    parent = guard.start([sys.executable, "-c", NO_INIT], cwd=ROOT)
    try:
        assert parent.wait(60) == 0
    finally:
        guard.stop(parent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_guard_ends_the_command(tmp_path, number):
    program = "import os, sys, time; os.mkdir(sys.argv[1]); time.sleep(600)"
    process = guard.start([sys.executable, "-c", program, str(tmp_path / "started")])
    wait_until((tmp_path / "started").exists, "the start")
    process.send_signal(number)
    assert process.wait(30) == 128 + signal.SIGTERM
    process.stdin.close()


def test_output_status_environment_and_folder_are_those_of_the_command(tmp_path):
    program = "import os, sys; print(os.environ['A'], os.getcwd(), repr(sys.stdin.read())); sys.exit(7)"
    process = guard.start(
        [sys.executable, "-c", program], env={**os.environ, "A": "b"}, stdout=subprocess.PIPE, cwd=tmp_path
    )
    output = process.stdout.read().decode()
    assert process.wait(30) == 7
    assert output.split() == ["b", str(tmp_path), "''"]
    assert guard.stop(process) == 7
    process.stdout.close()


def test_a_command_that_does_not_exist_is_named():
    process = guard.start(["/no/such/command"], stderr=subprocess.PIPE)
    assert b"/no/such/command" in process.stderr.read()
    assert guard.stop(process) == 127
    process.stderr.close()
