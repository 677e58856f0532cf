"""The error that ends a conversion."""

from brigade.errors import CannotGoOn


class ConversionError(CannotGoOn):
    """The input cannot be converted. The message says what was expected, what was found, and what to do."""
