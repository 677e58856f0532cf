"""Compares what landed in a folder with what was published, and says which number is off.

    python -m local.reconcile --output_path=gs://ml_input/input --published=10000
    python publisher.py … >> published.jsonl; python -m local.reconcile --output_path=landing/input \\
        --published_file=published.jsonl --wait=300

What enters: the JSON lines below the folder of landed files and below that of dead letters, plain or gzip, here or in
Cloud Storage, and the number of published messages. What leaves: a table for people on standard error, and one line of
JSON on standard output. Neither holds any text of a document.

It adds up when every published message is in exactly one of the two folders: the distinct messageIds of both folders
together are the number published, none is in both, and every line can be read. A message that is twice in the same
folder is reported but is not a failure: after a seek to an earlier time, Pub/Sub delivers again what had landed, and
conversion to parquet keeps one row for each eventId.

Files are streamed. Memory holds 8 bytes of hash for each messageId and each eventId, and as much again while they are
compared: about 40 bytes a message, whatever its size. Among 100 million messages, two have the same hash with a
probability of 3 in 10,000; they would be reported as a duplicate.
"""

import argparse
import gzip
import re
import sys
import time
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
import orjson
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from brigade.cli import positive, print_error, print_summary, whole_number
from brigade.errors import WrongInput, one_line
from brigade.events.json_text import NotAnEvent, parse
from brigade.paths import lies_in, sibling
from brigade.storage import list_files, open_to_read

# Spark does not see files whose names begin with a dot or an underscore.
JSON_LINES = re.compile(r"(?!.*(^|/)[._]).*\.(jsonl|ndjson|json)(\.gz)?")
LOOK_SECONDS = 1.0  # between two looks of one that waits
SHOWN = 10  # so many gaps and unreadable places are listed; all are counted


# ---------------------------------------------------------------------------------------- what a folder holds


@dataclass
class Folder:
    """What the files below a folder hold. `minutes` are those in which one of its messages was published."""

    path: str
    files: int = 0
    bytes: int = 0
    lines: int = 0
    not_from_pubsub: int = 0
    messages: array = field(default_factory=lambda: array("Q"))
    events: array = field(default_factory=lambda: array("Q"))
    reasons: Counter = field(default_factory=Counter)
    minutes: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)

    def take_landed(self, record: dict) -> None:
        """Counts an event. A line without `pubsub` was copied into the folder by hand, which is allowed."""
        event = hashed(record["eventId"])
        if "pubsub" in record:
            self.take_message(record["pubsub"])
        else:
            self.not_from_pubsub += 1
        self.events.append(event)

    def take_dead(self, record: dict) -> None:
        reason = str(record["reason"])
        self.take_message(record)
        self.reasons[reason] += 1

    def take_message(self, about: dict) -> None:
        minute, message = about["publishTime"][:16], hashed(about["messageId"])
        if minute not in self.minutes:
            datetime.fromisoformat(f"{minute}Z")
            self.minutes.add(minute)
        self.messages.append(message)


def hashed(identity: str) -> int:
    return int.from_bytes(blake2b(identity.encode("utf-8"), digest_size=8).digest())


def read_folder(path: str, dead: bool) -> Folder:
    """Reads everything below the path except the ledger that `publisher.py --replay` keeps in `replayed/`."""
    folder = Folder(path)
    take, read = (folder.take_dead, orjson.loads) if dead else (folder.take_landed, parse)
    reported = time.monotonic()
    for file, size in list_files(path):
        name = file.removeprefix(f"{path}/")
        if name == file or not JSON_LINES.fullmatch(name) or (dead and name.startswith("replayed/")):
            continue
        folder.files, folder.bytes = folder.files + 1, folder.bytes + size
        number = 0
        try:
            with open_to_read(file) as lines:
                for number, line in enumerate(lines, 1):
                    folder.lines += 1
                    try:
                        take(read(line))
                    except (NotAnEvent, ValueError, KeyError, TypeError, AttributeError):
                        folder.unreadable.append(f"{file}, line {number}")
        except (EOFError, zlib.error, gzip.BadGzipFile):
            folder.unreadable.append(f"{file}, after line {number}")
        if time.monotonic() > reported + 5:
            reported = time.monotonic()
            print(f"{folder.lines} lines in {folder.files} files read", file=sys.stderr)
    return folder


