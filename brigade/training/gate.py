"""The gate: a new model is promoted if it is about as good as the model that serves now, or better.

The challenger is the new model; the champion is the newest model that can serve. Both are evaluated on the same test
documents, which the challenger has not learned.
"""

from dataclasses import dataclass

from pyspark import RDD

from brigade.models.folder import find_champion
from brigade.storage import Folder
from brigade.training.evaluation import Evaluation, evaluate, headlines

TOLERANCE = 0.01  # by which a new model's macro-F1 may be below the champion's


@dataclass(frozen=True)
class Champion:
    """The model that serves now, by name, and its evaluation on the test documents."""

    name: str
    test: Evaluation

    def about(self) -> dict:
        return {"name": self.name} | headlines(self.test)


def evaluate_champion(models: Folder, test_documents: RDD) -> Champion | None:
    """The champion among the models, evaluated on the test documents; None if no model can serve yet."""
    found = find_champion(models)
    return Champion(found[0], evaluate(test_documents, found[1])) if found else None


def decide_promotion(
    challenger: float, champion: float | None, tolerance: float = TOLERANCE, force: str | None = None
) -> tuple[bool, str]:
    """Whether the new model is to serve, and why.

    challenger, champion: macro-F1 on the same documents; None if no model serves yet. tolerance: by how much the
    challenger may be lower. force: the reason to promote it whatever the figures say; None lets them decide.
    """
    figures = f"macro-F1 {challenger:.4f}" + ("" if champion is None else f", the serving model's {champion:.4f}")
    if force is not None:
        return True, f"forced ({force}): {figures}"
    if champion is None:
        return True, f"first model: {figures}"
    if challenger >= champion - tolerance:
        return True, f"{figures} on the same documents, tolerance {tolerance:g}"
    return False, f"{figures} on the same documents, which is lower by more than the tolerance {tolerance:g}"
