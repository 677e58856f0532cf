"""The commands on pipeline definitions: a first one for files of one's own, and whether one is right.

On this machine:
    python -m brigade.pipelines new mydata.csv --label=quality
    python -m brigade.pipelines check wine
On GCP:
    python -m brigade.pipelines check gs://ml_code/pipelines/mydata.yaml
"""

import argparse
import os
import re
import sys
from pathlib import Path

from brigade.cli import log_to_stderr, print_problem, print_summary
from brigade.errors import BrigadeError, WrongInput
from brigade.pipelines.arguments import PROGRAM, parse_arguments
from brigade.pipelines.definition import Definition
from brigade.pipelines.load import checked, load
from brigade.pipelines.schema import NAME, PATTERNS, json_schema
from brigade.pipelines.writing import text_of

SCHEMA = "docs/pipeline.schema.json"


def main(argv: list[str] | None = None) -> int:
    """Carries out a command, prints its result, and returns the exit status."""
    log_to_stderr()
    arguments = parse_arguments(argv)
    try:
        if arguments.command == "schema":
            print(json_schema(), end="")
        elif arguments.command == "check":
            print_summary(about(load(arguments.pipeline)))
        else:
            print_summary(new(arguments))
    except (BrigadeError, OSError) as problem:
        print_problem(f"{PROGRAM} {arguments.command}", problem)
        return problem.status if isinstance(problem, BrigadeError) else 1
    return 0


def new(arguments: argparse.Namespace) -> dict:
    """Looks through the files and writes a definition. Returns the summary; raises WrongInput."""
    # This door alone reaches up to the stage that reads files.
    from brigade.publishing.arguments import delimiter, text_encoding
    from brigade.publishing.drafting import draft, safe_name
    from brigade.publishing.looking import look

    first = os.path.basename(arguments.files[0].rstrip("/"))
    name = safe_name(first.split(".")[0]) if arguments.name is None else arguments.name
    if not re.search(NAME, name):
        raise WrongInput(f"--name: expected {PATTERNS[NAME]}, found {name!r}")
    output = Path(arguments.output or f"pipelines/{name}.yaml")
    if output.exists() and not arguments.force:
        raise WrongInput(
            f"{output}: expected no such file, found one; --output=FILE names another, --force replaces it"
        )
    try:
        encoding = arguments.encoding and text_encoding(arguments.encoding)
        mark = arguments.delimiter and delimiter(arguments.delimiter)
    except argparse.ArgumentTypeError as error:
        raise WrongInput(str(error)) from None
    seen = look(arguments.files, encoding, mark)
    drawn = draft(seen, name, arguments.label, arguments.time)
    head = [f"A first definition for {', '.join(map(os.path.basename, arguments.files))}: a beginning to be changed."]
    is_here = os.path.exists(SCHEMA) and output.resolve().is_relative_to(Path.cwd())
    schema = os.path.relpath(SCHEMA, output.parent) if is_here else None
    text = text_of(drawn.document, drawn.comments, head + drawn.head, schema)
    definition = checked(text.encode("utf-8"), str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    return {"written": str(output), "rows": seen.rows, "columns": len(seen.columns)} | about(definition)


def about(definition: Definition) -> dict:
    """What a definition is, for a summary."""
    model = definition.model
    return {
        "pipeline": definition.name,
        "kind": model.kind,
        "task": model.task,
        "label": model.label,
        "features": len(model.features),
        "fields": len(definition.columns),
    }


if __name__ == "__main__":
    sys.exit(main())