def gaps(minutes: set[str]) -> list[tuple[str, int]]:
    """Whole minutes without a message between the first and the last: from when, and how many in a row."""
    times = sorted(datetime.fromisoformat(f"{minute}Z") for minute in minutes)
    step, found = timedelta(minutes=1), []
    for before, after in zip(times, times[1:], strict=False):
        if after - before > step:
            found.append((f"{before + step:%Y-%m-%dT%H:%MZ}", (after - before) // step - 1))
    return found


# --------------------------------------------------------------------------------------------- the comparison


def distinct(hashes: array) -> np.ndarray:
    """Each hash once. Sorts the array in place: `numpy.unique` would take five times its memory."""
    ordered = np.frombuffer(hashes, np.uint64)
    ordered.sort()
    return ordered[np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]]


def compare(landed: Folder, dead: Folder, published: int | None) -> tuple[dict, list[str]]:
    """The numbers, and a sentence for each that is off."""
    landed_ids, dead_ids = distinct(landed.messages), distinct(dead.messages)
    both = len(np.intersect1d(landed_ids, dead_ids, assume_unique=True))
    events = len(distinct(landed.events))
    unreadable, empty = landed.unreadable + dead.unreadable, gaps(landed.minutes | dead.minutes)
    found = len(landed_ids) + len(dead_ids) - both
    numbers = {
        "published": published,
        "found": found,
        "landed": len(landed_ids),
        "dead_lettered": len(dead_ids),
        "in_both": both,
        "duplicates_landed": len(landed.messages) - len(landed_ids),
        "duplicates_dead_lettered": len(dead.messages) - len(dead_ids),
        "repeated_event_ids": len(landed.events) - events,
        "lines_not_from_pubsub": landed.not_from_pubsub,
        "unreadable_lines": len(unreadable),
        "reasons": dict(dead.reasons.most_common()),
        "minutes_without_a_message": sum(length for _, length in empty),
        "gaps": sorted(empty, key=lambda gap: -gap[1])[:SHOWN],
    }
    for name, one in (("landed", landed), ("dead_lettered", dead)):
        numbers |= {f"files_{name}": one.files, f"lines_{name}": one.lines, f"bytes_{name}": one.bytes}
    off = []
    if unreadable:
        places = "; ".join(unreadable[:SHOWN]) + ("; …" if len(unreadable) > SHOWN else "")
        off.append(f"unreadable_lines: expected 0, found {len(unreadable)}: {places}")
    if both:
        off.append(f"in_both: expected 0, found {both} messages that landed and are dead letters too")
    if published is not None and found != published:
        difference = f"{abs(found - published)} {'missing' if found < published else 'more than published'}"
        parts = f"landed {len(landed_ids)} + dead_lettered {len(dead_ids)} - in_both {both}"
        off.append(f"found: expected {published} messages, found {found} ({parts}): {difference}")
    if published is None and not landed.files + dead.files:
        off.append(f"files: expected some, found none below {landed.path} and {dead.path}")
    return numbers | {"adds_up": not off}, off


def table(numbers: dict, landed: Folder, dead: Folder) -> str:
    rows = [("", "landed", "dead letters"), ("folder", landed.path, dead.path)]
    for name in ("files", "lines", "bytes"):
        rows.append((name, numbers[f"{name}_landed"], numbers[f"{name}_dead_lettered"]))
    rows += [
        ("distinct messageIds", numbers["landed"], numbers["dead_lettered"]),
        ("duplicates", numbers["duplicates_landed"], numbers["duplicates_dead_lettered"]),
        ("repeated eventIds", numbers["repeated_event_ids"], ""),
        ("lines not from Pub/Sub", numbers["lines_not_from_pubsub"], ""),
        ("unreadable lines", len(landed.unreadable), len(dead.unreadable)),
        *((f"  {reason}", "", count) for reason, count in numbers["reasons"].items()),
    ]
    width = max(len(str(row[1])) for row in rows)
    text = [f"{name:<24}  {left!s:>{width}}  {right!s:>12}" for name, left, right in rows]
    text.append(f"minutes without a message, first to last: {numbers['minutes_without_a_message']}")
    text += [f"  from {start} {length} min" for start, length in numbers["gaps"]]
    told = "not told" if numbers["published"] is None else numbers["published"]
    text.append(f"published: {told}   found: {numbers['found']}   in both: {numbers['in_both']}")
    return "\n".join(text)


def read_and_compare(flags: argparse.Namespace) -> tuple[Folder, Folder, dict, list[str]]:
    """Both folders, and what `compare` says. With `--wait` it looks until no message is missing.

    It gives up when none has come for so many seconds: how long landing takes as a whole depends on the machine.
    """
    most, since = 0, time.monotonic()
    while True:
        landed, dead = read_folder(flags.output_path, dead=False), read_folder(flags.dead_letter_path, dead=True)
        numbers, off = compare(landed, dead, flags.published)
        if not flags.wait or numbers["found"] >= flags.published:
            return landed, dead, numbers, off
        if numbers["found"] > most:
            most, since = numbers["found"], time.monotonic()
            print(f"{most} of {flags.published} messages are there", file=sys.stderr)
        if time.monotonic() > since + flags.wait:
            return landed, dead, numbers, off
        time.sleep(LOOK_SECONDS)


# -------------------------------------------------------------------------------------------- the three moves


EPILOG = """
Exit status: 0 it adds up; 1 it does not, with a line for each number that is off, or a folder cannot be read;
2 wrong arguments. With neither --published nor --published_file it adds up when no message is in both folders
and every line can be read.

examples:
  python -m local.reconcile --output_path=gs://ml_input/input --published=10000
  python publisher.py mails.csv --topic=projects/P/topics/topic-brigade >> published.jsonl
  python -m local.reconcile --output_path=gs://ml_input/input --published_file=published.jsonl --wait=300
"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Exits with status 2 and one line if the arguments do not fit."""
    parser = argparse.ArgumentParser(
        prog="python -m local.reconcile",
        description="Compares what a folder of landed files holds with what was published.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--output_path",
        required=True,
        metavar="URI",
        help="the landing job's: gs://bucket/prefix or a folder",
    )
    add("--dead_letter_path", metavar="URI", help="likewise (default: dead_letter beside the output)")
    add("--published", type=whole_number, metavar="N", help="how many messages were published in all")
    add(
        "--published_file",
        metavar="FILE",
        help="the summaries of publisher.py, a JSON object a line; their `published` and `sent` are added up",
    )
    add(
        "--wait",
        type=positive(float),
        metavar="SECONDS",
        help="look again until no message is missing, or none has come for so long (default: look once)",
    )
    flags = parser.parse_args(argv)
    if flags.wait and flags.published is None and not flags.published_file:
        parser.error("--wait goes with --published or --published_file")
    if flags.published is not None and flags.published_file:
        parser.error("expected one of --published and --published_file, found both")
    flags.output_path = flags.output_path.rstrip("/")
    try:
        flags.dead_letter_path = (flags.dead_letter_path or sibling(flags.output_path, "dead_letter")).rstrip("/")
    except WrongInput as problem:
        parser.error(f"--output_path: {problem}")
    for name in ("output_path", "dead_letter_path"):
        if not re.fullmatch(r"gs://[^/]+(/.+)?|(?!\w+://).+", getattr(flags, name)):
            parser.error(f"--{name}: expected gs://bucket/prefix or a folder, found {getattr(flags, name)!r}")
    if lies_in(flags.dead_letter_path, flags.output_path):
        parser.error("--dead_letter_path must lie outside --output_path")
    if flags.published_file:
        try:
            flags.published = sum_of_summaries(flags.published_file)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            expected = "expected summaries of publisher.py, a JSON object with `published` or `sent` a line"
            parser.error(f"--published_file: {expected}: {error}")
    return flags


def sum_of_summaries(path: str) -> int:
    """The messages that the summaries count. Raises OSError, ValueError, TypeError or AttributeError."""
    with open(path, "rb") as file:
        summaries = [orjson.loads(line) for line in file if line.strip()]
    if not summaries:
        raise ValueError(f"{path} is empty")
    return sum(int(summary.get("published", summary.get("sent"))) for summary in summaries)


def main(argv: list[str] | None = None) -> int:
    flags = parse_arguments(argv)
    try:
        landed, dead, numbers, off = read_and_compare(flags)
    except (OSError, GoogleAPIError, GoogleAuthError) as error:
        print_error("reconcile", one_line(error))
        return 1
    print(table(numbers, landed, dead), file=sys.stderr)
    print("\n".join(f"reconcile: {line}" for line in off) or "It adds up.", file=sys.stderr)
    print_summary(numbers)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
