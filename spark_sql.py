"""CONVERT: landed JSON lines → parquet, with SparkSQL.

What enters: a folder of JSON lines, one event a line, as `pubsub_gcs.py` lands them (or plain files of raw events that
somebody copied there; .gz too). What leaves: parquet partitioned by `dt`, one row an `eventId` (see COLUMNS), and the
lines that are no event as JSON lines in a quarantine folder, each with its file and reason. Every line is in one of
three numbers, or the run fails: lines = converted + duplicates + quarantined.

On this machine:
    spark-submit spark_sql.py landing/input parquet
On GCP:
    gcloud dataproc jobs submit pyspark spark_sql.py --cluster=brigade-cluster --region=us-central1 \\
        -- gs://ml_input/input/ gs://ml_input/parquet/
"""

import argparse
import json
import logging
import sys
import time

from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

log = logging.getLogger("spark_sql")

# What is read of a line. `doc.metadata.otherTags` and all else is optional; fields that are not named here stay in the
# landed files. The last column receives a line whose fields do not have these types.
CORRUPT = "_corrupt_record"
EVENT = f"""
    eventId STRING, eventTimestamp STRING, eventSource STRING, eventType STRING, eventVersion STRING,
    doc STRUCT<docId: STRING, payload: STRING, metadata: STRUCT<accountId: STRING, superTag01: STRING,
        superTag02: STRING, otherTags: ARRAY<STRUCT<tagName: STRING, tagValue: STRING>>>>,
    pubsub STRUCT<messageId: STRING, publishTime: STRING>,
    {CORRUPT} STRING
"""
RFC3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\z"
COLUMNS = (
    "eventId",
    "eventTimestamp",
    "eventSource",
    "eventType",
    "eventVersion",
    "docId",
    "accountId",
    "superTag01",
    "superTag02",
    "concatOtherTags",
    "payload",
    "messageId",
    "publishTime",
    "dt",
)
SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # An event may carry any year from 1 to 9999; without this, one before 1900 ends the job on Spark 3.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.sources.partitionOverwriteMode": "static",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}


class ConversionError(Exception):
    """The input cannot be converted; the message says what was expected, what was found, and what to do."""


def open_session(name: str) -> SparkSession:
    """The session that spark-submit set up, with the settings that this project's results depend on."""
    builder = SparkSession.builder.appName(name)
    for key, value in SESSION.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")  # else a job's own lines drown
    return session


def parse_lines(lines: DataFrame) -> DataFrame:
    """Lines (`value`, `file`) → the event's columns beside them, and `reason`: null for an event, else why it is none.

    The reason codes are those of landing's dead letters, as far as they can occur here.
    """
    event = F.from_json("value", EVENT, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT})
    parsed = lines.withColumn("event", event)
    # from_json stops at the end of the first object, and what stands behind it would be lost.
    single = F.coalesce(F.expr("json_array_length(concat('[', value, ']'))"), F.lit(0)) == 1
    time_of, published = moment("event.eventTimestamp"), moment("event.pubsub.publishTime")
    blank = ~F.col("event.doc.payload").rlike(r"(?U)[^\s\x1c-\x1f]")  # what Python's str.strip leaves empty
    missing = (
        (F.coalesce(F.col("event.eventId"), F.lit("")) == "")
        | F.col("event.eventTimestamp").isNull()
        | (F.coalesce(F.col("event.doc.docId"), F.lit("")) == "")
        | F.col("event.doc.payload").isNull()
    )
    return parsed.select(
        "value",
        "file",
        F.when(F.col(f"event.{CORRUPT}").isNotNull() | F.col("event").isNull() | ~single, "malformed_json")
        .when(missing, "missing_field")
        .when(time_of.isNull(), "bad_timestamp")
        .when(blank, "empty_payload")
        .alias("reason"),
        F.col("event.eventId").alias("eventId"),
        time_of.alias("eventTimestamp"),
        F.col("event.eventSource").alias("eventSource"),
        F.col("event.eventType").alias("eventType"),
        F.col("event.eventVersion").alias("eventVersion"),
        F.col("event.doc.docId").alias("docId"),
        F.col("event.doc.metadata.accountId").alias("accountId"),
        F.col("event.doc.metadata.superTag01").alias("superTag01"),
        F.col("event.doc.metadata.superTag02").alias("superTag02"),
        F.expr(
            "array_join(transform(event.doc.metadata.otherTags,"
            " tag -> concat(coalesce(tag.tagName, ''), ':', coalesce(tag.tagValue, ''))), '|')"
        ).alias("concatOtherTags"),
        F.col("event.doc.payload").alias("payload"),
        F.col("event.pubsub.messageId").alias("messageId"),
        published.alias("publishTime"),
        F.date_format(F.coalesce(published, time_of), "yyyy-MM-dd").alias("dt"),
    )


def moment(column: str) -> Column:
    """A column of RFC 3339 texts as timestamps; null for any other text, and outside the years 1 to 9999 in UTC."""
    # The cast alone would take a bare date, a year or an hour of today too. Upper case, since RFC 3339 allows a small
    # t and z, and Spark takes the large ones only.
    time_of = F.expr(f"try_cast(upper({column}) AS TIMESTAMP)")
    years = F.expr("TIMESTAMP'0001-01-01T00:00:00Z'"), F.expr("TIMESTAMP'9999-12-31T23:59:59.999999Z'")
    return F.when(F.col(column).rlike(RFC3339) & time_of.between(*years), time_of)


