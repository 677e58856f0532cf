"""Earlier looks, as they lie below OUTPUT: which days they have seen, and what labelled events said then.

<OUTPUT>/monitor/2026-11-23/findings.json   what was found; written last, so a look without it did not end
<OUTPUT>/monitor/2026-11-23/profile.json    what the events of its days looked like
<OUTPUT>/monitor/2026-11-23/report.html     the same for people
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from brigade.errors import one_line
from brigade.monitoring.findings import FINDINGS_FILE, FORMAT_VERSION
from brigade.profiles.profile import PROFILE_FILE, Day, Profile, ProfileError
from brigade.storage import Folder, TooLarge

log = logging.getLogger("monitor")

FOLDER = "monitor"
MAX_FINDINGS_BYTES, MAX_PROFILE_BYTES = 4 << 20, 64 << 20
MOST = 8  # looks whose labelled events are seen again: with weekly ones, two periods of training
Days = tuple[date, date]


@dataclass(frozen=True)
class Look:
    """An earlier look. name: of its folder, YYYY-MM-DD. run: (name, run id) of the model that it is about."""

    name: str
    run: tuple[str, str]
    until: date


def earlier_looks(output: Folder, pipeline: str) -> list[Look]:
    """The looks at a pipeline, the newest first. One that cannot be read is passed over with a warning."""
    found = []
    for name in sorted(output.folders(FOLDER), reverse=True):
        try:
            content, _ = output.read(f"{FOLDER}/{name}/{FINDINGS_FILE}", MAX_FINDINGS_BYTES)
            document = json.loads(content)
            if document["formatVersion"] != FORMAT_VERSION:
                raise ValueError(f"expected format {FORMAT_VERSION}, found {document['formatVersion']!r}")
            if document["pipeline"] == pipeline:
                run = str(document["model"]["name"]), str(document["model"]["runId"])
                found.append(Look(name, run, date.fromisoformat(document["window"]["until"])))
        except FileNotFoundError:
            continue  # a look that did not end, or a folder of something else
        except (TooLarge, ValueError, TypeError, LookupError, RecursionError) as problem:
            log.warning("passing over the look of %s: %s: %s", name, type(problem).__name__, one_line(problem))
    return found


def window_of(asked: Days | None, since: date | None, looks: Sequence[Look], learned: date | None) -> Days:
    """The days to look at: those that are asked for; else from `since` on.

    Else from the last day that the newest look has seen, which was perhaps not whole yet, but from none that the model
    has learned: about these it is more right than about any to come. Without looks, from the first one after them.
    learned: the last of them.
    """
    if asked:
        return asked
    if since:
        return since, date.max
    first = [learned + timedelta(days=1)] if learned else []
    return max([*first, *(look.until for look in looks[:1])], default=date.min), date.max


def labelled_before(output: Folder, looks: Sequence[Look], run: tuple[str, str], first: str) -> dict[str, Day]:
    """What earlier looks at the same model saw of the days before `first`: day → counts, the newest look's of each."""
    days: dict[str, Day] = {}
    for look in [one for one in looks if one.run == run][:MOST]:
        try:
            content, _ = output.read(f"{FOLDER}/{look.name}/{PROFILE_FILE}", MAX_PROFILE_BYTES)
            earlier = Profile.of(content).days
        except (FileNotFoundError, TooLarge, ProfileError) as problem:
            log.warning("no profile of the look of %s can be read: %s", look.name, one_line(problem))
            continue
        days = {day: found for day, found in earlier.items() if day < first} | days
    return dict(sorted(days.items()))
