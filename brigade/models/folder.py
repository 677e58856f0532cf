"""The folder of dated models as training uses it: it writes a run, and it finds the champion.

A run's files are written first, its manifest after them, and the date's manifest last, with a change marker before and
after it. So a run that is killed while it writes never serves. Then the gate's decision is added to the history.
"""

import hashlib
import json
import logging
from typing import Any, NamedTuple

from brigade.errors import one_line
from brigade.models.figures import headline, test_figures
from brigade.models.history import TRAINING, record
from brigade.models.manifest import (
    CHANGED_FILE,
    DOCUMENTS_PREFIX,
    MANIFEST_FILE,
    METRICS_FILE,
    Manifest,
    PassedOver,
    change_marker,
    complete_files,
    find_manifest,
    model_date,
    run_folder,
)
from brigade.models.verification import load_verified
from brigade.storage import Folder, storage_errors

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A verified model, its name and its manifest."""

    name: str
    model: Any  # of either kind
    manifest: Manifest


def find_champion(models: Folder, prefix: str = DOCUMENTS_PREFIX) -> Found | None:
    """The champion: the newest promoted model of the prefix that serving would load. None if there is none.

    A model that is missing or damaged is passed over with a warning. Any other error is raised as it is: a champion
    that cannot be read for the moment is still the champion.
    """
    for name in sorted((name for name in models.folders() if model_date(name, prefix)), reverse=True):
        try:
            manifest = find_manifest(models, name)
            if manifest.promoted:
                complete_files(models, name, manifest)
                return Found(name, load_verified(models, name, manifest), manifest)
        except PassedOver as reason:
            log.warning("passing over %s: %s", name, one_line(reason))
    return None


def write_run(models: Folder, name: str, run: dict, files: dict[str, bytes]) -> None:
    """Writes a run's files and manifest. The run takes the dated model's place if it is promoted.

    A rejected run takes it only where no promoted run of that date serves. run: the manifest without `files`.
    """
    folder = run_folder(name, run["runId"])
    for file, content in files.items():
        models.write(f"{folder}/{file}", content)
    listed = [
        {"name": file, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for file, content in files.items()
    ]
    manifest = json.dumps(run | {"files": listed}, ensure_ascii=False, indent=1).encode()
    # The run keeps its own copy, so that serving can be pinned to it.
    models.write(f"{folder}/{MANIFEST_FILE}", manifest)
    if run["promoted"] or not is_promoted(models, name):
        # The marker tells serving to look again. It comes before the manifest too, in case this process ends between.
        models.write(CHANGED_FILE, change_marker("trained", name, run["runId"], done=False))
        models.write(f"{name}/{MANIFEST_FILE}", manifest)
        models.write(CHANGED_FILE, change_marker("trained", name, run["runId"], done=True))
    what, figures = "promoted" if run["promoted"] else "rejected", headline(test_figures(files.get(METRICS_FILE, b"")))
    try:
        record(models, what, TRAINING, name, run["runId"], run["reason"], figures)
    except storage_errors() as error:  # the run serves already, and its manifest says the same
        log.warning("the decision is not in the history: %s: %s", type(error).__name__, one_line(error))


def is_promoted(models: Folder, name: str) -> bool:
    """Whether the dated model of that name is there and promoted. An error of storage is raised as it is."""
    try:
        return find_manifest(models, name).promoted
    except PassedOver:
        return False
