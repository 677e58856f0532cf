"""Made-up mail in landed files: the same on every machine, and with what converting it must count."""

import functools
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from benchmarks.sessions import say
from brigade.events.members import landed_line
from brigade.publishing.generated import BusinessDocument, generate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_PUBLISHED = datetime(2026, 10, 5, tzinfo=UTC)
SPAN = timedelta(days=27.7)  # what arrives after it, 1 % at most, still belongs to the last of the 28 days


@functools.cache
def mail() -> tuple[list[BusinessDocument], list[str]]:
    """Some documents, and all pairs of neighbouring words in them.

    Texts drawn from the pairs are all different and compress as mail does: 1.8 times with snappy, in parquet, as do the
    mails of 20 Newsgroups (zlib: 3.2 and 2.8 times). Making a document for each event would take five times as long.
    """
    documents = list(generate(2000, seed=1))
    words = [word for document in documents for word in document.text.split(" ")]
    return documents, [" ".join(pair) for pair in itertools.pairwise(words)]


def published(number: int, total: int) -> datetime:
    return FIRST_PUBLISHED + number * SPAN // total


def kind(number: int) -> str:
    """Under which of the conversion's counts the line of this number must fall."""
    return "quarantined" if number % 1000 == 500 else "duplicates" if number % 100 == 99 else "converted"


def event(number: int, total: int) -> dict:
    documents, pairs = mail()
    rng = random.Random(number)
    about = rng.choice(documents)
    tags = [{"tagName": "channel", "tagValue": about.channel}, {"tagName": "region", "tagValue": about.region}]
    metadata = {"accountId": about.account_id, "superTag01": about.label, "superTag02": about.language}
    doc = {"schemaVersion": "1.0", "docId": str(uuid.UUID(int=rng.getrandbits(128))).upper()}
    doc |= {"metadata": metadata | {"otherTags": tags}, "payload": " ".join(rng.choices(pairs, k=82))}
    happened = published(number, total) - timedelta(seconds=rng.randrange(3600))
    head = {"eventTimestamp": f"{happened:%Y-%m-%dT%H:%M:%SZ}", "eventId": f"{rng.getrandbits(160):040x}"}
    return head | {"eventSource": "doc.contract", "eventVersion": "1.0", "eventType": "DocSchedule", "doc": doc}


def original(number: int, within: int | None) -> int:
    """The number of the line that this duplicate repeats, at most `within` lines earlier."""
    own, rng = number, random.Random(f"the event that {number} repeats")
    while kind(own) != "converted":
        own = number - 1 - rng.randrange(min(number, within or number))
    return own


def landed_lines(start: int, stop: int, total: int, within: int | None = None) -> Iterator[bytes]:
    for number in range(start, stop):
        own = original(number, within) if kind(number) == "duplicates" else number
        bad = kind(number) == "quarantined"
        content = event(own, total)
        if bad and number // 1000 % 3 == 1:
            del content["eventId"]
        if bad and number // 1000 % 3 == 2:
            content["eventTimestamp"] = "yesterday, about noon"
        at = published(number, total)
        about = {"messageId": str(10**16 + number), "publishTime": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", "attributes": {}}
        line = landed_line(orjson.dumps(content), content, about)
        yield line[:-30] + b"\n" if bad and number // 1000 % 3 == 0 else line


def land(folder: str, files: int, count: int, after: int = 0, within: int | None = None) -> dict[str, int]:
    """Writes `count` lines as landing would, in so many files; returns what converting them must count.

    They are spread over SPAN, or follow on `after` lines that are. A file is in the folder of its first line's day.
    """
    from brigade.landing.files import file_name  # here: it brings Beam, which the measured processes do not need

    started, written, total, files = time.monotonic(), 0, after or count, min(files, count)
    edges = [after + count * number // files for number in range(files + 1)]
    for first, end in itertools.pairwise(edges):
        lines = list(landed_lines(first, end, total, within))
        times = [(published(number, total) - EPOCH) // timedelta(microseconds=1) for number in (first, end - 1)]
        day = Path(folder, f"dt={published(first, total):%Y-%m-%d}")
        day.mkdir(parents=True, exist_ok=True)
        written += (day / file_name(*times, len(lines), lines)).write_bytes(b"".join(lines))
    kinds = Counter(map(kind, range(after, after + count)))
    expected = {"lines": count} | {name: kinds[name] for name in ("converted", "duplicates", "quarantined")}
    # The latest publication wins: an event of an earlier run that comes once more is converted, and replaces the other.
    repeats = (number for number in range(after, after + count) if kind(number) == "duplicates")
    again = len({own for number in repeats if (own := original(number, within)) < after})
    expected |= {"converted": expected["converted"] + again, "replaced": again}
    expected["duplicates"] -= again
    taken = f"made in {time.monotonic() - started:.0f} s"
    say(f"{Path(folder).name}: {count} lines, {files} files, {written / 2**20:.0f} MiB, {taken}")
    return expected


def without_truncated(source: str, target: str) -> None:
    """Copies the lines that are whole: polars ends at the first that is not, whatever its `ignore_errors` says."""
    for path in Path(source).glob("dt=*/*"):
        copy = Path(target, path.relative_to(source))
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as lines, copy.open("wb") as file:
            file.writelines(line for line in lines if line.endswith(b"}\n"))
