"""The command line of publisher.py."""

import argparse
import codecs
import re

from brigade.cli import positive, whole_number

EPILOG = """
Every path may be gs://bucket/object. The last line on standard output is a summary in JSON, in which
  read = documents + copies + malformed = published + held_out + failed + too_large, and with --replay
  read = sent + acknowledged + skipped_already_sent + skipped_acknowledged + skipped_other_reason
       + data_left_out + unreadable + failed + too_large
Exit status: 0 all done; 1 something failed, was too large, unreadable, without its data; 2 wrong arguments or files.

examples:
  publisher.py mails.csv --text=title+body --topic=projects/P/topics/topic-brigade
  publisher.py mails.csv --hold_out=0.2 --hold_out_file=test.jsonl --dry_run > train.jsonl
  publisher.py winequality-red.csv --pipeline=wine --topic=projects/P/topics/topic-brigade
  publisher.py --generate=5000 --seed=7 --rate=200 --topic=projects/P/topics/topic-brigade
  publisher.py --generate=5000 --pipeline=wine --topic=projects/P/topics/topic-brigade
  publisher.py --replay=gs://ml_input/dead_letter --reason=empty_payload --topic=projects/P/topics/T
  publisher.py --replay=projects/P/subscriptions/sub-brigade-dead-letter --topic=projects/P/topics/T
  publisher.py --replay=projects/P/subscriptions/sub-brigade-dead-letter --reason=too_large --acknowledge
"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Exits with status 2 and one line if the arguments do not fit."""
    parser = publisher_parser()
    flags = parser.parse_args(argv)
    if bool(flags.files) + (flags.generate is not None) + (flags.replay is not None) != 1:
        parser.error("expected one of FILE ..., --generate and --replay")
    if not flags.dry_run and not flags.acknowledge and not flags.topic:
        parser.error("expected --topic=projects/P/topics/T, or --dry_run")
    if flags.acknowledge and not (flags.replay and flags.reason):
        parser.error("--acknowledge goes with --replay and --reason")
    if flags.topic and not re.fullmatch(r"projects/[^/]+/topics/[^/]+", flags.topic):
        parser.error(f"--topic: expected projects/PROJECT/topics/NAME, found {flags.topic}")
    for names, needed, given in (
        (("text", "label", "encoding", "delimiter"), "FILE", flags.files),
        (("seed", "copies", "malformed"), "--generate", flags.generate),
        (("pipeline", "hold_out", "hold_out_file"), "FILE or --generate", flags.files or flags.generate),
        (("reason",), "--replay", flags.replay),
    ):
        for name in names:
            if getattr(flags, name) is not None and not given:
                parser.error(f"--{name} goes with {needed}")
    if (flags.hold_out is None) != (flags.hold_out_file is None):
        parser.error("--hold_out and --hold_out_file go together")
    if flags.hold_out is not None and flags.hold_out >= 1:
        parser.error(f"--hold_out: expected a fraction between 0 and 1, found {flags.hold_out}")
    return flags


def text_encoding(name: str) -> str:
    """The argparse type of an encoding: the name by which Python knows it."""
    try:
        "\n".encode(name)
        return codecs.lookup(name).name.removesuffix("-sig")
    except (LookupError, ValueError):  # some codecs refuse everything, and a name may hold what no name can
        raise argparse.ArgumentTypeError(f"Python knows no text encoding {name}") from None


def delimiter(text: str) -> str:
    """The argparse type of a table's delimiter."""
    if len(text) != 1 or text in '"\r\n':
        hint = "; a tab is $'\\t' in bash" if text == "\\t" else ""
        raise argparse.ArgumentTypeError(f"expected one character, no quote and no line end, found {text!r}{hint}")
    return text


def publisher_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="publisher.py",
        usage="publisher.py (FILE ... | --generate=N | --replay=URI) --topic=projects/P/topics/T [flags]",
        description="Publishes documents, or a table's rows, as events on a Pub/Sub topic.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help="CSV, TSV, JSON lines (also .gz) or Parquet, or folders of these; - is standard input",
    )
    add("--topic", metavar="projects/P/topics/T", help="where to publish")
    add(
        "--pipeline",
        metavar="NAME|URI",
        help="what the rows are, see docs/pipelines.md (default: documents)",
    )
    add(
        "--text",
        metavar="COLUMN[+COLUMN]",
        help="columns of the text, joined by a space (default: text); a.b for b in a, in JSON lines and Parquet",
    )
    add("--label", metavar="COLUMN", help="column of the label to learn (default: label, if there is one)")
    add("--encoding", type=text_encoding, help="of the files (default: what a byte order mark says, else utf-8)")
    add(
        "--delimiter",
        type=delimiter,
        metavar="CHARACTER",
        help="of a table (default: which of , ; tab | fits the header)",
    )
    add(
        "--generate",
        type=positive(int),
        metavar="N",
        help="publish N made-up business documents, or rows of --pipeline",
    )
    add("--seed", type=int, metavar="S", help="which documents or rows are made up (default: 1)")
    add("--copies", type=whole_number, metavar="K", help="and K of these again (default: 1 %% of N)")
    add("--malformed", type=whole_number, metavar="K", help="and K broken messages (default: 1 %% of N)")
    add(
        "--hold_out",
        type=positive(float),
        metavar="FRACTION",
        help="keep documents back, by their text; rows by their values",
    )
    add("--hold_out_file", metavar="URI", help="where those go at the end, as events in JSON lines")
    add("--replay", metavar="URI", help="publish the dead letters in this folder, file or subscription again")
    add("--reason", metavar="CODE", help="only the dead letters with this reason")
    add("--acknowledge", action="store_true", help="replay: send none of these, they are done with; needs --reason")
    add("--rate", type=positive(float), metavar="R", help="messages per second (default: no limit)")
    add("--limit", type=positive(int), metavar="N", help="read N documents at most; replay: send N")
    add("--dry_run", action="store_true", help="messages to standard output, the summary to standard error")
    return parser
