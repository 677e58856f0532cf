"""How fast PREDICT is on this machine: next to the model alone, and with ten times the documents.

    python -m benchmarks.prediction                        10,000 and 100,000 documents of 1.5 kB
    python -m benchmarks.prediction --documents=1000000    100,000 and 1,000,000: 3 GB of disk, some minutes

The documents are made up and the same on every machine: parquet over 28 days, as a conversion leaves it. The model has
20 classes and knows the words of some of the documents. *Alone* is `DocumentModel.predict`, called text by text in two
processes of Python at once, without Spark and files. PREDICT runs with `local[2]`; the start of the session is not
counted. Prints a table on standard error and one line of JSON on standard output. The exit status is 1 when a target is
missed: at least 70 % of the documents a second that the model predicts alone, and at most 11 times the time for 10
times the documents. Other work on the machine distorts both; the CPU time beside them, that of all processes of PREDICT
with Java, it distorts less.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.landed_mail import mail
from benchmarks.sessions import concluded, in_session, peak_mib, say
from brigade.conversion.schema import COLUMNS
from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.folder import write_run
from brigade.models.manifest import DOCUMENTS_PREFIX, FORMAT_VERSION, utc_now
from brigade.models.text_features import FeatureParameters, hashed_counts
from brigade.storage import folder_at

CHARACTERS, CLASSES, DAYS, SAMPLE = 1500, 20, 28, 20_000
MODEL = f"{DOCUMENTS_PREFIX}-2026-01-05"
LEAST_SHARE, MOST_TIMES = 0.7, 11


def text(number: int) -> str:
    """The text of a document; all are different."""
    _, pairs = mail()
    return " ".join(random.Random(number).choices(pairs, k=130))[:CHARACTERS]


def write_documents(path: str, number: int) -> None:
    """Parquet of so many documents, spread over DAYS."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for name in COLUMNS if name != "dt"]
    for day in range(DAYS):
        own = range(day, number, DAYS)
        columns = {name: pa.nulls(len(own), pa.string()) for name in names}
        columns |= {"eventId": pa.array([f"event-{one:09}" for one in own]), "payload": pa.array(map(text, own))}
        (folder := Path(path, f"dt=2026-10-{day + 1:02}")).mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / "documents.parquet")


def write_model(uri: str) -> DocumentModel:
    """A promoted model with random weights for the words and pairs of some documents."""
    parameters, draw = FeatureParameters(shortest=1, beginning=5), np.random.default_rng(1)
    places = np.unique(np.concatenate([hashed_counts(text(one), parameters)[0] for one in range(5000)]))
    model = DocumentModel(
        [f"class {number}" for number in range(CLASSES)],
        parameters,
        places,
        draw.uniform(1, 8, len(places)).astype(np.float32),
        draw.normal(size=(len(places), CLASSES)).astype(np.float32),
        draw.normal(size=CLASSES).astype(np.float32),
        Calibration(3.0, 0.4),
    )
    run = {"formatVersion": FORMAT_VERSION, "runId": "benchmark", "createdAt": utc_now(), "promoted": True}
    run |= {"reason": "for a benchmark", "label": "superTag01", "codeVersion": "1"}
    golden = {"payload": text(0), "probabilities": [*model.probabilities(text(0))]}
    with tempfile.TemporaryDirectory() as scratch:
        model.save(Path(scratch))
        files = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}
    write_run(folder_at(uri), MODEL, run, files | {"golden.jsonl": json.dumps(golden).encode()})
    return model


def seconds_alone(model: DocumentModel, first: int, ready) -> tuple[float, float]:
    """How long one process takes for SAMPLE documents, while another one does the same; and its CPU seconds."""
    texts = [text(number) for number in range(first, first + SAMPLE)]
    for one in texts[:500]:
        model.predict(one)
    ready.wait()
    started, worked = time.perf_counter(), time.process_time()
    for one in texts:
        model.predict(one)
    return time.perf_counter() - started, time.process_time() - worked


