"""What the tests of whole looks share: documents over days, models that were trained on them, and what a look wrote."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

from brigade.training.run import train
from tests.prediction.predictions import written
from tests.training.made_up_documents import LABELS, texts

LEARNED = [f"2026-10-{day:02}" for day in range(1, 29)]
WEEK = [f"2026-11-{day:02}" for day in range(2, 9)]
MODEL, NEXT = "doc-classification-model-2026-11-01", "doc-classification-model-2026-11-08"
QUICK = {"alpha": 1e-4, "ngrams": 1, "hash_bits": 12}
CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувьхыз")
Change = Callable[[int, dict], dict]


def documents(number: int, days: list[str], seed: int, change: Change = lambda at, row: row) -> list[dict]:
    """Documents over these days, the first ones on the first day. change: its number and a document → another."""
    return [
        change(
            at,
            {
                "eventId": f"d{seed}-{at}",
                "payload": text,
                "superTag01": label,
                "eventSource": "doc.contract",
                "dt": days[at * len(days) // number],
            },
        )
        for at, (text, label) in enumerate(texts(number, seed))
    ]


def wrong_label(row: dict) -> dict:
    return row | {"superTag01": LABELS[(LABELS.index(row["superTag01"]) + 1) % len(LABELS)]}


def trained(spark, folder: Path, rows: list[dict], name: str, **settings) -> dict:
    """Trains the model of that name on these documents; returns the summary."""
    data = written(spark, folder / f"learned-{name}", rows)
    return train(spark, data, f"{folder}/models", day=date.fromisoformat(name[-10:]), **QUICK | settings)


def look_of(done: dict) -> dict:
    """The findings that a look wrote; `page` and `profile` are its other files' texts."""
    place = Path(done["path"])
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith(".")) == [
        "findings.json",
        "profile.json",
        "report.html",
    ]
    texts = {"page": (place / "report.html").read_text(), "profile": (place / "profile.json").read_text()}
    return json.loads((place / "findings.json").read_text()) | texts
