"""CONVERT: landed JSON lines → parquet, with SparkSQL.

What enters: a folder of JSON lines, one event a line, as `pubsub_gcs.py` lands them (or plain files of raw events that
somebody copied there; .gz too). What leaves: parquet partitioned by `dt`, one row an `eventId`, and the lines that are
no event as JSON lines in a quarantine folder, each with its file and reason. Every line that was read is in one of
three numbers, or the run fails and changes nothing: lines = converted + duplicates + quarantined.

    input ─► parse ─► SELECT … FROM events ─► staged rows ─► which row of an eventId wins ─► touched days ─► manifest

Only files that are new or changed since the last run are read. What has been converted is recorded in
`<output>/_conversion/`, which Spark passes over: a manifest (which parquet files are the table, written last, in one
step), the input files, and an index of every event's identity, by which duplicates are found across files and runs.

On this machine:
    spark-submit spark_sql.py landing/input parquet
On GCP:
    gcloud dataproc jobs submit pyspark spark_sql.py --cluster=brigade-cluster --region=us-central1 \\
        -- gs://ml_input/input/ gs://ml_input/parquet/
"""

import argparse
import hashlib
import json
import logging
import os
import re
import socket
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import reduce
from urllib.parse import unquote

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from brigade.errors import CannotGoOn

log = logging.getLogger("spark_sql")

# What is read of a line. All but the four required fields is optional; fields that are not named here stay in the
# landed files. --schema puts other fields in the place of these.
EVENT = """
    eventId STRING, eventTimestamp STRING, eventSource STRING, eventType STRING, eventVersion STRING,
    doc STRUCT<docId: STRING, payload: STRING, metadata: STRUCT<accountId: STRING, superTag01: STRING,
        superTag02: STRING, otherTags: ARRAY<STRUCT<tagName: STRING, tagValue: STRING>>>>
"""
LANDING = "pubsub STRUCT<messageId: STRING, publishTime: STRING>"  # what landing adds to every event
ROW = """_row STRUCT<id: LONG, file: STRING, hash: LONG, reason: STRING, line: STRING, publishTime: TIMESTAMP,
    messageId: STRING>"""
CORRUPT, END = "_corrupt_record", "_end_of_line"

# The conversion. `events` has a column for each field of the event, and beside them `line`, the whole JSON text;
# `eventTime` and `publishTime`, the event's two times as timestamps, null where there is none. One row a line: a line
# whose eventId or dt comes out as null is quarantined. --sql FILE puts another query in the place of this one.
QUERY = """
SELECT eventId,
       eventTime AS eventTimestamp,
       eventSource,
       eventType,
       eventVersion,
       doc.docId,
       doc.metadata.accountId,
       doc.metadata.superTag01,
       doc.metadata.superTag02,
       array_join(transform(doc.metadata.otherTags,
                            tag -> concat(coalesce(tag.tagName, ''), ':', coalesce(tag.tagValue, ''))),
                  '|') AS concatOtherTags,
       doc.payload,
       pubsub.messageId,
       publishTime,
       date_format(coalesce(publishTime, eventTime), 'yyyy-MM-dd') AS dt
FROM events
"""
SCHEMA = """eventId STRING, eventTimestamp TIMESTAMP, eventSource STRING, eventType STRING, eventVersion STRING,
    docId STRING, accountId STRING, superTag01 STRING, superTag02 STRING, concatOtherTags STRING, payload STRING,
    messageId STRING, publishTime TIMESTAMP, dt STRING"""
COLUMNS = tuple(column.split()[0] for column in SCHEMA.split(","))
RFC3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\z"

MIB = 1 << 20
FILE_BYTES = 128 * MIB  # as rows are packed between two tasks, which is about what they need as parquet
ROWS_A_TASK = 500_000  # of the index, when events are compared
SMALL_FILE_BYTES = 64 * MIB  # a smaller file of a day is rewritten together with the day's next rows, see `to_merge`
LISTED_FILES = 2000  # so many input files are named one by one to Spark; more are found by their time and a join
BEAT_SECONDS = 10
SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # An event may carry any year from 1 to 9999; without this, one before 1900 ends the job on Spark 3.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A conversion needs some 75 generated classes. Of Spark's 100 hardly any would be left for the next in a session.
    "spark.sql.codegen.cache.maxEntries": "500",
}
# While a conversion runs: small input files are read many to a task, and a day's rows come together in tasks of
# FILE_BYTES, each of which writes one file, whatever the number of cores.
CONVERTING = {
    "spark.sql.files.openCostInBytes": str(64 << 10),
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": str(FILE_BYTES),
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.shuffle.partitions": "200",  # for writing; for comparing events Run.expect sets it
}


class ConversionError(CannotGoOn):
    """The input cannot be converted; the message says what was expected, what was found, and what to do."""


def open_session(name: str) -> SparkSession:
    """The session that spark-submit set up, with the settings that this project's results depend on."""
    builder = SparkSession.builder.appName(name)
    for key, value in SESSION.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")  # else a job's own lines drown
    return session


@contextmanager
def settings(spark: SparkSession, values: dict[str, str]):
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)


# ------------------------------------------------------------------------------------------- from a line to a row


