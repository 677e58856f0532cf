"""The table that conversions write, and what they remember about it in `<output>/_conversion/`.

A manifest names the table's files; readers see only those. Beside it lie the input files of each run, and an index of
every event that was read, by which duplicates are found across files and runs. Spark does not list that folder.
"""

import re

from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder
from brigade.conversion.manifest import NAME, Manifest, manifest_name, read_manifest, write_manifest
from brigade.conversion.schema import COLUMNS, EVENT, QUERY, SCHEMA, fingerprint
from brigade.spark import literally

CONVERTED = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}-\d+\.parquet")
QUARANTINED = re.compile(r"quarantine-\d{8}T\d{6}Z-[0-9a-f]{8}-\d+\.json")

Moves = list[tuple[str, str]]  # staged name and final name, relative to a folder


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """The rows of a conversion's output, as its manifest names them; correct also while a conversion is running.

    Parquet without a manifest is read as it lies there. Columns come in the order of COLUMNS, others after them.
    Raises ConversionError if there are columns, but not those of the conversion.
    """
    path = path.rstrip("/")
    folder = Folder(spark, path)
    _, manifest = read_manifest(folder)
    names = manifest.files() if manifest else []
    first_run_is_going_on = manifest is None and folder.names("_conversion")
    if first_run_is_going_on or manifest and not names:
        return spark.createDataFrame([], SCHEMA)
    frame = read_files(spark, path, names)
    if manifest and manifest.query != fingerprint(QUERY, EVENT):
        return frame
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConversionError(f"expected parquet of this project in {path}; it lacks the columns {', '.join(missing)}")
    return frame.select(*COLUMNS, *(name for name in frame.columns if name not in COLUMNS))


def read_files(spark: SparkSession, path: str, names: list[str]) -> DataFrame:
    """The rows of parquet files below a path, or of all that are there if none is named."""
    paths = [literally(f"{path}/{name}" if name else path) for name in names or [""]]
    return spark.read.option("mergeSchema", "true").option("basePath", path).parquet(*paths)


class Table:
    """An output, opened for one run. `base` is what the run builds on: the current manifest, or nothing if it is a
    full run."""

    def __init__(self, spark: SparkSession, output_path: str, quarantine_path: str, run: str, full: bool = False):
        self.spark, self.run = spark, run
        self.folder, self.quarantine = Folder(spark, output_path), Folder(spark, quarantine_path)
        self.bookkeeping, self.staging = f"{output_path}/_conversion", f"{output_path}/_staging/{run}"
        self.number, found = read_manifest(self.folder)
        self.manifest = found or Manifest()
        self.base = Manifest() if full else self.manifest

    def rows_of(self, names: list[str]) -> DataFrame:
        """The rows of some of the table's files."""
        return read_files(self.spark, self.folder.path, names)

    def input_files(self) -> DataFrame:
        """The input files as they were when they were last converted: `file`, `size`, `modified`, `run`."""
        newest = Window.partitionBy("file").orderBy(F.col("run").desc())
        files = self.of_all_runs("files", "file STRING, size LONG, modified TIMESTAMP, run STRING")
        return files.withColumn("n", F.row_number().over(newest)).where("n = 1").drop("n")

    def index(self) -> DataFrame:
        """What tells events apart, of every event that was read, duplicates too; without files that have changed."""
        schema = "eventId STRING, publishTime TIMESTAMP, messageId STRING, file STRING, hash LONG, dt STRING"
        index = self.of_all_runs("index", f"{schema}, run STRING").withColumn("id", F.lit(None).cast("long"))
        if not self.base.voided:
            return index
        voided = self.spark.createDataFrame(self.base.voided, "file STRING, run STRING")
        return index.join(F.broadcast(voided), ["file", "run"], "left_anti")

    def of_all_runs(self, kind: str, schema: str) -> DataFrame:
        """The rows of all runs in `_conversion/<kind>`."""
        paths = [literally(f"{self.bookkeeping}/{kind}/{run}") for run in self.base.runs]
        if not paths:
            return self.spark.createDataFrame([], schema)
        return self.spark.read.schema(schema).parquet(*paths)

    def add_to_index(self, staged: DataFrame) -> tuple[DataFrame, int, int]:
        """Writes the staged events to the index. Nobody reads that before a manifest names the run.

        Returns what was written, in which `id` is the row's number in this run; how many rows are staged; and how many
        of them are not events.
        """
        about = [F.col(f"_row.{name}").alias(name) for name in ("publishTime", "messageId", "file", "hash", "id")]
        seen = Observation("staged")
        keys = staged.observe(seen, F.count(F.lit(1)).alias("rows"), F.count("_row.reason").alias("quarantined"))
        keys = keys.where("_row.reason IS NULL").select("eventId", *about, "dt", F.lit(self.run).alias("run"))
        path = f"{self.bookkeeping}/index/{self.run}"
        keys.write.parquet(path)
        keys = self.spark.read.schema(keys.schema).parquet(literally(path))
        return keys, seen.get["rows"], seen.get["quarantined"]

    def add_input_files(self, files: DataFrame) -> None:
        """Records the files that the run has read."""
        files = files.select("file", "size", "modified", F.lit(self.run).alias("run"))
        files.coalesce(1).write.parquet(f"{self.bookkeeping}/files/{self.run}")

    def commit(self, manifest: Manifest) -> None:
        """Makes the manifest the current one, in one step, and removes what it no longer names."""
        self.number, self.manifest = self.number + 1, manifest
        write_manifest(self.folder, self.number, manifest)
        self.tidy()

    def tidy(self) -> None:
        """Removes what the manifest does not name: leftovers of killed runs, and files that were replaced.

        Raises ConversionError if the output holds parquet that no conversion wrote.
        """
        kept = set(self.manifest.files())
        for day in self.folder.names():
            if "=" in day:
                self.tidy_day(day, kept)
        for name in self.quarantine.names():
            if QUARANTINED.fullmatch(name) and name not in self.manifest.quarantine:
                self.quarantine.delete(name)
        self.drop_staged()
        for kind in ("files", "index"):
            for run in self.folder.names(f"_conversion/{kind}").keys() - set(self.manifest.runs):
                self.folder.delete(f"_conversion/{kind}/{run}")
        for name in self.folder.names("_conversion"):
            if name.endswith(".half") or NAME.fullmatch(name) and name != manifest_name(self.number):
                self.folder.delete(f"_conversion/{name}")

    def tidy_day(self, day: str, kept: set[str]) -> None:
        names = self.folder.names(day)
        unnamed = [name for name in names if CONVERTED.fullmatch(name) and f"{day}/{name}" not in kept]
        for name in unnamed:
            self.folder.delete(f"{day}/{name}")
        if len(unnamed) == sum(not name.startswith((".", "_")) for name in names):
            self.folder.delete(day)
        elif foreign := [name for name in names if name.endswith(".parquet") and not CONVERTED.fullmatch(name)]:
            raise ConversionError(
                f"expected only files of earlier conversions in {self.folder.path}, found {day}/{foreign[0]}; "
                "remove it, or choose another output"
            )

    def drop_staged(self) -> None:
        """Removes what a run has staged."""
        self.folder.delete("_staging")
        self.quarantine.delete("_staging")