def number_copies(events: DataFrame) -> DataFrame:
    """Adds `copy`: 1 for the first published of each eventId, 2, 3, … for what repeats it."""
    first = Window.partitionBy("eventId").orderBy(
        F.col("publishTime").asc_nulls_last(),
        F.col("messageId").asc_nulls_last(),
        F.col("file"),
        F.col("value"),
    )
    return events.withColumn("copy", F.row_number().over(first))


def json_into_parquet(
    spark: SparkSession, input_path: str, output_path: str, quarantine_path: str | None = None
) -> dict:
    """Converts all JSON lines below `input_path`, replacing what `output_path` and `quarantine_path` held.

    Returns the counts {"lines", "converted", "duplicates", "quarantined"} and the paths. Raises ConversionError when
    there is nothing to read, when the paths overlap, or when the counts do not add up.
    """
    input_path, output_path = input_path.rstrip("/"), output_path.rstrip("/")
    quarantine_path = (quarantine_path or sibling(output_path, "quarantine")).rstrip("/")
    check_apart({"input": input_path, "output": output_path, "quarantine": quarantine_path})
    if not holds_files(spark, input_path):
        raise ConversionError(f"expected JSON lines below {input_path}, found no file there; has anything landed?")

    # As text, not as JSON: a line that is a JSON array would become several rows, a blank line none at all.
    # The dt=… folders are only where landing puts files; `dt` follows from the event, whatever folder it lies in.
    lines = (
        spark.read.option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*[!~]")
        .text(input_path)
        .select("value", F.col("_metadata.file_path").alias("file"))
        .where(F.col("value").rlike(r"\S"))
    )
    parsed = parse_lines(lines)

    # Lines are counted where the quarantine is written: Spark drops the rest of a plan with a shuffle, its observations
    # included, once the shuffle turns out to be empty.
    read, kept = Observation("read"), Observation("kept")
    events = parsed.where("reason IS NULL")
    numbered = number_copies(events).observe(kept, F.count(F.when(F.col("copy") > 1, 1)).alias("duplicates"))
    (
        numbered.where("copy = 1")
        .select(*COLUMNS)
        .write.mode("overwrite")
        .partitionBy("dt")
        .option("compression", "snappy")
        .parquet(output_path)
    )
    (
        parsed.observe(read, F.count(F.lit(1)).alias("lines"), F.count("reason").alias("bad"))
        .where("reason IS NOT NULL")
        .select("file", "reason", F.col("value").alias("line"))
        .write.mode("overwrite")
        .json(quarantine_path)
    )
    any_event = read.get["lines"] > read.get["bad"]
    counts = {
        "lines": read.get["lines"],
        "converted": read_parquet(spark, output_path).count() if any_event else 0,
        "duplicates": kept.get["duplicates"] if any_event else 0,
        "quarantined": spark.read.schema("file STRING, reason STRING, line STRING").json(quarantine_path).count(),
    }
    if counts["lines"] != counts["converted"] + counts["duplicates"] + counts["quarantined"]:
        raise ConversionError(f"the counts do not add up, lines = converted + duplicates + quarantined: {counts}")
    return counts | {"parquet": output_path, "quarantine": quarantine_path}


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """What json_into_parquet wrote, in the order of COLUMNS. Raises ConversionError naming those that are missing."""
    frame = spark.read.parquet(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConversionError(f"expected parquet of this project in {path}; it lacks the columns {', '.join(missing)}")
    return frame.select(*COLUMNS)


def holds_files(spark: SparkSession, path: str, ending: str = "") -> bool:
    """Whether a file of some size, and not hidden from Spark, lies at or below the path (gs:// or local)."""
    hadoop_path = spark._jvm.org.apache.hadoop.fs.Path(path)
    file_system = hadoop_path.getFileSystem(spark._jsc.hadoopConfiguration())
    if not file_system.exists(hadoop_path):
        return False
    files = file_system.listFiles(hadoop_path, True)
    while files.hasNext():
        status = files.next()
        name = status.getPath().getName()
        if status.getLen() > 0 and not name.startswith(("_", ".")) and name.endswith(ending):
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


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="spark_sql.py",
        description="Converts landed JSON lines to parquet, one row an eventId, partitioned by day.",
        epilog="example:\n  spark-submit spark_sql.py gs://ml_input/input/ gs://ml_input/parquet/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input_path", metavar="INPUT", help="a folder of JSON lines, gs:// or local")
    parser.add_argument("output_path", metavar="OUTPUT", help="where the parquet goes; what is there is replaced")
    parser.add_argument(
        "--quarantine_path",
        metavar="PATH",
        help="where lines that are no event go (default: quarantine beside the output)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    arguments = parse_arguments(argv)
    started = time.time()
    try:
        spark = open_session("brigade-convert")
        summary = json_into_parquet(spark, arguments.input_path, arguments.output_path, arguments.quarantine_path)
    except ConversionError as problem:
        print(f"spark_sql.py: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(summary | {"seconds": round(time.time() - started, 1)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
