"""The command line of the operator's commands."""

import argparse

from brigade.cli import path
from brigade.errors import one_line
from brigade.models.history import asked_time
from brigade.models.manifest import DOCUMENTS_PREFIX, check_prefix, model_and_run, model_form, split_name
from brigade.storage import folder_at

PROGRAM = "python -m brigade.models"
COMMANDS = {
    "list": "every run, newest first, and which one serves",
    "show": "a run's figures and files, and whether it is whole; exit status 1 if not",
    "promote": "lets a run serve, after verifying it; the newest promoted date wins",
    "withdraw": "takes a run out of service; the next older promoted one serves then",
    "pin": "notes in the history that the functions are set to one run, by MODEL_PIN; sets nothing itself",
    "unpin": "notes in the history that the functions serve the latest model again",
    "history": "every decision about models, oldest first: who, when, why, with which figures",
    "who-answered": "which run answered an event or served at a time, and what it had learned from",
}
NAMING = ("show", "promote", "withdraw", "pin")  # the commands that take a model's name


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments; `run` is (model's name, run id), or ("", "") if none is named. Exits with 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Shows which model serves and which ones could, and changes it. Running instances follow within "
        "MODEL_REFRESH_SECONDS.",
        epilog="Exit status: 0 done, or nothing to change; 1 refused or failed; 2 wrong arguments.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, about in COMMANDS.items():
        one = commands.add_parser(command, help=about, description=about)
        one.add_argument("uri", help="gs://bucket/prefix or a folder, as MODELS_URI")
        if command in NAMING:
            example = f"{model_form(DOCUMENTS_PREFIX)}, or that/RUN_ID for another run of its date"
            one.add_argument("model", help=example, nargs="?" if command == "show" else None)
        if command == "who-answered":
            add_question(one)
        if command in ("promote", "withdraw", "pin", "unpin"):
            one.add_argument("--reason", type=one_line, default="by an operator", help="kept in the history")
        if command == "withdraw":
            one.add_argument("--force", action="store_true", help="even if nothing is left to serve")
        if command in ("list", "show", "unpin", "history", "who-answered"):
            about = "whose models, unless one is named; default: %(default)s"
            one.add_argument("--model_prefix", default=DOCUMENTS_PREFIX, metavar="PREFIX", help=about)
        one.add_argument("--json", action="store_true", help="one line of JSON instead of text")
    arguments = parser.parse_args(argv)
    try:
        folder_at(arguments.uri)
        model = getattr(arguments, "model", None) or ""
        named = split_name(model.partition("/")[0])[0]
        arguments.model_prefix = check_prefix(named or getattr(arguments, "model_prefix", DOCUMENTS_PREFIX))
        arguments.run = model_and_run(model, arguments.model_prefix) if model else ("", "")
    except ValueError as error:
        parser.error(str(error))
    if arguments.command == "who-answered" and not (asked_time(arguments.question) or places_of(arguments)):
        parser.error(
            "expected --predictions or --events, the folder to look for the event in, or a time; found neither"
        )
    return arguments


def add_question(parser: argparse.ArgumentParser) -> None:
    """The arguments of who-answered."""
    parser.add_argument("question", metavar="EVENT_ID|TIME", help="2026-11-21T10:00:00Z is a time; without Z it is UTC")
    about = "bulk predictions or classified messages: a folder of Parquet or JSON lines, which name their run"
    parser.add_argument("--predictions", type=path, metavar="PATH", help=about)
    about = "the converted table, or landed files: where the event lies, and when it was published"
    parser.add_argument("--events", type=path, metavar="PATH", help=about)


def places_of(arguments: argparse.Namespace) -> list[str]:
    """Where to look for an event."""
    return [one for one in (arguments.predictions, arguments.events) if one]
