"""Short documents that their words tell apart, for the tests of training."""

import random
from datetime import UTC, datetime, timedelta

from brigade.training.documents import labelled_documents

WORDS = {
    "corn & <b>grain</b>": ["wheat", "maize", "harvest", "bushel", "silo", "acre", "crop", "seed"],
    "oil": ["barrel", "crude", "refinery", "pipeline", "drilling", "tanker", "opec", "gasoline"],
    "ship": ["harbour", "vessel", "cargo", "freight", "captain", "anchor", "deck", "port"],
}
LABELS = list(WORDS)
INDEX = {label: number for number, label in enumerate(LABELS)}
EVENTS = "payload string, superTag01 string, eventId string, eventTimestamp timestamp"
START = datetime(2024, 1, 1, tzinfo=UTC)


def texts(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Short documents that their words tell apart, and their labels: [(payload, label)]."""
    choose = random.Random(seed)
    found = []
    for label in (LABELS[number % 3] for number in range(count)):
        words = choose.choices(WORDS[label], k=5) + choose.choices(["the", "of", "a", "price", "said"], k=3)
        found.append((" ".join(words), label))
    return found


def confused(count: int, share: float, seed: int = 1) -> list[tuple[str, str]]:
    """The same, of which a share has any label."""
    choose = random.Random(seed)
    return [(text, choose.choice(LABELS) if choose.random() < share else label) for text, label in texts(count, seed)]


def events(spark, rows: list[tuple[str, str]], prefix: str = "e", hours: list[int] | None = None):
    """Events of these texts and labels, an hour after one another if nothing else is said."""
    hours = hours or range(len(rows))
    times = (START + timedelta(hours=hour) for hour in hours)
    rows = [(*row, f"{prefix}{number}", at) for number, (row, at) in enumerate(zip(rows, times, strict=True))]
    return spark.createDataFrame(rows, EVENTS)


def documents(spark, rows: list[tuple[str, str]], **others):
    return labelled_documents(events(spark, rows, **others), "superTag01")
