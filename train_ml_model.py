"""TRAIN: parquet → candidates → evaluation → gate → a dated model. PySpark and scikit-learn.

What enters: landed JSON (converted first, by `spark_sql.json_into_parquet`) or the parquet that was made of it. What
leaves: `<OUTPUT>/doc-classification-model-YYYY-MM-DD/`, a manifest and the run's files below `runs/<run id>/`:
weights, description, metrics, the data's version, golden documents and a report. The manifest says whether the model
is promoted: only if it is at least as good as the model that serves now, on the same held-out documents.

The classifier is linear and trained by iterative parameter mixing (McDonald, Hall, Mann 2010): in each round every
partition runs one epoch of scikit-learn's SGDClassifier from the shared weights, and the weights are averaged. A round
moves one weight matrix, whatever the number of documents.

On this machine:
    spark-submit --py-files spark_sql.py,cloud_function/document_model.py train_ml_model.py landing/input models
On GCP:
    gcloud dataproc jobs submit pyspark train_ml_model.py --cluster=brigade-cluster --region=us-central1 \\
        --py-files=spark_sql.py,cloud_function/document_model.py -- gs://ml_input/input/ gs://ml_output/output/
"""

import argparse
import hashlib
import html
import json
import logging
import re
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import document_model
import numpy as np
from document_model import DocumentModel, FeatureParameters, hashed_counts, probabilities, weighted
from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import spark_sql

log = logging.getLogger("train_ml_model")

MODEL_PREFIX = "doc-classification-model-"
ROUNDS = 8
ALPHA = 1e-5  # regularisation of the SGDClassifier
CHUNK_ROWS = 2000  # documents that a worker holds as one matrix
MIN_DOCUMENTS = 20
MAX_WEIGHTS = 1 << 27  # weights of one model: 512 MiB as float32
TEMPERATURES = np.geomspace(0.02, 5, 60)
GOLDEN_DOCUMENTS = 20


class TrainingError(Exception):
    """No model can be trained of this input; the message says what was expected, what was found, and what to do."""


# ---------------------------------------------------------------------------------------------------- documents


def labelled_documents(events: DataFrame, label_column: str) -> DataFrame:
    """Events → `payload`, `label` (null where there is none) and `place`, a number that equal texts share."""
    if label_column not in events.columns:
        raise TrainingError(f"expected a label column, found no {label_column} among {', '.join(events.columns)}")
    label = F.trim(F.col(label_column).cast("string"))
    return events.select(
        "payload",
        F.when(label != "", label).alias("label"),
        F.xxhash64("payload").alias("place"),
    )


def split(documents: DataFrame, parts: dict[str, float]) -> dict[str, DataFrame]:
    """Documents → one frame a part, of about these fractions. Equal texts fall into the same part.

    The cuts are quantiles of the texts' hashes, so that even few documents fill every part.
    """
    bounds = np.cumsum(list(parts.values()))[:-1].tolist()
    cuts = documents.stat.approxQuantile("place", bounds, 0.0005)
    edges = [None, *cuts, None]
    place = F.col("place").cast("double")
    frames = {}
    for name, low, high in zip(parts, edges, edges[1:], strict=False):
        frame = documents if low is None else documents.where(place > low)
        frames[name] = frame if high is None else frame.where(place <= high)
    return frames


# ----------------------------------------------------------------------------------------------------- training


@dataclass
class Matrix:
    """Some documents of one partition as a sparse matrix: rows [indptr, places, values] and their classes."""

    indptr: np.ndarray
    places: np.ndarray
    values: np.ndarray
    classes: np.ndarray


def count_features(rows: Iterable, parameters: FeatureParameters, index: dict[str, int]) -> Iterator[Matrix]:
    """Rows (payload, label) → matrices of up to CHUNK_ROWS documents, values still plain counts."""
    counted, classes = [], []
    for row in rows:
        counted.append(hashed_counts(row.payload, parameters))
        classes.append(index[row.label])
        if len(classes) == CHUNK_ROWS:
            yield stacked(counted, classes)
            counted, classes = [], []
    if classes:
        yield stacked(counted, classes)


