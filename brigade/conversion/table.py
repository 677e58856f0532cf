"""The table that conversions write, and what they remember about it in `<output>/_conversion/`.

A manifest names the table's files; readers see only those. Beside it lie the input files of each run, and an index of
every event that was read, by which duplicates are found across files and runs. Both are parquet under another ending:
`<output>/**/*.parquet` is the table.
"""

import json
from dataclasses import replace

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from brigade.conversion.again import NEW_FILES, Again
from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder, place_of
from brigade.conversion.manifest import Manifest, Record, read_record, write_manifest
from brigade.conversion.schema import COLUMNS, OWN, SCHEMA, Reading
from brigade.errors import one_line
from brigade.spark import literally

Moves = list[tuple[str, str]]  # staged name and final name, relative to a folder


def read_parquet(spark: SparkSession, path: str, reading: Reading = OWN) -> DataFrame:
    """The rows of a conversion's output, as its manifest names them; correct also while a conversion is running.

    Parquet without a manifest is read as it lies there. Columns come in the order of COLUMNS, others after them.
    Raises ConversionError if there are columns, but not those of the conversion, or if the table is damaged.
    """
    path = place_of(spark, path)
    folder = Folder(spark, path)
    record = read_record(folder)
    if record.number in record.unreadable or not record.manifests:
        record.check()
    manifest = record.current
    names = manifest.files() if manifest else []
    first_run_is_going_on = manifest is None and (record.under_way or folder.exists("_conversion/lock"))
    if first_run_is_going_on or manifest and not names:
        return spark.createDataFrame([], SCHEMA)
    frame = read_files(spark, path, names)
    if not reading.is_default or manifest and manifest.query != OWN.fingerprint:
        return frame
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConversionError(f"expected parquet of this project in {path}; it lacks the columns {', '.join(missing)}")
    return frame.select(*COLUMNS, *(name for name in frame.columns if name not in COLUMNS))


def read_files(spark: SparkSession, path: str, names: list[str]) -> DataFrame:
    """The rows of parquet files below a path, or of all that are there if none is named.

    Raises ConversionError if a file is missing, or if the files have no schema together.
    """
    paths = [literally(f"{path}/{name}" if name else path) for name in names or [""]]
    reader = spark.read.option("mergeSchema", "true").option("basePath", path)
    try:
        return reader.parquet(*paths)
    except (PySparkException, Py4JJavaError) as error:  # the latter is Spark 3.5's for a file that is cut off
        raise ConversionError(
            f"the parquet in {path} cannot be read: {one_line(str(error).partition(' SQLSTATE')[0])} "
            "The conversion's next run says what to do; its --dates does days again, its --full starts over"
        ) from None


