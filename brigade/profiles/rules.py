"""What a pipeline's definition says of its data: the thresholds, and the rules of the check before training."""

from dataclasses import dataclass

from brigade.pipelines.definition import CheckSection, Definition, MonitoringSection
from brigade.profiles.thresholds import Thresholds

SOURCE = "eventSource"  # the column that says where an event comes from, unless the definition names another
TEXTS_REPEATED = 0.8  # the share of texts that may repeat others, unless the definition says another
ONE_SOURCE = 0.95  # the share that one source may give that gave less before, unless the definition says another


@dataclass(frozen=True)
class Rules:
    """What data must be like to be learned, see `check`.

    label: the column to learn; is_class: whether it is a class. features: the columns to learn from. source: the column
    that says where an event comes from. most_repeated: of 1, how much may repeat other events; 1 is all.
    """

    label: str
    features: tuple[str, ...]
    is_class: bool = True
    source: str = SOURCE
    most_repeated: float = 1.0
    section: CheckSection = CheckSection()
    thresholds: Thresholds = Thresholds()


def rules_of(definition: Definition | None, label: str | None = None) -> Rules:
    """The rules of a pipeline; None: of documents. label: the column to learn, if it is not the definition's."""
    monitoring = definition.monitoring if definition else MonitoringSection()
    section, is_text = monitoring.check, definition is None or definition.model.kind == "text"
    most = section.most_duplicates
    return Rules(
        label=label or (definition.model.label if definition else "superTag01"),
        features=definition.model.features if definition else ("payload",),
        is_class=definition is None or definition.model.task == "classification",
        source=monitoring.source or SOURCE,
        most_repeated=most if most is not None else TEXTS_REPEATED if is_text else 1.0,
        section=section,
        thresholds=thresholds_of(definition),
    )


def thresholds_of(definition: Definition | None) -> Thresholds:
    """From when on a difference is told, as the definition says; None: documents."""
    monitoring = definition.monitoring if definition else MonitoringSection()
    return Thresholds(monitoring.alpha, monitoring.distance, monitoring.psi)
