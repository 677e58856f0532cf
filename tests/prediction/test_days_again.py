"""Days that landed damaged, done again: table, predictions and counts are an undisturbed month's."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from brigade.prediction.run import predict
from tests.conversion.outputs import convert, state
from tests.conversion.sample_events import line, written
from tests.models.written_models import OLD, write_model
from tests.prediction.predictions import counts, texts, told

MONTH = [date(2026, 11, day) for day in range(1, 29)]
LATE, CUT_OFF, MIXED_UP = date(2026, 11, 5), date(2026, 11, 12), date(2026, 11, 20)
DAMAGED = (LATE, CUT_OFF, MIXED_UP)


def land(folder: Path, day: date) -> Path:
    """A day's file: four events, a copy of one of them, and a line that is none."""
    events = [
        line(f"{day}-{number}", {"payload": text}, published=f"{day}T10:00:00Z")
        for number, text in enumerate(texts(4, day.day))
    ]
    copy = line(f"{day}-0", {"payload": "an earlier one"}, published=f"{day}T09:00:00Z")
    return written(folder / "input" / f"dt={day}" / "events.jsonl", *events, copy, "{broken")


def predicted(spark, folder: Path, **settings) -> dict:
    return predict(spark, f"{folder}/parquet", f"{folder}/predictions", f"{folder}/models", **settings)


def outcome(spark, folder: Path) -> tuple:
    """The table, the quarantine and the predictions, but for when they were made."""
    predictions = [{key: one for key, one in row.items() if key != "predictedAt"} for row in told(spark, folder)]
    return state(spark, folder), predictions


def objects(folder: Path) -> dict:
    """What tells the files of the days that were whole from others that are written in their place."""
    files = [*folder.glob("parquet/dt=*/*.parquet"), *folder.glob("predictions/**/dt=*/*.parquet")]
    kept = [file for file in files if file.parent.name not in {f"dt={day}" for day in DAMAGED}]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in kept}


@pytest.mark.long
def test_after_three_damaged_days_are_done_again_all_is_as_in_an_undisturbed_month(spark, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "damaged"
    for one in (whole, folder):
        write_model(one / "models", OLD)
        for day in MONTH:
            land(one, day)
    shutil.rmtree(folder / "input" / f"dt={LATE}")
    half = folder / "input" / f"dt={CUT_OFF}" / "events.jsonl"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    mixed = folder / "input" / f"dt={MIXED_UP}" / "events.jsonl"
    mixed.write_text(mixed.read_text("utf-8").replace('"payload": "', '"payload": "harvest wheat '), "utf-8")
    converted, done = convert(spark, whole), predicted(spark, whole)
    assert converted["rows"] == done["rows"] == 28 * 4
    convert(spark, folder)
    assert predicted(spark, folder)["rows"] < 28 * 4 and outcome(spark, folder) != outcome(spark, whole)
    before = objects(folder)
    assert len(before) == 2 * 25
    for day in DAMAGED:
        land(folder, day)
        assert convert(spark, folder, dates=(day, day))["files"] == 1
        again = predicted(spark, folder, days=(day, day))
        assert again["predicted"] == again["events"] == 4
    assert outcome(spark, folder) == outcome(spark, whole)
    assert objects(folder) == before
    assert counts(predicted(spark, folder)) == counts(predicted(spark, whole)) == {"events": 112, "already_there": 112}
