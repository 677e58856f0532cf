"""Says what the job waits for, and since when, while a service does not answer.

The clients of Google's services try again in silence for minutes. Whoever watches the job must know what it waits for.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

log = logging.getLogger(__name__)

FIRST_SECONDS = 8.0  # until the first line
AGAIN_SECONDS = 60.0  # between two lines


@contextmanager
def tells_when_it_waits(place: str) -> Iterator[None]:
    """Logs a warning when the block has lasted FIRST_SECONDS, and again every AGAIN_SECONDS until it ends."""
    done, started, since = threading.Event(), time.monotonic(), datetime.now(UTC)
    spoken = threading.Event()

    def tell() -> None:
        pause = FIRST_SECONDS
        while not done.wait(pause):
            seconds = time.monotonic() - started
            log.warning("waiting for %s since %s UTC, for %.0f s now", place, f"{since:%H:%M:%S}", seconds)
            spoken.set()
            pause = AGAIN_SECONDS

    threading.Thread(target=tell, name="tells-when-it-waits", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if spoken.is_set():
            log.info("waited %.0f s for %s", time.monotonic() - started, place)
