"""Which model answered, what it had learned from, and where the event lies.

A classified message and a bulk prediction name the model and the run that made them, so they say it themselves. For a
time the history says it: the newest date that was promoted then, or the model that was pinned.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import unquote

import orjson

from brigade.errors import one_line
from brigade.models.decisions import Refused
from brigade.models.history import asked_time, decided, parse_time, read_history, rfc3339, time_of
from brigade.models.manifest import (
    DATA_FILE,
    PLAIN_NAME,
    PassedOver,
    find_manifest,
    run_folder,
    size_limit,
    split_name,
)
from brigade.models.store import ModelStore
from brigade.paths import local_path
from brigade.storage import Folder, TooLarge, list_files, open_to_read

COLUMN = re.compile(r"/(model|runId)=([^/]+)(?=/)")  # of Parquet, as a folder; bulk predictions have these two
DAY = re.compile(r"/dt=(\d{4}-\d\d-\d\d)/")
ANSWERS = ("classification", "prediction")  # the members of a message that a model has added
MADE_AT = ("classifiedAt", "predictedAt")
COLUMNS = ("eventId", "publishTime", "model", "runId", *MADE_AT, *ANSWERS)  # of Parquet, as far as it has them
USUAL_REFRESH = timedelta(seconds=300)  # MODEL_REFRESH_SECONDS, unless somebody has set another


# ---------------------------------------------------------------------------------------------------- at a time


def serving_at(entries: list[dict], time: datetime) -> tuple[dict | None, dict | None, dict | None]:
    """What served at a time, given the whole history: the entry about the run that did, the decision by which it came
    to serve, and the entry about the run that did before. Each is None if there is none.

    An instance follows a decision within MODEL_REFRESH_SECONDS.
    """
    pin = serving = since = former = None
    models: dict[str, dict] = {}  # those that may serve
    for entry in (one for one in entries if time_of(one) <= time):
        if entry["what"] in ("pinned", "unpinned"):
            pin = entry if entry["what"] == "pinned" else None
        decided(models, entry)
        now = pin or (models[max(models)] if models else None)
        if run_of(now) != run_of(serving):
            serving, since, former = now, entry, serving
    return serving, since, former


def run_of(entry: dict | None) -> tuple[str, str] | None:
    return (entry["model"], entry["runId"]) if entry else None


def answered_at(models: Folder, entries: list[dict], time: datetime) -> dict:
    """The answer for a time. Raises Refused if no model served."""
    serving, since, former = serving_at(entries, time)
    if serving is None or since is None:
        first = f"; the history begins at {entries[0]['at']}" if entries else "; there is no history"
        raise Refused(f"expected a model that served at {rfc3339(time)}, found none{first}")
    answer = {"model": serving["model"], "runId": serving["runId"], "at": rfc3339(time), "by": "history"}
    answer |= {"since": since["at"], "decision": {key: since[key] for key in ("what", "by", "who", "why")}}
    if former and time - time_of(since) < USUAL_REFRESH:
        answer["orStill"] = {"model": former["model"], "runId": former["runId"]}
    if not any(one["recorded"] and time_of(one) <= time for one in entries):
        answer["olderThanTheHistory"] = True
    return answer | {"learnedFrom": learned_from(models, serving["model"], serving["runId"])}


# --------------------------------------------------------------------------------------------------- of an event


def who_answered(store: ModelStore, question: str, events: str | None = None, predictions: str | None = None) -> dict:
    """The answer to an event's id or a time: `answers`, and of an event `eventId` and `lies`.

    events: converted or landed files. predictions: files with what models have answered: bulk predictions, or
    classified messages. Both are folders of Parquet or JSON lines. An event without such an answer gets that of the
    history for the time of its publication. Raises Refused if there is no answer.
    """
    models = store.models
    if time := asked_time(question):
        return {"answers": [answered_at(models, read_history(models, store.prefix), time)]}
    found = [(file, row, said) for file, row in rows_of(predictions, question) if (said := said_by(row))]
    lies = [where(file, row) for file, row in rows_of(events, question)]
    answers = [said | {"file": file, "learnedFrom": learned_from(models, said["model"], said["runId"])}
               for file, _, said in found]  # fmt: skip
    published = next((one["publishTime"] for one in lies if one["publishTime"]), None)
    if not answers and published:
        answers = [answered_at(models, read_history(models, store.prefix), parse_time(published))]
    if not answers:
        places = " and ".join(one for one in (predictions, events) if one)
        what = "with a time of publication" if lies else "there"
        raise Refused(f"expected the event {question} in {places}, found none {what}")
    return {"eventId": question, "answers": sorted(answers, key=lambda one: one["at"] or ""), "lies": lies}


def said_by(row: dict) -> dict | None:
    """The model, the run and the time that a classified message or a prediction names; None if it names none."""
    said = next((row[name] for name in ANSWERS if isinstance(row.get(name), dict)), row)
    model, run_id = said.get("model"), said.get("runId")
    if not (isinstance(model, str) and isinstance(run_id, str) and is_run(model, run_id)):
        return None
    at = next((said[name] for name in MADE_AT if said.get(name)), None)
    return {"model": model, "runId": run_id, "at": as_text(at), "by": "answer"}


def is_run(model: str, run_id: str) -> bool:
    """Whether these can be names of a model and of a run: a file of somebody's own must not lead elsewhere."""
    return all(PLAIN_NAME.fullmatch(name) for name in (model, run_id)) and split_name(model)[1] is not None


