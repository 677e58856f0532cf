"""The model that is served: the latest promoted one. The store looks for a newer one behind running requests.

*Latest* is the newest date whose manifest is complete and promoted and whose files are verified. Every model that is
passed over is logged once.

A request never waits for a newer model, and at most WAIT_SECONDS for the first one. Nothing is opened and no thread is
started before the first request, because the server forks after it has imported this. Whoever replaces a manifest
writes `changed.json` too. So two small reads tell whether there is anything new: that one, and the manifest of the
model that serves, which somebody may have removed or replaced by hand. The first request after `refresh_seconds` makes
them: Cloud Run may give an instance no CPU between requests. What they find, a thread loads.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from brigade.errors import CannotGoOn, one_line
from brigade.events.contract import Contract, Path
from brigade.models.event_fields import feature_fields
from brigade.models.lone_run import LoneRun
from brigade.models.manifest import (
    CHANGED_FILE,
    DOCUMENTS_PREFIX,
    MAX_MARKER_BYTES,
    Manifest,
    PassedOver,
    complete_files,
    find_manifest,
    is_future,
    model_and_run,
    model_date,
    model_form,
    utc_now,
)
from brigade.models.verification import Model, contract_of, load_verified
from brigade.storage import FileState, Folder, TooLarge, folder_at

log = logging.getLogger("model_store")

RETRY_SECONDS = 2.0  # between two looks while there is no model to serve
QUICK_SECONDS = 2.0  # that a request waits to hear whether its model is still the latest
WAIT_SECONDS = 10.0  # that a request waits for the first model; storage may hang
FULL_LOOK_SECONDS = 3600.0  # for changes made by hand, without a marker


class NoModel(CannotGoOn):
    """There is no model to serve. The message is one line: where the store looked and what it passed over."""


@dataclass(frozen=True)
class ServedModel:
    """A verified model and where it comes from. loaded_at: since when this process serves it. contract: that of the
    events which it can read, and fields: the fields of these that its features are."""

    name: str
    manifest: Manifest
    loaded_at: str
    model: Model
    contract: Contract
    fields: dict[str, Path]

    def about(self) -> dict[str, str]:
        """The `model` member of a response."""
        return {"name": self.name, "runId": self.manifest.run_id, "trainedAt": self.manifest.created_at}

    def age_days(self, now: datetime) -> int | None:
        """Whole days since its training; None if its manifest has no RFC 3339 time."""
        try:
            return (now - datetime.fromisoformat(self.manifest.created_at)).days
        except (ValueError, TypeError, OverflowError):  # TypeError: no offset
            return None


class ModelStore:
    """The model to serve. Any number of threads may ask.

    uri: `gs://bucket/prefix` or a local path. refresh_seconds: how old the last look may become.
    pin: a model's name or `name/runId`. It alone is served, promoted or not. prefix: that of the models' names.
    lone: whether the files of the pinned run, `name/runId`, lie directly in `uri`.
    """

    def __init__(
        self,
        uri: str,
        refresh_seconds: float = 300,
        pin: str | None = None,
        prefix: str = DOCUMENTS_PREFIX,
        lone: bool = False,
    ):
        self.uri, self.refresh_seconds, self.pin, self.prefix = uri, refresh_seconds, pin, prefix
        self.models, self.quick = folder_at(uri), folder_at(uri, QUICK_SECONDS)
        if lone and pin:
            run = model_and_run(pin, prefix)
            self.models, self.quick = LoneRun(self.models, *run), LoneRun(self.quick, *run)
        self.served: ServedModel | None = None
        self.problem = ""
        self.checked_at: str | None = None  # when the last look succeeded
        self.next_look = self.next_full_look = 0.0  # on the monotonic clock
        self.looking = threading.Lock()
        self.marker: bytes | None = None  # as it was when the last full look began
        self.passed_over: dict[str, str] = {}  # model → reason, as last logged
        self.rejected: dict[str, tuple[Manifest, dict[str, FileState], str]] = {}  # model → what was rejected and why

    def current(self) -> ServedModel:
        """The model to serve. While there is none, callers wait for the look, up to WAIT_SECONDS. Raises NoModel."""
        is_first = self.served is None  # the first answer comes after the whole look, what it logs and notes included
        if time.monotonic() >= self.next_look and self.looking.acquire(blocking=False):
            if self.is_up_to_date():
                self.looking.release()
            else:
                threading.Thread(target=self.refresh, name="model-refresh", daemon=True).start()
        if is_first or self.served is None:
            if not self.looking.acquire(timeout=WAIT_SECONDS):
                raise NoModel(f"no model to serve: {self.uri} has not answered within {WAIT_SECONDS:g} s")
            self.looking.release()
        served = self.served
        if served is None:
            raise NoModel(self.problem)
        return served

    def is_up_to_date(self) -> bool:
        """Whether the model that serves is still the latest, or storage does not say so now.

        It costs two small reads, in the request that finds a look due: between requests there may be no CPU. A model
        that was withdrawn serves from here on no longer, whatever else there is. The caller holds `looking`.
        """
        served, now = self.served, time.monotonic()
        if served is None:
            return False
        try:
            marker = self.read_marker()
            manifest = self.manifest_of(served.name, self.quick)
        except PassedOver:
            return False
        except Exception as error:  # storage can fail in many ways, and none of them may end a serving process
            self.failed(error)
            return True
        if self.is_withdrawn(served, manifest):
            self.served = None
            log.warning("%s was withdrawn and serves no longer", served.name)
            return False
        if marker is None or marker != self.marker or manifest != served.manifest or now >= self.next_full_look:
            return False
        self.checked_at, self.next_look = utc_now(), now + self.refresh_seconds
        return True

    def refresh(self) -> None:
        """Looks again in a thread of its own. It takes `looking` over from the request that found a look due."""
        try:
            self.look_everywhere()
        finally:
            self.looking.release()

    def look(self) -> None:
        """Looks for the latest model, which serves from here on. The caller holds `looking`, if others may ask."""
        if not self.is_up_to_date():
            self.look_everywhere()

    def look_everywhere(self) -> None:
        """Looks through all models and serves the latest; without one, the old one goes on."""
        try:
            marker = self.read_marker()
            self.adopt(self.latest(self.candidates()))
            # The marker was read before the look: a change during the look has replaced it again.
            self.marker, self.next_full_look = marker, time.monotonic() + FULL_LOOK_SECONDS
            self.checked_at = utc_now()
            self.next_look = time.monotonic() + (RETRY_SECONDS if self.served is None else self.refresh_seconds)
        except Exception as error:  # as above
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Notes that storage could not be looked at; what serves goes on."""
        self.problem = f"no model to serve: cannot look in {self.uri}: {one_line(error)}"
        log.warning("the look for a model failed: %s: %s", type(error).__name__, one_line(error))
        self.next_look = time.monotonic() + (RETRY_SECONDS if self.served is None else self.refresh_seconds)

    def manifest_of(self, name: str, models: Folder) -> Manifest:
        """The named model's manifest; with a pin, that of the pinned run. Raises PassedOver."""
        return find_manifest(models, name, self.pin.partition("/")[2] if self.pin else "")

    def read_marker(self) -> bytes | None:
        """The content of `changed.json`, which the last change wrote; None if there is none."""
        try:
            return self.quick.read(CHANGED_FILE, MAX_MARKER_BYTES)[0]
        except (FileNotFoundError, TooLarge):
            return None

    def latest(self, names: Iterable[str]) -> ServedModel | None:
        """The first of the named models that may serve, or None. Logs each reason for passing over a model once."""
        passed: dict[str, str] = {}
        found = None
        for name in names:
            try:
                found = self.candidate(name)
                break
            except PassedOver as problem:
                passed[name] = str(problem)
        for name, reason in passed.items():
            if self.passed_over.get(name) != reason:
                log.warning("passed over %s: %s", name, reason)
        self.passed_over = passed
        self.rejected = {name: self.rejected[name] for name in passed if name in self.rejected}
        return found

    def candidates(self) -> Iterator[str]:
        """The models' names, newest first; with a pin, the pinned name alone."""
        pinned = self.pin.partition("/")[0] if self.pin else None
        names = (name for name in self.models.folders() if model_date(name, self.prefix) and pinned in (None, name))
        return iter(sorted(names, reverse=True))

    def candidate(self, name: str) -> ServedModel:
        """The named model, verified. If it is the one that serves, it is not read again. Raises PassedOver.

        A model whose content was rejected is not downloaded again until one of its files changes.
        """
        manifest = self.manifest_of(name, self.models)
        if not manifest.promoted and not self.pin:
            raise PassedOver(f"not promoted ({one_line(manifest.reason)})")
        served = self.served
        if served and (served.name, served.manifest.run_id, served.manifest.files) == (
            name,
            manifest.run_id,
            manifest.files,
        ):
            return replace(served, manifest=manifest)
        states = complete_files(self.models, name, manifest)
        if name in self.rejected and self.rejected[name][:2] == (manifest, states):
            raise PassedOver(self.rejected[name][2])
        try:
            model = load_verified(self.models, name, manifest)
        except PassedOver as reason:
            self.rejected[name] = manifest, states, str(reason)
            raise
        contract = contract_of(model)
        return ServedModel(name, manifest, utc_now(), model, contract, feature_fields(model.pipeline, contract))

    def adopt(self, found: ServedModel | None) -> None:
        """Serves the model that was found, or logs why there is none."""
        served = self.served
        if found is None:
            wanted = self.pin or model_form(self.prefix)
            passed = "; ".join(f"{name}: {reason}" for name, reason in list(self.passed_over.items())[:5])
            problem = f"no model to serve: looked in {self.uri} for {wanted}, passed over: {passed or 'none'}"
            if problem != self.problem:
                log.warning("%s%s", problem, "; the old one keeps serving" if served else "")
            self.problem = problem
            return
        self.served, self.problem = found, ""
        if served is None or found.model is not served.model:
            pinned = ", pinned by MODEL_PIN" if self.pin else ""
            log.info("serving %s, run %s, trained %s%s", *found.about().values(), pinned)
            if is_future(model_date(found.name, self.prefix)):
                log.warning("%s has a date later than today: until it is withdrawn, no newer model serves", found.name)

    def is_withdrawn(self, served: ServedModel, manifest: Manifest) -> bool:
        """Whether somebody withdrew this run. A manifest that is gone or damaged withdraws nothing."""
        return not self.pin and manifest.run_id == served.manifest.run_id and not manifest.promoted
