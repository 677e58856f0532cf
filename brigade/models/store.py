"""The model that is served: the latest promoted one, looked for behind running requests. Also an operator's commands.

*Latest* is the newest date whose manifest is complete and promoted, and whose files are what training made of them
(`model_files.py`). Whatever is passed over is logged, once.

A request never waits for a newer model: the old one serves while the new one is verified in a thread. Nothing is opened
and no thread is started before the first request, because the server forks after importing this. Whoever replaces a
manifest writes `changed.json` too, so that one small read says that there is nothing to look for.

    python cloud_function/model_store.py list gs://ml_output/output/
    python cloud_function/model_store.py withdraw gs://ml_output/output/ doc-classification-model-2026-11-21
"""

import argparse
import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from brigade.models.document_model import CHANGED_FILE, DocumentModel
from brigade.models.files import (
    MAX_MARKER_BYTES,
    Conflict,
    FileState,
    Manifest,
    PassedOver,
    complete_files,
    find_manifest,
    load_verified,
    model_and_run,
    model_date,
    models_at,
    one_line,
)

log = logging.getLogger("model_store")

RETRY_SECONDS = 2.0  # between two looks while there is no model to serve
FULL_LOOK_SECONDS = 3600.0  # for what was changed by hand, without a marker
PROGRAM = "python cloud_function/model_store.py"


class NoModel(Exception):
    """No model to serve; the message is one line that says where one was sought and what was passed over."""

    status = 503  # HTTP's: what may pass


@dataclass(frozen=True)
class ServedModel:
    """A verified model and where it comes from. loaded_at: since when it serves here."""

    name: str
    manifest: Manifest
    loaded_at: str
    model: DocumentModel

    def about(self) -> dict[str, str]:
        """The `model` member of a response."""
        return {"name": self.name, "runId": self.manifest.run_id, "trainedAt": self.manifest.created_at}

    def age_days(self, now: datetime) -> int | None:
        """Whole days since it was trained; None if its manifest does not say when in RFC 3339."""
        try:
            return (now - datetime.fromisoformat(self.manifest.created_at)).days
        except (ValueError, TypeError, OverflowError):  # TypeError: no offset
            return None


class ModelStore:
    """The model to serve, from any number of threads.

    uri: `gs://bucket/prefix` or a local path. refresh_seconds: how old the last look may become.
    pin: a model's name, or `name/runId`, that is served whether it is promoted or not, and nothing else.
    """

    def __init__(self, uri: str, refresh_seconds: float = 300, pin: str | None = None):
        self.uri, self.refresh_seconds, self.pin = uri, refresh_seconds, pin
        self.source = models_at(uri)
        self.served: ServedModel | None = None
        self.problem = ""
        self.checked_at: str | None = None  # when the last look succeeded
        self.next_look = self.next_full_look = 0.0  # on the monotonic clock
        self.looking = threading.Lock()
        self.marker: bytes | None = None  # as it was when the last full look began
        self.passed_over: dict[str, str] = {}  # model → reason, as last logged
        self.rejected: dict[str, tuple[Manifest, dict[str, FileState], str]] = {}  # model → what was rejected, and why

    def current(self) -> ServedModel:
        """The model to serve. Only the first callers wait, while it loads. Raises NoModel."""
        served = self.served
        if served is None:
            with self.looking:
                if self.served is None and time.monotonic() >= self.next_look:
                    self.look()
                if self.served is None:
                    raise NoModel(self.problem)
                return self.served
        if time.monotonic() >= self.next_look and self.looking.acquire(blocking=False):
            threading.Thread(target=self.refresh, name="model-refresh", daemon=True).start()
        return served

    def refresh(self) -> None:
        """Looks again, in its own thread, which took `looking` over from the request that found it due."""
        try:
            self.look()
        finally:
            self.looking.release()

    def look(self) -> None:
        """Serves the latest model from now on; if there is none, what served before. Needs `looking`."""
        try:
            marker = self.read_marker()
            same = marker is not None and marker == self.marker and time.monotonic() < self.next_full_look
            if not (same and self.served):
                self.adopt(self.latest(self.candidates()))
                # Read before the look: what was changed during it has changed the marker again.
                self.marker, self.next_full_look = marker, time.monotonic() + FULL_LOOK_SECONDS
            self.checked_at = utc_now()
        except Exception as error:  # storage out of reach, in any of its many ways, must not end a serving process
            self.problem = f"no model to serve: cannot look in {self.uri}: {one_line(error)}"
            log.warning("the look for a model failed: %s: %s", type(error).__name__, one_line(error))
        self.next_look = time.monotonic() + (RETRY_SECONDS if self.served is None else self.refresh_seconds)

    def read_marker(self) -> bytes | None:
        """What the last change left in `changed.json`; None where nobody writes one."""
        try:
            return self.source.read(CHANGED_FILE, MAX_MARKER_BYTES)[0]
        except (FileNotFoundError, PassedOver):
            return None

    def latest(self, names: Iterable[str]) -> ServedModel | None:
        """The first of the named models that may serve; None if none may. Logs what it passes over, once a change."""
        passed: dict[str, str] = {}
        found = None
        for name in names:
            try:
                found = self.candidate(name)
                break
            except PassedOver as reason:
                passed[name] = str(reason)
        for name, reason in passed.items():
            if self.passed_over.get(name) != reason:
                log.warning("passed over %s: %s", name, reason)
        self.passed_over = passed
        self.rejected = {name: self.rejected[name] for name in passed if name in self.rejected}
        return found

    def candidates(self) -> Iterator[str]:
        """The models' names, newest first; with a pin, the pinned one's alone."""
        pinned = self.pin.partition("/")[0] if self.pin else None
        names = (name for name in self.source.folders() if model_date(name) and pinned in (None, name))
        return iter(sorted(names, reverse=True))

    def candidate(self, name: str) -> ServedModel:
        """The named model, verified, or the one that serves if it is the same. Raises PassedOver.

        A model that was rejected for its content is not downloaded again until one of its files changes.
        """
        manifest = find_manifest(self.source, name, self.pin.partition("/")[2] if self.pin else "")
        if not manifest.promoted and not self.pin:
            raise PassedOver(f"not promoted ({one_line(manifest.reason)})")
        served = self.served
        if served and (served.name, served.manifest.run_id, served.manifest.files) == (
            name,
            manifest.run_id,
            manifest.files,
        ):
            return replace(served, manifest=manifest)
        states = complete_files(self.source, name, manifest)
        if name in self.rejected and self.rejected[name][:2] == (manifest, states):
            raise PassedOver(self.rejected[name][2])
        try:
            model = load_verified(self.source, name, manifest)
        except PassedOver as reason:
            self.rejected[name] = manifest, states, str(reason)
            raise
        return ServedModel(name, manifest, utc_now(), model)

    def adopt(self, found: ServedModel | None) -> None:
        """Serves the model that was found, or says why there is none."""
        served = self.served
        if found is None:
            wanted = self.pin or "doc-classification-model-YYYY-MM-DD"
            passed = "; ".join(f"{name}: {reason}" for name, reason in list(self.passed_over.items())[:5])
            problem = f"no model to serve: looked in {self.uri} for {wanted}, passed over: {passed or 'none'}"
            if served and self.is_withdrawn(served):
                self.served = None
                log.warning("%s; %s was withdrawn and serves no longer", problem, served.name)
            elif problem != self.problem:
                log.warning("%s%s", problem, "; the old one keeps serving" if served else "")
            self.problem = problem
            return
        self.served, self.problem = found, ""
        if served is None or found.model is not served.model:
            log.info("serving %s, run %s, trained %s", *found.about().values())

    def is_withdrawn(self, served: ServedModel) -> bool:
        """Whether somebody decided against this run; a manifest that is gone or damaged decides nothing."""
        try:
            manifest = find_manifest(self.source, served.name)
        except PassedOver:
            return False
        return not self.pin and manifest.run_id == served.manifest.run_id and not manifest.promoted


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# -------------------------------------------------------------------------------------------------- what people read


