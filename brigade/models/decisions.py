"""How a decision about which model serves is carried out, whoever makes it: an operator, or the schedule's loop.

Two that decide at once cannot harm each other. A manifest is replaced only if it is still the one that was read, and
`changed.json` is claimed first, so that nobody decides on what somebody else is about to change.
This file needs no numpy: who verifies a model hands in how.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from brigade.errors import CannotGoOn
from brigade.models.figures import headline_figures
from brigade.models.history import OPERATOR, TRAINING, read_history, record, rfc3339
from brigade.models.manifest import (
    CHANGED_FILE,
    MANIFEST_FILE,
    MAX_MARKER_BYTES,
    Manifest,
    PassedOver,
    change_marker,
    complete_files,
    find_manifest,
    model_date,
    read_manifest,
    split_name,
)
from brigade.storage import ABSENT, Folder

CLAIM_SECONDS = 60  # after which an unfinished change counts as given up


class Refused(CannotGoOn):
    """A command that is not carried out. The message is one line: why, and what to do."""


class Serving(Protocol):
    """A model that may serve."""

    @property
    def name(self) -> str:
        """The name of the dated model."""

    @property
    def manifest(self) -> Manifest:
        """That of its run."""

    def about(self) -> dict[str, str]:
        """Its name, run id and time of training."""


class Store(Protocol):
    """Who knows which model would serve: the store of serving, or `Promoted`."""

    models: Folder

    def candidates(self) -> Iterator[str]:
        """The models' names, newest first."""

    def latest(self, names: Iterable[str]) -> Serving | None:
        """The first of the named models that may serve."""


class PromotedModel:
    """A promoted model of which nothing was loaded."""

    def __init__(self, name: str, manifest: Manifest):
        self.name, self.manifest = name, manifest

    def about(self) -> dict[str, str]:
        return {"name": self.name, "runId": self.manifest.run_id, "trainedAt": self.manifest.created_at}


class Promoted:
    """The promoted models of a prefix, as far as manifests and the sizes of files say. No model is loaded, so that the
    schedule's trigger, which has no numpy, can ask."""

    def __init__(self, models: Folder, prefix: str):
        self.models, self.prefix = models, prefix

    def candidates(self) -> Iterator[str]:
        """The models' names, newest first."""
        return iter(sorted((name for name in self.models.folders() if model_date(name, self.prefix)), reverse=True))

    def latest(self, names: Iterable[str]) -> PromotedModel | None:
        """The first of the named models that is promoted and whole."""
        return next(self.whole(names), None)

    def whole(self, names: Iterable[str]) -> Iterator[PromotedModel]:
        """Those of the named models that are promoted and whole."""
        for name in names:
            try:
                manifest = find_manifest(self.models, name)
                if manifest.promoted:
                    complete_files(self.models, name, manifest)
                    yield PromotedModel(name, manifest)
            except PassedOver:
                continue


def decide(
    store: Store,
    name: str,
    run_id: str,
    promoted: bool,
    reason: str,
    verify: Callable[[str, Manifest], object],
    force: bool = False,
    by: str = OPERATOR,
    then: tuple[str, str] | None = None,
    figures: dict | None = None,
    at: datetime | None = None,
) -> dict:
    """Promotes or withdraws a run: replaces its date's manifest unless somebody else has done so meanwhile, and adds
    the decision to the history.

    verify: raises PassedOver unless a run that is promoted can serve. then: the name and the run id of what has to
    serve after a withdrawal; None: anything. figures: of the decision, for the history; None: those of the run's
    test. at: the moment of the decision; None: now.
    Raises Refused, PassedOver if the run cannot serve, and ChangedMeanwhile.
    """
    models = store.models
    claim = free_marker(models)
    state = models.files(name).get(MANIFEST_FILE)
    manifest, dated = find_manifest(models, name, run_id), dated_manifest(models, name)
    run_id = manifest.run_id
    is_dated = dated is not None and dated.run_id == run_id
    what = "promoted" if promoted else "withdrawn"
    figures = headline_figures(models, name, run_id) if figures is None else figures
    if dated and is_dated and dated.promoted == promoted:
        # An earlier attempt may have ended before it wrote its marker. Another's claim is not ours to end.
        models.write(CHANGED_FILE, change_marker(what, name, run_id, done=True), claim)
        about = [one for one in read_history(models, split_name(name)[0]) if one["model"] == name]
        if about and about[-1]["by"] != TRAINING and not about[-1]["recorded"]:  # … or before it added to the history
            why = dated.reason.removeprefix(f"{what}: ")
            record(models, what, about[-1]["by"], name, run_id, why, figures)
        serving = store.latest(store.candidates())
        return outcome(name, dated, False, serving)
    if promoted:
        verify(name, manifest)
    else:
        if not is_dated:
            raise Refused(f"{name}/{run_id} does not serve: its date's manifest is another run's or damaged")
        serving = store.latest(other for other in store.candidates() if other != name)
        if serving is None and not force:
            raise Refused(f"{name} is the only model that may serve: promote another one before, or add --force")
        if then and (serving is None or (serving.name, serving.manifest.run_id) != then):
            raise Refused(f"expected {then[0]}/{then[1]} to serve after {name}, found another one")
    decided = {"promoted": promoted, "reason": f"{what}: {reason}", "decidedBy": by}
    document = manifest.document | decided | {"decidedAt": rfc3339(at or datetime.now(UTC))}
    models.write(CHANGED_FILE, change_marker(what, name, run_id, done=False), claim)
    try:
        content = json.dumps(document, ensure_ascii=False, indent=1).encode()
        models.write(f"{name}/{MANIFEST_FILE}", content, state.version if state else ABSENT)
        record(models, what, by, name, run_id, reason, figures, at)
    finally:
        models.write(CHANGED_FILE, change_marker(what, name, run_id, done=True))
    if promoted:
        serving = store.latest(store.candidates())
    return outcome(name, read_manifest(content), True, serving)


def dated_manifest(models: Folder, name: str) -> Manifest | None:
    try:
        return find_manifest(models, name)
    except PassedOver:
        return None


def free_marker(models: Folder) -> str:
    """The version of `changed.json`, for the write that claims the models. Raises Refused while somebody holds them.

    Without the claim, two operators at once could each see the other's model still serving, and withdraw both.
    """
    try:
        content, version = models.read(CHANGED_FILE, MAX_MARKER_BYTES)
    except FileNotFoundError:
        return ABSENT
    try:
        marker = json.loads(content)
        age = (datetime.now(UTC) - datetime.fromisoformat(marker["changedAt"])).total_seconds()
        held = not marker["done"] and abs(age) < CLAIM_SECONDS
    except (ValueError, LookupError, TypeError):  # not a marker, so not a claim
        held = False
    if held:
        raise Refused(f"somebody has been changing a model since {marker['changedAt']}: try again in a minute")
    return version


def outcome(name: str, manifest: Manifest, changed: bool, serving: Serving | None) -> dict:
    """What a promotion or withdrawal did. serving: what instances without MODEL_PIN serve from now on, or None."""
    about = {"model": name, "runId": manifest.run_id, "promoted": manifest.promoted, "reason": manifest.reason}
    return about | {"changed": changed, "serving": serving and serving.about()}
