"""What an operator does with models: list, show, promote, withdraw, pin. `python -m brigade.models --help` has all
commands."""

from brigade.errors import one_line
from brigade.models import decisions
from brigade.models.decisions import Refused
from brigade.models.figures import FIGURES, headline_figures, tested_classes
from brigade.models.history import LOOP, OPERATOR, read_history, record, recorded
from brigade.models.manifest import (
    Manifest,
    PassedOver,
    complete_files,
    find_manifest,
    is_future,
    split_name,
)
from brigade.models.store import ModelStore, ServedModel
from brigade.models.verification import load_verified

COLUMNS = ("model", "runId", "state", "trainedAt", *FIGURES, "loop", "reason")


def list_runs(store: ModelStore) -> list[dict]:
    """Every run, newest first, with its state. Raises Refused if there is none.

    The state is serving, promoted, rejected, withdrawn, damaged, or replaced (by another run of its date), and says
    "(future)" if the date is later than today, UTC.
    """
    serving = store.latest(store.candidates())
    rows: list[dict] = []
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
    told = by_the_loop(store)
    return [one | {"loop": told.get(one["model"])} for one in rows]


def by_the_loop(store: ModelStore) -> dict[str, str]:
    """What the schedule's loop last decided about a model: its name → what, when and why."""
    entries = (one for one in recorded(store.models) if one["by"] == LOOP)
    return {one["model"]: f"{one['what']} {one['at'][:10]}: {one['why']}" for one in entries}


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
    """Promotes or withdraws a run by an operator's word; see `decisions.decide`. What is promoted is loaded before."""

    def verify(name: str, manifest: Manifest) -> None:
        complete_files(store.models, name, manifest)
        load_verified(store.models, name, manifest)

    return decisions.decide(store, name, run_id, promoted, reason, verify, force)


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
