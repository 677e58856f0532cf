"""One conversion at a time writes to an output; a second one ends with an error.

The lock is a file with the process that holds it and a number that it raises every few seconds. The lock of a killed
run is taken over: at once if its process ran on this machine, elsewhere once the number has stood still for a while.
"""

import json
import logging
import os
import socket
import sys
import threading
import time
import uuid

from pyspark.sql import SparkSession

from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder

log = logging.getLogger(__name__)

BEAT_SECONDS = 10


class Lock:
    """Holds the lock of an output for a `with` block. Raises ConversionError if another run holds it."""

    def __init__(self, spark: SparkSession, output_path: str):
        self.folder = Folder(spark, f"{output_path.rstrip('/')}/_conversion")
        self.own = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self.own["started"] = started_at(os.getpid())
        self.ended, self.beating = threading.Event(), threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> "Lock":
        for _ in range(2):
            if self.folder.create("lock", self.text(0)):
                self.beating.start()
                return self
            if (holder := self.living_holder()) is not None:
                raise ConversionError(
                    f"another run into {self.folder.path.removesuffix('/_conversion')} is under way "
                    f"(process {holder.get('pid')} on {holder.get('host')}); wait for it to end"
                )
            log.warning("taking over the lock of a run that did not end")
            self.folder.delete("lock")
        raise ConversionError("another run began at the same moment; wait for it to end")

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.beating.join()
        if self.is_own():
            self.folder.delete("lock")

    def check(self) -> None:
        """Raises ConversionError if another run has taken over the lock."""
        if not self.is_own():
            raise ConversionError("another run took over the lock; nothing was changed")

    def is_own(self) -> bool:
        return (self.holder() or {}).get("run") == self.own["run"]

    def text(self, beat: int) -> str:
        return json.dumps(self.own | {"beat": beat})

    def holder(self) -> dict | None:
        """What the lock says of its holder; None if there is no lock, or it is not written to its end."""
        try:
            holder = json.loads(self.folder.read("lock"))
        except (OSError, ValueError):
            return None
        return holder if isinstance(holder, dict) and self.own.keys() <= holder.keys() else None

    def living_holder(self) -> dict | None:
        """The lock's holder, if it is still running."""
        first = self.holder()
        if first and first["host"] == self.own["host"]:
            return first if started_at(first["pid"]) == first["started"] is not None else None
        log.info("another run's lock is in %s; waiting to see whether that run is alive", self.folder.path)
        time.sleep(2.5 * BEAT_SECONDS)
        second = self.holder()
        return second if second and second != first else None

    def beat(self) -> None:
        """Raises the lock's number until the conversion ends, or another run has the lock."""
        count = 0
        while not self.ended.wait(BEAT_SECONDS) and self.is_own():
            count += 1
            self.folder.replace("lock", self.text(count))


def started_at(pid: int) -> str | None:
    """What tells this process of the machine from others that have had its number; None if it has ended."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, *fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else fields[18]  # the time it began
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"