def table(rows: list[dict]) -> str:
    columns = list(rows[0])
    cells = [columns, *(["-" if cell is None else str(cell) for cell in row.values()] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def about_run(found: dict) -> str:
    files = [f"  {one['bytes']:>12,} bytes  {one['name']}" for one in found["files"]]
    lines = [f"{key:<10} {value}" for key, value in found.items() if key not in ("files", "problem")]
    return "\n".join(
        [*lines, *files, found["problem"] or "verified: every file is the manifest's, golden documents agree"]
    )


def sentences(uri: str, done: dict) -> str:
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


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What serves, what could, and what shall. Instances follow within MODEL_REFRESH_SECONDS.",
        epilog="Exit status: 0 done, or so already; 1 refused or failed; 2 wrong arguments.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, about in (
        ("list", "every run, newest first, and which one serves"),
        ("show", "a run's figures and files, and whether it is whole; exit status 1 if not"),
        ("promote", "lets a run serve, after verifying it; the newest promoted date wins"),
        ("withdraw", "takes a run out of service; the next older promoted one serves then"),
    ):
        one = commands.add_parser(command, help=about, description=about)
        one.add_argument("uri", help="gs://bucket/prefix or a folder, as MODELS_URI")
        if command != "list":
            example = "doc-classification-model-YYYY-MM-DD, or that/RUN_ID for another run of its date"
            one.add_argument("model", help=example, nargs="?" if command == "show" else None)
        if command in ("promote", "withdraw"):
            one.add_argument("--reason", type=one_line, default="by an operator", help="kept in the manifest")
        if command == "withdraw":
            one.add_argument("--force", action="store_true", help="even if nothing is left to serve")
        one.add_argument("--json", action="store_true", help="one line of JSON instead of text")
    arguments = parser.parse_args(argv)
    try:
        models_at(arguments.uri)
        arguments.run = model_and_run(arguments.model) if getattr(arguments, "model", None) else ("", "")
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    from brigade.models.commands import Refused, decide, list_runs, show_run

    store = ModelStore(arguments.uri)
    try:
        if arguments.command == "list":
            found = {"models": list_runs(store)}
            text = table(found["models"])
        elif arguments.command == "show":
            found = show_run(store, *arguments.run)
            text = about_run(found)
        else:
            promoted = arguments.command == "promote"
            force = not promoted and arguments.force
            found = decide(store, *arguments.run, promoted, arguments.reason, force)
            text = sentences(arguments.uri, found)
    except (Refused, PassedOver, Conflict) as problem:
        print(f"{arguments.command}: {problem}", file=sys.stderr)
        return 1
    except (OSError, GoogleAPIError, GoogleAuthError) as error:
        print(f"{arguments.command}: {arguments.uri}: {type(error).__name__}: {one_line(error)}", file=sys.stderr)
        return 1
    print(json.dumps(found, ensure_ascii=False) if arguments.json else text)
    return 1 if found.get("problem") else 0
