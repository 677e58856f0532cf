"""PREDICT from outside, through its command line, killed at any moment and started again."""

import shutil
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from brigade.conversion.table import read_parquet
from tests.conversion.command import Run
from tests.conversion.test_faults import killed, undisturbed
from tests.models.written_models import OLD, write_model
from tests.prediction.predictions import DAYS, counts, documents, model_in, run, told, written

pytestmark = pytest.mark.faults

MOMENTS, EVENTS = 10, 120
TABLE = f"predictions/model={OLD}/runId=run-1"
# The command line, with a portion for each day, which says when the prediction itself begins and how long it took.
SAYS_WHEN = """
import os, sys, time
import predict
from brigade.prediction import run

run.EVENTS_A_CORE = 20
predicts = predict.predict

def timed(*arguments, **options):
    began = time.monotonic()
    print("begins", os.getpid(), flush=True)
    summary = predicts(*arguments, **options)
    print("ends", time.monotonic() - began, flush=True)
    return summary

predict.predict = timed
sys.exit(predict.main(sys.argv[1:]))
"""


def started(folder: Path, flags: list[str]) -> Run:
    arguments = [f"{folder}/input", f"{folder}/predictions", f"--models={folder}/models", *flags]
    return Run(folder, "-c", SAYS_WHEN, arguments=arguments)


def committed(spark, folder: Path) -> dict[str, object]:
    """When each event was predicted, as readers see the table."""
    if not (folder / TABLE / "_conversion").exists():
        return {}
    return {row.eventId: row.predictedAt for row in read_parquet(spark, f"{folder}/{TABLE}").collect()}


@pytest.mark.parametrize("again", [False, True], ids=["new", "days again"])
def test_after_a_kill_at_any_moment_the_next_run_goes_on_and_every_event_is_there_once(spark, tmp_path, again):
    folder = tmp_path / "folder"
    write_model(folder / "models", OLD)
    written(spark, folder / "input", documents(EVENTS))
    model, given = model_in(folder), {one["eventId"]: one for one in documents(EVENTS)}
    settings = {"days": (date.fromisoformat(DAYS[0]), date.fromisoformat(DAYS[2]))} if again else {}
    starts = partial(started, flags=[f"--dates={DAYS[0]}..{DAYS[2]}"] if again else [])
    if again:
        run(spark, folder)
    old = committed(spark, folder)
    shutil.copytree(folder, tmp_path / "undisturbed")
    _, count = undisturbed(tmp_path / "undisturbed", starts)
    copies = killed(folder, starts, counts=[(number + 0.5) / MOMENTS * count for number in range(MOMENTS)])
    progress = set()
    for copy in copies:
        shutil.rmtree(folder)  # back to where the run was, since what it wrote may name its own path
        copy.rename(folder)
        before = committed(spark, folder)
        finished = {name for name, at in before.items() if at != old.get(name)}
        progress.add(len(finished))
        is_over = len(finished) == EVENTS and not list((folder / TABLE / "_conversion").glob("again-*"))
        done = run(spark, folder, **settings)
        rows = told(spark, folder)
        assert [row["eventId"] for row in rows] == sorted(given), copy.name
        assert all(row["label"] == model.predict(given[row["eventId"]]["payload"])["label"] for row in rows)
        if not is_over:
            assert done["predicted"] == EVENTS - len(finished), copy.name
            assert {row["eventId"] for row in rows if row["predictedAt"] == before.get(row["eventId"])} == finished
        assert counts(done)["events"] == EVENTS and not list((folder / TABLE / "_conversion").glob("again-*"))
        left = {path.name for path in (folder / TABLE).iterdir()}
        assert left == {"_conversion", *(f"dt={day}" for day in DAYS)}, copy.name
    assert len(progress) > 1, f"all moments met the same state: {progress}"
