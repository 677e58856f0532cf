"""Two tables side by side in one folder, with one quarantine: both run at the same time, and both are killed."""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException

from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import Reading
from brigade.conversion.table import read_parquet
from tests.conversion import test_faults as faults
from tests.conversion.command import Run
from tests.conversion.sample_events import written

pytestmark = pytest.mark.faults

QUERY = "SELECT number AS eventId, total, day AS dt FROM events"
SCHEMA = "number STRING, total DOUBLE, day STRING"
MOMENTS = 10  # of the first runs, and as many of the second ones
STEPS = ("first", "second")


def land(folder: Path, which: str) -> None:
    """What has landed for both tables before the first run, or before the second one, with 3 and 2 bad invoices."""
    (faults.land_first if which == "first" else faults.land_more)(folder)
    first = which == "first"
    invoices = [json.dumps({"number": f"r{n}", "total": n + 0.5, "day": f"2026-1{n % 3}"}) for n in range(9)]
    written(folder / "invoices" / "a.jsonl", *invoices[:5], "{bad invoice" if first else "{changed invoice")
    if first:
        written(folder / "invoices" / "b.jsonl", *invoices[4:7], "{another", '{"number": 7, "total": "much"}')
    else:
        written(folder / "invoices" / "c.jsonl", *invoices[6:], "{yet another")


def state(spark, folder: Path, parquet: str) -> list[str]:
    """The rows that readers of a table are given; none when nothing was converted yet."""
    try:
        return sorted(map(repr, read_parquet(spark, f"{folder}/{parquet}").collect()))
    except (ConversionError, AnalysisException) as error:
        assert "PATH_NOT_FOUND" in str(error) or "UNABLE_TO_INFER" in str(error), error
        return []


def states(spark, folder: Path) -> list[list[str]]:
    return [state(spark, folder, parquet) for parquet in ("parquet", "invoices_parquet")]


def convert_both(spark, folder: Path, backwards: bool = False) -> None:
    runs = [
        lambda: faults.convert(spark, folder),
        lambda: json_into_parquet(
            spark, f"{folder}/invoices", f"{folder}/invoices_parquet", reading=Reading(QUERY, SCHEMA, None)
        ),
    ]
    for run in reversed(runs) if backwards else runs:
        run()


def landed_for(spark, folder: Path, which: str) -> Path:
    land(folder, "first")
    if which == "second":
        convert_both(spark, folder)
        land(folder, "second")
    return folder


def killed(folder: Path, moments: list[float]) -> tuple[list[Path], list[float]]:
    """Copies of the folder as it is when both runs are killed at each of the moments, in seconds from their begin; and
    how long each run took, unless it was killed."""
    copies = [folder.with_name(f"{folder.name}-at-{moment:.3f}") for moment in moments]
    (folder.parent / "query.sql").write_text(QUERY)
    (folder.parent / "schema.ddl").write_text(SCHEMA)
    flags = [f"--sql={folder.parent}/query.sql", f"--schema={folder.parent}/schema.ddl"]
    arguments = [f"{folder}/invoices", f"{folder}/invoices_parquet", *flags]
    with (
        Run(folder, "-c", faults.SAYS_WHEN) as one,
        Run(folder, "-c", faults.SAYS_WHEN, arguments=arguments) as other,
    ):
        groups = [int(run.wait_for("begins")) for run in (one, other)]
        began = time.monotonic()
        for moment, copy in zip(moments, copies, strict=True):
            time.sleep(max(0, began + moment - time.monotonic()))
            signals(groups, signal.SIGSTOP)
            stopped = time.monotonic()
            faults.copy_still(folder, copy)
            signals(groups, signal.SIGKILL if copy == copies[-1] else signal.SIGCONT)
            began += time.monotonic() - stopped
        seconds = [] if copies else [float(run.wait_for("ends")) for run in (one, other)]
        for run in (one, other):
            run.finish()
    return copies, seconds


def signals(groups: list[int], which: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.killpg(group, which)


@pytest.mark.parametrize("which", STEPS)
def test_two_tables_that_run_at_once_and_are_killed_lose_no_line(spark, tmp_path, which):
    calm = landed_for(spark, tmp_path / "calm", which)
    before = states(spark, calm)
    _, seconds = killed(calm, [])
    after, bad = states(spark, calm), faults.quarantined(spark, calm)
    assert (len(bad), len(after[1])) == ((5, 7) if which == "first" else (7, 9))

    choose = random.Random(11)
    moments = [(number + choose.random()) / MOMENTS * max(seconds) for number in range(MOMENTS)]
    folder = landed_for(spark, tmp_path / "both", which)
    copies, _ = killed(folder, moments)
    under_way = [copy for copy in copies if len(list(copy.glob("*parquet/_conversion/lock"))) == 2]
    assert len(under_way) > 2, f"only {len(under_way)} of {len(copies)} moments met both runs under way"
    for number, copy in enumerate(copies):
        shutil.rmtree(folder)
        copy.rename(folder)
        when = f"killed at {copy.name} of {seconds}"
        for found, allowed in zip(states(spark, folder), zip(before, after, strict=True), strict=True):
            assert found in allowed, f"{when}: readers see a state that is neither before nor after"
        convert_both(spark, folder, backwards=number % 2 == 1)
        assert states(spark, folder) == after, f"{when}: the next runs do not repair it"
        assert faults.quarantined(spark, folder) == bad, f"{when}: the next runs make another quarantine"
        assert faults.plain_rows(spark, folder) == after[0], f"{when}: the next runs leave parquet that is no result"
