"""CONVERT from outside, through its command line: killed at any moment, run twice at once, run on a real cluster."""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException

from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import COLUMNS
from brigade.conversion.table import read_parquet
from tests.conversion.command import Run, run
from tests.conversion.outputs import days, numbers
from tests.conversion.sample_events import line, written
from tests.conversion.spark_cluster import busy_workers, on_a_cluster

pytestmark = pytest.mark.faults


# ----------------------------------------------------------------------------------------- the input, and what is found


def land_first(folder: Path) -> None:
    """What has landed before the first run: events that repeat, one alone on its day, lines that are none."""
    landed = folder / "input"
    written(
        landed / "dt=2019-04-03" / "a.jsonl",
        *(line(f"a{number}", published=f"2019-04-03T00:00:{number:02}Z") for number in range(9)),
        *(line("twice", {"payload": "the second"}, published="2019-04-03T01:00:00Z"), "{broken"),
        line("beaten", {"payload": "comes to light"}, published="2019-04-03T02:00:00Z"),
    )
    written(
        landed / "dt=2019-04-04" / "b.jsonl.gz",
        *(line(f"b{number}", published=f"2019-04-0{number}T12:00:00Z") for number in (4, 5, 6)),
        line("twice", {"payload": "the first"}, published="2019-04-03T00:30:00Z"),
    )
    written(landed / "dt=2019-04-09" / "c.jsonl", line("alone", {"payload": "c"}, published="2019-04-09T00:00:00Z"))
    beats = line("beaten", {"payload": "goes"}, published="2019-04-12T00:00:00Z")
    written(landed / "changing.jsonl", line("stays"), beats, line("goes"), line("changes"), "{was broken")


def land_more(folder: Path) -> None:
    """What lands before the second run: an earlier and a later copy of events that have a row, of which one wins and
    the other does not, and leaves a day empty; new events on old days and on a new one; and a file has changed."""
    landed = folder / "input"
    written(
        landed / "dt=2019-04-10" / "d.jsonl",
        *(line(name, {"payload": "earlier"}, published="2019-04-01T00:00:00Z") for name in ("alone", "a1")),
        *(line(f"d{number}", published="2019-04-10T01:00:00Z") for number in range(5)),
        *(line(name, {"payload": "later"}, published="2019-04-11T00:00:00Z") for name in ("alone", "b5")),
    )
    written(landed / "dt=2019-04-03" / "e.jsonl.gz", line("e1", published="2019-04-03T05:00:00Z"), f"[{line('none')}]")
    written(landed / "changing.jsonl", line("stays"), line("changes", {"payload": "other"}), line("new"), "{is broken")


def rows(spark, folder: Path) -> list[str]:
    """All columns of all rows that readers are given, sorted; none when nothing was converted yet."""
    try:
        frame = read_parquet(spark, str(folder / "parquet"))
    except (ConversionError, AnalysisException):
        return []
    return sorted(map(repr, frame.collect()))


def plain_rows(spark, folder: Path) -> list[str]:
    """The same, as somebody finds them who knows no more than that it is a folder of parquet."""
    return sorted(map(repr, spark.read.parquet(str(folder / "parquet")).select(*COLUMNS).collect()))


def quarantined(spark, folder: Path) -> list[tuple]:
    """(reason, line) of all that lies in the quarantine, sorted."""
    reader = spark.read.schema("reason STRING, line STRING").option("recursiveFileLookup", "true")
    return sorted(map(tuple, reader.json(str(folder / "quarantine")).collect()))


def convert(spark, folder: Path) -> dict:
    return json_into_parquet(spark, str(folder / "input"), str(folder / "parquet"))


STEPS = ("first", "second")  # runs


def landed_for(spark, folder: Path, which: str) -> Path:
    """The folder, as the first or the second run finds it."""
    land_first(folder)
    if which == "second":
        convert(spark, folder)
        land_more(folder)
    return folder


@pytest.fixture(scope="module")
def expected(spark, tmp_path_factory) -> dict[str, tuple[list, list]]:
    """The rows and the quarantine when one run converts at once all that has landed before the first or second run."""
    found = {}
    for which in STEPS:
        land_first(folder := tmp_path_factory.mktemp("expected"))
        if which == "second":
            land_more(folder)
        convert(spark, folder)
        found[which] = rows(spark, folder), quarantined(spark, folder)
    return found


# ------------------------------------------------------------------------------------------------- killed at any moment

