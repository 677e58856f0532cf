"""The public data sets as the benchmarks of TRAIN read them, and parquet as TRAIN reads it."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

SETS = {
    "20ng": ("20newsgroups/20ng_train.csv", "20newsgroups/20ng_test.csv", ("text",)),
    "r8": ("reuters_r8/r8_train.csv", "reuters_r8/r8_test.csv", ("title", "body")),
    "ag": ("ag_news/train_subset_balanced.csv", "ag_news/test_text.csv", ("text",)),
}


def documents(folder: str, name: str, part: int) -> list[tuple[str, str]]:
    """(label, text) of a data set's training (0) or test part (1)."""
    *paths, columns = SETS[name]
    return read_csv(folder, paths[part], columns)


def read_csv(folder: str, path: str, columns: tuple[str, ...]) -> list[tuple[str, str]]:
    """(label, text) of each row; the text is that of these columns."""
    csv.field_size_limit(1 << 30)
    with open(Path(folder, path), encoding="utf-8", newline="") as file:
        return [(row["label"], " ".join(row[column] for column in columns)) for row in csv.DictReader(file)]


def write_parquet(rows: Iterator[tuple[str, str]], path: str, files: int = 4) -> int:
    """Writes (label, text) as the columns that training reads; returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from brigade.conversion.schema import COLUMNS

    kinds = dict.fromkeys(("eventTimestamp", "publishTime"), pa.timestamp("us", "UTC"))
    Path(path).mkdir(parents=True)
    written = 0
    while chunk := list(itertools.islice(rows, 50_000)):
        for number in range(files):
            part = chunk[number::files]
            ids = [f"{Path(path).name}-{written}-{number}-{one}" for one in range(len(part))]
            columns = {"eventId": ids, "payload": [text for _, text in part], "superTag01": [one for one, _ in part]}
            empty = {name: pa.nulls(len(part), kinds.get(name, pa.string())) for name in COLUMNS}
            pq.write_table(pa.table(empty | columns), f"{path}/{written:09}-{number}.parquet")
        written += len(chunk)
    return written