def alone(model: DocumentModel) -> tuple[float, float]:
    """The documents a second that two processes predict, without anything around the model; and those a CPU second."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager, context.Pool(2) as pool:
        ready = manager.Barrier(2)
        took = pool.starmap(seconds_alone, [(model, first, ready) for first in (0, SAMPLE)], chunksize=1)
    return 2 * SAMPLE / max(seconds for seconds, _ in took), 2 * SAMPLE / sum(cpu for _, cpu in took)


def cpu_seconds() -> float:
    """The CPU time of this process and of all below it so far: Java and Spark's Python workers. Linux."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            found[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    tree, added = set(), {os.getpid()}
    while added:
        tree |= added
        added = {pid for pid, (parent, _) in found.items() if parent in added}
    return sum(found[pid][1] for pid in tree if pid in found) / os.sysconf("SC_CLK_TCK")


def predicting(spark, inputs: list[tuple[str, int]], models: str, output: str) -> list[dict]:
    """Predicts each input (path, documents) in turn, and the last one once more, when nothing is left to do."""
    from brigade.prediction.run import predict

    found = []
    for number, (path, documents) in enumerate([*inputs, inputs[-1]]):
        started, worked = time.perf_counter(), cpu_seconds()
        done = predict(spark, path, f"{output}/{min(number, len(inputs) - 1)}", models)
        seconds, worked = time.perf_counter() - started, cpu_seconds() - worked
        rows = spark.read.parquet(done["predictions"]).select("eventId").distinct().count()
        found.append({"documents": documents, "predicted": done["predicted"], "seconds": round(seconds, 1)})
        found[-1]["cpu_seconds"] = round(worked, 1)
        if rows != documents or done["predicted"] not in (0, documents):
            raise RuntimeError(f"expected predictions of {documents} documents, found {rows}: {done}")
    return [one | {"java_peak_mib": peak_mib(spark.sparkContext._gateway.proc.pid)} for one in found]


def measured(documents: int, memory: str) -> tuple[dict, list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        model, models = write_model(f"{scratch}/models"), f"{scratch}/models"
        rate, cpu_rate = alone(model)
        say(f"the model alone, on two cores: {rate:,.0f} documents a second ({len(model.places):,} features)")
        sizes = (2000, documents // 10, documents)  # the first one warms Spark up
        inputs = [(f"{scratch}/{size}", size) for size in sizes]
        for path, size in inputs:
            write_documents(path, size)
        values = {"inputs": inputs, "models": models, "output": f"{scratch}/predictions"}
        _, few, many, again = in_session("prediction", "predicting", scratch, memory, **values)
    for run in (few, many, again):
        what = f"{run['documents']:>10,} documents, {run['predicted']:>10,} predicted"
        say(f"{what}: {run['seconds']:8.1f} s, {run['cpu_seconds']:8.1f} CPU s")
    share = round(many["documents"] / many["seconds"] / rate, 3)
    times = round(many["seconds"] / few["seconds"], 2)
    cpu_share = round(many["documents"] / many["cpu_seconds"] / cpu_rate, 3)
    say(f"a CPU second of PREDICT does {cpu_share:.0%} of what one of the model alone does")
    say(f"PREDICT does {share:.0%} of what the model does alone; ten times the documents take {times} times the time")
    missed = [] if share >= LEAST_SHARE else [f"share: expected at least {LEAST_SHARE}, found {share}"]
    missed += [] if times <= MOST_TIMES else [f"times: expected at most {MOST_TIMES}, found {times}"]
    about = {
        "alone_documents_a_second": round(rate),
        "runs": [few, many, again],
        "share_of_alone": share,
        "cpu_share_of_alone": cpu_share,
    }
    return about | {"times_the_time": times}, missed


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prediction",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--documents", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--driver_memory", default="2g", metavar="SIZE", help="Java's heap (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    return concluded("prediction", *measured(arguments.documents, arguments.driver_memory))


if __name__ == "__main__":
    sys.exit(main())