# The command line, which says when the conversion itself begins, and at its end how long it took.
SAYS_WHEN = """
import os, sys, time
import spark_sql

converts = spark_sql.json_into_parquet

def json_into_parquet(*arguments, **options):
    began = time.monotonic()
    print("begins", os.getpid(), flush=True)
    summary = converts(*arguments, **options)
    print("ends", time.monotonic() - began, flush=True)
    return summary

spark_sql.json_into_parquet = json_into_parquet
sys.exit(spark_sql.main(sys.argv[1:]))
"""
# A process that is stopped has written what a SIGKILL at that moment would leave. So one process gives several
# moments: it is stopped, its folder is copied, and it goes on; at the last moment it is killed.
MOMENTS = 5  # of each process: those of one are seconds of the conversion, those of the other changes that it makes


def converts(folder: Path) -> Run:
    return Run(folder, "-c", SAYS_WHEN)


def undisturbed(folder: Path, starts: Callable[[Path], Run] = converts) -> tuple[float, int]:
    """How long a run takes without the start of Python and Spark: in seconds, and in changes."""
    with starts(folder) as one:
        one.wait_for("begins")
        count = max(changes(one, folder), default=0)
        seconds = float(one.wait_for("ends"))
        one.summary()
        return seconds, count


def changes(one: Run, folder: Path) -> Iterator[int]:
    """1, 2, 3, … as names below the folder are seen to come and go, until the run has ended."""
    count, before = 0, None
    while one.process.poll() is None:
        names = {(at, *folders, *files) for at, folders, files in os.walk(folder)}
        if before not in (None, names):
            yield (count := count + 1)
        before = names
        time.sleep(0.005)


def killed(
    folder: Path, starts: Callable[[Path], Run] = converts, *, seconds: list[float] = (), counts: list[float] = ()
) -> list[Path]:
    """Copies of the folder as it is when the run is killed at each of the moments, in seconds or in changes."""
    copies = [folder.with_name(f"{folder.name}-at-{moment:.3f}") for moment in seconds or counts]
    with starts(folder) as one:
        group = int(one.wait_for("begins"))
        seen = changes(one, folder)
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and leaves the same for the later moments
            for number, copy in enumerate(copies):
                if counts:
                    next((count for count in seen if count >= counts[number]), None)
                else:
                    time.sleep(seconds[number] - (seconds[number - 1] if number else 0))
                if copy == copies[-1]:
                    os.killpg(group, signal.SIGKILL)
                else:
                    os.killpg(group, signal.SIGSTOP)
                    copy_still(folder, copy)
                    os.killpg(group, signal.SIGCONT)
        one.finish()
    for copy in copies:
        if not copy.exists():
            shutil.copytree(folder, copy)
    return copies


def copy_still(folder: Path, copy: Path) -> None:
    """Copy a folder as it was at one moment: again, if anything has changed meanwhile, since a thread may stop late."""
    for _ in range(100):
        shutil.rmtree(copy, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError, shutil.Error):
            before = listing(folder)
            shutil.copytree(folder, copy)
            if listing(folder) == before:
                return
        time.sleep(0.01)
    pytest.fail(f"{folder} still changes although all processes that write there are stopped")


def listing(folder: Path) -> list[tuple]:
    """All paths below the folder, the files with size and time of change."""
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return sorted(
        (str(path.relative_to(folder)), *((one.st_size, one.st_mtime_ns) if path.is_file() else ()))
        for path, one in found
    )


@pytest.fixture(scope="module")
def calm(spark, tmp_path_factory) -> dict[str, tuple]:
    """Of an undisturbed first and second run: the folder, the rows before it, and how long it took."""
    folders = {which: landed_for(spark, tmp_path_factory.mktemp(which) / "calm", which) for which in STEPS}
    before = {which: rows(spark, folder) for which, folder in folders.items()}
    with ThreadPoolExecutor(2) as pool:  # as many at a time as there are below
        lengths = dict(zip(folders, pool.map(undisturbed, folders.values()), strict=True))
    return {which: (folder, before[which], *lengths[which]) for which, folder in folders.items()}


