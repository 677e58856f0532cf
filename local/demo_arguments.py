"""The command line of the demo, which `make demo` writes from its settings."""

import argparse
from pathlib import Path

from brigade.cli import positive
from brigade.publishing.arguments import delimiter, text_encoding
from local.services import ROOT


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="The whole pipeline on one machine; make's DOCS, TEXT, LABEL, … are these flags.",
    )
    add = parser.add_argument
    add("--docs", help="CSV, JSON lines, Parquet or a folder (default: generated documents)")
    add("--text", default="text", help="the text's columns, joined by + (default: %(default)s)")
    add("--label", default="label", help="the label's column (default: %(default)s)")
    add("--encoding", type=text_encoding, help="of the files (default: what a byte order mark says, else utf-8)")
    add("--delimiter", type=delimiter, help="of a table (default: which of , ; tab | fits the header)")
    add("--generate", type=int, default=4000, help="how many documents to generate (default: %(default)s)")
    add("--seed", type=int, default=1, help="which ones (default: %(default)s)")
    add("--hold_out", type=float, default=0.1, help="share that training never sees (default: %(default)s)")
    add("--rate", type=positive(float), default=50, help="unseen documents sent a second (default: %(default)s)")
    add("--sample", type=positive(int), default=1000, help="unseen documents that are sent (default: %(default)s)")
    add("--state", type=Path, default=ROOT / ".local", help="where all files go (default: .local)")
    arguments = parser.parse_args(argv)
    if arguments.docs and "://" in arguments.docs:
        parser.error(
            f"DOCS: expected a file or folder on this machine, found a URL: {arguments.docs}; download it first"
        )
    if arguments.docs:
        arguments.docs = str(Path(arguments.docs).expanduser().absolute())
        if not Path(arguments.docs).exists():
            parser.error(f"DOCS: expected a file or folder, found none at {arguments.docs}")
    if not 0 < arguments.hold_out < 1:
        parser.error(f"--hold_out: expected a share between 0 and 1, found {arguments.hold_out}")
    return arguments
