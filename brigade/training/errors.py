"""The error with which training stops."""

from brigade.errors import CannotGoOn


class TrainingError(CannotGoOn):
    """No model can be trained on this input. The message says what was expected, what was found, and what to do."""
