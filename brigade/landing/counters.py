"""What landing counts: messages, lines, files and bytes.

Every count goes to Beam's metrics, which Dataflow shows. It also goes to COUNTED, from which a local run prints its
summary: the local runner's own metrics miss all but a first bundle. Nobody else owns COUNTED or its lock.
"""

import threading
from collections import Counter

from apache_beam.metrics import Metrics

COUNTED: Counter[str] = Counter()
COUNTING = threading.Lock()


def count(name: str, by: int = 1) -> None:
    """Adds to the counter of that name."""
    Metrics.counter("landing", name).inc(by)
    with COUNTING:
        COUNTED[name] += by


def counted() -> dict[str, int]:
    """What this process has counted so far, in the order of the names."""
    with COUNTING:
        return dict(sorted(COUNTED.items()))
