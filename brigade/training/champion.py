"""The champion as the gate needs it: the newest promoted model that can serve, with what it says of itself."""

import logging
from dataclasses import dataclass

from brigade.errors import one_line
from brigade.models.document_model import DocumentModel
from brigade.models.folder import Found, find_champion
from brigade.models.manifest import DATA_FILE, DOCUMENTS_PREFIX, METRICS_FILE, PassedOver
from brigade.models.verification import read_checked, read_document
from brigade.profiles.profile import PROFILE_FILE, Profile, ProfileError
from brigade.storage import Folder
from brigade.training.errors import TrainingError

log = logging.getLogger("train_ml_model")


@dataclass(frozen=True)
class Champion:
    """A model that serves. data, metrics: its data.json and metrics.json; empty if it has none that can be read.
    profile: of what it has learned; None if it has none that can be read."""

    name: str
    model: DocumentModel
    created_at: str
    data: dict
    metrics: dict
    profile: Profile | None = None


def read_champion(models: Folder, uri: str, prefix: str = DOCUMENTS_PREFIX) -> Champion | None:
    """The champion among the models of a prefix, or None if no model can serve yet.

    Raises TrainingError if that cannot be found out. uri: of the models, for the message.
    """
    try:
        found = find_champion(models, prefix)
        if found is None:
            return None
        data, metrics = (document_of(models, found, file) for file in (DATA_FILE, METRICS_FILE))
        profile = profile_of(models, found)
        return Champion(found.name, found.model, found.manifest.created_at, data, metrics, profile)
    except Exception as error:  # no answer, no permission, a bug: none of them says that there is no champion
        raise TrainingError(
            f"expected to read the models in {uri}, with which a new one is compared, found {type(error).__name__}: "
            f"{one_line(error)}; nothing is promoted: start again when they can be read"
        ) from error


def document_of(models: Folder, found: Found, file: str) -> dict:
    """The JSON object in a file of the champion's; empty if there is none, or something else."""
    try:
        return read_document(models, found.name, found.manifest, file)
    except PassedOver:
        return {}


def profile_of(models: Folder, found: Found) -> Profile | None:
    """The profile of what the champion has learned; None if there is none, as of models of earlier releases."""
    if PROFILE_FILE not in found.manifest.files:
        return None
    try:
        return Profile.of(read_checked(models, found.name, found.manifest, PROFILE_FILE))
    except (PassedOver, ProfileError) as problem:
        log.warning("cannot compare the data with those of %s: %s", found.name, one_line(problem))
        return None