def stacked(rows: list[tuple[np.ndarray, np.ndarray]], classes: Iterable[int]) -> Matrix:
    return Matrix(
        np.concatenate([[0], np.cumsum([len(places) for places, _ in rows])]).astype(np.int32),
        np.concatenate([places for places, _ in rows]),
        np.concatenate([values for _, values in rows]),
        np.asarray(classes, np.int32),
    )


def document_frequencies(matrices: Iterable[Matrix], size: int) -> Iterator[np.ndarray]:
    """One array a partition: in how many of its documents each feature occurs, int32 [size]; last, its documents."""
    frequencies = np.zeros(size + 1, np.int32)
    for matrix in matrices:
        frequencies[:size] += np.bincount(matrix.places, minlength=size).astype(np.int32)
        frequencies[size] += len(matrix.classes)
    yield frequencies


def inverse_frequencies(frequencies: np.ndarray, documents: int) -> np.ndarray:
    """ln((1 + n) / (1 + df)) + 1, float32 [features]; 0 for a feature of a single document, which teaches nothing."""
    rare = 1 if documents < 100 else 2
    idf = np.log((1 + documents) / (1 + frequencies)) + 1
    return np.where(frequencies >= rare, idf, 0).astype(np.float32)


def weigh(matrix: Matrix, idf: np.ndarray) -> Matrix:
    rows = [
        weighted(matrix.places[start:end], matrix.values[start:end], idf)
        for start, end in zip(matrix.indptr, matrix.indptr[1:], strict=False)
    ]
    return Matrix(matrix.indptr, matrix.places, np.concatenate(rows), matrix.classes)


@dataclass
class Weights:
    """What a round shares: coefficients [rows, features], intercepts [rows], and updates so far.

    There is one row a class, and a single one where there are two classes.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    updates: float = 1.0
    parts: int = 1

    def __add__(self, other: "Weights") -> "Weights":
        return Weights(
            self.coefficients + other.coefficients,
            self.intercepts + other.intercepts,
            self.updates + other.updates,
            self.parts + other.parts,
        )

    def mean(self) -> "Weights":
        return Weights(self.coefficients / self.parts, self.intercepts / self.parts, self.updates / self.parts)


def epoch(matrices: Iterable[Matrix], start: Weights, classes: int, seed: int) -> Iterator[Weights]:
    """One partition's epoch from the shared weights: its own weights after it. Nothing for a partition without rows."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import SGDClassifier

    learner = None
    for matrix in matrices:
        features = csr_matrix(
            (matrix.values, matrix.places, matrix.indptr), (len(matrix.classes), start.coefficients.shape[1])
        )
        if learner is None:
            learner = SGDClassifier(loss="hinge", alpha=ALPHA, random_state=seed)
            # A first call makes room for the weights, whose values are then replaced by the shared ones.
            learner.partial_fit(features[:1], matrix.classes[:1], classes=np.arange(classes))
            learner.coef_[:], learner.intercept_[:], learner.t_ = (
                start.coefficients,
                start.intercepts,
                start.updates,
            )
        learner.partial_fit(features, matrix.classes)
    if learner is not None:
        yield Weights(learner.coef_.astype(np.float32), learner.intercept_.astype(np.float32), learner.t_)