@pytest.mark.parametrize("which", STEPS)
def test_a_killed_run_has_done_nothing_or_all_and_the_next_one_ends_where_an_undisturbed_one_does(
    spark, tmp_path, expected, calm, which
):
    folder, before, seconds, count = calm[which]
    after, bad = expected[which]
    assert after != before
    assert (rows(spark, folder), quarantined(spark, folder)) == (after, bad), "one run of all makes another result"

    choose = random.Random(20)
    parts = [(number + choose.random()) / MOMENTS for number in range(2 * MOMENTS)]
    early, late = (landed_for(spark, tmp_path / name, which) for name in ("seconds", "changes"))
    with ThreadPoolExecutor(2) as pool:
        deaths = {
            early: pool.submit(killed, early, seconds=[part * seconds for part in parts[:MOMENTS]]),
            late: pool.submit(killed, late, counts=[(part - 1) * count for part in parts[MOMENTS:]]),
        }
    copies = [copy for death in deaths.values() for copy in death.result()]
    under_way = [copy for copy in copies if (copy / "parquet" / "_conversion" / "lock").exists()]
    assert len(under_way) > 2, f"only {len(under_way)} of {len(copies)} moments met a run that was under way"
    states = {(folder, *listing(copy)): copy for folder, death in deaths.items() for copy in death.result()}
    for (folder, *_), copy in states.items():
        # Back to where the run was, since what it wrote may name its own path.
        shutil.rmtree(folder)
        copy.rename(folder)
        when = f"killed when {copy.name} of {seconds:.3f} seconds and {count} changes"
        assert rows(spark, folder) in (before, after), f"{when}: readers see a state that is neither before nor after"
        convert(spark, folder)
        assert rows(spark, folder) == after, f"{when}: the next run does not repair it"
        assert plain_rows(spark, folder) == after, f"{when}: the next run leaves parquet that is no result"
        assert quarantined(spark, folder) == bad, f"{when}: the next run makes another quarantine"


# ------------------------------------------------------------------------------------------------------- two at once

# The command line, which waits with the lock in its hands until the file that its first argument names is there.
HOLDS_LOCK = """
import contextlib, os, sys, time
import spark_sql
from brigade.conversion import run

lock, go = run.Lock, sys.argv.pop(1)

@contextlib.contextmanager
def lock_and_wait(*arguments, **options):
    with lock(*arguments, **options) as held:
        print("holds", os.getpid(), flush=True)
        while not os.path.exists(go):
            time.sleep(0.05)
        yield held

run.Lock = lock_and_wait
sys.exit(spark_sql.main(sys.argv[1:]))
"""


def test_of_two_runs_at_once_the_second_changes_nothing_and_says_why_in_one_line(spark, tmp_path, expected):
    land_first(folder := tmp_path / "folder")
    with Run(folder, "-c", HOLDS_LOCK, str(tmp_path / "go")) as winner:
        winner.wait_for("holds")
        before = without_lock(folder)
        with Run(folder) as loser:
            ended, log = loser.finish(), loser.said()
        lines = [text for text in log.splitlines() if text.startswith("spark_sql.py: ")]
        assert ended == (1, ""), log
        assert len(lines) == 1 and "under way" in lines[0], log
        assert "Traceback" not in log and "Exception" not in log, log
        assert without_lock(folder) == before, "the run that was refused has changed what the other one works on"

        (tmp_path / "go").touch()
        assert numbers(winner.summary()) == [22, 18, 2, 2]
    assert (rows(spark, folder), quarantined(spark, folder)) == expected["first"]
    assert plain_rows(spark, folder) == expected["first"][0]


def without_lock(folder: Path) -> list[tuple]:
    """The listing without the lock, which who holds it may renew at any time."""
    return [entry for entry in listing(folder) if not Path(entry[0]).name.startswith(("lock", ".lock"))]


def test_the_lock_of_a_run_that_was_killed_is_taken_over_at_once(spark, tmp_path, expected):
    land_first(folder := tmp_path / "folder")
    with Run(folder, "-c", HOLDS_LOCK, str(tmp_path / "never")) as victim:
        group = int(victim.wait_for("holds"))
        with pytest.raises(ConversionError, match="under way"):
            convert(spark, folder)
        os.killpg(group, signal.SIGKILL)
        victim.finish()
    convert(spark, folder)
    assert (rows(spark, folder), quarantined(spark, folder)) == expected["first"]


# ------------------------------------------------------------------------------------------------- a cluster of its own


@pytest.mark.cluster
def test_a_cluster_with_two_workers_makes_the_same_of_a_first_and_a_second_run_as_one_process(spark, tmp_path, cluster):
    far, near = tmp_path / "far", tmp_path / "near"
    for number, land in enumerate([land_first, land_more]):
        land(far)
        land(near)
        (events := tmp_path / f"events-{number}").mkdir()
        summary = run(far, master=cluster, settings=on_a_cluster(events))
        assert numbers(summary) == numbers(convert(spark, near))
        assert rows(spark, far) == rows(spark, near)
        assert plain_rows(spark, far) == rows(spark, near)
        assert quarantined(spark, far) == quarantined(spark, near)
        assert len(busy_workers(events)) == 2, "both workers should have run tasks"
    assert "dt=2019-04-10" in days(far / "parquet")
