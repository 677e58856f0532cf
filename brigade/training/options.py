"""What a training run can be told, and what a candidate model is trained with.

`Options` come from the command line or from a model's data.json, which keeps them so that the run can be repeated.
`Settings` are those of them that training chooses on the validation documents if they are not given.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """What one candidate is trained with.

    ngrams: 1 for words, 2 for words and pairs. alpha: the weight of the regularisation beside the mean loss.
    idf_power: the exponent of the inverse document frequencies; the higher it is, the more rare words count.
    """

    ngrams: int = 2
    alpha: float = 1e-4
    idf_power: float = 1.0


@dataclass(frozen=True)
class Options:
    """How a model is to be trained. A setting that is None is chosen on the validation documents."""

    label_column: str = "superTag01"
    split: str = "random"
    seed: int = 0
    hash_bits: int = 20
    partitions: int | None = None
    ngrams: int | None = None
    idf_power: float | None = None
    alpha: float | None = None

    @property
    def fixed(self) -> dict:
        """The settings that are given, and so not chosen."""
        given = {one.name: getattr(self, one.name) for one in fields(Settings)}
        return {name: value for name, value in given.items() if value is not None}
