"""How much two profiles must differ before it is said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """When a difference is worth a word, and when it is an error.

    alpha: how often a look may find something where nothing has changed, over all aspects together. distance: the
    Jensen-Shannon distance (natural logarithm, 0 to .833) below which a difference is not mentioned, however sure it
    is. psi: the population stability index from which on it is an error; .25 is the rule of thumb of credit scoring.
    """

    alpha: float = 0.0005
    distance: float = 0.05
    psi: float = 0.25