def fit(spark: SparkSession, documents: DataFrame, classes: list[str], parameters: FeatureParameters) -> DocumentModel:
    """A model of these documents (`payload`, `label`), not yet calibrated."""
    context = spark.sparkContext
    index = {name: number for number, name in enumerate(classes)}
    partitions = max(context.defaultParallelism, documents.rdd.getNumPartitions())
    # In the order of the texts' hashes, since classes may come one after the other.
    spread = documents.repartition(partitions, "place").sortWithinPartitions("place").select("payload", "label")
    counted = spread.rdd.mapPartitions(lambda rows: count_features(rows, parameters, index))
    counted = counted.persist(StorageLevel.MEMORY_AND_DISK)
    size = parameters.size
    frequencies = counted.mapPartitions(lambda part: document_frequencies(part, size)).treeReduce(np.add)
    idf = inverse_frequencies(frequencies[:size], int(frequencies[size]))
    shared_idf = context.broadcast(idf)
    matrices = counted.map(lambda matrix: weigh(matrix, shared_idf.value)).persist(StorageLevel.MEMORY_AND_DISK)

    rows = 1 if len(classes) == 2 else len(classes)
    weights = Weights(np.zeros((rows, size), np.float32), np.zeros(rows, np.float32))
    later = []
    for number in range(ROUNDS):
        shared = context.broadcast(weights)
        mixed = matrices.mapPartitions(
            lambda part, shared=shared, seed=number: epoch(part, shared.value, len(classes), seed)
        )
        weights = mixed.treeReduce(lambda one, other: one + other).mean()
        shared.destroy()
        if number > 0:  # the first round's weights are still far off
            later = [later[0] + weights] if later else [weights]
        log.info("round %d of %d", number + 1, ROUNDS)
    matrices.unpersist()
    counted.unpersist()
    final = later[0].mean()
    coefficients, intercepts = final.coefficients, final.intercepts
    if rows == 1:  # two classes: the second one's score, and its opposite for the first
        coefficients, intercepts = (
            np.vstack([-coefficients, coefficients]),
            np.hstack([-intercepts, intercepts]),
        )
    return DocumentModel(classes, parameters, idf, np.ascontiguousarray(coefficients.T), intercepts)


# --------------------------------------------------------------------------------------------------- evaluation


@dataclass
class Evaluation:
    """What a model made of documents whose labels are known; sums that add up over partitions.

    pairs: how often each (label, predicted) came. losses: for each of TEMPERATURES, the sum of -ln p(label).
    bins: for each tenth of confidence, [documents, right ones, sum of confidences].
    """

    pairs: Counter = field(default_factory=Counter)
    losses: np.ndarray = field(default_factory=lambda: np.zeros(len(TEMPERATURES)))
    bins: np.ndarray = field(default_factory=lambda: np.zeros((10, 3)))

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(self.pairs + other.pairs, self.losses + other.losses, self.bins + other.bins)

    @property
    def documents(self) -> int:
        return sum(self.pairs.values())

    @property
    def accuracy(self) -> float:
        return sum(count for (label, predicted), count in self.pairs.items() if label == predicted) / self.documents

    @property
    def baseline(self) -> float:
        """The accuracy that naming the commonest label would give."""
        supports: Counter = Counter()
        for (label, _), count in self.pairs.items():
            supports[label] += count
        return max(supports.values()) / self.documents


def evaluate_rows(rows: Iterable, model: DocumentModel) -> Iterator[Evaluation]:
    index = {name: number for number, name in enumerate(model.classes)}
    found = Evaluation()
    for row in rows:
        scores = model.scores(row.payload)
        likely = probabilities(scores, model.temperature)
        best = int(np.argmax(likely))
        right = model.classes[best] == row.label
        found.pairs[row.label, model.classes[best]] += 1
        found.bins[min(int(likely[best] * 10), 9)] += (1, right, likely[best])
        if row.label in index:
            by_temperature = probabilities(np.repeat(scores[None, :], len(TEMPERATURES), 0) / TEMPERATURES[:, None], 1)
            found.losses -= np.log(np.maximum(by_temperature[:, index[row.label]], 1e-12))
    yield found


def evaluate(documents: RDD, model: DocumentModel) -> Evaluation:
    """The model's work on documents (rows of `payload`, `label`), computed where they lie."""
    shared = documents.context.broadcast(model)
    return documents.mapPartitions(lambda rows: evaluate_rows(rows, shared.value)).treeReduce(lambda a, b: a + b)


