"""A shop that is watched: the monitoring's template, the times of its calls, and what was done."""

from pathlib import Path

from brigade.models.history import read_history
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.storage import folder_at
from tests.schedule.dataproc_server import REGION, Dataproc
from tests.schedule.written_findings import BETTER, DECAYED

MONITOR = f"{REGION}/workflowTemplates/brigade-monitor"
MONDAY, LATER = "2026-02-23T02:00:00Z", "2026-02-23T06:00:00Z"
BAD = DECAYED | {"former": BETTER}


def started(dataproc: Dataproc) -> list[str]:
    """The templates of which workflows were started."""
    return [path.rpartition("/")[2].partition(":")[0] for _, path, _ in dataproc.requests if ":instantiate" in path]


def history(models: Path) -> list[tuple[str, str]]:
    """What the loop has done with which model."""
    entries = read_history(folder_at(str(models)), DOCUMENTS_PREFIX)
    return [(one["what"], one["model"]) for one in entries if one["by"] == "loop"]
