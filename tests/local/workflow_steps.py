"""A workflow template to change, and the program of its steps."""

import json

from google.cloud import dataproc_v1

PARENT = "projects/brigade-test/regions/us-central1"

# One program for all steps, which does what the pipeline's own do with gs:// folders.
STEP = """
import pathlib, sys, time
step, source, target = sys.argv[1:4]
if step in ("meet", "fail"):  # `source` is the file that it makes, `target` the one that it waits for
    pathlib.Path(source).touch()
    while not pathlib.Path(target).exists():
        time.sleep(0.05)
    if step == "fail":
        raise ValueError("no documents to learn from")
    sys.exit()
import labels
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
if step == "convert":
    rows = spark.read.text(source, recursiveFileLookup=True)
    for _ in range(2):
        rows.write.mode("overwrite").parquet(target)
else:
    rows = spark.read.parquet(source).rdd.map(lambda row: __import__("labels").NAME + row.value)
    Path = spark._jvm.org.apache.hadoop.fs.Path
    system = Path(target).getFileSystem(spark._jsc.hadoopConfiguration())
    with open("model.txt", "w") as file:
        file.write(",".join(sorted(rows.collect())))
    system.copyFromLocalFile(False, True, Path("model.txt"), Path(target + "/new.txt"))
    system.rename(Path(target + "/new.txt"), Path(target + "/model.txt"))
    system.delete(Path(target + "/stale.txt"), False)
    system.copyToLocalFile(Path(target + "/model.txt"), Path("back.txt"))
    print("read back:", open("back.txt").read())
"""


def step(step_id: str, *args: str, after: tuple[str, ...] = ()) -> dict:
    job = {
        "mainPythonFileUri": "gs://ml_code/step.py",
        "pythonFileUris": ["gs://ml_code/labels.py"],
        "args": list(args),
        "properties": {
            "spark.driver.memory": "1g",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        },
    }
    return {"stepId": step_id, "pysparkJob": job} | ({"prerequisiteStepIds": list(after)} if after else {})


def template(**changes) -> dict:
    """`convert` then `train`, written in the other order, with a parameter each."""
    return {
        "id": "brigade",
        "labels": {"app": "brigade"},
        "placement": {"managedCluster": {"clusterName": "brigade", "config": {}}},
        "dagTimeout": "3600s",
        "jobs": [
            step("train", "train", "-", "gs://ml_output/output", after=("convert",)),
            step("convert", "convert", "-", "gs://ml_input/parquet"),
        ],
        "parameters": [
            {"name": "INPUT", "fields": ["jobs['convert'].pysparkJob.args[1]"]},
            {
                "name": "PARQUET",
                "fields": ["jobs['convert'].pysparkJob.args[2]", "jobs[train].pysparkJob.args[1]"],
            },
        ],
    } | changes


def message(body: dict) -> dataproc_v1.WorkflowTemplate:
    return dataproc_v1.WorkflowTemplate.from_json(json.dumps(body))


def nodes(operation) -> dict[str, dataproc_v1.WorkflowNode]:
    return {node.step_id: node for node in operation.metadata.graph.nodes}
