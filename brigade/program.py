"""What the programs that Spark runs do around their work: its summary is printed, and kept where that was asked for."""

import time
from collections.abc import Callable

from brigade import cli
from brigade.causes import told
from brigade.storage import write_text


def summarised(work: Callable[[], dict], file: str | None) -> dict:
    """Does the work, prints its summary with the seconds that it took, and returns it.

    file: where the summary goes too, gs:// or local. Raises a BrigadeError, also in place of other errors that a person
    can mend; see brigade.causes.
    """
    started = time.time()
    with told():
        summary = work()
        summary |= {"seconds": round(time.time() - started, 1)}
        cli.print_summary(summary)
        if file:
            write_text(file, cli.summary_line(summary))
    return summary
