"""The operator's commands on models: which one serves, which ones could, which one shall, and which one did.

On this machine:
    python -m brigade.models list models
    python -m brigade.models list models --model_prefix=wine-model
On GCP:
    python -m brigade.models list gs://ml_output/output/
    python -m brigade.models withdraw gs://ml_output/output/ doc-classification-model-2026-11-21
    python -m brigade.models history gs://ml_output/output/
"""

import argparse
import json
import sys

from brigade.cli import print_error
from brigade.errors import BrigadeError, one_line
from brigade.models.arguments import parse_arguments
from brigade.models.commands import decide, list_runs, note_pin, show_run
from brigade.models.history import read_history
from brigade.models.lineage import who_answered
from brigade.models.store import ModelStore
from brigade.models.wording import about_answers, about_decision, about_history, about_pin, about_run, table
from brigade.storage import storage_errors
from brigade.tracking.sync import sync_if_asked


def main(argv: list[str] | None = None) -> int:
    """Carries out a command, prints its result as text or JSON, and returns the exit status."""
    arguments = parse_arguments(argv)
    try:
        found, text = carried_out(arguments)
    except BrigadeError as problem:
        print_error(arguments.command, problem)
        return problem.status
    except storage_errors() as error:
        print_error(arguments.command, f"{arguments.uri}: {type(error).__name__}: {one_line(error)}")
        return 1
    print(json.dumps(found, ensure_ascii=False) if arguments.json else text)
    return 1 if found.get("problem") else 0


def carried_out(arguments: argparse.Namespace) -> tuple[dict, str]:
    """The result of a command, and the same as text."""
    store = ModelStore(arguments.uri, prefix=arguments.model_prefix)
    if arguments.command == "list":
        rows = list_runs(store)
        return {"models": rows}, table(rows)
    if arguments.command == "show":
        found = show_run(store, *arguments.run)
        return found, about_run(found)
    if arguments.command == "history":
        entries = read_history(store.models, store.prefix)
        return {"history": entries}, about_history(entries)
    if arguments.command == "who-answered":
        found = who_answered(store, arguments.question, arguments.events, arguments.predictions)
        return found, about_answers(found)
    name, run_id = arguments.run
    if arguments.command in ("pin", "unpin"):
        noted = note_pin(store, name, run_id, arguments.reason)
        return noted, about_pin(noted)
    promote = arguments.command == "promote"
    done = decide(store, name, run_id, promote, arguments.reason, force=not promote and arguments.force)
    sync_if_asked(arguments.uri, arguments.model_prefix)
    return done, about_decision(arguments.uri, done)


if __name__ == "__main__":
    sys.exit(main())