class Table:
    """An output, opened for one run. `base` is what the run builds on: the current manifest, or nothing if it is a
    full run. Raises ConversionError if the record of the table is damaged, unless it is a full run."""

    def __init__(
        self,
        spark: SparkSession,
        output_path: str,
        quarantine_path: str,
        run: str,
        full: bool = False,
        again: Again = NEW_FILES,
    ):
        self.spark, self.run, self.full, self.again = spark, run, full, again
        self.published = self.committed = False  # whether files went to their places, and whether a manifest names them
        self.folder, self.quarantine = Folder(spark, output_path), Folder(spark, quarantine_path)
        self.bookkeeping, self.staging = f"{output_path}/_conversion", f"{output_path}/_staging/{run}"
        self.quarantine_staging = f"_staging-{run}"  # others may work in that folder at the same time
        self.record: Record = read_record(self.folder)
        if not full:
            self.record.check()
        # What no manifest names: from a state that is lost. It is kept, and counts no longer.
        self.given_up = self.record.lost
        for number, one in self.record.manifests.items():
            self.given_up |= {*one.given_up}
            self.record.manifests[number] = replace(one, quarantine=self.quarantine_of(one))
        self.manifest = self.record.current or Manifest()
        self.base = Manifest() if full else self.manifest

    def quarantine_of(self, manifest: Manifest) -> list[str]:
        """The quarantine's files that a manifest names and that are this table's own.

        A table that was moved or copied leaves those that it had: they may be another one's now.
        """
        if manifest.output not in ("", self.folder.path):
            return []
        parts = [name.rpartition("/") for name in manifest.quarantine]
        places = {folder: place_of(self.spark, folder) for folder in {one[0] for one in parts}}
        return [f"{places[folder]}/{name}" for folder, _, name in parts]

    def rows_of(self, names: list[str]) -> DataFrame:
        """The rows of some of the table's files."""
        return read_files(self.spark, self.folder.path, names)

    def damaged_files(self) -> dict[str, list[str]]:
        """The files of each day that are missing or have not the manifest's size."""
        damaged: dict[str, list[str]] = {}
        for day, files in self.base.partitions.items():
            sizes = self.folder.names(next(iter(files)).partition("/")[0])
            found = [name for name, file in files.items() if sizes.get(name.partition("/")[2]) != file["bytes"]]
            damaged |= {day: found} if found else {}
        return damaged

    def check_repaired(self, partitions: dict[str, dict[str, dict[str, int]]]) -> None:
        """Raises ConversionError if the partitions, as they will be, name a damaged file of a day that the run answers
        for. Those of other days stay as they are."""
        for day, names in self.damaged_files().items() if self.again.repairs else ():
            if self.again.covers(day) and (left := [name for name in names if name in partitions.get(day, {})]):
                raise self.record.damaged(
                    f"{left[0]} missing or cut off, and no input file to make it again from in {self.again}"
                )

    def columns(self) -> StructType:
        """The columns of the table so far, as its manifest knows them."""
        if self.base.columns:
            return StructType.fromJson(self.base.columns)
        # A manifest of an earlier version. The files of one run have the same columns.
        of_a_run = {name.rpartition("/")[2].rpartition("-")[0]: name for name in self.base.files()}
        return self.rows_of(list(of_a_run.values())).schema if of_a_run else StructType()

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

    def begin(self) -> None:
        """Registers the run. From here on it may write."""
        about = {"output": self.folder.path, "quarantine": self.quarantine.path}
        if not self.folder.create(f"_conversion/run-{self.run}.json", json.dumps(about)):
            raise ConversionError(f"another run has the name {self.run}")
        self.record.under_way[self.run] = about

    def add_to_index(self, staged: DataFrame) -> tuple[DataFrame, int, int]:
        """Writes the staged events to the index. Nobody reads that before a manifest names the run.

        Returns what was written, in which `id` is the row's number in this run; how many rows are staged; and how many
        of them are not events.
        """
        about = [F.col(f"_row.{name}").alias(name) for name in ("publishTime", "messageId", "file", "hash", "id")]
        seen = Observation("staged")
        keys = staged.observe(seen, F.count(F.lit(1)).alias("rows"), F.count("_row.reason").alias("quarantined"))
        keys = keys.where("_row.reason IS NULL").select("eventId", *about, "dt", F.lit(self.run).alias("run"))
        schema = keys.schema
        self.write("index", keys)
        keys = self.spark.read.schema(schema).parquet(literally(f"{self.bookkeeping}/index/{self.run}"))
        return keys, seen.get["rows"], seen.get["quarantined"]

    def add_input_files(self, files: DataFrame) -> None:
        """Records the files that the run has read."""
        self.write("files", files.select("file", "size", "modified", F.lit(self.run).alias("run")).coalesce(1))

    def write(self, kind: str, rows: DataFrame) -> None:
        """Writes rows of this run to `_conversion/<kind>`, under another ending than Spark's."""
        rows.write.parquet(f"{self.staging}/{kind}")
        names = sorted(name for name in self.folder.names(f"_staging/{self.run}/{kind}") if name.endswith(".parquet"))
        for number, name in enumerate(names):
            final = f"_conversion/{kind}/{self.run}/{number:05}.{kind}"
            self.folder.rename(f"_staging/{self.run}/{kind}/{name}", final)

    def commit(self, manifest: Manifest) -> None:
        """Makes the manifest the current one, in one step."""
        number, given_up = self.record.number + 1, sorted(self.given_up - {*manifest.runs})
        manifest = replace(manifest, number=number, output=self.folder.path, given_up=given_up)
        write_manifest(self.folder, number, manifest)
        self.record.manifests[number] = self.manifest = manifest
        self.committed = True

    def give_up_unless_published(self) -> None:
        """Leaves no trace of a run that failed before its files went to their places."""
        if self.run in self.record.under_way and not self.published:
            for kind in ("index", "files"):
                self.folder.delete(f"_conversion/{kind}/{self.run}")
            self.folder.delete(f"_conversion/run-{self.run}.json")
            del self.record.under_way[self.run]

    def drop_staged(self) -> None:
        """Removes what the run has staged."""
        self.folder.delete(f"_staging/{self.run}")
        if not self.folder.names("_staging"):
            self.folder.delete("_staging")
        self.quarantine.delete(self.quarantine_staging)
