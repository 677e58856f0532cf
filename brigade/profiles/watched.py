"""Which columns a profile looks at, and as what: texts, categories or numbers.

Ids are never looked at: they differ from event to event and say nothing of a set of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql.types import BooleanType, DataType, NumericType, StructType

from brigade.models.table_model import TableModel
from brigade.models.verification import Model
from brigade.pipelines.definition import Definition

TEXT, VALUE, NUMBER = "text", "value", "number"  # what a field can be
DOCUMENTS_TEXT, DOCUMENTS_LABEL = "payload", "superTag01"
DOCUMENTS_CATEGORIES = ("eventSource", "eventType", "eventVersion", "superTag02")


@dataclass(frozen=True)
class Watched:
    """The fields that are looked at: column → TEXT, VALUE or NUMBER; and which of them holds the label."""

    fields: dict[str, str]
    label: str

    @property
    def text(self) -> str | None:
        """The column of the texts, if there is one."""
        return next((name for name, kind in self.fields.items() if kind == TEXT), None)

    @property
    def numbered(self) -> list[tuple[str, str, str]]:
        """The fields as (column of the rows that are looked at, field, kind)."""
        return [(f"c{number}", name, kind) for number, (name, kind) in enumerate(self.fields.items())]

    def column(self, field: str) -> str:
        """The column of the rows that are looked at, of a field."""
        return next(column for column, name, _ in self.numbered if name == field)


def watched_in(
    schema: StructType,
    definition: Definition | None = None,
    model: Model | None = None,
    *,
    label: str | None = None,
    categories: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> Watched:
    """What is looked at of rows of this schema.

    definition: of the pipeline; None: documents. model: tells what a table's features are, however their columns' types
    have changed since. label: another column than the definition's. categories: more columns, or columns that are
    categories though they hold numbers. ignored: columns that are not looked at; the label and the text always are.
    The definition's section `monitoring` may name more of both.
    """
    if definition:
        monitoring = definition.monitoring
        source = (monitoring.source,) if monitoring.source else ()
        told = [name for name in (*monitoring.categories, *source) if name in {field.name for field in schema.fields}]
        categories, ignored = (*categories, *told), (*ignored, *monitoring.ignore)
    types = {field.name: field.dataType for field in schema.fields}
    section = definition.model if definition else None
    label = label or (section.label if section else DOCUMENTS_LABEL)
    fields: dict[str, str] = {}
    if section and section.kind == "table":
        learned = {one.name: one.type for one in model.features} if isinstance(model, TableModel) else {}
        kinds = {"number": NUMBER, "category": VALUE}
        for name in section.features:
            fields[name] = kinds[learned[name]] if name in learned else kind_of(types.get(name))
        fields[label] = NUMBER if section.task == "regression" else VALUE
    else:
        text = section.features[0] if section else DOCUMENTS_TEXT
        of_documents = [name for name in DOCUMENTS_CATEGORIES if section is None or name in types]
        fields = dict.fromkeys(of_documents, VALUE) | {text: TEXT, label: VALUE}
    kept = {label, *(name for name, kind in fields.items() if kind == TEXT)}
    more = {name: VALUE for name in categories if name not in kept}
    fields = {name: kind for name, kind in (fields | more).items() if name in kept or name not in {*ignored}}
    return Watched(fields, label)


def kind_of(found: DataType | None) -> str:
    return NUMBER if isinstance(found, NumericType | BooleanType) else VALUE
