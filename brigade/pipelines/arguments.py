"""The command line of the commands on pipeline definitions."""

import argparse

from brigade.cli import path

PROGRAM = "python -m brigade.pipelines"
COMMANDS = {
    "new": "looks through files and writes a first definition that runs, with comments where it guessed",
    "check": "checks a definition; exit status 2 and a line for each problem if it is wrong",
    "schema": "prints the JSON Schema of definitions, docs/pipeline.schema.json",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments. Exits with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Writes and checks pipeline definitions, see docs/pipelines.md.",
        epilog="Exit status: 0 done; 1 failed; 2 wrong arguments, files or definitions.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name, help=about, description=about) for name, about in COMMANDS.items()}
    new = parsers["new"].add_argument
    new("files", nargs="+", metavar="FILE", help="CSV, TSV, JSON lines (also .gz) or Parquet, or folders of these")
    new("--label", required=True, metavar="COLUMN", help="the column to learn")
    new("--name", metavar="NAME", help="the pipeline's name (default: that of the file)")
    new("--time", metavar="COLUMN", help="the column of each row's own time; the newest rows test then")
    new("--output", type=path, metavar="FILE", help="where the definition goes (default: pipelines/NAME.yaml)")
    new("--force", action="store_true", help="replace a file that is there")
    new("--encoding", help="of the files (default: what a byte order mark says, else utf-8)")
    new("--delimiter", metavar="CHARACTER", help="of a table (default: what parts the header into most columns)")
    parsers["check"].add_argument("pipeline", metavar="NAME|URI", help="a definition's name, or its path or gs:// URI")
    return parser.parse_args(argv)
