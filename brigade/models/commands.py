"""What an operator does with models: list, show, promote and withdraw; `model_store.py --help` has the commands.

Two operators are safe from each other: a manifest is written only if it is still the one that was read, and
`changed.json` is claimed before, so that nobody decides on what another one is about to change.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from brigade.models.document_model import CHANGED_FILE, change_marker
from brigade.models.files import (
    ABSENT,
    MANIFEST_FILE,
    MAX_MARKER_BYTES,
    Bucket,
    Conflict,
    Folder,
    Manifest,
    PassedOver,
    complete_files,
    find_manifest,
    load_verified,
    one_line,
    read_manifest,
    run_folder,
)

if TYPE_CHECKING:
    from brigade.models.store import ModelStore, ServedModel

CLAIM_SECONDS = 60  # a change that takes longer has been given up
METRICS_FILE, MAX_METRICS_BYTES = "metrics.json", 64 << 20
COLUMNS = ("model", "runId", "state", "trainedAt", "accuracy", "macroF1", "reason")


class Refused(Exception):
    """A command that is not carried out; the message is one line that says why, and what to do."""


def list_runs(store: "ModelStore") -> list[dict]:
    """Every run, newest first, with its state: serving, promoted, rejected, withdrawn, damaged, or replaced by another
    run of its date. Raises Refused when there is none."""
    serving = store.latest(store.candidates())
    rows = []
    for name in store.candidates():
        others = sorted(store.source.folders(f"{name}/runs"), reverse=True)
        try:
            dated = find_manifest(store.source, name).run_id
            rows.append(run_row(store, serving, name, dated, True))
        except PassedOver as reason:
            dated = None
            rows.append(row(name, None, "damaged", str(reason)))
        rows += [run_row(store, serving, name, run_id, False) for run_id in others if run_id != dated]
    if not rows:
        raise Refused(f"expected models in {store.uri}, found none")
    return rows


def run_row(store: "ModelStore", serving: "ServedModel | None", name: str, run_id: str, dated: bool) -> dict:
    """A run's line in the list; `dated` if the date's manifest is that of this run."""
    try:
        manifest = find_manifest(store.source, name, run_id)
        figures = headline_figures(store.source, name, manifest)
        if not manifest.promoted:
            state = "withdrawn" if manifest.reason.startswith("withdrawn:") else "rejected"
        elif not dated:
            state = "replaced"
        elif serving and serving.name == name:
            state = "serving"
        elif name in store.passed_over:
            raise PassedOver(store.passed_over[name])
        else:
            complete_files(store.source, name, manifest)
            state = "promoted"
    except PassedOver as reason:
        return row(name, run_id, "damaged", str(reason))
    return row(name, run_id, state, one_line(manifest.reason), trainedAt=manifest.created_at, **figures)


def row(name: str, run_id: str | None, state: str, reason: str, **figures: object) -> dict:
    known = {"model": name, "runId": run_id, "state": state, "reason": reason} | figures
    return {column: known.get(column) for column in COLUMNS}


def headline_figures(source: Folder | Bucket, name: str, manifest: Manifest) -> dict[str, float]:
    """A run's accuracy and macro-F1 on its test documents, as far as it says them."""
    try:
        content, _ = source.read(f"{run_folder(name, manifest.run_id)}/{METRICS_FILE}", MAX_METRICS_BYTES)
        found = json.loads(content)["test"]
        return {key: found[key] for key in ("accuracy", "macroF1") if isinstance(found[key], float | int)}
    except (FileNotFoundError, PassedOver, ValueError, LookupError, TypeError):
        return {}


