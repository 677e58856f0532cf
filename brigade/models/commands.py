"""What an operator does with models: list, show, promote, withdraw, pin. `python -m brigade.models --help` has all
commands.

Two operators cannot harm each other. A manifest is replaced only if it is still the one that was read, and
`changed.json` is claimed first, so that nobody decides on what somebody else is about to change.
"""

import json
from datetime import UTC, datetime

from brigade.errors import CannotGoOn, one_line
from brigade.models.figures import FIGURES, headline_figures, tested_classes
from brigade.models.history import OPERATOR, read_history, record
from brigade.models.manifest import (
    CHANGED_FILE,
    MANIFEST_FILE,
    MAX_MARKER_BYTES,
    Manifest,
    PassedOver,
    change_marker,
    find_manifest,
    is_future,
    read_manifest,
    split_name,
)
from brigade.models.store import ModelStore, ServedModel
from brigade.models.verification import complete_files, load_verified
from brigade.storage import ABSENT, Folder

CLAIM_SECONDS = 60  # after which an unfinished change counts as given up
COLUMNS = ("model", "runId", "state", "trainedAt", *FIGURES, "reason")


class Refused(CannotGoOn):
    """A command that is not carried out. The message is one line: why, and what to do."""


def list_runs(store: ModelStore) -> list[dict]:
    """Every run, newest first, with its state. Raises Refused if there is none.

    The state is serving, promoted, rejected, withdrawn, damaged, or replaced (by another run of its date), and says
    "(future)" if the date is later than today, UTC.
    """
    serving = store.latest(store.candidates())
    rows = []
    for name in store.candidates():
        others = sorted(store.models.folders(f"{name}/runs"), reverse=True)
        try:
            dated = find_manifest(store.models, name).run_id
            rows.append(run_row(store, serving, name, dated, True))
        except PassedOver as reason:
            dated = None
            rows.append(row(name, None, "damaged", str(reason)))
        rows += [run_row(store, serving, name, run_id, False) for run_id in others if run_id != dated]
    if not rows:
        others = sorted({split_name(name)[0] for name in store.models.folders()} - {""})
        hint = f" of {store.prefix}; for others add --model_prefix={others[0]}" if others else ""
        raise Refused(f"expected models in {store.uri}, found none{hint}")
    return rows


def run_row(store: ModelStore, serving: ServedModel | None, name: str, run_id: str, dated: bool) -> dict:
    """A run's row in the list. dated: whether the date's manifest belongs to this run."""
    try:
        manifest = find_manifest(store.models, name, run_id)
        figures = headline_figures(store.models, name, run_id)
        if not manifest.promoted:
            state = "withdrawn" if manifest.reason.startswith("withdrawn:") else "rejected"
        elif not dated:
            state = "replaced"
        elif serving and serving.name == name:
            state = "serving"
        elif name in store.passed_over:
            raise PassedOver(store.passed_over[name])
        else:
            complete_files(store.models, name, manifest)
            state = "promoted"
    except PassedOver as reason:
        return row(name, run_id, "damaged", str(reason))
    return row(name, run_id, state, one_line(manifest.reason), trainedAt=manifest.created_at, **figures)


def row(name: str, run_id: str | None, state: str, reason: str, **figures: object) -> dict:
    state = f"{state} (future)" if is_future(split_name(name)[1]) else state
    known = {"model": name, "runId": run_id, "state": state, "reason": reason} | figures
    return {column: known.get(column) for column in COLUMNS}


def show_run(store: ModelStore, name: str, run_id: str) -> dict:
    """A run's figures and files; without a name, those of the run that serves. `problem` is None if it is whole."""
    if not name:
        serving = store.latest(store.candidates())
        if serving is None:
            raise Refused(f"expected a model that serves, found none in {store.uri}; name one of `list`")
        name = serving.name
    manifest = find_manifest(store.models, name, run_id)
    tested = tested_classes(store.models, name, manifest.run_id)
    known, problem = set(tested), None
    try:
        complete_files(store.models, name, manifest)
        known |= set(load_verified(store.models, name, manifest).classes)
    except PassedOver as reason:
        problem = str(reason)
    files = [{"name": file, "bytes": size, "sha256": digest} for file, (size, digest) in manifest.files.items()]
    about: dict = {"model": name, "runId": manifest.run_id, "trainedAt": manifest.created_at, "label": manifest.label}
    about |= {"promoted": manifest.promoted, "reason": one_line(manifest.reason)}
    about |= headline_figures(store.models, name, manifest.run_id)
    if "macroF1" in about and tested:
        of_all = "" if problem else f" of {len(known)}"
        about["macroF1Over"] = f"the {len(tested)}{of_all} classes that have test documents"
    return about | {"files": files, "problem": problem}


