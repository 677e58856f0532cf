"""What the benchmarks of serving share: the models, the two functions as processes, the client beside them."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from benchmarks import sessions, training
from benchmarks.open_loop import agrees
from benchmarks.sessions import memory_mib
from brigade.models.document_model import Calibration, DocumentModel
from brigade.models.manifest import DESCRIPTION_FILE, DOCUMENTS_PREFIX, FORMAT_VERSION, WEIGHTS_FILE, model_name
from brigade.models.table_model import TableModel
from brigade.models.text_features import FeatureParameters
from local import emulators, guard
from local.services import OUTPUT_BUCKET, PROJECT, Services, function_command

ROOT = Path(__file__).parent.parent
SOURCES = {"brigade": ROOT / "cloud_function" / "main.py", "plain": ROOT / "benchmarks" / "plain_function" / "main.py"}
SIDES = tuple(SOURCES)


@contextlib.contextmanager
def cloud() -> Iterator[Services]:
    """The emulators, with their topics and buckets; nothing stays on the disk."""
    with tempfile.TemporaryDirectory() as folder, Services(Path(folder)) as services:
        services.start_emulators()
        services.create_resources()
        yield services


@contextlib.contextmanager
def on_core(number: int) -> Iterator[None]:
    """What is started meanwhile stays on that core. Raises RuntimeError when there is none; Linux."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) <= number:
        raise RuntimeError(f"expected {number + 1} cores, found {len(allowed)}")
    os.sched_setaffinity(0, {sorted(allowed)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


# --------------------------------------------------------------------------------------- the 20 Newsgroups models


@dataclass(frozen=True)
class Trained:
    """The models of 20 Newsgroups: the folder of the project's, the folder of its run, and two joblib files."""

    project: Path
    run: Path
    plain: Path
    hashing: Path

    def expected(self, side: str, texts: list[str]) -> dict[str, list[dict]]:
        """Run id ("" for the plain model) → what the function has to answer, computed here."""
        if side == "brigade":
            files = ((self.run / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE))
            model = DocumentModel.from_bytes(*files)
            return {self.run.name: [model.predict(text) for text in texts]}
        os.environ["MODEL_FILE"] = str(self.plain)
        from benchmarks.plain_function.main import classified  # it loads the model when it is imported

        return {"": classified(texts)}


def trained(data: str, models: str) -> Trained:
    """The models in a folder; they are trained first when they are not there."""
    folder = Path(models).absolute()
    project, plain, hashing = folder / "output", folder / "plain.joblib", folder / "hashing.joblib"
    if not list(project.glob("*/manifest.json")):
        with training.as_parquet(data, "20ng") as (train, test), tempfile.TemporaryDirectory() as scratch:
            values = {"folder": train, "test": test, "models": str(project)}
            sessions.say(f"trained: {sessions.in_session('functions', 'train', scratch, '1500m', **values)['path']}")
    for path, make in ((plain, plain_pipeline), (hashing, hashing_pipeline)):
        if not path.exists():
            train_pipeline(make(), data, path)
    (manifest,) = project.glob("*/manifest.json")
    run = manifest.parent / "runs" / json.loads(manifest.read_text("utf-8"))["runId"]
    return Trained(project, run, plain, hashing)


def train(spark, folder: str, test: str, models: str) -> dict:
    from brigade.training.run import train as run_training

    return run_training(spark, folder, models, test_path=test)


def plain_pipeline():
    """The usual pipeline: a vocabulary of words and pairs, logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression())


def hashing_pipeline():
    """The usual one without a vocabulary, of as many hashed features as the project's model."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    words = HashingVectorizer(ngram_range=(1, 2), n_features=FeatureParameters().size, alternate_sign=False, norm=None)
    return make_pipeline(words, TfidfTransformer(sublinear_tf=True), SGDClassifier(loss="log_loss", random_state=0))


def train_pipeline(pipeline, data: str, path: Path) -> None:
    """Fits it to the training part; writes a joblib file."""
    import joblib

    labels, texts = zip(*training.documents(data, "20ng", 0), strict=True)
    joblib.dump(pipeline.fit(texts, labels), path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)  # half a file is none
    sessions.say(f"trained: {path}")


def texts_of(data: str, words: int, count: int) -> list[str]:
    """So many different texts of so many words: the test part of 20 Newsgroups in no order, cut into pieces."""
    documents = training.documents(data, "20ng", 1)
    random.Random(0).shuffle(documents)
    found: list[str] = []
    for _, text in documents:
        found += text.split()
        if len(found) >= words * count:
            return [" ".join(found[number * words : (number + 1) * words]) for number in range(count)]
    raise RuntimeError(f"expected {words * count} words of test documents, found {len(found)}")


# -------------------------------------------------------------------------------------------------- small models


def small_model(seed: int) -> DocumentModel:
    """Random weights for every place: other probabilities for each seed. 1.3 MB, so that a model that stays is seen."""
    rng, parameters = np.random.default_rng(seed), FeatureParameters(hash_bits=15)
    return DocumentModel(
        classes=[f"class-{number}" for number in range(8)],
        parameters=parameters,
        places=np.arange(parameters.size, dtype=np.int32),
        idf=rng.uniform(1, 5, parameters.size).astype(np.float32),
        weights=rng.normal(size=(parameters.size, 8)).astype(np.float32),
        intercept=rng.normal(size=8).astype(np.float32),
        calibration=Calibration(scale=3.0),
    )


def write_model(folder: Path, number: int, texts: list[str], promoted: bool) -> tuple[str, list[dict]]:
    """Writes a small model, that of the number's day, as training does; its name, and its predictions for the texts."""
    name, model = model_name(DOCUMENTS_PREFIX, date(2025, 1, 6) + timedelta(number)), small_model(number)
    golden = [{"payload": text, "probabilities": model.probabilities(text).tolist()} for text in texts]
    write_run(folder, name, f"run-{number}", model, golden, promoted)
    return name, [model.predict(text) for text in texts]


def write_run(
    folder: Path, name: str, run_id: str, model: DocumentModel | TableModel, golden: list[dict], promoted: bool = True
) -> None:
    """Writes a model as training does, the manifest last."""
    run = folder / name / "runs" / run_id
    run.mkdir(parents=True)
    model.save(run)
    (run / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in golden), "utf-8")
    contents = {path.name: path.read_bytes() for path in sorted(run.iterdir())}
    manifest = {
        "formatVersion": FORMAT_VERSION,
        "runId": run_id,
        "createdAt": f"{name[-10:]}T02:00:00Z",
        "promoted": promoted,
        "reason": "a benchmark's",
        "label": "superTag01",
        "codeVersion": "benchmark",
        "files": [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        ],
    }
    (folder / name / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def upload(folder: Path) -> None:
    """Copies a folder of models to where the functions look, each model's manifest last."""
    from google.cloud import storage

    bucket = storage.Client(project=PROJECT).bucket(OUTPUT_BUCKET)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: path.name == "manifest.json"):
        bucket.blob(f"output/{path.relative_to(folder)}").upload_from_filename(path)


# ------------------------------------------------------------------------------------------- processes beside it


def children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def framework(services: Services, target: str) -> int:
    """The process id of functions-framework, which leads the group of its workers; the guard is its parent."""
    (pid,) = children(services.processes[target].pid)
    return pid


def workers(services: Services, target: str) -> list[int]:
    """The process ids of a function's workers; none when it has ended."""
    return children(framework(services, target)) if services.processes[target].poll() is None else []


def memory(services: Services) -> dict[str, float]:
    """MiB of the worker of `predict`, now and at most, and of its whole group, where shared pages count once."""
    server = framework(services, "predict")
    (worker,) = workers(services, "predict")
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (server, worker)]
    shares = [int(line.split()[1]) for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:")]
    mib = {"rss_mib": memory_mib(worker, "VmRSS"), "peak_mib": memory_mib(worker, "VmHWM")}
    return mib | {"group_mib": round(sum(shares) / 1024, 1)}


class Beside:
    """A benchmark's module in a process of its own, on a core of its own. It takes a plan and prints one line of JSON;
    what else it says is shown when it fails."""

    def __init__(self, module: str, scratch: str | Path, plan: dict, core: int):
        path, self.log = Path(scratch, f"{module}.json"), Path(scratch, f"{module}.log")
        path.write_text(json.dumps(plan), "utf-8")
        command = [sys.executable, "-m", f"benchmarks.{module}", path]
        with on_core(core), open(self.log, "wb") as output:
            self.process = guard.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output)

    def answer(self) -> dict:
        """What it prints at its end. Raises RuntimeError."""
        try:
            found = self.process.stdout.read()
        finally:
            status = guard.stop(self.process)
        if status:
            raise RuntimeError(f"{self.log.stem} ended with {status}: {self.log.read_text('utf-8', 'replace')[-1000:]}")
        return json.loads(found)


def first_answer(services: Services, side: str, request: dict, expected: list[dict], **environment: str) -> float:
    """Seconds from the start of the function's process to its first correct answer."""
    body = json.dumps(request).encode()
    port, started = emulators.free_port(), time.perf_counter()
    process = services.start("predict", function_command("predict", SOURCES[side], port), **environment)
    try:
        while time.perf_counter() < started + 120 and process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("POST", "/", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
            except OSError:  # nobody listens yet
                time.sleep(0.005)
                continue
            finally:
                connection.close()
            if response.status == 200:
                if not agrees(json.loads(content)["predictions"], expected):
                    raise RuntimeError(f"{side}: the first answer is wrong")
                return time.perf_counter() - started
            time.sleep(0.005)
        raise RuntimeError(f"{side}: no answer; its last words: {services.log('predict').read_text()[-1000:]}")
    finally:
        services.stop("predict")