def where(file: str, row: dict) -> dict:
    """Where a row of an event lies: the file, its day, and when the event was published."""
    pubsub = row.get("pubsub")
    published = row.get("publishTime") or (pubsub.get("publishTime") if isinstance(pubsub, dict) else None)
    day = DAY.search(file)
    return {"file": file, "day": day and day[1], "publishTime": as_text(published)}


def as_text(value: object) -> str | None:
    """A time as text. Parquet has times in UTC, with or without saying so."""
    if isinstance(value, datetime):
        return rfc3339(value if value.tzinfo else parse_time(value.isoformat()))
    return value if isinstance(value, str) else None


def learned_from(models: Folder, name: str, run_id: str) -> dict:
    """The version of the data that a run has learned from: the SHA-256 of its data.json, and what that lists."""
    try:
        manifest = find_manifest(models, name, run_id)
        size, version = manifest.files[DATA_FILE]
        data = orjson.loads(models.read(f"{run_folder(name, run_id)}/{DATA_FILE}", size_limit(DATA_FILE))[0])
        files = [(one["file"], one["size"]) for one in data["files"]]
    except (PassedOver, FileNotFoundError, TooLarge, LookupError, TypeError, ValueError) as problem:
        return {"problem": f"no {DATA_FILE} of this run can be read: {one_line(problem)}"}
    days = sorted({match[1] for file, _ in files if (match := DAY.search(file))})
    about = {"dataVersion": version, "parquet": data.get("parquet"), "files": len(files)}
    return about | {"bytes": sum(size for _, size in files), "days": [days[0], days[-1]] if days else None}


# --------------------------------------------------------------------------------------------------------- files


def rows_of(uri: str | None, event_id: str) -> Iterator[tuple[str, dict]]:
    """(file, row) for each row of an event below a folder of Parquet or JSON lines; nothing without a folder.

    Names that begin with `_` or `.` are no data, as for Spark. Raises Refused if a file cannot be read.
    """
    if not uri:
        return
    root = local_path(uri).rstrip("/")
    for file, _ in list_files(uri):
        if re.search(r"(^|/)[._]", file.removeprefix(root)):
            continue
        if file.endswith(".parquet"):
            columns = {name: unquote(value) for name, value in COLUMN.findall(file.removeprefix(root))}
            yield from ((file, columns | row) for row in parquet_rows(file, event_id))
        elif re.search(r"\.jsonl?(\.gz)?$", file):
            yield from ((file, row) for row in json_rows(file, event_id))


def json_rows(file: str, event_id: str) -> Iterator[dict]:
    """The objects of a file of JSON lines that have the id. A line that is none answers nothing."""
    with open_to_read(file) as lines:
        for line in lines:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(row, dict) and row.get("eventId") == event_id:
                yield row


def parquet_rows(file: str, event_id: str) -> list[dict]:
    """The rows of a Parquet file that have the id, with those of COLUMNS that it has."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Refused(f"{file}: reading Parquet needs the package pyarrow, which is not installed here") from None
    try:
        with open_to_read(file) as content:
            names = parquet.read_schema(content).names
            columns = [name for name in COLUMNS if name in names]
            if "eventId" not in columns:
                return []
            return parquet.read_table(content, columns=columns, filters=[("eventId", "=", event_id)]).to_pylist()
    except pyarrow.ArrowException as error:
        raise Refused(f"{file} cannot be read as Parquet: {one_line(error)}") from None
