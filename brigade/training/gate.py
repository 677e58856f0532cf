"""The gate: a new model is promoted if it is about as good as the model that serves now, or better.

A classification is judged by its macro-F1, a regression by its mean absolute error, of which a share is tolerated. The
challenger is the new model; the champion is the newest promoted model that can serve. What they are compared on
stands in `comparison.py`.
"""

from brigade.training.comparison import Comparison

TOLERANCE = 0.01  # by which a new model's macro-F1 may be below the champion's
MACRO_F1, MAE = "macro_f1", "mae"


def judge(
    challenger: float, comparison: Comparison | None, tolerance: float, force: str | None, metric: str = MACRO_F1
) -> tuple[bool, str]:
    """Whether the new model is promoted, and why, with what the decision rests on.

    challenger: its score on all test documents. comparison: with the champion; None if there is none. metric: of both.
    """
    if comparison is None:
        return decide_promotion(challenger, None, tolerance, force, metric=metric)
    own, champion = comparison.challenger_score, comparison.champion_score
    if champion is None:
        said = f"{score(own, metric)}, with nothing to compare it with"
        promoted, reason = (True, f"forced ({force}): {said}") if force is not None else (False, said)
    else:
        allowed = round(tolerance + comparison.margin, 4)
        promoted, reason = decide_promotion(own, champion, allowed, force, comparison.on, metric)
    return promoted, f"{reason}; {comparison.basis}"


def decide_promotion(
    challenger: float,
    champion: float | None,
    tolerance: float = TOLERANCE,
    force: str | None = None,
    on: str = "on the same documents",
    metric: str = MACRO_F1,
) -> tuple[bool, str]:
    """Whether the new model is to serve, and why.

    challenger, champion: their scores; None if no model serves yet. tolerance: by how much a macro-F1 may be lower, or
    by what share of the champion's an error may be higher. force: the reason to promote it whatever the figures say;
    None lets them decide. on: what the figures come from.
    """
    theirs = "" if champion is None else f", the serving model's {score(champion, metric).rpartition(' ')[2]}"
    figures = score(challenger, metric) + theirs
    if force is not None:
        return True, f"forced ({force}): {figures}"
    if champion is None:
        return True, f"first model: {figures}"
    if metric == MAE:
        fine, worse = challenger <= champion * (1 + tolerance), "higher"
    else:
        fine, worse = challenger >= champion - tolerance, "lower"
    share = f"{tolerance:g}" + (" of it" if metric == MAE else "")
    if fine:
        return True, f"{figures} {on}, tolerance {share}"
    return False, f"{figures} {on}, which is {worse} by more than the tolerance {share}"


def score(value: float, metric: str) -> str:
    """A score with its name."""
    return f"mean absolute error {value:.6g}" if metric == MAE else f"macro-F1 {value:.4f}"


def keeps_serving(champion: str | None, challenger: str) -> bool:
    """Whether the champion serves even if the challenger is promoted: its date is later. Both are names of models."""
    return champion is not None and champion > challenger
