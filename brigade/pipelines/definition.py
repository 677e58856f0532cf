"""A pipeline's definition as the programs hold it: what events are, the query that makes rows of them, what is learned.

The file is read and checked by `load`, which needs pydantic and PyYAML. This module needs neither, so a definition
travels to workers, and a model carries it as JSON.
"""

from dataclasses import asdict, dataclass
from typing import Any

from brigade.events.contract import Contract

METRICS = {"classification": "macro_f1", "regression": "mae"}
TOLERANCE = 0.01


@dataclass(frozen=True)
class ModelSection:
    """What is learned. The columns that it names are those of `query` if there is one, else of the definition's query.

    tolerance: absolute for macro_f1, relative for mae. horizon: what `query` sees as :horizon.
    """

    kind: str
    task: str
    label: str
    features: tuple[str, ...]
    split: str = "random"
    metric: str = "macro_f1"
    tolerance: float = TOLERANCE
    baseline: str | None = None
    query: str | None = None
    horizon: int | None = None

    @classmethod
    def of(cls, model: dict) -> "ModelSection":
        """The section `model` of a checked document, with defaults for what it leaves out."""
        given: dict[str, Any] = {name: value for name, value in model.items() if value is not None}
        given["features"] = tuple(given["features"])
        given.setdefault("metric", METRICS[given["task"]])
        if "query" in given:
            given["query"] = given["query"].strip()
        return cls(**given)

    def about(self) -> dict:
        """The section again, with every key."""
        return asdict(self) | {"features": list(self.features)}


@dataclass(frozen=True)
class CheckSection:
    """What training asks of its data before it learns them.

    The shares that are None follow from the model's kind and the champion's data, see brigade.profiles.check. The last
    three say what comes of a finding: error, warning or nothing.
    """

    least_events: int = 20
    least_labelled: float = 0.01
    most_duplicates: float | None = None
    most_of_one_source: float | None = None
    vanished_class: str = "error"
    new_class: str = "warning"
    drift: str = "warning"


@dataclass(frozen=True)
class MonitoringSection:
    """What is looked at between two trainings, and from when on it is told; see brigade.profiles.thresholds.

    The columns that it names are those of `model.query` if there is one, else of the definition's query. source: which
    of them says where an event comes from; None: eventSource, if there is one. ignore: no profile looks at these.
    categories: these are categories, though their values are many or numbers.
    """

    alpha: float = 0.0005
    distance: float = 0.05
    psi: float = 0.25
    source: str | None = None
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    check: CheckSection = CheckSection()

    @classmethod
    def of(cls, monitoring: dict | None) -> "MonitoringSection":
        """The section `monitoring` of a checked document, with defaults for what it leaves out."""
        given = {name: value for name, value in (monitoring or {}).items() if value is not None}
        lists = {name: tuple(given[name]) for name in ("ignore", "categories") if name in given}
        rules = {name: value for name, value in given.pop("check", {}).items() if value is not None}
        return cls(**given | lists, check=CheckSection(**rules))

    def about(self) -> dict:
        """The section again, with every key."""
        return asdict(self) | {"ignore": list(self.ignore), "categories": list(self.categories)}


@dataclass(frozen=True)
class Definition:
    """A pipeline. columns: the dotted path of each field → its column in files."""

    name: str
    description: str | None
    model_prefix: str
    contract: Contract
    columns: dict[str, str]
    query: str
    model: ModelSection
    monitoring: MonitoringSection = MonitoringSection()

    @classmethod
    def of(cls, document: dict) -> "Definition":
        """The definition of a checked document."""
        fields = document["event"]["fields"]
        return cls(
            name=document["name"],
            description=document.get("description"),
            model_prefix=document["model_prefix"],
            contract=Contract.of(document["event"]),
            columns={path: column_of(path, about) for path, about in fields.items()},
            query=document["query"].strip(),
            model=ModelSection.of(document["model"]),
            monitoring=MonitoringSection.of(document.get("monitoring")),
        )

    def about(self) -> dict:
        """The document again, as JSON holds it: long forms, and every key of the model. A model carries it.

        It has the section `monitoring` only if that says something.
        """
        event = self.contract.about()
        for path, about in event["fields"].items():
            if self.columns[path] != column_of(path, about):
                about["column"] = self.columns[path]
        monitoring = {} if self.monitoring == MonitoringSection() else {"monitoring": self.monitoring.about()}
        return {
            "name": self.name,
            "description": self.description,
            "model_prefix": self.model_prefix,
            "event": event,
            "query": self.query,
            "model": self.model.about(),
        } | monitoring


def column_of(path: str, about: Any) -> str:
    """The column of a field in files: the one that its long form names, else the last part of its path."""
    named = about.get("column") if isinstance(about, dict) else None
    return named or path.rpartition(".")[2]
