"""The results of the operator's commands as text for people. `--json` prints the results themselves instead."""

from brigade.models.arguments import PROGRAM
from brigade.models.figures import FIGURES

OPTIONAL = (*FIGURES, "loop")
HISTORY = ("at", "what", "model", "runId", "by", "who", *FIGURES, "why")


def table(rows: list[dict]) -> str:
    """The rows of `list`, in columns under their names. What may be left out is, if no run has it."""
    columns = [name for name in rows[0] if name not in OPTIONAL or any(row[name] is not None for row in rows)]
    cells = [columns, *(["-" if row[name] in (None, "") else str(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def about_run(found: dict) -> str:
    """The result of `show`."""
    files = [f"  {one['bytes']:>12,} bytes  {one['name']}" for one in found["files"]]
    lines = [f"{key:<11} {value}" for key, value in found.items() if key not in ("files", "problem")]
    verified = "verified: every file is the manifest's, golden documents agree"
    return "\n".join([*lines, *files, found["problem"] or verified])


def about_history(entries: list[dict]) -> str:
    """The result of `history`: a line for each entry."""
    if not entries:
        return "no decision has been made"
    rows = [one | one["figures"] for one in entries]
    return table([{name: row.get(name) for name in HISTORY} for row in rows])


def about_answers(found: dict) -> str:
    """The result of `who-answered`: a paragraph for each answer, and a line for each place of the event."""
    lies = [f"{one['file']}, published {one['publishTime'] or 'at no known time'}" for one in found.get("lies", ())]
    return "\n".join([*map(about_answer, found["answers"]), *(f"the event lies in {place}" for place in lies)])


def about_answer(answer: dict) -> str:
    """One answer of `who-answered`."""
    run = f"{answer['model']}, run {answer['runId']}"
    if answer["by"] == "answer":
        lines = [f"{run}, answered at {answer['at'] or 'no known time'}: {answer['file']} says so"]
    else:
        decision = answer["decision"]
        lines = [
            f"{run}, served at {answer['at']}, says the history",
            f"  since {answer['since']}: {decision['what']} by {decision['by']}, {decision['who']}: {decision['why']}",
        ]
        if still := answer.get("orStill"):
            lines.append(
                f"  an instance follows within MODEL_REFRESH_SECONDS, until when {still['model']}, run "
                f"{still['runId']}, may have answered"
            )
        if answer.get("olderThanTheHistory"):
            lines.append("  no entry is that old: this is what the manifests of the runs say")
    learned = answer["learnedFrom"]
    if problem := learned.get("problem"):
        return "\n".join([*lines, f"  {problem}"])
    days = f", {' to '.join(learned['days'])}" if learned["days"] else ""
    about = f"{learned['files']} files{days}, {learned['bytes']:,} bytes of {learned['parquet']}"
    return "\n".join([*lines, f"  it had learned from {about}; data version {learned['dataVersion']}"])


def about_pin(noted: dict) -> str:
    """The result of `pin` or `unpin`, which sets nothing itself."""
    run = f"{noted['model']}/{noted['runId']}"
    value = run if noted["pinned"] else ""
    what = f"the functions are set to {run}" if noted["pinned"] else f"the functions are set to {run} no longer"
    return f'the history says from now on: {what}\nwhat sets them is MODEL_PIN: model_pin = "{value}", and deploy them'


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
