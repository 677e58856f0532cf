"""The publisher's door as its tests use it: main(argv) with its own streams, and files to publish."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import orjson
from hypothesis import strategies as st

import publisher

TABLE = "label,text\ncontract,The parties agree\ninvoice,Please pay\ncontract,Signed by both\n"
EVENT = b'{"eventId":"e1",  "eventTimestamp":"2019-04-02T21:55:57Z","doc":{"docId":"d","payload":"\xc3\xa1"}}'
wild_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


class Pipe(io.RawIOBase):
    """Standard input that cannot be read twice."""

    def __init__(self, content: bytes):
        self.content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self.content.readinto(buffer)


def run(*flags, stdin=b""):
    """main(flags) with its own streams: status, the lines of standard output, standard error, the summary."""
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = SimpleNamespace(buffer=stdin if isinstance(stdin, io.RawIOBase) else io.BytesIO(stdin))
    sys.stdout, sys.stderr = out, error = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    try:
        status = publisher.main([str(flag) for flag in flags])
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    out.flush()
    lines, told = out.buffer.getvalue().splitlines(), error.getvalue()
    last = (told.encode().splitlines() if "--dry_run" in flags else lines)[-1:]
    summary = json.loads(last[0]) if last and last[0].startswith(b'{"read"') else None
    return SimpleNamespace(status=status, lines=lines, error=told, summary=summary)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def payloads(lines) -> list[str]:
    return [orjson.loads(line)["doc"]["payload"] for line in lines]
