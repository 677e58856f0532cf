"""The figures of a run's test set, as far as its metrics have them."""

import json

from brigade.models.manifest import METRICS_FILE, run_folder
from brigade.storage import Folder, TooLarge

MAX_METRICS_BYTES = 64 << 20
FIGURES = ("accuracy", "macroF1", "mae")  # of the test set: of classes the first two, of a regression the last


def headline_figures(models: Folder, name: str, run_id: str) -> dict[str, float]:
    """A run's FIGURES on its test set, as far as its metrics have them."""
    return headline(figures_of_test(models, name, run_id))


def headline(found: dict) -> dict[str, float]:
    """The FIGURES among those of a test set."""
    return {key: found[key] for key in FIGURES if isinstance(found.get(key), float | int)}


def tested_classes(models: Folder, name: str, run_id: str) -> set[str]:
    """The classes that the test documents have: those over which macro-F1 is the mean."""
    classes = figures_of_test(models, name, run_id).get("classes")
    found = classes.items() if isinstance(classes, dict) else ()
    return {key for key, one in found if isinstance(one, dict) and one.get("documents")}


def figures_of_test(models: Folder, name: str, run_id: str) -> dict:
    """The figures of a run's test documents; empty if its metrics are missing or damaged."""
    try:
        return test_figures(models.read(f"{run_folder(name, run_id)}/{METRICS_FILE}", MAX_METRICS_BYTES)[0])
    except (FileNotFoundError, TooLarge):
        return {}


def test_figures(metrics: bytes) -> dict:
    """The figures of the test documents in the content of a run's metrics; empty if it is damaged."""
    try:
        found = json.loads(metrics)["test"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
