"""Runs a command that must not outlive its parent.

    python -m local.guard -- CMD ARGS…

CMD gets a session and a process group of its own. The guard's standard input is a pipe that the parent holds
open; when the parent dies, in whatever way, the kernel closes the pipe, and the guard ends the whole group:
SIGTERM, and SIGKILL to what is left after five seconds. SIGTERM, SIGINT and SIGHUP to the guard do the same.
Otherwise the guard ends when CMD does, with its exit status.

`start` and `stop` are the two calls for a Python parent. Standard library only: the guard is up in a few
hundredths of a second.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO

GRACE_SECONDS = 5.0
_SET_CHILD_SUBREAPER = 36  # of Linux's prctl(2)


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | IO | None = None,
    stderr: int | IO | None = None,
    cwd: str | os.PathLike | None = None,
) -> subprocess.Popen:
    """Start `command` under a guard and return the guard's process, whose exit status becomes that of the
    command.

    The arguments mean what they mean to `subprocess.Popen`. The command reads an empty standard input. A
    terminal's Ctrl-C does not reach it: who starts it, ends it with `stop`, or by ending.
    """
    # -I and -S: no site-packages and nothing from the caller's PYTHON… variables, which the command itself
    # still gets.
    guard = [sys.executable, "-I", "-S", os.path.abspath(__file__), "--", *map(str, command)]
    return subprocess.Popen(
        guard, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, cwd=cwd, start_new_session=True
    )


def stop(process: subprocess.Popen, timeout: float = 10) -> int:
    """End what `start` returned, wait for it and return its exit status (143 when SIGTERM ended the command).

    `timeout` is in seconds and should exceed the five that a command has to react to SIGTERM.
    """
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command after `--` until it ends or has to; return its exit status, 128 + N for a death by
    signal N."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) < 2 or arguments[0] != "--":
        print("usage: python -m local.guard -- CMD ARGS…", file=sys.stderr)
        return 2

    # What CMD leaves behind becomes a child of the guard, which takes its exit status. Process 1 may do so late, or,
    # as a container's often does, never, and until then the group is not empty.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    # Signals wake the select below through a pipe, so there is no moment in which one can be missed.
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)

    try:
        child = subprocess.Popen(arguments[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"guard: cannot run {arguments[1]}: {error.strerror}", file=sys.stderr)
        return 127
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), wake_read], [], [])
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            break
        if wake_read in ready and set(os.read(wake_read, 4096)) - {signal.SIGCHLD}:
            break
    _end_group(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end_group(child: subprocess.Popen) -> None:
    """End the child's group, of which `child` is the leader; members may be left when the leader is gone."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(child.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if child.poll() is not None and not _group_exists(child.pid):
                return
            time.sleep(0.02)


def _group_exists(group: int) -> bool:
    """Whether a process of the group is left; its leader has been waited for."""
    with contextlib.suppress(ChildProcessError):  # none of the group is a child of this process
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