def parse_lines(lines: DataFrame, schema: str = EVENT) -> DataFrame:
    """Lines (`value`, `file`) → `events`, the view that the query reads: the schema's fields, `line`, `eventTime`,
    `publishTime` and `_row`, which the query hands on.

    `_row.reason` is null for a line that is an event of the schema, and else says why it is none, by the codes of
    landing's dead letters.
    """
    # from_json stops at the end of the first object, and what stands behind it would be lost: so a member is added at
    # the end of the line, which the first object has only if it is the whole line. A value that nobody can foresee.
    mark = uuid.uuid4().hex
    fields = f"{with_landing(schema)}, {CORRUPT} STRING, {END} STRING"
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    options |= {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}  # which are no JSON
    # Both by bytes: Spark's functions for characters would go through every line once more.
    trimmed = r"rtrim(translate(value, '\r\t', '  '))"
    marked = f"if(endswith(value, '}}'), {with_member('value', mark)}, {with_member(trimmed, mark)})"
    parsed = lines.withColumn("event", F.from_json(F.expr(marked), fields, options))
    names = parsed.select("event.*").columns[:-2]
    time_of = moment("event.eventTimestamp") if "eventTimestamp" in names else "CAST(NULL AS TIMESTAMP)"
    parsed = parsed.selectExpr("*", f"{time_of} AS eventTime", f"{moment('event.pubsub.publishTime')} AS publishTime")
    whole = f"coalesce(event.{END} = '{mark}' AND event.{CORRUPT} IS NULL, false)"
    # One object by the same rules, but with fields of other types.
    pairs = ", ".join(f"'{name}', '{value}'" for name, value in options.items())
    is_json = f"from_json({marked}, 'MAP<STRING, STRING>', map({pairs}))['{END}'] = '{mark}'"
    utf8 = is_utf8(lines.sparkSession)
    sound = [whole, utf8]
    reasons = {
        rf"NOT {whole} AND value RLIKE r'^\s*\{{\s*\}}\s*$'": "missing_field",
        f"NOT {whole} AND {is_json}": "wrong_type",
        f"NOT {whole}": "malformed_json",
        f"NOT {utf8}": "not_utf8",
    }
    if schema == EVENT:
        texts, payload = ("eventId", "doc.docId", "doc.payload"), "event.doc.payload"
        other_type = " OR ".join(has_other_type(f"event.{name}", name) for name in texts)
        missing = " OR ".join(f"event.{name} IS NULL" for name in (*texts, "eventTimestamp"))
        missing = f"({missing} OR event.eventId = '' OR event.doc.docId = '')"
        sound += [f"NOT {missing}", "eventTime IS NOT NULL", begins_visibly(payload)]
        sound += [f"NOT ({could_have_other_type(f'event.{name}')})" for name in texts]
        reasons |= {
            other_type: "wrong_type",
            missing: "missing_field",
            "eventTime IS NULL": "bad_timestamp",
            rf"NOT {payload} RLIKE r'(?U)[^\s\x1c-\x1f]'": "empty_payload",  # what Python's str.strip leaves empty
        }
    # Nearly all lines are sound, which is cheap to see; only of the others it is asked what they are.
    sound = f"coalesce({' AND '.join(sound)}, false)"
    cases = " ".join(f"WHEN {condition} THEN '{reason}'" for condition, reason in reasons.items())
    return parsed.selectExpr(
        f"""struct(
            monotonically_increasing_id() AS id,
            file,
            xxhash64(value) AS hash,
            if({sound}, NULL, CASE {cases} END) AS reason,
            if({sound}, NULL, value) AS line,
            publishTime,
            event.pubsub.messageId AS messageId
        ) AS _row""",  # as ROW has it
        *(f"event.`{name}`" for name in names),
        "value AS line",
        "eventTime",
        "publishTime",
    )


def with_landing(schema: str) -> str:
    return schema if re.search(r"(?i)\bpubsub\s", schema) else f"{schema}, {LANDING}"


# SQL in texts from here on: hundreds of Column objects take half a second, one call to Java for each.


def with_member(text: str, value: str) -> str:
    """A JSON object's text with END as one more member: in the place of its last byte, which should be a brace."""
    opened = f"CAST(substr(CAST({text} AS BINARY), 1, octet_length({text}) - 1) AS STRING)"
    return f"""concat({opened}, ',"{END}":"{value}"}}')"""


def moment(column: str) -> str:
    """A column of RFC 3339 texts as timestamps; null for any other text, and outside the years 1 to 9999 in UTC."""
    # The cast alone would take a bare date, a year or an hour of today too. RFC 3339 allows a small t and z, Spark
    # takes the large ones only; upper() costs more than all else here.
    small = f"contains({column}, 't') OR contains({column}, 'z')"
    time_of = f"try_cast(if({small}, upper({column}), {column}) AS TIMESTAMP)"
    years = "TIMESTAMP'0001-01-01T00:00:00Z' AND TIMESTAMP'9999-12-31T23:59:59.999999Z'"
    return f"if({column} RLIKE r'{RFC3339}' AND {time_of} BETWEEN {years}, {time_of}, NULL)"


def begins_visibly(column: str) -> str:
    """Whether a text begins with a visible character of ASCII; by bytes, which is cheaper than an expression."""
    return f"{column} BETWEEN '!' AND '~'"


def is_utf8(spark: SparkSession) -> str:
    """Whether a line's bytes are UTF-8; Spark would read others as U+FFFD."""
    before_4 = spark.version.startswith("3.")
    return "(encode(value, 'UTF-8') = CAST(value AS BINARY))" if before_4 else "is_valid_utf8(value)"


def has_other_type(column: str, path: str) -> str:
    """Whether a field that was read as text is something else in the JSON: a number, a boolean, an array, an object.

    Spark gives their JSON as text. Only a text that could be one is looked at again.
    """
    *outer, name = path.split(".")
    cases = []
    for kind, condition in other_types(column).items():
        field = f"{outer[0]} STRUCT<{name}: {kind}>" if outer else f"{name} {kind}"
        cases.append(f"WHEN {condition} THEN from_json(value, '{field}').{path} IS NOT NULL")
    return f"CASE {' '.join(cases)} ELSE false END"


def could_have_other_type(column: str) -> str:
    return " OR ".join(other_types(column).values())


def other_types(column: str) -> dict[str, str]:
    """The types that a field read as text could have in the JSON, and whether its text looks like one of them.

    By comparisons of bytes first: a regular expression would make a Java string of every payload.
    """
    return {
        "MAP<STRING, STRING>": f"startswith({column}, '{{') AND endswith({column}, '}}')",
        "ARRAY<STRING>": f"startswith({column}, '[') AND endswith({column}, ']')",
        "BOOLEAN": f"{column} IN ('true', 'false')",
        "DOUBLE": rf"{column} BETWEEN '-' AND ':' AND {column} RLIKE r'^-?\d[\d.eE+-]*\z'",
    }


