"""What a run reads: landed JSON, which is converted first, the parquet made of it, or an earlier model's data.json.

With a data.json the run learns exactly the files that the model learned, with the same options, and stops if one of
them has changed.
"""

import json
import logging
from dataclasses import asdict, dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession

from brigade.conversion.folder import place_of
from brigade.conversion.input_files import holds_files
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import OWN, Reading
from brigade.conversion.table import read_parquet
from brigade.paths import check_apart, sibling
from brigade.storage import open_to_read
from brigade.training.data_version import data_version, events_of_version
from brigade.training.documents import SPLIT_RULE
from brigade.training.errors import TrainingError
from brigade.training.options import Options

log = logging.getLogger("train_ml_model")


@dataclass(frozen=True)
class Source:
    """Events, and the folder in which their parquet lies."""

    events: DataFrame
    parquet_path: str


@dataclass(frozen=True)
class Sources:
    """The events to learn, those of a fixed test set (None: a part of the first), and the options of a data.json."""

    learned: Source
    held_out: Source | None = None
    options: dict = field(default_factory=dict)

    def renamed(self, names: dict[str, str]) -> "Sources":
        """The same with other names for some columns."""

        def source(one: Source) -> Source:
            return replace(one, events=one.events.withColumnsRenamed(names))

        return replace(self, learned=source(self.learned), held_out=self.held_out and source(self.held_out))

    def version(self, spark: SparkSession, options: Options) -> dict:
        """The content of data.json: the files that were read, with checksums, the run's options, the split's rule."""
        version = data_version(spark, self.learned.events, self.learned.parquet_path)
        version |= {"options": asdict(options), "splitRule": SPLIT_RULE}
        test = self.held_out
        return version | {"test": data_version(spark, test.events, test.parquet_path) if test else None}


def read_sources(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    test_path: str | None,
    parquet_path: str | None,
    reading: Reading = OWN,
) -> Sources:
    """The sources that the paths name. parquet_path: where converted JSON goes; None: beside the input. reading: how.

    Raises WrongInput if one of the places is, or lies in, another: `output_path` is where the models go.
    """
    if input_path.endswith("data.json"):
        return sources_of_model(spark, input_path)
    parquet_path = place_of(spark, parquet_path or sibling(input_path, "parquet"))
    input_path = place_of(spark, input_path)
    places = {"input": input_path, "output": place_of(spark, output_path)}
    if test_path:
        test_path = places["test"] = place_of(spark, test_path)
        if not holds_files(spark, input_path, ".parquet"):
            places["parquet"] = parquet_path  # the input's is written there
    check_apart(places)
    learned = load_events(spark, input_path, parquet_path, reading=reading)
    if not test_path:
        return Sources(learned)
    quarantine_path = sibling(parquet_path, "quarantine_test")  # the input's own stays as it is
    return Sources(learned, load_events(spark, test_path, f"{parquet_path}_test", quarantine_path, reading))


def load_events(
    spark: SparkSession, path: str, parquet_path: str, quarantine_path: str | None = None, reading: Reading = OWN
) -> Source:
    """The events below a path: parquet is read where it is, JSON is converted into `parquet_path` first."""
    if holds_files(spark, path, ".parquet"):
        return Source(read_parquet(spark, path, reading), path)
    counts = json_into_parquet(spark, path, parquet_path, quarantine_path, reading=reading)
    log.info("converted: %s", counts)
    if not counts["rows"]:
        raise TrainingError(f"expected documents below {path}; none of its {counts['lines']} lines is an event")
    return Source(read_parquet(spark, parquet_path, reading), parquet_path)


def sources_of_model(spark: SparkSession, path: str) -> Sources:
    """The sources that a model's data.json names. Raises TrainingError if a file has changed or is gone."""
    if not holds_files(spark, path):
        raise TrainingError(f"expected a model's data.json, found no file {path}")
    try:
        with open_to_read(path) as file:
            data = json.load(file)
        learned = Source(events_of_version(spark, data), data["parquet"])
        test, options = data["test"], asdict(Options(**data["options"]))
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"expected a model's data.json in {path}, found something else: {error!r}") from None
    return Sources(learned, Source(events_of_version(spark, test), test["parquet"]) if test else None, options)