def metrics(evaluation: Evaluation) -> dict:
    """Accuracy, macro F1, figures a class, confusions (most frequent first) and calibration of an evaluation."""
    pairs = evaluation.pairs
    classes = {}
    for name in sorted({label for label, _ in pairs}):
        right = pairs[name, name]
        support = sum(count for (label, _), count in pairs.items() if label == name)
        predicted = sum(count for (_, guess), count in pairs.items() if guess == name)
        classes[name] = {
            "precision": round(right / predicted, 4) if predicted else 0.0,
            "recall": round(right / support, 4),
            "f1": round(2 * right / (support + predicted), 4),
            "documents": support,
        }
    bins = [
        {"documents": int(count), "accuracy": round(right / count, 4), "confidence": round(total / count, 4)}
        for count, right, total in evaluation.bins
        if count
    ]
    gap = sum(one["documents"] * abs(one["accuracy"] - one["confidence"]) for one in bins) / evaluation.documents
    return {
        "accuracy": round(evaluation.accuracy, 4),
        "macroF1": round(sum(one["f1"] for one in classes.values()) / len(classes), 4),
        "baseline": round(evaluation.baseline, 4),
        "documents": evaluation.documents,
        "expectedCalibrationError": round(gap, 4),
        "classes": classes,
        "confusions": [[*pair, count] for pair, count in pairs.most_common() if pair[0] != pair[1]][:200],
        "calibration": bins,
    }


def decide_promotion(challenger: float, champion: float | None, baseline: float) -> tuple[bool, str]:
    """Whether the new model is to serve, and why. All are accuracies on the same documents.

    `champion` is the serving model's, None when there is none; `baseline` is what naming the commonest class gives.
    """
    if challenger <= baseline:
        return (
            False,
            f"accuracy {challenger:.4f} is no better than naming the commonest class, {baseline:.4f}",
        )
    if champion is None:
        return True, f"first model, accuracy {challenger:.4f}"
    if challenger >= champion:
        return True, f"accuracy {challenger:.4f}, the serving model's {champion:.4f} on the same documents"
    return (
        False,
        f"accuracy {challenger:.4f} is below the serving model's {champion:.4f} on the same documents",
    )


# ------------------------------------------------------------------------------------------------ model folder


class ModelFolder:
    """The models below a path, gs:// or local, through the file systems that Spark knows."""

    def __init__(self, spark: SparkSession, path: str):
        self.hadoop = spark._jvm.org.apache.hadoop.fs
        self.path = path.rstrip("/")
        self.file_system = self.hadoop.Path(self.path).getFileSystem(spark._jsc.hadoopConfiguration())

    def copy_in(self, local: Path, name: str) -> None:
        """Copies a local file to `<path>/<name>`, replacing what is there."""
        target = self.hadoop.Path(f"{self.path}/{name}")
        self.file_system.copyFromLocalFile(False, True, self.hadoop.Path(f"file://{local}"), target)

    def read(self, name: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "copy")
            # The last argument: without the local file system's checksum files.
            source = self.hadoop.Path(f"{self.path}/{name}")
            self.file_system.copyToLocalFile(False, source, self.hadoop.Path(f"file://{copy}"), True)
            return copy.read_bytes()

    def names(self) -> list[str]:
        """The names of the dated model folders, newest first."""
        root = self.hadoop.Path(self.path)
        found = self.file_system.listStatus(root) if self.file_system.exists(root) else []
        names = [status.getPath().getName() for status in found]
        return sorted((name for name in names if name.startswith(MODEL_PREFIX)), reverse=True)

    def is_promoted(self, name: str) -> bool:
        """Whether the dated model of that name is there and may serve."""
        try:
            return json.loads(self.read(f"{name}/manifest.json"))["promoted"] is True
        except Exception:  # Py4J's error for a file that is not there, or a manifest that is none
            return False

    def champion(self) -> tuple[str, DocumentModel] | None:
        """The newest promoted model, with its name; what cannot be read is passed over with a warning."""
        for name in self.names():
            try:
                manifest = json.loads(self.read(f"{name}/manifest.json"))
                if manifest["promoted"]:
                    files = [
                        self.read(f"{name}/runs/{manifest['runId']}/{file}")
                        for file in (document_model.DESCRIPTION_FILE, document_model.WEIGHTS_FILE)
                    ]
                    return name, DocumentModel.from_bytes(*files)
            except Exception as error:  # Py4J and damaged files alike: this model cannot serve, so it is no champion
                log.warning("passing over %s: %s", name, str(error).splitlines()[0])
        return None


def data_version(spark: SparkSession, path: str) -> list[dict]:
    """The files below a path with size in bytes and SHA-256, computed where they lie."""
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = files.select("path", "length", F.sha2("content", 256).alias("sha256")).orderBy("path")
    return [{"file": row.path, "size": row.length, "sha256": row.sha256} for row in rows.toLocalIterator()]