def run_query(events: DataFrame, query: str = QUERY, schema: str = EVENT) -> DataFrame:
    """The query's rows, with `_row`. Raises ConversionError when it is no SELECT that yields eventId and dt."""
    spark = events.sparkSession
    text = re.sub(r"/\*.*?\*/|--[^\n]*", " ", query, flags=re.DOTALL).strip().rstrip(";")
    if not re.match(r"(?i)SELECT\s+(?!DISTINCT\b)", text):
        raise ConversionError(f"expected one SELECT … FROM events (not DISTINCT), found: {text[:60]}…")
    events.createOrReplaceTempView("events")
    try:
        rows = spark.sql(re.sub(r"(?i)^SELECT\s", "SELECT _row, line AS _line, ", text, count=1))
    except (AnalysisException, ParseException) as error:
        raise ConversionError(f"the query cannot be run: {str(error).strip().splitlines()[0]}") from None
    missing = [name for name in ("eventId", "dt") if name not in rows.columns]
    if missing:
        found = ", ".join(rows.columns[2:])
        raise ConversionError(f"expected the query to yield eventId and dt; it lacks {' and '.join(missing)}: {found}")
    if repeated := sorted({name for name in rows.columns if rows.columns.count(name) > 1}):
        raise ConversionError(f"expected the query's columns to have names of their own, found {repeated} twice")
    if (query, schema) == (QUERY, EVENT):
        return rows.drop("_line")  # parse_lines has seen to it that an event has both
    for name in ("eventId", "dt"):
        rows = rows.withColumn(name, F.col(name).cast("string"))
    without_key = (F.coalesce("eventId", F.lit("")) == "") | (F.coalesce("dt", F.lit("")) == "")
    reason = F.coalesce(F.col("_row.reason"), F.when(without_key, "missing_field"))
    line = F.when(reason.isNotNull(), F.col("_line"))
    return rows.withColumn("_row", F.col("_row").withField("reason", reason).withField("line", line)).drop("_line")


# --------------------------------------------------------------------------------- which row of an eventId wins


# Texts, not columns: those need a session, which a module that is imported does not have.
NEWEST_FIRST = "publishTime DESC NULLS LAST, messageId DESC NULLS LAST, file DESC, hash DESC, id DESC NULLS LAST"


def number_copies(keys: DataFrame) -> DataFrame:
    """Adds `copy`: 1 for the last published of each eventId, 2, 3, … for what it repeats."""
    return keys.withColumn("copy", F.expr(f"row_number() OVER (PARTITION BY eventId ORDER BY {NEWEST_FIRST})"))


def contested(keys: DataFrame) -> DataFrame:
    """Those of the events whose eventId may occur more than once among them. Comparing whole ids, and all that decides
    between their copies, is then for few."""
    often = keys.groupBy(F.xxhash64("eventId").alias("often")).count().where("count > 1").select("often")
    return keys.join(often, F.xxhash64("eventId") == F.col("often"), "left_semi")


# ------------------------------------------------------------------------------------- files, wherever they lie


