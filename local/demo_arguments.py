"""The command line of the demo, which `make demo` writes from its settings."""

import argparse
from pathlib import Path

from brigade.cli import positive
from brigade.publishing.arguments import delimiter, text_encoding
from local.demo_drift import FAULTS
from local.services import ROOT


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="The whole pipeline on one machine; make's DATA, PIPELINE, TEXT, LABEL, … are these flags.",
    )
    add = parser.add_argument
    add("--data", "--docs", help="CSV, JSON lines, Parquet or a folder (default: documents or rows that are made up)")
    add(
        "--pipeline",
        metavar="NAME|FILE",
        help="a name in pipelines/, or a definition's file (default: documents)",
    )
    add("--text", help="the columns of a document's text, joined by + (default: text)")
    add("--label", help="the column of a document's label (default: label)")
    add("--encoding", type=text_encoding, help="of the files (default: what a byte order mark says, else utf-8)")
    add("--delimiter", type=delimiter, help="of a table (default: which of , ; tab | fits the header)")
    add("--generate", type=int, default=4000, help="how many documents or rows to make up (default: %(default)s)")
    add("--seed", type=int, default=1, help="which ones (default: %(default)s)")
    add("--hold_out", type=float, default=0.1, help="share that training never sees (default: %(default)s)")
    add("--rate", type=positive(float), default=50, help="unseen documents sent a second (default: %(default)s)")
    add("--sample", type=positive(int), default=1000, help="unseen documents that are sent (default: %(default)s)")
    add("--drift", choices=FAULTS, help="what happens to the unseen documents or rows before they are looked at")
    add("--state", type=Path, default=ROOT / ".local", help="where all files go (default: .local)")
    arguments = parser.parse_args(argv)
    for name in ("data", "pipeline"):
        value = getattr(arguments, name)
        if value and "://" in value:
            expected = f"{name.upper()}: expected a file or folder on this machine, found a URL"
            parser.error(f"{expected}: {value}; download it first")
    if arguments.data:
        arguments.data = str(Path(arguments.data).expanduser().absolute())
        if not Path(arguments.data).exists():
            parser.error(f"DATA: expected a file or folder, found none at {arguments.data}")
    if arguments.pipeline in (None, "documents"):
        arguments.text, arguments.label = arguments.text or "text", arguments.label or "label"
    elif arguments.text or arguments.label:
        parser.error(
            f"TEXT and LABEL name columns of documents; the columns of {arguments.pipeline} are in its definition"
        )
    if not 0 < arguments.hold_out < 1:
        parser.error(f"--hold_out: expected a share between 0 and 1, found {arguments.hold_out}")
    return arguments
