"""What was decided about models: by whom, when and why. It lies beside the models, and nothing in it is ever changed.

    <MODELS_URI>/history/20261129T074108.123456Z-8c1f09ab.json

One object is one entry, since Cloud Storage does not append. It is created only if it is absent, and its name sorts by
time. Serving neither reads nor writes it. What the gate decided is also in the manifest of each run. So a run that was
made before there was a history, or that ended before its entry, has an entry all the same: `recorded` is false there.
"""

import contextlib
import getpass
import json
import logging
import os
import re
import secrets
import socket
from datetime import UTC, datetime

from brigade.errors import one_line
from brigade.models.figures import headline_figures
from brigade.models.manifest import (
    MANIFEST_FILE,
    Manifest,
    PassedOver,
    find_manifest,
    model_date,
    read_manifest,
    run_folder,
    size_limit,
)
from brigade.storage import ABSENT, BucketFolder, ChangedMeanwhile, Folder, TooLarge, account

log = logging.getLogger(__name__)

FOLDER = "history"
ENTRY = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.json")
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
MAX_ENTRY_BYTES = 64 << 10
# Who decided: the gate of a training, a person, or the loop of the schedule.
TRAINING, OPERATOR, LOOP = "training", "operator", "loop"
EARLY = (
    "trained early"  # what the loop has begun; the entry's model is the one that is to come of it, without a run yet
)
KEYS = ("at", "what", "model", "runId", "by", "who", "why")  # of every entry, as text


def record(
    models: Folder, what: str, by: str, model: str, run_id: str, why: str, figures: dict, at: datetime | None = None
) -> None:
    """Adds an entry. what: promoted, rejected, withdrawn, pinned, unpinned or EARLY. by: TRAINING, OPERATOR or LOOP.
    at: the moment of the decision; None: now."""
    now = (at or datetime.now(UTC)).astimezone(UTC)
    entry: dict = {"at": rfc3339(now), "what": what, "model": model, "runId": run_id, "by": by, "who": who(models)}
    entry |= {"why": one_line(why), "figures": figures}
    name = f"{FOLDER}/{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.json"
    with contextlib.suppress(ChangedMeanwhile):  # nobody else has this name: an earlier try has written it
        models.write(name, json.dumps(entry, ensure_ascii=False).encode(), ABSENT)


def who(models: Folder) -> str:
    """Who runs this program: the account of its credentials for a bucket if they say it, else the user at the host."""
    if isinstance(models, BucketFolder) and (name := account()):
        return name
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def read_history(models: Folder, prefix: str) -> list[dict]:
    """All entries about a prefix's models, oldest first: KEYS, `figures`, `recorded`."""
    entries = [one for one in recorded(models) if model_date(one["model"], prefix)]
    for name in sorted(name for name in models.folders() if model_date(name, prefix)):
        told = {one["runId"] for one in entries if one["model"] == name and one["by"] == TRAINING}
        runs = sorted(run_id for run_id in models.folders(f"{name}/runs") if run_id not in told)
        entries += [found for run_id in runs if (found := gate_of(models, name, run_id))]
        entries += as_it_is(models, name, sorted((one for one in entries if one["model"] == name), key=time_of))
    return sorted(entries, key=time_of)


def recorded(models: Folder) -> list[dict]:
    """The entries as they were written. One that cannot be read is passed over with a warning."""
    entries = []
    for name in sorted(name for name in models.files(FOLDER) if ENTRY.fullmatch(name)):
        try:
            entry = json.loads(models.read(f"{FOLDER}/{name}", MAX_ENTRY_BYTES)[0])
            if any(not isinstance(entry[key], str) for key in KEYS) or not isinstance(entry["figures"], dict):
                raise ValueError("a member of another type")
            time_of(entry)
        except (ValueError, LookupError, TypeError, TooLarge, FileNotFoundError) as error:
            log.warning("passed over %s/%s: %s: %s", FOLDER, name, type(error).__name__, one_line(error))
            continue
        entries.append(entry | {"recorded": True})
    return entries


def gate_of(models: Folder, name: str, run_id: str) -> dict | None:
    """What the gate decided about a run, from the run's own manifest, with the time when its training began; None if
    there is no telling."""
    path = f"{run_folder(name, run_id)}/{MANIFEST_FILE}"
    try:
        manifest = read_manifest(models.read(path, size_limit(MANIFEST_FILE))[0])
        at = rfc3339(parse_time(manifest.created_at))
    except (FileNotFoundError, PassedOver, TooLarge, ValueError):
        return None
    what = "promoted" if manifest.promoted else "rejected"
    return derived(models, name, manifest, at, what, TRAINING)


def as_it_is(models: Folder, name: str, entries: list[dict]) -> list[dict]:
    """An entry for the decision that a date's manifest shows and that is not among the entries about the model. If the
    manifest does not say when, it has the time of the last of them: what is known is that it came after that."""
    try:
        manifest = find_manifest(models, name)
    except PassedOver:
        return []
    promoted = dated(entries).get(name, {}).get("runId") == manifest.run_id
    if not entries or promoted == manifest.promoted:
        return []
    what = "promoted" if manifest.promoted else "withdrawn"
    at, by = (manifest.document.get(key) for key in ("decidedAt", "decidedBy"))
    at = at if asked_time(str(at)) else entries[-1]["at"]
    return [derived(models, name, manifest, str(at), what, LOOP if by == LOOP else OPERATOR)]


def derived(models: Folder, name: str, manifest: Manifest, at: str, what: str, by: str) -> dict:
    """An entry that follows from a manifest."""
    entry: dict = {"at": at, "what": what, "model": name, "runId": manifest.run_id, "by": by, "who": "unknown"}
    figures = headline_figures(models, name, manifest.run_id)
    return entry | {"why": one_line(manifest.reason), "figures": figures, "recorded": False}


def dated(entries: list[dict]) -> dict[str, dict]:
    """By its name, each model that may serve after these entries, as the entry that promoted its run."""
    found: dict[str, dict] = {}
    for entry in entries:
        decided(found, entry)
    return found


def decided(models: dict[str, dict], entry: dict) -> None:
    """Does to the models that may serve, see `dated`, what an entry says."""
    if entry["what"] == "promoted":
        models[entry["model"]] = entry
    elif entry["what"] == "withdrawn":
        models.pop(entry["model"], None)


def time_of(entry: dict) -> datetime:
    """When an entry's decision was made."""
    return parse_time(entry["at"])


def parse_time(text: str) -> datetime:
    """An RFC 3339 time; one without an offset is UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def rfc3339(time: datetime) -> str:
    """The time in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def asked_time(text: str) -> datetime | None:
    """The time that a question names; None if it names an event."""
    try:
        return parse_time(text) if TIME.fullmatch(text) else None
    except ValueError:
        return None
