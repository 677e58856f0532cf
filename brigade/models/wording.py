"""The results of the operator's commands as text for people. `--json` prints the results themselves instead."""

from brigade.models.arguments import PROGRAM
from brigade.models.commands import FIGURES


def table(rows: list[dict]) -> str:
    """The rows of `list`, in columns under their names. A figure that no run has is left out."""
    columns = [name for name in rows[0] if name not in FIGURES or any(row[name] is not None for row in rows)]
    cells = [columns, *(["-" if row[name] is None else str(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def about_run(found: dict) -> str:
    """The result of `show`."""
    files = [f"  {one['bytes']:>12,} bytes  {one['name']}" for one in found["files"]]
    lines = [f"{key:<11} {value}" for key, value in found.items() if key not in ("files", "problem")]
    verified = "verified: every file is the manifest's, golden documents agree"
    return "\n".join([*lines, *files, found["problem"] or verified])


def about_decision(uri: str, done: dict) -> str:
    """The result of `promote` or `withdraw`."""
    run = f"{done['model']}, run {done['runId']}"
    if done["changed"]:
        lines = [f"{run} is now {'promoted' if done['promoted'] else 'withdrawn'}"]
    else:
        lines = [f"{run} was {'promoted' if done['promoted'] else 'not promoted'} before: nothing to change"]
    serving = done["serving"]
    lines.append(f"serves from now on: {serving['name']}, run {serving['runId']}" if serving else "nothing serves now")
    if done["promoted"] and serving and serving["name"] != done["model"]:
        lines.append(f"that one is newer; to go back further: {PROGRAM} withdraw {uri} {serving['name']}")
    return "\n".join(lines)
