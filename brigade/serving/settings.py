"""The settings of the functions: their environment, read and checked in one place."""

import math
import os
import re
from dataclasses import dataclass

from brigade.errors import SettingError
from brigade.models.manifest import DOCUMENTS_PREFIX, check_prefix, model_and_run
from brigade.storage import folder_at

TOPIC = re.compile(r"projects/[^/\s]+/topics/[A-Za-z][\w.~+%-]{2,254}")


@dataclass(frozen=True)
class Environment:
    """The settings. Topics are full names, `projects/P/topics/T`, or None."""

    project: str | None
    models_uri: str
    model_prefix: str
    refresh_seconds: float
    pin: str | None
    result_topic: str | None
    dead_letter_topic: str | None


def get_env() -> Environment:
    """Reads and checks the environment. Raises SettingError."""
    read = {name: value.strip() for name, value in os.environ.items()}
    uri, project = read.get("MODELS_URI", ""), read.get("GOOGLE_CLOUD_PROJECT") or None
    try:
        folder_at(uri)
    except ValueError as error:
        raise SettingError(f"MODELS_URI: {error}") from error
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
    results, dead_letters = (
        topic_of(name, read.get(name, ""), project) for name in ("RESULT_TOPIC", "DEAD_LETTER_TOPIC")
    )
    return Environment(project, uri, prefix, seconds, pin, results, dead_letters)


def topic_of(setting: str, topic: str, project: str | None) -> str | None:
    """The topic's full name; None if none is set. Raises SettingError."""
    if topic and "/" not in topic:
        if not project:
            raise SettingError(f"GOOGLE_CLOUD_PROJECT: expected the project of {setting}={topic}, found ''")
        topic = f"projects/{project}/topics/{topic}"
    if topic and not TOPIC.fullmatch(topic):
        raise SettingError(f"{setting}: expected projects/P/topics/T or a topic's name, found {topic!r}")
    return topic or None
