"""The settings of the trigger: its environment, read and checked in one place."""

import os
import re
from dataclasses import dataclass
from datetime import date

from brigade.errors import SettingError
from brigade.models.manifest import DOCUMENTS_PREFIX, check_prefix
from brigade.schedule.workflow_client import TEMPLATE, TEMPLATE_FORM
from brigade.storage import folder_at

MODES = ("off", "dry", "on")  # of what the loop may do: nothing, say what it would do, or do it
LAST_YEAR = 9000  # of the dates that people may give, far enough from the last date that Python knows


@dataclass(frozen=True)
class Environment:
    """The settings. `endpoint` is Dataproc's, or "" for that of the template's region. `monitor_template` and
    `findings_uri` are "" where nothing is monitored; `early_training` and `withdrawal` are of MODES."""

    template: str
    models_uri: str
    model_prefix: str
    anchor: date
    endpoint: str
    monitor_template: str = ""
    findings_uri: str = ""
    early_training: str = "dry"
    withdrawal: str = "dry"


def get_env(preview: bool = False) -> Environment:
    """Reads and checks the environment. Raises SettingError.

    A preview needs no WORKFLOW_TEMPLATE, and MODELS_URI only for today; what is missing is "".
    """
    names = ("WORKFLOW_TEMPLATE", "MODELS_URI", "SCHEDULE_ANCHOR", "DATAPROC_API_ENDPOINT")
    template, uri, anchor, endpoint = (os.environ.get(name, "").strip() for name in names)
    names = ("MONITOR_TEMPLATE", "FINDINGS_URI", "EARLY_TRAINING", "WITHDRAWAL")
    monitoring = {name: os.environ.get(name, "").strip() for name in names}
    if not TEMPLATE.fullmatch(template) and not preview:
        raise SettingError(f"WORKFLOW_TEMPLATE: expected {TEMPLATE_FORM}, found {template!r}")
    if uri or not preview:
        try:
            folder_at(uri)
        except ValueError as error:
            raise SettingError(f"MODELS_URI: {error}") from error
    try:
        prefix = check_prefix(os.environ.get("MODEL_PREFIX", "").strip() or DOCUMENTS_PREFIX)
    except ValueError as error:
        raise SettingError(f"MODEL_PREFIX: {error}") from error
    day = day_of(anchor)
    if day is None or day.year > LAST_YEAR:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, YYYY-MM-DD, found {anchor!r}")
    if day.weekday() != 0:
        raise SettingError(f"SCHEDULE_ANCHOR: expected a Monday, found {anchor}, a {day:%A}")
    return Environment(template, uri, prefix, day, endpoint, **checked(monitoring))


def checked(given: dict[str, str]) -> dict[str, str]:
    """The settings of the monitoring and of what follows from it, by their names in Environment. Raises SettingError.

    given: of MONITOR_TEMPLATE, FINDINGS_URI and the two actions; what is missing is "".
    """
    template, uri = given["MONITOR_TEMPLATE"], given["FINDINGS_URI"]
    if template and not TEMPLATE.fullmatch(template):
        raise SettingError(f"MONITOR_TEMPLATE: expected {TEMPLATE_FORM}, found {template!r}")
    if uri:
        try:
            folder_at(uri)
        except ValueError as error:
            raise SettingError(f"FINDINGS_URI: {error}") from error
    found = {"monitor_template": template, "findings_uri": uri}
    for name in ("EARLY_TRAINING", "WITHDRAWAL"):
        mode = given[name] or "dry"
        if mode not in MODES:
            raise SettingError(f"{name}: expected {', '.join(MODES[:-1])} or {MODES[-1]}, found {mode!r}")
        if mode == "on" and not uri:
            raise SettingError(f"{name}: expected FINDINGS_URI beside {mode}, found none")
        found[name.lower()] = mode
    return found


def day_of(text: str) -> date | None:
    """The date in YYYY-MM-DD; None for any other text."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None
