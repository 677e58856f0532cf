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
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--docs", help="CSV, JSON lines, Parquet or a folder, in place of generated documents")
    add("--text", default="text", help="the text's columns, joined by +")
    add("--label", default="label", help="the label's column")
    add("--encoding", type=text_encoding, help="of the files, if no byte order mark tells it and it is not utf-8")
    add("--delimiter", type=delimiter, help="of a table, if it is not the one of , ; tab | that fits the header")
    add("--generate", type=int, default=4000, help="how many documents to generate")
    add("--seed", type=int, default=1, help="which ones")
    add("--hold_out", type=float, default=0.1, help="share that training never sees")
    add("--rate", type=positive(float), default=50, help="unseen documents published a second")
    add("--sample", type=positive(int), default=1000, help="unseen documents that are published")
    add("--state", type=Path, default=ROOT / ".local", help="where all files go")
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
