"""What a table model reads: the rows of the definition's query, and of their columns the features and the label.

Numbers and booleans are numbers, strings are categories. Of a category's values the commonest are learned by name; the
others are missing to the model, as they are to it when they come later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, NumericType, StringType

from brigade.errors import one_line
from brigade.models.matrices import named
from brigade.models.table_model import Feature
from brigade.pipelines.definition import ModelSection
from brigade.training.errors import TrainingError

ID, TIME, PUBLISHED = "eventId", "eventTimestamp", "publishTime"
MOST_CATEGORIES = 256  # of a feature
SHOWN = 40  # columns in a message


@dataclass(frozen=True)
class Columns:
    """The columns that training reads, and the type of each feature: number or category."""

    features: dict[str, str]
    label: str
    baseline: str | None
    task: str

    @property
    def unlearned(self) -> list[Feature]:
        """The features, whose categories nobody knows yet."""
        return [Feature(name, kind) for name, kind in self.features.items()]


def queried(events: DataFrame, model: ModelSection) -> DataFrame:
    """The rows of `model.query` over all events, which it sees as `rows`; the events themselves if there is none."""
    if not model.query:
        return events
    spark = events.sparkSession
    events.createOrReplaceTempView("rows")
    try:
        return spark.sql(model.query, args={} if model.horizon is None else {"horizon": model.horizon})
    except PySparkException as error:
        raise TrainingError(f"model.query: expected a SELECT over rows that runs, found: {one_line(error)}") from None
    finally:
        spark.catalog.dropTempView("rows")


def columns_of(rows: DataFrame, model: ModelSection) -> Columns:
    """The columns that the definition names. Raises TrainingError if one is not there, or of a kind that is not fit."""
    names = [field.name for field in rows.schema.fields]
    wanted = {ID: "the event's id", TIME: "the event's time", model.label: "model.label"}
    wanted |= dict.fromkeys(model.features, "model.features")
    wanted |= {model.baseline: "model.baseline"} if model.baseline else {}
    for name, what in wanted.items():
        if names.count(name) != 1:
            found = f"{names.count(name)} of them among" if name in names else "only"
            raise TrainingError(f"{what}: expected a column {name} of the query, found {found} {some(names)}; add it")
    if model.label in model.features:
        raise TrainingError(f"model.features: expected features beside the label {model.label}, found it; remove it")
    types = {field.name: field.dataType for field in rows.schema.fields}
    features = {name: kind_of(name, types[name]) for name in model.features}
    numbers = {"model.label": model.label if model.task == "regression" else None, "model.baseline": model.baseline}
    for what, column in numbers.items():
        if column and not isinstance(types[column], NumericType):
            kind = types[column].simpleString()
            raise TrainingError(f"{what}: expected numbers in the column {column}, found {kind}; cast it in the query")
    return Columns(features, model.label, model.baseline, model.task)


def kind_of(name: str, found: DataType) -> str:
    """Whether a feature is a number or a category. Raises TrainingError if it is neither."""
    if isinstance(found, NumericType | BooleanType):
        return "number"
    if isinstance(found, StringType):
        return "category"
    raise TrainingError(
        f"model.features: expected numbers, booleans or strings in the column {name}, found {found.simpleString()}; "
        "make a number or a string of it in the query"
    )


def some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def column(name: str) -> Column:
    """The column of exactly this name, which may have dots or blanks."""
    return F.col("`" + name.replace("`", "``") + "`")


def finite(found: Column) -> Column:
    """The column as double, with null for NaN and the infinities."""
    number = found.cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number)


def learned_features(parts: DataFrame, features: Sequence[Feature]) -> list[Feature]:
    """The features, with the categories that are learned: the MOST_CATEGORIES commonest, in the order of their names.

    parts: the rows, laid out for these features, with their `part`; those for test are not looked at.
    """
    known: dict[str, list[str]] = {name: [] for name, feature in named(features) if feature.type == "category"}
    if known:
        values = [F.struct(F.lit(name).alias("name"), F.col(name).alias("value")) for name in known]
        pairs = parts.where("part IN ('train', 'validation')").select(F.explode(F.array(*values)).alias("pair"))
        counts = pairs.where("pair.value IS NOT NULL").groupBy("pair.name", "pair.value").count()
        rank = F.row_number().over(Window.partitionBy("name").orderBy(F.desc("count"), "value"))
        for row in counts.withColumn("rank", rank).where(F.col("rank") <= MOST_CATEGORIES).collect():
            known[row.name].append(row.value)
    return [replace(feature, categories=tuple(sorted(known.get(name, ())))) for name, feature in named(features)]
