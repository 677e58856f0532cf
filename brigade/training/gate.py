"""The gate: a new model is promoted if it is about as good as the model that serves now, or better.

The challenger is the new model; the champion is the newest promoted model that can serve. What they are compared on
stands in `comparison.py`.
"""

from brigade.training.comparison import Comparison

TOLERANCE = 0.01  # by which a new model's macro-F1 may be below the champion's


def judge(challenger: float, comparison: Comparison | None, tolerance: float, force: str | None) -> tuple[bool, str]:
    """Whether the new model is promoted, and why, with what the decision rests on.

    challenger: its macro-F1 on all test documents. comparison: with the champion; None if there is none.
    """
    if comparison is None:
        return decide_promotion(challenger, None, tolerance, force)
    own, champion = comparison.challenger_f1, comparison.champion_f1
    if champion is None:
        said = f"macro-F1 {own:.4f}, with nothing to compare it with"
        promoted, reason = (True, f"forced ({force}): {said}") if force is not None else (False, said)
    else:
        allowed = round(tolerance + comparison.margin, 4)
        promoted, reason = decide_promotion(own, champion, allowed, force, comparison.on)
    return promoted, f"{reason}; {comparison.basis}"


def decide_promotion(
    challenger: float,
    champion: float | None,
    tolerance: float = TOLERANCE,
    force: str | None = None,
    on: str = "on the same documents",
) -> tuple[bool, str]:
    """Whether the new model is to serve, and why.

    challenger, champion: macro-F1; None if no model serves yet. tolerance: by how much the challenger may be lower.
    force: the reason to promote it whatever the figures say; None lets them decide. on: what the figures come from.
    """
    figures = f"macro-F1 {challenger:.4f}" + ("" if champion is None else f", the serving model's {champion:.4f}")
    if force is not None:
        return True, f"forced ({force}): {figures}"
    if champion is None:
        return True, f"first model: {figures}"
    if challenger >= champion - tolerance:
        return True, f"{figures} {on}, tolerance {tolerance:g}"
    return False, f"{figures} {on}, which is lower by more than the tolerance {tolerance:g}"


def keeps_serving(champion: str | None, challenger: str) -> bool:
    """Whether the champion serves even if the challenger is promoted: its date is later. Both are names of models."""
    return champion is not None and champion > challenger
