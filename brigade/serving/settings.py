"""What the functions are told: their environment, read and checked in one place."""

import math
import os
import re
from dataclasses import dataclass

from brigade.models.files import model_and_run, models_at

TOPIC = re.compile(r"projects/[^/\s]+/topics/[A-Za-z][\w.~+%-]{2,254}")


class SettingError(Exception):
    """An environment variable is missing or wrong; the message says which, what was expected and found."""


@dataclass(frozen=True)
class Environment:
    """What the functions are told. Topics are full names, `projects/P/topics/T`, or None."""

    project: str | None
    models_uri: str
    refresh_seconds: float
    pin: str | None
    result_topic: str | None
    dead_letter_topic: str | None


def get_env() -> Environment:
    """The environment, read and checked. Raises SettingError."""
    read = {name: value.strip() for name, value in os.environ.items()}
    uri, project = read.get("MODELS_URI", ""), read.get("GOOGLE_CLOUD_PROJECT") or None
    try:
        models_at(uri)
    except ValueError as error:
        raise SettingError(f"MODELS_URI: {error}") from error
    try:
        seconds = float(read.get("MODEL_REFRESH_SECONDS") or 300)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        found = read["MODEL_REFRESH_SECONDS"]
        raise SettingError(f"MODEL_REFRESH_SECONDS: expected a number of seconds above 0, found {found!r}")
    pin = read.get("MODEL_PIN") or None
    if pin:
        try:
            model_and_run(pin)
        except ValueError as error:
            raise SettingError(f"MODEL_PIN: {error}") from error
    topics = {}
    for name in ("RESULT_TOPIC", "DEAD_LETTER_TOPIC"):
        topic = read.get(name) or None
        if topic and "/" not in topic:
            if not project:
                raise SettingError(f"GOOGLE_CLOUD_PROJECT: expected the project of {name}={topic}, found ''")
            topic = f"projects/{project}/topics/{topic}"
        if topic and not TOPIC.fullmatch(topic):
            raise SettingError(f"{name}: expected projects/P/topics/T or a topic's name, found {topic!r}")
        topics[name] = topic
    return Environment(project, uri, seconds, pin, topics["RESULT_TOPIC"], topics["DEAD_LETTER_TOPIC"])
