"""The model that predicts: found and verified by serving's own store, and read again on each worker from its bytes."""

from dataclasses import dataclass

from pyspark import Broadcast
from pyspark.sql import SparkSession

from brigade.models.manifest import DESCRIPTION_FILE
from brigade.models.store import ModelStore, NoModel, ServedModel
from brigade.models.verification import KINDS, Model, read_checked, read_model
from brigade.pipelines.definition import Definition

LOADED: dict[str, Model] = {}  # the model of this process; each of Spark's Python workers has one


@dataclass(frozen=True)
class Chosen:
    """The model of a run. definition: that of its pipeline; None for documents. files: name → content, for workers.
    key: tells its content from any other's."""

    served: ServedModel
    definition: Definition | None
    files: Broadcast
    key: str


def choose(spark: SparkSession, uri: str, prefix: str, pin: str | None) -> Chosen:
    """The latest promoted model of a prefix, or the one that `pin` names (`NAME[/RUN]`), promoted or not.

    It is verified as serving verifies it. Raises NoModel, with what was passed over and why; and PassedOver if a file
    has changed since it was verified.
    """
    store = ModelStore(uri, pin=pin, prefix=prefix)
    store.look()
    if (served := store.served) is None:
        raise NoModel(store.problem)
    names = (DESCRIPTION_FILE, KINDS[served.model.kind][1])
    files = {name: read_checked(store.models, served.name, served.manifest, name) for name in names}
    pipeline = served.model.pipeline
    return Chosen(
        served,
        Definition.of(pipeline) if pipeline is not None else None,
        spark.sparkContext.broadcast(files),
        "-".join(served.manifest.files[name][1] for name in names),
    )


def loaded(key: str, files: Broadcast) -> Model:
    """The model of these files, read once in each process."""
    if key not in LOADED:
        LOADED.clear()
        LOADED[key] = read_model(files.value)
    return LOADED[key]