def code_version() -> str:
    """The SHA-256 of the three files that a model depends on, first 12 digits."""
    digest = hashlib.sha256()
    for module_file in (__file__, spark_sql.__file__, document_model.__file__):
        digest.update(Path(module_file).read_bytes())
    return digest.hexdigest()[:12]


def report(name: str, run: dict, figures: dict) -> str:
    """The run as one HTML page that needs nothing beside it."""
    test, champion = figures["test"], figures["champion"]

    def table(head: list[str], rows: Iterable[Iterable]) -> str:
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><tr>{''.join(f'<th>{html.escape(one)}</th>' for one in head)}</tr>{cells}</table>"

    bars = "".join(
        f'<div class="bar"><span>{bin["confidence"]:.2f}</span><i style="width:{bin["accuracy"] * 60:.1f}%"></i>'
        f"<b>{bin['accuracy']:.2f} of {bin['documents']}</b></div>"
        for bin in test["calibration"]
    )
    validation = ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in figures["validation"].items())
    facts = [
        ("promoted", f"{'yes' if run['promoted'] else 'no'}: {run['reason']}"),
        ("accuracy", f"{test['accuracy']:.4f} on {test['documents']} held-out documents"),
        ("macro F1", f"{test['macroF1']:.4f}"),
        ("commonest class", f"{test['baseline']:.4f}"),
        ("serving model", f"{champion['name']}: {champion['accuracy']:.4f}" if champion else "none yet"),
        ("calibration error", f"{test['expectedCalibrationError']:.4f}"),
        ("documents", ", ".join(f"{value} {key}" for key, value in figures["documents"].items())),
        ("features", f"{figures['ngrams']}-grams, by accuracy on the validation documents: {validation}"),
        ("run", f"{run['runId']}, code {run['codeVersion']}"),
    ]
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}}
table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}}
.bar{{display:flex;gap:.6rem;align-items:center}}.bar i{{background:#3b7dd8;height:1rem}}</style>
<h1>{name}</h1>{table(["", ""], facts)}
<h2>Classes</h2>{
        table(
            ["class", "documents", "precision", "recall", "F1"],
            (
                (key, one["documents"], one["precision"], one["recall"], one["f1"])
                for key, one in test["classes"].items()
            ),
        )
    }
<h2>Most frequent confusions</h2>{table(["label", "predicted", "documents"], test["confusions"][:20])}
<h2>Calibration</h2><p>For each tenth of confidence: mean confidence, and the share that was right.</p>{bars}</html>
"""


# ------------------------------------------------------------------------------------------------------- the run


def load_events(
    spark: SparkSession, path: str, parquet_path: str, quarantine_path: str | None = None
) -> tuple[DataFrame, str]:
    """The events below a path and where their parquet lies: there, or in `parquet_path` once JSON is converted."""
    if spark_sql.holds_files(spark, path, ".parquet"):
        return spark_sql.read_parquet(spark, path), path
    counts = spark_sql.json_into_parquet(spark, path, parquet_path, quarantine_path)
    log.info("converted: %s", counts)
    if not counts["rows"]:
        raise TrainingError(f"expected documents below {path}; none of its {counts['lines']} lines is an event")
    return spark_sql.read_parquet(spark, parquet_path), parquet_path


def check_enough(documents: DataFrame, total: int, label_column: str, hash_bits: int) -> list[str]:
    """The names of the classes, sorted. Raises TrainingError when there is too little, or too much, to learn."""
    if total == 0:
        raise TrainingError("expected documents, found none")
    counts = {row.label: row["count"] for row in documents.groupBy("label").count().limit(100_000).collect()}
    unlabelled = counts.pop(None, 0)
    if not counts:
        raise TrainingError(f"expected labels in {label_column}, found none on any of {total} documents")
    if len(counts) == 1:
        raise TrainingError(f"expected at least two classes in {label_column}, found only {next(iter(counts))!r}")
    if total - unlabelled < MIN_DOCUMENTS:
        raise TrainingError(f"expected at least {MIN_DOCUMENTS} labelled documents, found {total - unlabelled}")
    if len(counts) << hash_bits > MAX_WEIGHTS:
        raise TrainingError(
            f"expected at most {MAX_WEIGHTS >> hash_bits} classes, found {len(counts)} in {label_column}; "
            "is it the right column? A smaller --hash_bits allows more"
        )
    return sorted(counts)


def train(
    spark: SparkSession,
    input_path: str,
    output_path: str,
    *,
    label_column: str = "superTag01",
    test_path: str | None = None,
    day: date | None = None,
    parquet_path: str | None = None,
    hash_bits: int = 18,
) -> dict:
    """Trains, evaluates, decides and writes a dated model; returns the run's summary.

    Raises TrainingError or spark_sql.ConversionError, and then has written no model.
    """
    started = datetime.now(UTC)
    spark.sparkContext.addPyFile(__file__)
    parquet_path = (parquet_path or spark_sql.sibling(input_path.rstrip("/"), "parquet")).rstrip("/")
    events, source = load_events(spark, input_path.rstrip("/"), parquet_path)
    documents = labelled_documents(events, label_column).persist(StorageLevel.MEMORY_AND_DISK)
    total = documents.count()
    names = check_enough(documents, total, label_column, hash_bits)
    labelled = documents.where("label IS NOT NULL")
    if test_path:
        parts = split(labelled, {"validation": 0.1, "train": 0.9})
        quarantine_path = spark_sql.sibling(parquet_path, "quarantine_test")  # the input's own stays as it is
        held_out, _ = load_events(spark, test_path.rstrip("/"), f"{parquet_path}_test", quarantine_path)
        parts["test"] = labelled_documents(held_out, label_column).where("label IS NOT NULL")
    else:
        parts = split(labelled, {"test": 0.1, "validation": 0.1, "train": 0.8})
    counts = {name: parts[name].count() for name in ("train", "validation", "test")}
    for name, count in counts.items():
        if count == 0:
            raise TrainingError(f"expected documents to {name} with, found none among {total}; are they all the same?")
    unlabelled = documents.where("label IS NULL").count()
    if total != unlabelled + counts["train"] + counts["validation"] + (0 if test_path else counts["test"]):
        raise TrainingError(f"the parts {counts} and {unlabelled} unlabelled do not add up to {total} documents")
    log.info("%d documents in %d classes: %s, %d unlabelled", total, len(names), counts, unlabelled)
    classes = sorted(row.label for row in parts["train"].select("label").distinct().collect())
    if len(classes) < 2:
        raise TrainingError(f"expected at least two classes to train with, found only {classes[0]!r}")

    rows = {name: frame.select("payload", "label").rdd for name, frame in parts.items()}
    candidates = []
    for ngrams in (1, 2):
        model = fit(spark, parts["train"], classes, FeatureParameters(hash_bits, ngrams))
        validation = evaluate(rows["validation"], model)
        log.info(
            "%d-grams: accuracy %.4f on %d validation documents",
            ngrams,
            validation.accuracy,
            validation.documents,
        )
        candidates.append((validation.accuracy, model, validation))
    _, model, validation = max(candidates, key=lambda candidate: candidate[0])
    model.temperature = float(TEMPERATURES[int(np.argmin(validation.losses))])

    folder = ModelFolder(spark, output_path)
    test = evaluate(rows["test"], model)
    champion = folder.champion()
    champion_accuracy = evaluate(rows["test"], champion[1]).accuracy if champion else None
    figures = {
        "test": metrics(test),
        "champion": {"name": champion[0], "accuracy": round(champion_accuracy, 4)} if champion else None,
        "validation": {f"{one[1].parameters.ngrams}-grams": round(one[0], 4) for one in candidates},
        "ngrams": model.parameters.ngrams,
        "documents": counts | {"unlabelled": unlabelled, "total": total},
        "temperature": model.temperature,
    }
    promoted, reason = decide_promotion(test.accuracy, champion_accuracy, test.baseline)
    name = f"{MODEL_PREFIX}{day or started.date()}"
    run = {
        "formatVersion": document_model.FORMAT_VERSION,
        "runId": f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        "createdAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "promoted": promoted,
        "reason": reason,
        "label": label_column,
        "codeVersion": code_version(),
    }
    golden = [
        {"payload": row.payload, "probabilities": model.probabilities(row.payload).tolist()}
        for row in parts["test"].where(F.length("payload") <= 10_000).orderBy("place").limit(GOLDEN_DOCUMENTS).collect()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch)
        model.save(local)
        (local / "metrics.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1), "utf-8")
        data = {"parquet": source, "files": data_version(spark, source)}
        (local / "data.json").write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in golden)
        (local / "golden.jsonl").write_text(lines, "utf-8")
        (local / "report.html").write_text(report(name, run, figures), "utf-8")
        files = []
        for path in sorted(local.iterdir()):
            content = path.read_bytes()
            files.append({"name": path.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
            folder.copy_in(path, f"{name}/runs/{run['runId']}/{path.name}")
        # Last: what has no manifest does not serve. The run keeps its own copy, so that serving can be pinned to it.
        (local / "manifest.json").write_text(json.dumps(run | {"files": files}, ensure_ascii=False, indent=1), "utf-8")
        folder.copy_in(local / "manifest.json", f"{name}/runs/{run['runId']}/manifest.json")
        if promoted or not folder.is_promoted(name):  # an earlier run of the day that serves goes on serving
            folder.copy_in(local / "manifest.json", f"{name}/manifest.json")
    return {
        "model": name,
        "runId": run["runId"],
        "path": f"{folder.path}/{name}",
        "promoted": promoted,
        "reason": reason,
        "accuracy": figures["test"]["accuracy"],
        "macroF1": figures["test"]["macroF1"],
        "documents": total,
        "trained_on": counts["train"],
        "validated_on": counts["validation"],
        "tested_on": counts["test"],
        "unlabelled": unlabelled,
        "classes": len(classes),
    }


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train_ml_model.py",
        description="Trains a document classifier and writes it as doc-classification-model-YYYY-MM-DD.",
        epilog="example:\n  spark-submit --py-files spark_sql.py,cloud_function/document_model.py \\\n"
        "      train_ml_model.py gs://ml_input/input/ gs://ml_output/output/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input_path", metavar="INPUT", help="landed JSON lines (converted first), or their parquet")
    parser.add_argument("output_path", metavar="OUTPUT", help="the folder of the dated models, gs:// or local")
    parser.add_argument("--label_column", default="superTag01", help="what to learn (default: superTag01)")
    parser.add_argument(
        "--test",
        metavar="PATH",
        help="a fixed test set, JSON or parquet (default: a tenth of the input, by text)",
    )
    parser.add_argument("--date", help="YYYY-MM-DD in the model's name (default: today, UTC)")
    parser.add_argument(
        "--parquet_path", metavar="PATH", help="where converted JSON goes (default: parquet beside INPUT)"
    )
    parser.add_argument(
        "--hash_bits",
        type=int,
        default=18,
        help="2 to this power is the number of features, 10 to 24 (default: 18)",
    )
    arguments = parser.parse_args(argv)
    try:
        if arguments.date and not re.fullmatch(r"\d{4}-\d\d-\d\d", arguments.date):
            raise ValueError(arguments.date)
        arguments.date = date.fromisoformat(arguments.date) if arguments.date else None
    except ValueError:
        parser.error(f"--date: expected YYYY-MM-DD, found {arguments.date}")
    if not 10 <= arguments.hash_bits <= 24:
        parser.error(f"--hash_bits: expected 10 to 24, found {arguments.hash_bits}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    arguments = parse_arguments(argv)
    started = time.time()
    try:
        summary = train(
            spark_sql.open_session("brigade-train"),
            arguments.input_path,
            arguments.output_path,
            label_column=arguments.label_column,
            test_path=arguments.test,
            day=arguments.date,
            parquet_path=arguments.parquet_path,
            hash_bits=arguments.hash_bits,
        )
    except (TrainingError, spark_sql.ConversionError) as problem:
        print(f"train_ml_model.py: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(summary | {"seconds": round(time.time() - started, 1)}), flush=True)
    return 0


if __name__ == "__main__":
    # Under its own name, not as `__main__`: its dataclasses travel between the driver and the workers.
    import train_ml_model

    sys.exit(train_ml_model.main())
