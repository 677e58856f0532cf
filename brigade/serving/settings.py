"""The settings of the functions: their environment, read and checked in one place."""

import math
import os
import re
from dataclasses import dataclass

from brigade.errors import SettingError
from brigade.models.manifest import DOCUMENTS_PREFIX, check_prefix, model_and_run, model_form
from brigade.storage import folder_at

TOPIC = re.compile(r"projects/[^/\s]+/topics/[A-Za-z][\w.~+%-]{2,254}")


@dataclass(frozen=True)
class Environment:
    """The settings. Topics are full names, `projects/P/topics/T`, or None.

    lone: whether the files of the pinned run lie directly in `models_uri`. health_route: the path of Vertex AI's
    probes, or "".
    """

    project: str | None
    models_uri: str
    lone: bool
    health_route: str
    model_prefix: str
    refresh_seconds: float
    pin: str | None
    result_topic: str | None
    dead_letter_topic: str | None


def get_env() -> Environment:
    """Reads and checks the environment. Raises SettingError.

    Vertex AI sets the variables that begin with AIP_. It copies what a version's artifact URI names, a run's folder,
    and says in AIP_STORAGE_URI where the copy lies; the model's name, which the copy has not, stands in MODEL_PIN.
    """
    read = {name: value.strip() for name, value in os.environ.items()}
    uri, copy, project = read.get("MODELS_URI", ""), read.get("AIP_STORAGE_URI", ""), read.get("GOOGLE_CLOUD_PROJECT")
    lone = bool(copy and not uri)
    uri = copy if lone else uri
    try:
        folder_at(uri)
    except ValueError as error:
        raise SettingError(f"{'AIP_STORAGE_URI' if lone else 'MODELS_URI'}: {error}") from error
    try:
        seconds = float(read.get("MODEL_REFRESH_SECONDS") or 300)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        found = read["MODEL_REFRESH_SECONDS"]
        raise SettingError(f"MODEL_REFRESH_SECONDS: expected a number of seconds above 0, found {found!r}")
    try:
        prefix = check_prefix(read.get("MODEL_PREFIX") or DOCUMENTS_PREFIX)
    except ValueError as error:
        raise SettingError(f"MODEL_PREFIX: {error}") from error
    pin = read.get("MODEL_PIN") or None
    if pin:
        try:
            model_and_run(pin, prefix)
        except ValueError as error:
            raise SettingError(f"MODEL_PIN: {error}") from error
    if lone and "/" not in (pin or ""):
        expected = f"expected {model_form(prefix)}/RUN_ID, the run that lies in AIP_STORAGE_URI"
        raise SettingError(f"MODEL_PIN: {expected}, found {pin or ''!r}")
    results, dead_letters = (
        topic_of(name, read.get(name, ""), project) for name in ("RESULT_TOPIC", "DEAD_LETTER_TOPIC")
    )
    health_route = read.get("AIP_HEALTH_ROUTE", "")
    return Environment(project or None, uri, lone, health_route, prefix, seconds, pin, results, dead_letters)


def topic_of(setting: str, topic: str, project: str | None) -> str | None:
    """The topic's full name; None if none is set. Raises SettingError."""
    if topic and "/" not in topic:
        if not project:
            raise SettingError(f"GOOGLE_CLOUD_PROJECT: expected the project of {setting}={topic}, found ''")
        topic = f"projects/{project}/topics/{topic}"
    if topic and not TOPIC.fullmatch(topic):
        raise SettingError(f"{setting}: expected projects/P/topics/T or a topic's name, found {topic!r}")
    return topic or None