def decide(store: ModelStore, name: str, run_id: str, promoted: bool, reason: str, force: bool = False) -> dict:
    """Promotes or withdraws a run: replaces its date's manifest unless somebody else has done so meanwhile, and adds
    the decision to the history.

    Raises Refused, PassedOver if the run cannot serve, and ChangedMeanwhile.
    """
    models = store.models
    claim = free_marker(models)
    state = models.files(name).get(MANIFEST_FILE)
    manifest, dated = find_manifest(models, name, run_id), dated_manifest(models, name)
    run_id = manifest.run_id
    is_dated = dated is not None and dated.run_id == run_id
    what, figures = "promoted" if promoted else "withdrawn", headline_figures(models, name, run_id)
    if dated and is_dated and dated.promoted == promoted:
        # An earlier attempt may have ended before it wrote its marker. Another's claim is not ours to end.
        models.write(CHANGED_FILE, change_marker(what, name, run_id, done=True), claim)
        about = [one for one in read_history(models, split_name(name)[0]) if one["model"] == name]
        if about and about[-1]["by"] == OPERATOR and not about[-1]["recorded"]:  # … or before it added to the history
            record(models, what, OPERATOR, name, run_id, dated.reason.removeprefix(f"{what}: "), figures)
        serving = store.latest(store.candidates())
        return outcome(name, dated, False, serving)
    if promoted:
        complete_files(models, name, manifest)
        load_verified(models, name, manifest)
    else:
        if not is_dated:
            raise Refused(f"{name}/{run_id} does not serve: its date's manifest is another run's or damaged")
        serving = store.latest(other for other in store.candidates() if other != name)
        if serving is None and not force:
            raise Refused(f"{name} is the only model that may serve: promote another one before, or add --force")
    document = manifest.document | {"promoted": promoted, "reason": f"{what}: {reason}"}
    models.write(CHANGED_FILE, change_marker(what, name, run_id, done=False), claim)
    try:
        content = json.dumps(document, ensure_ascii=False, indent=1).encode()
        models.write(f"{name}/{MANIFEST_FILE}", content, state.version if state else ABSENT)
        record(models, what, OPERATOR, name, run_id, reason, figures)
    finally:
        models.write(CHANGED_FILE, change_marker(what, name, run_id, done=True))
    if promoted:
        serving = store.latest(store.candidates())
    return outcome(name, read_manifest(content), True, serving)


def note_pin(store: ModelStore, name: str, run_id: str, reason: str) -> dict:
    """Notes in the history that the functions are set to a run, after verifying it; without a name, that they no longer
    are.

    What sets them is MODEL_PIN, which belongs to a process that may not write here. Raises PassedOver if the run cannot
    serve, and Refused if there is no pin to end.
    """
    models, pinned = store.models, bool(name)
    if pinned:
        manifest = find_manifest(models, name, run_id)
        complete_files(models, name, manifest)
        load_verified(models, name, manifest)
        run_id = manifest.run_id
    else:
        pins = [one for one in read_history(models, store.prefix) if "pinned" in one["what"]]
        if not pins or pins[-1]["what"] == "unpinned":
            raise Refused(f"expected a pin in the history of {store.uri}, found none")
        name, run_id = pins[-1]["model"], pins[-1]["runId"]
    figures = headline_figures(models, name, run_id)
    record(models, "pinned" if pinned else "unpinned", OPERATOR, name, run_id, reason, figures)
    return {"model": name, "runId": run_id, "pinned": pinned}


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


def outcome(name: str, manifest: Manifest, changed: bool, serving: ServedModel | None) -> dict:
    """What a promotion or withdrawal did. serving: what instances without MODEL_PIN serve from now on, or None."""
    about = {"model": name, "runId": manifest.run_id, "promoted": manifest.promoted, "reason": manifest.reason}
    return about | {"changed": changed, "serving": serving and serving.about()}