def show_run(store: "ModelStore", name: str, run_id: str) -> dict:
    """All that is known of a run, the serving one's if no name is given; `problem` is None if it is whole."""
    if not name:
        serving = store.latest(store.candidates())
        if serving is None:
            raise Refused(f"expected a model that serves, found none in {store.uri}; name one of `list`")
        name = serving.name
    manifest = find_manifest(store.source, name, run_id)
    try:
        complete_files(store.source, name, manifest)
        load_verified(store.source, name, manifest)
        problem = None
    except PassedOver as reason:
        problem = str(reason)
    files = [{"name": file, "bytes": size, "sha256": digest} for file, (size, digest) in manifest.files.items()]
    about = {"model": name, "runId": manifest.run_id, "trainedAt": manifest.created_at, "label": manifest.label}
    about |= {"promoted": manifest.promoted, "reason": one_line(manifest.reason)}
    return about | headline_figures(store.source, name, manifest) | {"files": files, "problem": problem}


def decide(store: "ModelStore", name: str, run_id: str, promoted: bool, reason: str, force: bool = False) -> dict:
    """Promotes or withdraws a run: writes its date's manifest anew, if nobody else has done so meanwhile.

    Raises Refused, PassedOver for a run that cannot serve, and Conflict.
    """
    source = store.source
    claim = free_marker(source)
    state = source.files(name).get(MANIFEST_FILE)
    manifest, dated = find_manifest(source, name, run_id), dated_manifest(source, name)
    run_id = manifest.run_id
    is_dated = dated is not None and dated.run_id == run_id
    if is_dated and dated.promoted == promoted:
        # Its marker may be what an earlier attempt did not come to.
        source.write(CHANGED_FILE, change_marker("promoted" if promoted else "withdrawn", name, run_id, done=True))
        serving = store.latest(store.candidates())
        return outcome(name, dated, False, serving)
    if promoted:
        complete_files(source, name, manifest)
        load_verified(source, name, manifest)
    else:
        if not is_dated:
            raise Refused(f"{name}/{run_id} does not serve: its date's manifest is another run's or damaged")
        serving = store.latest(other for other in store.candidates() if other != name)
        if serving is None and not force:
            raise Refused(f"{name} is the only model that may serve: promote another one before, or add --force")
    what = "promoted" if promoted else "withdrawn"
    document = manifest.document | {"promoted": promoted, "reason": f"{what}: {reason}"}
    source.write(CHANGED_FILE, change_marker(what, name, run_id, done=False), claim)
    try:
        content = json.dumps(document, ensure_ascii=False, indent=1).encode()
        source.write(f"{name}/{MANIFEST_FILE}", content, state.version if state else ABSENT)
    finally:
        source.write(CHANGED_FILE, change_marker(what, name, run_id, done=True))
    if promoted:
        serving = store.latest(store.candidates())
    return outcome(name, read_manifest(content), True, serving)


def dated_manifest(source: Folder | Bucket, name: str) -> Manifest | None:
    try:
        return find_manifest(source, name)
    except PassedOver:
        return None


def free_marker(source: Folder | Bucket) -> str:
    """The version of `changed.json`, for the write that claims the models. Raises Conflict while somebody holds them.

    Two who decide at once could each see the other's model still serving, and withdraw both.
    """
    try:
        content, version = source.read(CHANGED_FILE, MAX_MARKER_BYTES)
    except FileNotFoundError:
        return ABSENT
    try:
        marker = json.loads(content)
        age = (datetime.now(UTC) - datetime.fromisoformat(marker["changedAt"])).total_seconds()
        held = not marker["done"] and abs(age) < CLAIM_SECONDS
    except (ValueError, LookupError, TypeError):  # somebody's own file; no claim of ours
        held = False
    if held:
        raise Conflict(f"somebody has been changing a model since {marker['changedAt']}: try again in a minute")
    return version


def outcome(name: str, manifest: Manifest, changed: bool, serving: "ServedModel | None") -> dict:
    """What a promotion or withdrawal did. `serving`: what instances without MODEL_PIN serve from now on, or None."""
    about = {"model": name, "runId": manifest.run_id, "promoted": manifest.promoted, "reason": manifest.reason}
    return about | {"changed": changed, "serving": serving and serving.about()}