class Folder:
    """A folder that Hadoop's file systems know: gs://, hdfs:// or local."""

    def __init__(self, spark: SparkSession, path: str):
        self.path, self.hadoop = path, spark._jvm.org.apache.hadoop.fs
        self.files = self.hadoop.Path(path).getFileSystem(spark._jsc.hadoopConfiguration())

    def at(self, name: str):
        return self.hadoop.Path(f"{self.path}/{name}" if name else self.path)

    def names(self, name: str = "") -> dict[str, int]:
        """What lies in a folder below this one: names and sizes in bytes; nothing if there is no such folder."""
        if not self.files.exists(self.at(name)):
            return {}
        return {one.getPath().getName(): one.getLen() for one in self.files.listStatus(self.at(name))}

    def read(self, name: str) -> str:
        """The text of a file. Raises FileNotFoundError when it is not there."""
        if not self.files.exists(self.at(name)):
            raise FileNotFoundError(name)
        stream = self.files.open(self.at(name))
        try:
            return bytes(stream.readAllBytes()).decode("utf-8")
        finally:
            stream.close()

    def local(self) -> str | None:
        """The folder's path when it lies on this machine, where Python does in one step what Hadoop does in several."""
        place = self.files.resolvePath(self.at("")).toUri() if self.files.exists(self.at("")) else None
        return place.getPath() if place and place.getScheme() == "file" else None

    def write(self, name: str, text: str) -> None:
        """Writes a file so that it is there with all of its text or not at all. Raises ConversionError when there is
        one of that name."""
        if self.local():
            if not self.create(name, text):
                raise ConversionError(f"{self.path}/{name} is there already; did another conversion write it?")
            return
        half = f"{name}.{uuid.uuid4().hex}.half"
        self.put(half, text)
        self.rename(half, name)

    def put(self, name: str, text: str) -> None:
        stream = self.files.create(self.at(name), True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()

    def create(self, name: str, text: str) -> bool:
        """Creates a file: True, or False if it is there already. One of many that try at the same time succeeds."""
        self.files.mkdirs(self.at(name).getParent())
        if local := self.local():
            half = f"{local}/{name}.{uuid.uuid4().hex}.half"
            with open(half, "w") as file:
                file.write(text)
            try:
                os.link(half, f"{local}/{name}")
            except FileExistsError:
                return False
            finally:
                os.unlink(half)
            return True
        try:
            stream = self.files.create(self.at(name), False)
            stream.write(bytearray(text.encode("utf-8")))
            stream.close()
        except Exception as error:  # whatever Py4J makes of the file system's own error
            if self.files.exists(self.at(name)):
                return False
            raise ConversionError(f"{self.path} cannot be written to: {str(error).splitlines()[0]}") from error
        return True

    def rename(self, source: str, target: str) -> None:
        self.files.mkdirs(self.at(target).getParent())
        # A local rename would replace what is there; elsewhere it fails by itself.
        if self.files.exists(self.at(target)) or not self.files.rename(self.at(source), self.at(target)):
            raise ConversionError(f"{self.path}/{source} could not be renamed to {target}; does that exist?")

    def delete(self, name: str) -> None:
        self.files.delete(self.at(name), True)


class Lock:
    """Lets one conversion at a time write to an output. Raises ConversionError when another one is under way.

    A lock holds who has it and a number that counts on while it lives. One that a killed run left is taken over: at
    once when its process was on this machine, and elsewhere when the number has stood still.
    """

    def __init__(self, spark: SparkSession, output_path: str):
        self.folder = Folder(spark, f"{output_path.rstrip('/')}/_conversion")
        self.own = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self.own["started"] = started_at(os.getpid())
        self.ended, self.beating = threading.Event(), threading.Thread(target=self.beat, daemon=True)

    def __enter__(self):
        for _ in range(2):
            if self.folder.create("lock", self.text(0)):
                self.beating.start()
                return self
            if (holder := self.living_holder()) is not None:
                raise ConversionError(
                    f"another conversion into {self.folder.path.removesuffix('/_conversion')} is under way "
                    f"(process {holder.get('pid')} on {holder.get('host')}); wait for it to end"
                )
            log.warning("taking over the lock of a run that did not end")
            self.folder.delete("lock")
        raise ConversionError("another conversion began at the same moment; wait for it to end")

    def __exit__(self, *_):
        self.ended.set()
        self.beating.join()
        if (self.holder() or {}).get("run") == self.own["run"]:
            self.folder.delete("lock")

    def text(self, beat: int) -> str:
        return json.dumps(self.own | {"beat": beat})

    def holder(self) -> dict | None:
        try:
            return json.loads(self.folder.read("lock"))
        except (FileNotFoundError, ValueError):  # not there, or not written to its end
            return None

    def living_holder(self) -> dict | None:
        first = self.holder()
        if first and first["host"] == self.own["host"]:
            return first if started_at(first["pid"]) == first["started"] is not None else None
        log.info("another run's lock lies in %s; waiting to see whether it lives", self.folder.path)
        time.sleep(2.5 * BEAT_SECONDS)
        second = self.holder()
        return second if second and second != first else None

    def beat(self) -> None:
        count = 0
        while not self.ended.wait(BEAT_SECONDS):
            count += 1
            if (self.holder() or {}).get("run") != self.own["run"]:
                return  # somebody else's by now
            if local := self.folder.local():  # in one step, so that nobody reads half of it
                half = f"{local}/lock.{self.own['run']}.half"
                with open(half, "w") as file:
                    file.write(self.text(count))
                os.replace(half, f"{local}/lock")
            else:
                self.folder.put("lock", self.text(count))

    def check(self) -> None:
        """Raises ConversionError when the lock is no longer this run's."""
        if (self.holder() or {}).get("run") != self.own["run"]:
            raise ConversionError("another conversion took over the lock; nothing was changed")


def started_at(pid: int) -> str | None:
    """When a process of this machine began, in words that no other process of that number has; None: it is over."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, *fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else fields[18]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"


# ------------------------------------------------------------------------------------------ what is converted


class Table:
    """What has been converted into an output: its manifest, and the files that the manifest names."""

    def __init__(self, spark: SparkSession, output_path: str, quarantine_path: str):
        self.spark, self.folder = spark, Folder(spark, output_path)
        self.output, self.quarantine = output_path, Folder(spark, quarantine_path)
        self.number, self.manifest = read_manifest(self.folder)
        if self.manifest is None:
            self.manifest = {"runs": [], "voided": [], "partitions": {}, "quarantine": [], "rows": 0}

    def bookkeeping(self, kind: str, schema: str) -> DataFrame:
        """The rows of all runs in `_conversion/<kind>`, with their run."""
        paths = [f"{self.output}/_conversion/{kind}/{run}" for run in self.manifest["runs"]]
        if not paths:
            return self.spark.createDataFrame([], schema)
        return self.spark.read.schema(schema).parquet(*paths)

    def input_files(self) -> DataFrame:
        """The input files as they were when they were last converted: `file`, `size`, `modified`."""
        newest = Window.partitionBy("file").orderBy(F.col("run").desc())
        files = self.bookkeeping("files", "file STRING, size LONG, modified TIMESTAMP, run STRING")
        return files.withColumn("n", F.row_number().over(newest)).where("n = 1").drop("n")

    def index(self) -> DataFrame:
        """The identity of every event that was read, duplicates too, without those of files that have changed since."""
        schema = "eventId STRING, publishTime TIMESTAMP, messageId STRING, file STRING, hash LONG, dt STRING"
        index = self.bookkeeping("index", f"{schema}, run STRING").withColumn("id", F.lit(None).cast("long"))
        if not self.manifest["voided"]:
            return index
        voided = self.spark.createDataFrame(self.manifest["voided"], "file STRING, run STRING")
        return index.join(F.broadcast(voided), ["file", "run"], "left_anti")

    def rows_of(self, names: list[str]) -> DataFrame:
        paths = [f"{self.output}/{name}" for name in names]
        return self.spark.read.option("mergeSchema", "true").option("basePath", self.output).parquet(*paths)

    def tidy(self) -> None:
        """Removes what no manifest names: what a killed run left, and files that were replaced."""
        kept = {name for files in self.manifest["partitions"].values() for name in files}
        for day in self.folder.names():
            if "=" in day:
                names = self.folder.names(day)
                unnamed = [name for name in names if CONVERTED.fullmatch(name) and f"{day}/{name}" not in kept]
                for name in unnamed:
                    self.folder.delete(f"{day}/{name}")
                if len(unnamed) == sum(not name.startswith((".", "_")) for name in names):
                    self.folder.delete(day)
                    continue
                if foreign := [name for name in names if name.endswith(".parquet") and not CONVERTED.fullmatch(name)]:
                    raise ConversionError(
                        f"expected only files of earlier conversions in {self.output}, found {day}/{foreign[0]}; "
                        "remove it, or choose another output"
                    )
        for name in self.quarantine.names():
            if QUARANTINED.fullmatch(name) and name not in self.manifest["quarantine"]:
                self.quarantine.delete(name)
        self.folder.delete("_staging")
        self.quarantine.delete("_staging")
        runs = set(self.manifest["runs"])
        for kind in ("files", "index"):
            for run in self.folder.names(f"_conversion/{kind}"):
                if run not in runs:
                    self.folder.delete(f"_conversion/{kind}/{run}")
        for name in self.folder.names("_conversion"):
            if name.endswith(".half") or MANIFEST.fullmatch(name) and name != manifest_name(self.number):
                self.folder.delete(f"_conversion/{name}")

    def commit(self, manifest: dict) -> None:
        """Makes the manifest the current one, in one step; then tidies."""
        self.number, self.manifest = self.number + 1, manifest
        self.folder.write(f"_conversion/{manifest_name(self.number)}", json.dumps(manifest, indent=1))
        self.tidy()


MANIFEST = re.compile(r"manifest-(\d{8})\.json")
CONVERTED = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}-\d+\.parquet")
QUARANTINED = re.compile(r"quarantine-\d{8}T\d{6}Z-[0-9a-f]{8}-\d+\.json")


def manifest_name(number: int) -> str:
    return f"manifest-{number:08}.json"


def read_manifest(folder: Folder) -> tuple[int, dict | None]:
    """The number and content of an output's current manifest; 0 and None when there is none."""
    numbers = [int(found[1]) for name in folder.names("_conversion") if (found := MANIFEST.fullmatch(name))]
    if not numbers:
        return 0, None
    return max(numbers), json.loads(folder.read(f"_conversion/{manifest_name(max(numbers))}"))


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """The rows of a conversion's output, as its manifest names them: right at any moment, also while a run is going on.

    Parquet without a manifest is read as it lies there. Columns come in the order of COLUMNS, others after them.
    Raises ConversionError when there are columns, but not those of the conversion.
    """
    path = path.rstrip("/")
    _, manifest = read_manifest(Folder(spark, path))
    names = [name for files in (manifest or {"partitions": {}})["partitions"].values() for name in files]
    begun = manifest is None and Folder(spark, path).names("_conversion")  # a first run that has not ended
    if begun or manifest and not names:
        return spark.createDataFrame([], SCHEMA)
    paths = [f"{path}/{name}" for name in names] or [path]
    frame = spark.read.option("mergeSchema", "true").option("basePath", path).parquet(*paths)
    if manifest and manifest["query"] != fingerprint(QUERY, EVENT):
        return frame
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConversionError(f"expected parquet of this project in {path}; it lacks the columns {', '.join(missing)}")
    return frame.select(*COLUMNS, *(name for name in frame.columns if name not in COLUMNS))


def fingerprint(query: str, schema: str) -> str:
    return hashlib.sha256(f"{schema}\n{query}".encode()).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------- one conversion


def json_into_parquet(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    quarantine_path: str | None = None,
    *,
    query: str = QUERY,
    schema: str = EVENT,
    full: bool = False,
) -> dict:
    """Converts the JSON lines of the files below `input_path` that are new or have changed; all of them if `full`.

    Returns the counts of this run {"files", "lines", "converted", "duplicates", "quarantined", "replaced"}, where
    `replaced` is how many earlier rows made way for a later publication or a changed file; "rows", what the output
    holds now; and the paths. Raises ConversionError, with the output as it was, when there is nothing to read, when the
    paths overlap, when the query does not fit, when another run is under way, or when the counts do not add up.
    """
    input_path, output_path = input_path.rstrip("/"), output_path.rstrip("/")
    quarantine_path = (quarantine_path or sibling(output_path, "quarantine")).rstrip("/")
    if not holds_files(spark, input_path):
        raise ConversionError(f"expected JSON lines below {input_path}, found no file there; has anything landed?")
    check_apart({"input": input_path, "output": output_path, "quarantine": quarantine_path})
    no_events = f"{ROW}, {with_landing(schema)}, line STRING, eventTime TIMESTAMP, publishTime TIMESTAMP"
    run_query(spark.createDataFrame([], no_events), query, schema)  # before anything is touched
    with Lock(spark, output_path) as lock, settings(spark, CONVERTING):
        table = Table(spark, output_path, quarantine_path)
        table.tidy()
        run = Run(table, input_path, query, schema, full)
        try:
            return run.convert(lock) | {"parquet": output_path, "quarantine": quarantine_path}
        finally:
            for frame in run.cached:
                frame.unpersist()
            spark.catalog.dropTempView("events")
            table.folder.delete("_staging")
            table.quarantine.delete("_staging")


class Run:
    """One conversion: from the files to be read to the manifest."""

    def __init__(self, table: Table, input_path: str, query: str, schema: str, full: bool):
        self.table, self.spark, self.input_path = table, table.spark, input_path
        self.query, self.schema, self.full = query, schema, full
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        self.staging = f"{table.output}/_staging/{self.id}"
        self.bookkeeping = f"{table.output}/_conversion"
        self.cached: list[DataFrame] = []

    def convert(self, lock: Lock) -> dict:
        began = time.monotonic()
        self.expect(self.table.manifest["rows"])
        files, voided = self.files_to_read()
        number, *times = files.agg(F.count("file"), F.min("modified"), F.max("modified")).first()
        counts = {"files": number, "lines": 0, "converted": 0, "duplicates": 0, "quarantined": 0, "replaced": 0}
        if not number:
            log.info("nothing new below %s", self.input_path)
            return counts | {"rows": self.table.manifest["rows"]}
        log.info("%d files to convert", number)
        lines = self.read(files, number, times)
        staged, counts["lines"] = self.stage(lines)
        keys, found, counts["quarantined"] = self.identify(staged)
        # The files are read once more where that number says too little. Spark does not read on behind a query's LIMIT,
        # and counts the lines of a lost task twice.
        if found != counts["lines"] or (self.query, self.schema) != (QUERY, EVENT):
            counts["lines"] = lines.count()
        if found != counts["lines"]:
            raise ConversionError(
                f"expected one row of the query for each of {counts['lines']} lines, found {found}: it must neither "
                "drop nor multiply rows. To quarantine a line let its eventId or dt be null"
            )
        log.info("%d lines read, %.1f s", counts["lines"], time.monotonic() - began)
        self.expect(self.table.manifest["rows"] + found)
        with ThreadPoolExecutor(1) as beside:  # small jobs, between which Spark plans more than it works
            quarantine = beside.submit(self.write_quarantine, staged, counts["quarantined"], voided)
            losers, removed = self.judge(keys, voided)
            counts["duplicates"] = losers.count()
            counts["converted"] = found - counts["quarantined"] - counts["duplicates"]
            counts["replaced"] = 0 if removed is None else removed.count()
            partitions = self.write_days(keys, staged, losers, counts["duplicates"], removed)
            quarantine = quarantine.result()
        rows = sum(one["rows"] for day in partitions.values() for one in day.values())
        before = 0 if self.full else self.table.manifest["rows"]
        if rows != before + counts["converted"] - counts["replaced"]:
            raise ConversionError(f"the counts do not add up: {before} rows before, {rows} now, {counts}")
        lock.check()
        self.publish(files)
        earlier = [] if self.full else self.table.manifest["runs"]
        self.table.commit(
            {
                "run": self.id,
                "runs": [*earlier, self.id],
                "query": fingerprint(self.query, self.schema),
                "voided": [] if self.full else [*self.table.manifest["voided"], *voided],
                "rows": rows,
                "partitions": partitions,
                "quarantine": quarantine,
                "quarantine_path": self.table.quarantine.path,
            }
        )
        log.info("%s, %.1f s", counts, time.monotonic() - began)
        return counts | {"rows": rows}

    def expect(self, rows: int) -> None:
        """Spreads what is compared from here on over tasks for so many rows."""
        tasks = max(self.spark.sparkContext.defaultParallelism, rows // ROWS_A_TASK)
        self.spark.conf.set("spark.sql.shuffle.partitions", str(tasks))

    def files_to_read(self) -> tuple[DataFrame, list[list[str]]]:
        """The files that are new or changed (`file`, `size`, `modified`), and [file, run] of what they make void.

        When a row that a changed file gave disappears, what it had beaten as a duplicate comes to light again; so the
        files that hold such a duplicate are read again too.
        """
        listed = (
            self.spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .option("pathGlobFilter", "*[!~]")
            .load(self.input_path)
            .select(
                F.col("_metadata.file_path").alias("file"),
                F.col("length").alias("size"),
                F.col("modificationTime").alias("modified"),
            )
        )
        if self.full or not self.table.manifest["runs"]:
            return self.cache(listed.where("size > 0")), []
        known = self.table.input_files().withColumnsRenamed({"size": "old_size", "modified": "old_modified"})
        compared = listed.join(known, "file", "left")
        as_it_was = "run IS NOT NULL AND size = old_size AND modified = old_modified"
        changed = self.cache(compared.where(f"run IS NOT NULL AND NOT ({as_it_was})").select("file", "run"))
        fresh = compared.where(f"NOT coalesce({as_it_was}, false)")
        if changed.isEmpty():
            return self.cache(fresh.select("file", "size", "modified").where("size > 0")), []
        index = self.table.index()
        lost = index.join(F.broadcast(changed), ["file", "run"]).select("eventId").distinct()
        again = index.join(lost, "eventId", "left_semi").select("file").distinct().join(known, "file", "left_semi")
        both = fresh.select("file").unionAll(again).distinct()
        files = self.cache(listed.join(both, "file"))
        void = known.join(files, "file", "left_semi").select("file", "run")
        return files, [list(row) for row in void.collect()]

    def read(self, files: DataFrame, number: int, times: list[datetime]) -> DataFrame:
        """The lines (`value`, `file`) of so many files, whose times lie between the two, that are not blank."""
        # As text, not as JSON: a line that is a JSON array would become several rows, a blank line none at all. The
        # dt=… folders are only where landing puts files; `dt` follows from the event, whatever folder it lies in.
        lines = self.spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "*[!~]")
        lines = lines.text(self.input_path)
        lines = lines.where(F.col("_metadata.file_modification_time").between(*times))
        if number <= LISTED_FILES and self.table.manifest["runs"]:
            lines = lines.where(F.col("_metadata.file_path").isin([row.file for row in files.select("file").collect()]))
        about = {"file": "file_path", "size": "file_size", "modified": "file_modification_time"}
        about = [F.col(f"_metadata.{column}").alias(name) for name, column in about.items()]
        # What has landed or changed since the files were listed waits for the next run.
        lines = lines.select("value", *about).join(F.broadcast(files), ["file", "size", "modified"], "left_semi")
        return lines.where(rf"{begins_visibly('value')} OR value RLIKE r'[^\s\ufeff]'").select("value", "file")

    def stage(self, lines: DataFrame) -> tuple[DataFrame, int]:
        """The query's rows of the lines, those of a day together, which wait in the files of Spark's shuffle; and how
        many lines were read, counted before they are parsed.

        So they are parsed once, however often they are read, and written once before they are parquet. DataFrames made
        of the same one would each parse again: only an RDD keeps its shuffle. One that a lost machine takes with it is
        made again by Spark, with the same `_row.id`s, since those follow from the files.
        """
        lines = lines.observe("lines", F.count(F.lit(1)).alias("lines"))
        rows = self.by_day(run_query(parse_lines(lines, self.schema), self.query, self.schema))
        execution = rows._jdf.queryExecution()
        staged = self.spark._jsparkSession.internalCreateDataFrame(execution.toRdd(), rows._jdf.schema(), False)
        seen = execution.observedMetrics()  # without "lines" where Spark 3.5 found that nothing was to be done
        return DataFrame(staged, self.spark), seen.apply("lines").getLong(0) if seen.contains("lines") else 0

    def by_day(self, rows: DataFrame) -> DataFrame:
        # Many partitions, so that hardly two days share one: Spark joins small ones again, but it splits a large one
        # between two tasks wherever it is full, and leaves a few rows of a day to one of them.
        self.spark.conf.set("spark.sql.shuffle.partitions", CONVERTING["spark.sql.shuffle.partitions"])
        rows.createOrReplaceTempView("events")  # the hint in SQL: PySpark 3.5 cannot name columns in it
        return self.spark.sql("SELECT /*+ REBALANCE(dt) */ * FROM events")

    def identify(self, staged: DataFrame) -> tuple[DataFrame, int, int]:
        """Writes what tells the staged events apart to the index, and returns it, where `id` is the row's number in
        this run; and how many rows are staged, and how many of them are no event.

        Until a manifest names the run, nobody looks at it.
        """
        about = [F.col(f"_row.{name}").alias(name) for name in ("publishTime", "messageId", "file", "hash", "id")]
        seen = Observation("staged")
        keys = staged.observe(seen, F.count(F.lit(1)).alias("rows"), F.count("_row.reason").alias("quarantined"))
        keys = keys.where("_row.reason IS NULL").select("eventId", *about, "dt", F.lit(self.id).alias("run"))
        keys.write.parquet(f"{self.bookkeeping}/index/{self.id}")
        keys = self.spark.read.schema(keys.schema).parquet(f"{self.bookkeeping}/index/{self.id}")
        return keys, seen.get["rows"], seen.get["quarantined"]

    def judge(self, keys: DataFrame, voided: list[list[str]]) -> tuple[DataFrame, DataFrame | None]:
        """The `id`s of staged rows that lose against another row of their eventId; and the rows of the table that have
        to go (`eventId`, `dt`), since a staged row wins or their file has changed; None where none can."""
        if self.full or not self.table.manifest["runs"]:
            return self.cache(number_copies(contested(keys)).where("copy > 1").select("id")), None
        void = self.spark.createDataFrame(voided, "file STRING, run STRING").withColumn("gone", F.lit(True))
        index = self.table.index().join(F.broadcast(void), ["file", "run"], "left")
        touched = self.cache(keys.select("eventId").unionAll(index.where("gone").select("eventId")).distinct())
        # The index is of all runs, and stays where it is when a few events are compared with it.
        known = F.broadcast(touched) if touched.count() <= ROWS_A_TASK else touched
        old = self.cache(index.join(known, "eventId", "left_semi"))
        names = ["eventId", "publishTime", "messageId", "file", "hash", "id", "dt"]
        contenders = keys.select(*names, F.lit(True).alias("new"))
        contenders = contenders.unionAll(old.where("gone IS NULL").select(*names, F.lit(False).alias("new")))
        numbered = self.cache(number_copies(contested(contenders)).select("eventId", "id", "new", "copy"))
        winners = numbered.where("copy = 1").select("eventId", "new")
        were = number_copies(old).where("copy = 1").select("eventId", "dt", "gone")
        # One that nobody contests any more is the winner itself.
        removed = were.join(winners, "eventId", "left").where("gone OR coalesce(new, false)").select("eventId", "dt")
        return self.cache(numbered.where("new AND copy > 1").select("id")), self.cache(removed)

    def write_days(
        self, keys: DataFrame, staged: DataFrame, losers: DataFrame, lost: int, removed: DataFrame | None
    ) -> dict:
        """Stages the files of the days that change, and returns all partitions as they will be.

        A day with rows to be removed is written anew; one that only gets rows keeps its large files as they are.
        """
        partitions = {} if self.full else {day: dict(files) for day, files in self.table.manifest["partitions"].items()}
        replaced = {}
        if partitions:
            added = keys.join(losers, "id", "left_anti").groupBy("dt").count().collect()
            added = {row.dt: row["count"] for row in added if row.dt in partitions}
            shrunk = {row.dt for row in removed.select("dt").distinct().collect()}
            replaced = {day: to_merge(partitions[day], rows) for day, rows in added.items()}
            replaced |= {day: list(partitions[day]) for day in shrunk & {*partitions}}
        fresh = staged.where("_row.reason IS NULL")
        few = lost <= ROWS_A_TASK  # so few that each task can know them all, and the rows stay where they are
        losers = F.broadcast(losers) if few else losers
        rows = fresh.join(losers, F.col("_row.id") == losers.id, "left_anti").drop("_row")
        old = [self.table.rows_of(names) for names in replaced.values() if names]
        if old:
            old = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), old)
            rows = rows.unionByName(old.join(removed, ["eventId", "dt"], "left_anti"), allowMissingColumns=True)
        self.write(rows if few and not old else self.by_day(rows))
        for day, names in replaced.items():
            for name in names:
                del partitions[day][name]
        self.moves = []
        for name, size, rows in self.staged_files():
            day = name.split("/")[0]
            self.moves.append((name, f"{day}/{self.id}-{len(self.moves):05}.parquet"))
            partitions.setdefault(unescaped(day), {})[self.moves[-1][1]] = {"rows": rows, "bytes": size}
        return {day: files for day, files in sorted(partitions.items()) if files}

    def write(self, rows: DataFrame) -> None:
        rows = rows.sortWithinPartitions("dt", "eventId")
        writing = rows.write.mode("append").partitionBy("dt").option("compression", "snappy")
        for name in ("eventId", "docId", "messageId", "payload"):  # no two alike: a dictionary is tried in vain
            writing = writing.option(f"parquet.enable.dictionary#{name}", "false")
        writing.parquet(f"{self.staging}/days")

    def staged_files(self) -> list[tuple[str, int, int]]:
        """The files that `write` has staged: name below the folder of days, size in bytes, rows."""
        if not self.table.folder.names(f"_staging/{self.id}/days"):
            return []
        about = F.col("_metadata.file_path").alias("path"), F.col("_metadata.file_size").alias("size")
        files = self.spark.read.schema("eventId STRING").parquet(f"{self.staging}/days").groupBy(*about).count()
        found = [(unquote(row.path).split(f"/{self.id}/days/")[1], row.size, row["count"]) for row in files.collect()]
        return sorted(found)

    def write_quarantine(self, staged: DataFrame, quarantined: int, voided: list[list[str]]) -> list[str]:
        """Adds the lines that are no event to the quarantine, and takes those of changed files out of it.

        Returns the names of the quarantine's files. Raises ConversionError when a line would be missing there.
        """
        folder, kept = self.table.quarantine, []
        if not self.full and self.table.manifest.get("quarantine_path") == folder.path:
            kept = list(self.table.manifest["quarantine"])
        lines = staged.where("_row.reason IS NOT NULL").select("_row.file", "_row.reason", "_row.line")
        self.quarantine_moves = []
        again = bool(kept and voided)
        if not quarantined and not again:
            return kept
        expected = quarantined
        if again:
            void = self.spark.createDataFrame([row[:1] for row in voided], "file STRING")
            old = self.spark.read.schema(lines.schema).json([f"{folder.path}/{name}" for name in kept])
            old = old.join(void, "file", "left_anti")
            lines, kept, expected = lines.unionAll(old), [], quarantined + old.count()
        written = Observation("quarantine")
        lines = lines.repartition(1 + expected // ROWS_A_TASK).observe(written, F.count(F.lit(1)).alias("lines"))
        lines.write.json(f"{folder.path}/_staging")
        if written.get["lines"] != expected:
            raise ConversionError(f"expected {expected} lines in the quarantine, wrote {written.get['lines']}")
        for name, size in sorted(folder.names("_staging").items()):
            if size and not name.startswith(("_", ".")):
                self.quarantine_moves.append((f"_staging/{name}", f"quarantine-{self.id}-{len(kept)}.json"))
                kept.append(self.quarantine_moves[-1][1])
        return kept

    def publish(self, files: DataFrame) -> None:
        """Records the run's files, and moves what is staged to where it belongs; no reader looks at it yet."""
        run = F.lit(self.id).alias("run")
        files.select("file", "size", "modified", run).coalesce(1).write.parquet(f"{self.bookkeeping}/files/{self.id}")
        for name, final in self.moves:
            self.table.folder.rename(f"_staging/{self.id}/days/{name}", final)
        for name, final in self.quarantine_moves:
            self.table.quarantine.rename(name, final)

    def cache(self, frame: DataFrame) -> DataFrame:
        self.cached.append(frame.persist())
        return self.cached[-1]


def to_merge(files: dict[str, dict], rows: int) -> list[str]:
    """The names of a day's small files that are worth writing again together with so many new rows.

    That is while they are at most four times the new rows: so a row is written again a few times at most, however
    often rows arrive, and a day has few small files.
    """
    small = {name: file for name, file in files.items() if file["bytes"] < SMALL_FILE_BYTES}
    return list(small) if small and sum(file["rows"] for file in small.values()) <= 4 * rows else []


def unescaped(folder: str) -> str:
    """The day that a folder's name holds; Spark writes some characters as %XX there."""
    return unquote(folder.partition("=")[2])


# --------------------------------------------------------------------------------------------------- what is where


def holds_files(spark: SparkSession, path: str, ending: str = "") -> bool:
    """Whether a file of some size, and not hidden from Spark, lies at or below the path (gs:// or local)."""
    hadoop_path = spark._jvm.org.apache.hadoop.fs.Path(path)
    file_system = hadoop_path.getFileSystem(spark._jsc.hadoopConfiguration())
    if not file_system.exists(hadoop_path):
        return False
    root = file_system.makeQualified(hadoop_path).toString()
    files = file_system.listFiles(hadoop_path, True)
    while files.hasNext():
        status = files.next()
        name = status.getPath().toString()
        hidden = re.search(r"(^|/)[._]", name.removeprefix(root) or name.rpartition("/")[2])
        if status.getLen() > 0 and not hidden and name.endswith(ending):
            return True
    return False


def sibling(path: str, name: str) -> str:
    parent, separator, _ = path.rpartition("/")
    return f"{parent}{separator}{name}"


def check_apart(paths: dict[str, str]) -> None:
    """Raises ConversionError when one of the paths lies in another: writing it would delete what is read."""
    for name, path in paths.items():
        for other, other_path in paths.items():
            if name != other and f"{path}/".startswith(f"{other_path}/"):
                raise ConversionError(f"the {name} path {path} lies in the {other} path {other_path}; choose another")


# ---------------------------------------------------------------------------------------------- the command


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="spark_sql.py",
        description="Converts landed JSON lines to parquet, one row an eventId, partitioned by day. Only files that "
        "are new or changed since the last run are read.",
        epilog="examples:\n"
        "  spark-submit spark_sql.py gs://ml_input/input/ gs://ml_input/parquet/\n"
        "  spark-submit spark_sql.py --sql=invoices.sql --schema=invoices.ddl invoices/ invoices_parquet/\n\n"
        "the query that is in use without --sql:\n" + QUERY.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("input_path", metavar="INPUT", help="a folder of JSON lines, gs:// or local")
    parser.add_argument("output_path", metavar="OUTPUT", help="where the parquet goes")
    parser.add_argument(
        "--quarantine_path",
        metavar="PATH",
        help="where lines that are no event go (default: quarantine beside the output)",
    )
    parser.add_argument(
        "--sql",
        metavar="FILE",
        help="a query of your own, SELECT … FROM events, that yields at least eventId and dt",
    )
    parser.add_argument(
        "--schema",
        metavar="FILE",
        help="the fields of your own documents, as Spark's DDL: number STRING, total DOUBLE, …",
    )
    parser.add_argument(
        "--full", action="store_true", help="start over: convert all files again and replace what OUTPUT holds"
    )
    return parser.parse_args(argv)


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    arguments = parse_arguments(argv)
    started = time.time()
    try:
        texts = {flag: read_text(path) for flag in ("sql", "schema") if (path := getattr(arguments, flag))}
    except (OSError, UnicodeDecodeError) as error:
        print(f"spark_sql.py: --sql and --schema expect text files: {error}", file=sys.stderr)
        return 2
    try:
        spark = open_session("brigade-convert")
        summary = json_into_parquet(
            spark,
            arguments.input_path,
            arguments.output_path,
            arguments.quarantine_path,
            query=texts.get("sql", QUERY),
            schema=texts.get("schema", EVENT),
            full=arguments.full,
        )
    except ConversionError as problem:
        print(f"spark_sql.py: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(summary | {"seconds": round(time.time() - started, 1)}), flush=True)
    return 0
