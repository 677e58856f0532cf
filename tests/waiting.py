"""Waits for what happens elsewhere, with a limit that only something broken reaches."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], what: str = "what is waited for", seconds: float = 180) -> None:
    """Returns when the condition holds. Fails if it does not within so many seconds. what: in words."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about within {seconds:g} s"
        time.sleep(0.05)
