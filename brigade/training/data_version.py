"""The version of the data and of the code that a model was made with.

The data's version is the list of the parquet files that were read, with sizes and checksums; the code's is a checksum
of the modules on which a model depends. The same data, code and options give the same weights.
"""

import hashlib
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brigade.conversion.input_files import holds_files
from brigade.spark import literally
from brigade.training.errors import TrainingError

CODE = (
    "conversion",
    "events",
    "models/document_model.py",
    "models/table_model.py",
    "models/text_features.py",
    "spark.py",
    "training",
    "training/tables",
)


def data_version(spark: SparkSession, events: DataFrame, path: str) -> dict:
    """The parquet files below `path` that events are read from, with size in bytes and SHA-256, computed by Spark."""
    # Spark writes a local file as file:///…, escaped, here, and as file:/… in the column `path`.
    read = [(re.sub("^file:/+", "/", unquote(name)),) for name in events.inputFiles()]
    files = binary_files(spark, path).select("path", "length", F.sha2("content", 256).alias("sha256"))
    wanted = F.broadcast(spark.createDataFrame(read, "read STRING"))
    files = files.join(wanted, F.regexp_replace("path", "^file:/+", "/") == F.col("read"), "left_semi")
    rows = [{"file": row.path, "size": row.length, "sha256": row.sha256} for row in sorted(files.collect())]
    if len(rows) != len(set(read)):
        raise TrainingError(f"expected to find the {len(set(read))} files that were read, found {len(rows)}")
    return {"parquet": path, "files": rows}


def events_of_version(spark: SparkSession, version: dict) -> DataFrame:
    """The events of exactly these files. Raises TrainingError if one has changed or is gone."""
    wanted = {one["file"]: one["sha256"] for one in version["files"]}
    if not holds_files(spark, version["parquet"]):
        raise TrainingError(f"expected the files that the model's data.json names, found none in {version['parquet']}")
    names = F.broadcast(spark.createDataFrame([(name,) for name in wanted], "path STRING"))
    files = binary_files(spark, version["parquet"]).join(names, "path", "left_semi")
    try:
        rows = files.select("path", F.sha2("content", 256).alias("sha256")).collect()
    except Exception as error:  # Py4J's error for a block that cannot be read
        cause = str(error).strip().splitlines()[0]
        raise TrainingError(f"the files that data.json names cannot be read: {cause}") from None
    found = {row.path: row.sha256 for row in rows}
    other = [name for name, digest in wanted.items() if found.get(name) != digest]
    if other:
        raise TrainingError(
            f"expected {len(wanted)} files as the model's data.json names them, found {len(other)} changed or gone: "
            f"{other[0]}; a backup or the bucket's object versions may still have them"
        )
    frame = spark.read.option("mergeSchema", "true").option("basePath", version["parquet"])
    return frame.parquet(*map(literally, wanted))


def binary_files(spark: SparkSession, path: str) -> DataFrame:
    """All files below a path: `path`, `length`, `content`."""
    return spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(literally(path))


def code_version() -> str:
    """The SHA-256 of the modules in CODE, its first 12 digits. The package may be a folder or a zip."""
    digest = hashlib.sha256()
    package = resources.files("brigade")
    for name in CODE:
        for module in python_files(package / name):
            digest.update(module.read_bytes())
    return digest.hexdigest()[:12]


def python_files(place: Traversable) -> Iterator[Traversable]:
    """The Python file, or those directly in the folder, in the order of their names."""
    if place.is_file():
        yield place
    else:
        yield from sorted((one for one in place.iterdir() if one.name.endswith(".py")), key=lambda one: one.name)
