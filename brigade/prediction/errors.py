"""The error that ends a prediction."""

from brigade.errors import CannotGoOn


class PredictionError(CannotGoOn):
    """The events cannot be predicted. The message says what was expected, what was found, and what to do."""
