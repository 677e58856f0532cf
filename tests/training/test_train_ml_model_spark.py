"""TRAIN, whole runs: what they read, what they write, and what they say of data that teaches nothing."""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import date
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pyspark
import pytest

from brigade.conversion import schema as spark_sql
from brigade.models.document_model import Calibration, DocumentModel, FeatureParameters, hashed_counts
from brigade.training import run as tm
from tests.conversion.spark_cluster import JAVA, busy_workers, on_a_cluster
from tests.training.test_train_ml_model import LABELS, WORDS, confused, texts

ROOT = Path(__file__).parents[2]
MODEL = "doc-classification-model-2026-01-05"
FILES = ["data.json", "golden.jsonl", "metrics.json", "model.json", "report.html", "weights.safetensors"]
QUICK = ["--alpha=1e-4", "--ngrams=1", "--hash_bits=12", "--date=2026-01-05"]  # one candidate


@pytest.fixture(autouse=True, scope="module")
def few_rounds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TRIAL_ROUNDS": 1, "ROUNDS": 2, "LAST_ROUNDS": 1, "FEW_DOCUMENTS": 1}.items():
            patch.setattr(tm, name, value)
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("ein Büro")))  # not every path is plain
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def landed(folder: Path, rows: list[tuple]) -> str:
    """A folder with one event for each (payload, superTag01, superTag02, accountId)."""
    folder.mkdir()
    with open(folder / "raw.jsonl", "w", encoding="utf-8") as file:
        for number, (text, *tags) in enumerate(rows):
            metadata = dict(zip(("superTag01", "superTag02", "accountId"), tags, strict=False))
            event = {"eventId": f"{folder.name}-{number}", "eventTimestamp": "2019-04-02T21:55:57Z"}
            event["doc"] = {"docId": f"d{number}", "payload": text, "metadata": metadata}
            file.write(json.dumps(event) + "\n")
    return str(folder)


def contents(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text("utf-8"))


def model_of(folder: Path) -> DocumentModel:
    return DocumentModel.from_bytes(*((folder / name).read_bytes() for name in ("model.json", "weights.safetensors")))


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory) -> dict:
    """Four runs of one date: they learn accountId, most of it wrong; superTag01, which is right; superTag02, which
    calls each ship oil; and superTag02 once more, by force. All but the second have a test set with the right labels
    everywhere, two of whose texts are in the input too.
    """
    folder = tmp_path_factory.mktemp("a run")
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    rows = [(text, label, "oil" if label == "ship" else label, wrong[label]) for text, label in texts(110)]
    rows[::8] = [(text, label, merged, label) for text, label, merged, _ in rows[::8]]
    data = landed(folder / "input", [*rows, *((f"zebra zebra {number}", None, None, None) for number in range(4))])
    held = [*texts(40, seed=5), *texts(110)[:2]]
    test = landed(folder / "held_out", [(text, *[label] * 3) for text, label in held])
    models, manifest = folder / "models", folder / "models" / MODEL / "manifest.json"
    settings, manifests = {"day": date(2026, 1, 5), "hash_bits": 12}, []
    only = settings | {"alpha": 1e-4, "ngrams": 1}
    first = tm.train(spark, data, f"{models}/", label_column="accountId", test_path=f"{test}/", **only)
    manifests.append(manifest.read_bytes())
    second = tm.train(spark, f"{folder}/parquet/", str(models), **settings)
    manifests.append(manifest.read_bytes())
    arguments = [f"{folder}/parquet", str(models), "--label_column=superTag02", f"--test={folder}/parquet_test", *QUICK]
    statuses = []
    for force in ([], ["--force=ships are oil now"]):
        statuses.append(tm.main([*arguments, *force]))
        manifests.append(manifest.read_bytes())
    return {"folder": folder, "first": first, "second": second, "statuses": statuses, "manifests": manifests}


def run_folder(runs: dict, number: int) -> Path:
    return runs["folder"] / "models" / MODEL / "runs" / json.loads(runs["manifests"][number])["runId"]


@pytest.fixture(scope="module")
def second(runs) -> dict:
    """The second run's manifest, its folder and its model as it is read from its files."""
    folder = run_folder(runs, 1)
    return {"manifest": json.loads(runs["manifests"][1]), "folder": folder, "model": model_of(folder)}


# ------------------------------------------------------------------------------------------------------ what is written


def test_json_is_converted_first_and_the_test_set_beside_it(runs):
    made = {path.name for path in runs["folder"].iterdir()} - {"input", "held_out"}
    assert made == {"models", "parquet", "parquet_test"}
    first = runs["first"]
    counts = [first[name] for name in ("documents", "unlabelled", "repeated", "tested_on", "classes")]
    assert [*counts, first["trained_on"] + first["validated_on"]] == [114, 4, 2, 42, 3, 108]
    assert contents(run_folder(runs, 0), "metrics.json")["documents"]["repeated"] == 2


def test_a_better_model_follows_the_first_one(runs):
    first, second = json.loads(runs["manifests"][0]), json.loads(runs["manifests"][1])
    assert (first["promoted"], first["label"], first["runId"]) == (True, "accountId", runs["first"]["runId"])
    assert first["reason"] == f"first model: macro-F1 {runs['first']['macroF1']:.4f}"
    assert runs["first"]["macroF1"] < 0.5
    assert (second["promoted"], second["label"], second["runId"]) == (True, "superTag01", runs["second"]["runId"])
    assert second["reason"].startswith("macro-F1 1.0000, the serving model's 0.")


def test_a_worse_challenger_adds_its_run_and_leaves_the_manifest(runs):
    assert (runs["statuses"], runs["manifests"][2]) == ([0, 0], runs["manifests"][1])
    folders = {path.name: path for path in (runs["folder"] / "models" / MODEL / "runs").iterdir()}
    promoted = {json.loads(runs["manifests"][number])["runId"] for number in (0, 1, 3)}
    (third,) = set(folders) - promoted
    own = contents(folders[third], "manifest.json")
    assert (own["promoted"], own["runId"]) == (False, third)
    figures = contents(folders[third], "metrics.json")
    assert own["reason"] == (
        f"macro-F1 {figures['test']['macroF1']:.4f}, the serving model's 1.0000 on the same documents, which is lower "
        "by more than the tolerance 0.01"
    )
    assert figures["champion"]["name"] == MODEL
    assert (figures["champion"]["accuracy"], figures["champion"]["macroF1"]) == (1, 1)
    assert figures["test"]["macroF1"] < 0.7  # no ship is one


def test_force_promotes_a_worse_model_and_keeps_the_reason(runs):
    manifest = json.loads(runs["manifests"][3])
    assert (manifest["promoted"], manifest["label"]) == (True, "superTag02")
    assert re.match(
        r"forced \(ships are oil now\): macro-F1 0\.\d{4}, the serving model's 1\.0000$", manifest["reason"]
    )


def test_the_manifest_names_every_file_and_none_is_a_pickle(runs, second):
    manifest, folder = second["manifest"], second["folder"]
    assert {path.name for path in folder.glob("[!.]*")} == {*FILES, "manifest.json"}
    assert manifest["files"] == [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in ((name, (folder / name).read_bytes()) for name in FILES)
    ]
    assert (folder / "manifest.json").read_bytes() == runs["manifests"][1]
    assert {"formatVersion", "runId", "createdAt", "promoted", "reason", "label", "codeVersion"} < set(manifest)
    weights = (folder / "weights.safetensors").read_bytes()  # and the others are text: no pickle anywhere
    tensors = set(json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")]))
    assert tensors - {"__metadata__"} == {"places", "idf", "weights", "intercept"}
    assert all((folder / name).read_text("utf-8") for name in FILES[:-1])


def test_serving_computes_the_probabilities_of_the_golden_documents(second):
    golden = [json.loads(text) for text in (second["folder"] / "golden.jsonl").read_text("utf-8").splitlines()]
    assert 0 < len(golden) <= tm.GOLDEN_DOCUMENTS
    for one in golden:
        np.testing.assert_allclose(second["model"].probabilities(one["payload"]), one["probabilities"], atol=1e-6)
        assert sum(one["probabilities"]) == pytest.approx(1)


def test_metrics_agree_with_the_summary_and_the_documents(runs, second):
    figures, summary, model = contents(second["folder"], "metrics.json"), runs["second"], second["model"]
    parts = {"train": "trained_on", "validation": "validated_on", "test": "tested_on"}
    counts = {part: summary[name] for part, name in parts.items()}
    others = {"unlabelled": 4, "repeated": 0, "total": 4 + sum(counts.values())}
    assert figures["documents"] == counts | others | {"trained": counts["train"] + counts["validation"]}
    assert [figures["test"][name] for name in ("accuracy", "macroF1")] == [summary["accuracy"], summary["macroF1"]]
    assert figures["test"]["documents"] == counts["test"] == sum(
        one["documents"] for one in figures["test"]["classes"].values()
    )  # fmt: skip
    chosen = figures["chosen"]
    assert (chosen["ngrams"], chosen["features"]) == (model.parameters.ngrams, len(model.places))
    assert Calibration(chosen["scale"], chosen["slope"], chosen["center"]) == model.calibration


def test_the_candidate_that_does_best_on_the_validation_documents_is_taken(runs, second):
    figures = contents(second["folder"], "metrics.json")
    tried = {(one["alpha"], one["ngrams"]): one["accuracy"] for one in figures["candidates"]}
    assert len(tried) == len(figures["candidates"]) == 3
    assert {(1e-4, 2), (1e-5, 2)} < set(tried)
    best = figures["chosen"]["alpha"], figures["chosen"]["ngrams"]
    assert tried[best] == max(tried.values())
    (only,) = contents(run_folder(runs, 0), "metrics.json")["candidates"]  # where both are given
    assert (only["alpha"], only["ngrams"]) == (1e-4, 1)


def test_data_json_is_the_version_of_the_files_that_were_read(runs, second):
    data = contents(second["folder"], "data.json")
    assert data["parquet"] == f"{runs['folder']}/parquet"
    found = {unquote(urlparse(one["file"]).path): (one["size"], one["sha256"]) for one in data["files"]}
    files = {str(path): path.read_bytes() for path in Path(data["parquet"]).glob("dt=*/*.parquet")}
    assert found == {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()}
    assert data["test"] is None
    assert contents(run_folder(runs, 0), "data.json")["test"]["parquet"] == f"{runs['folder']}/parquet_test"


def test_documents_without_a_label_are_not_trained_on(second):
    model = second["model"]
    (zebra,) = hashed_counts("zebra", FeatureParameters(12, 1))[0]
    (wheat,) = hashed_counts("wheat", FeatureParameters(12, 1))[0]
    assert (zebra in model.places, wheat in model.places) == (False, True)


def test_a_run_that_is_killed_while_it_writes_leaves_no_manifest(spark, second, tmp_path, monkeypatch):
    local = tmp_path / "local"
    local.mkdir()
    for name in FILES:
        shutil.copy(second["folder"] / name, local)
    copy_in, steps = tm.ModelFolder.copy_in, len(FILES) + 4  # the run's manifest, and the date's between two markers
    for step in range(steps + 1):
        left = [step]

        def copy_some(folder, path, name, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt(name)
            copy_in(folder, path, name)

        monkeypatch.setattr(tm.ModelFolder, "copy_in", copy_some)
        folder = tm.ModelFolder(spark, str(tmp_path / f"models{step}"))
        if step < steps:
            with pytest.raises(KeyboardInterrupt):
                folder.write(MODEL, {"runId": "r", "promoted": True}, local, True)
        else:
            folder.write(MODEL, {"runId": "r", "promoted": True}, local, True)
        assert (tmp_path / f"models{step}" / MODEL / "manifest.json").exists() is (step >= steps - 1)
        assert (folder.champion() is not None) is (step >= steps - 1)


# --------------------------------------------------------------------------------------------------- the same once more


@pytest.fixture(scope="module")
def again(spark, second, tmp_path_factory) -> dict:
    """A run with the second one's data.json, logged to MLflow if it is there: the run's folder and its summary."""
    folder = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow puts files
        if find_spec("mlflow"):
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/runs.db")
        summary = tm.train(spark, f"{second['folder']}/data.json", f"{folder}/models", day=date(2026, 2, 1))
    return {"folder": Path(summary["path"]) / "runs" / summary["runId"], "summary": summary, "store": folder}


@pytest.mark.long
def test_a_models_data_json_gives_the_same_weights_again(second, again):
    for name in ("weights.safetensors", "model.json", "golden.jsonl"):
        assert (again["folder"] / name).read_bytes() == (second["folder"] / name).read_bytes()
    assert contents(again["folder"], "data.json") == contents(second["folder"], "data.json")
    assert again["summary"]["model"] == "doc-classification-model-2026-02-01"


def said(capsys) -> str:
    """The one line on stderr that is for people; nothing is on stdout, and there is no stack trace."""
    output = capsys.readouterr()
    (line,) = [text for text in output.err.splitlines() if text.startswith("train_ml_model.py: ")]
    assert (output.out, "Traceback" in output.err) == ("", False)
    return line


def changed(folder: Path) -> None:
    (file,) = folder.glob("parquet/dt=*/*.parquet")
    file.write_bytes(b"something else")
    (file.parent / f".{file.name}.crc").unlink()


def gone(folder: Path) -> None:
    shutil.rmtree(folder / "parquet")


def without_options(folder: Path) -> None:
    data = contents(folder, "data.json")
    del data["options"]
    (folder / "data.json").write_text(json.dumps(data))


def broken(folder: Path) -> None:
    (folder / "data.json").write_text("{")


def missing(folder: Path) -> None:
    (folder / "data.json").unlink()


@pytest.mark.parametrize(
    "damage, message",
    [
        (changed, "expected 1 files as the model's data.json names them, found 1 changed or gone: "),
        (gone, "expected the files that the model's data.json names, found none in "),
        (without_options, "expected a model's data.json in "),
        (broken, "expected a model's data.json in "),
        (missing, "expected a model's data.json, found no file "),
    ],
)
def test_a_data_json_that_cannot_be_followed_ends_with_one_line(runs, second, tmp_path, capsys, damage, message):
    shutil.copytree(runs["folder"] / "parquet", tmp_path / "parquet")
    text = (second["folder"] / "data.json").read_text("utf-8")
    (tmp_path / "data.json").write_text(text.replace(f"{runs['folder']}/parquet", f"{tmp_path}/parquet"), "utf-8")
    damage(tmp_path)
    assert tm.main([f"{tmp_path}/data.json", f"{tmp_path}/models"]) == 1
    assert message in said(capsys)
    assert not (tmp_path / "models").exists()


def frame(spark, rows: list[tuple[str, str]]):
    parts = [(text, label, "validation" if number % 10 == 3 else "train") for number, (text, label) in enumerate(rows)]
    return spark.createDataFrame(
        [(*row, f"e{number}", hash_of(row[0])) for number, row in enumerate(parts)],
        "payload string, label string, part string, eventId string, place long",
    )


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")


@pytest.mark.long
def test_the_order_of_the_input_changes_no_weight(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(tm.Trainer, "calibrate", lambda trainer: Calibration())  # which takes most of the time
    whole = frame(spark, confused(120, 0.3))
    rows = whole.collect()
    random.Random(5).shuffle(rows)
    shuffled = spark.createDataFrame(rows, whole.schema).repartition(5)
    for name, data in (("one", whole), ("two", shuffled)):
        model, _, validation = tm.fit(data, LABELS, 3, tm.Options(hash_bits=12, ngrams=2, alpha=1e-4))
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
        assert validation.documents == 12
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert np.abs(model.weights).max() > 0


def test_settings_that_are_given_are_used_and_not_chosen(spark, monkeypatch):
    monkeypatch.setattr(tm.Trainer, "calibrate", lambda trainer: Calibration())
    given = {"ngrams": 1, "alpha": 3e-5, "idf_power": 1.0}
    _, trials, _ = tm.fit(frame(spark, confused(60, 0.3)), LABELS, 1, tm.Options(hash_bits=12, **given))
    assert [trial.settings for trial in trials] == [tm.Settings(**given)]


# ----------------------------------------------------------------------------------------------------------- the report


class Page(HTMLParser):
    """A page's elements (tag, attributes, their own text); fails on one that is not closed, or closed by another."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict, list[str]]] = []
        self.open: list[tuple[str, dict, list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))
        if tag not in ("meta", "br", "hr", "img", "link", "input"):
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.open[-1][2].append(data)

    def all(self, tag: str) -> list[tuple[dict, str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.elements if name == tag]


@pytest.fixture(scope="module", params=[0, 1, 3])
def reported(runs, request) -> tuple[str, Page, dict]:
    """A run's page, as text and parsed, and its figures."""
    folder = run_folder(runs, request.param)
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text), contents(folder, "metrics.json")


def test_the_report_needs_nothing_from_elsewhere_and_fits_a_phone(reported):
    text, page, _ = reported
    assert not re.search(r"https?://|@import|url\(|<script|<link|<img", text, re.IGNORECASE)
    assert not [one for _, attributes, _ in page.elements for one in attributes if one in ("src", "href")]
    (viewport,) = [attributes["content"] for attributes, _ in page.all("meta") if attributes.get("name") == "viewport"]
    assert "width=device-width" in viewport
    assert page.all("title")[0][1] == MODEL


def test_the_report_escapes_labels_and_texts(runs, reported):
    text, page, _ = reported
    cells = [cell for _, cell in page.all("td")]
    assert LABELS[0] in cells and "<b>grain" not in text
    worst = tm.Evaluation()
    worst.add("<script>a</script>", "b", 0.9, 0.1, "1 < 2 & </pre><img src=x>")
    run = contents(run_folder(runs, 0), "manifest.json") | {"reason": "<i>because</i>", "label": "<u>"}
    figures = contents(run_folder(runs, 0), "metrics.json") | {"test": tm.metrics(worst)}
    words = {"<script>a</script>": ["<em>"]}
    page = Page(tm.report(MODEL, run, figures, worst, words, {"files": []}))
    assert {tag for tag, _, _ in page.elements} & {"script", "img", "i", "u", "em"} <= {"i"}
    assert "1 < 2 & </pre><img src=x>" in [text for _, text in page.all("pre")]
    assert [attributes for attributes, _ in page.all("i") if attributes.get("class") != "bar"] == []


def test_the_pictures_cells_count_what_the_figures_count(reported):
    _, page, figures = reported
    assert {"confusion matrix", "calibration"} <= {attributes.get("aria-label") for attributes, _ in page.all("svg")}
    found = re.findall(r"(?m)^(.+), taken for (.+): (\d+) of (\d+)$", "\n".join(text for _, text in page.all("title")))
    cells = {(label, guess): (int(count), int(of)) for label, guess, count, of in found}
    classes = {name: one for name, one in figures["test"]["classes"].items() if one["documents"]}
    assert len(found) == len(cells) == len(classes) ** 2
    for label, one in classes.items():
        assert {of for (own, _), (_, of) in cells.items() if own == label} == {one["documents"]}
        assert cells[label, label][0] == round(one["recall"] * one["documents"])
    wrong = [[*pair, count] for pair, (count, _) in cells.items() if pair[0] != pair[1] and count]
    assert sorted(wrong) == sorted(figures["test"]["confusions"])


def test_the_report_names_the_serving_model_and_the_commonest_class(reported):
    text, _, figures = reported
    cards = re.findall(r"<div>([\w -]+)<b>([\d.,]+)</b><small>([^<]*)</small>", text)
    said = {title: (value, note) for title, value, note in cards}
    commonest = f"commonest class: {figures['majority']['accuracy']:.4f}"
    assert said["accuracy"] == (f"{figures['test']['accuracy']:.4f}", commonest)
    assert said["macro-F1"][1] == f"commonest class: {figures['majority']['macroF1']:.4f}"
    champion = figures["champion"]
    assert ("serving model" in said) is (champion is not None)
    if champion:
        assert said["serving model"] == (f"{champion['macroF1']:.4f}", f"macro-F1 of {MODEL}")


def test_the_majority_is_that_of_the_documents(runs):
    figures = contents(run_folder(runs, 0), "metrics.json")
    labels = Counter(label for _, label in [*texts(40, seed=5), *texts(110)[:2]])
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    trained = Counter(
        label if number % 8 == 0 else wrong[label] for number, (_, label) in enumerate(texts(110)) if number > 1
    )
    commonest = max(trained, key=lambda name: (trained[name], name))
    assert figures["majority"]["accuracy"] == pytest.approx(labels[commonest] / 42, abs=1e-4)


def test_the_words_of_a_class_really_speak_for_it(second):
    page = Page((second["folder"] / "report.html").read_text("utf-8"))
    cells = [cell for _, cell in page.all("td")]
    for label, words in WORDS.items():
        said = [cells[at + 1].split(", ") for at, cell in enumerate(cells) if cell == label and "," in cells[at + 1]]
        (said,) = said
        assert 5 <= len(said) == len(set(said)) <= tm.WORDS_A_CLASS
        counts = Counter(own for text, own in texts(110) for gram in said if f" {gram} " in f" {text} ")
        assert counts[label] > 0.9 * counts.total()
        assert sum(bool(set(gram.split()) & set(words)) for gram in said) == len(said)


# -------------------------------------------------------------------------------------------------------------- serving

ODD = {
    "empty": "",
    "long": "barrel wheat harbour of the price " * 16_667,
    "emoji": "🚢⚓ vessel 🌽🌽 wheat 👩‍🌾 🛢️ crude",
    "Arabic": "أسعار النفط barrel ارتفعت اليوم",
    "Hebrew": "מְחִירֵי הַנֵּפְט cargo",
    "mixed": "нефть oil 石油 原油 barrel น้ำมัน huile",
    "accents": "cafe\u0301 bus\u0302hel bushel\u0301 e\u0301\u0302 crude",
    "nothing": " \n\t\x00 ",
}

SERVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from brigade.models.document_model import DocumentModel
folder = Path(sys.argv[2])
model = DocumentModel.from_bytes(*((folder / name).read_bytes() for name in ("model.json", "weights.safetensors")))
found = [model.probabilities(text).tolist() for text in json.load(sys.stdin)]
assert not {"pyspark", "sklearn", "train_ml_model"} & set(sys.modules)
print(json.dumps(found))
"""


def test_serving_without_spark_gives_the_probabilities_that_spark_tasks_compute(spark, second):
    payloads = [*ODD.values(), *(text for text, _ in texts(1000 - len(ODD), seed=31))]
    shared = spark.sparkContext.broadcast(second["model"])
    lying = spark.sparkContext.parallelize(list(enumerate(payloads)), 4)
    computed = lying.map(lambda one: (one[0], shared.value.probabilities(one[1]).tolist())).collect()
    arguments = [sys.executable, "-I", "-c", SERVE, str(ROOT / "cloud_function"), str(second["folder"])]
    served = subprocess.run(arguments, input=json.dumps(payloads), capture_output=True, text=True, check=True)
    expected = [found for _, found in sorted(computed)]
    np.testing.assert_allclose(json.loads(served.stdout), expected, atol=1e-6)
    assert len(expected) == 1000
    assert np.ptp(np.array(expected), axis=0).min() > 0.1  # and they are not all alike
    rows = spark.createDataFrame([(text, LABELS[0]) for text in payloads], "payload string, label string").rdd
    evaluation = tm.evaluate(rows, second["model"])
    likely = np.array(expected)[:, second["model"].classes.index(LABELS[0])]
    assert evaluation.log_loss == pytest.approx(-np.log(np.maximum(likely, 1e-12)).sum(), rel=1e-6)


# ------------------------------------------------------------------------------------------------- a cluster of its own


def submitted(documents: str, models: Path, master: str, settings: dict[str, str]) -> dict:
    """The summary of a run by spark-submit, as on Dataproc: the two modules travel as --py-files."""
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"} | settings
    settings |= {"spark.driver.extraJavaOptions": JAVA, "spark.local.dir": f"{models}.scratch"}
    home = Path(pyspark.__file__).parent
    command = [str(home / "bin" / "spark-submit"), "--master", master, "--driver-memory", "1g"]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command += ["--py-files", f"{ROOT}/spark_sql.py,{ROOT}/cloud_function/document_model.py"]
    command += [str(ROOT / "train_ml_model.py"), documents, str(models), "--date=2026-01-05", "--hash_bits=14"]
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment = os.environ | python | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment.pop("PYTHONPATH", None)  # the workers are to know what was sent to them
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=models.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.cluster
def test_a_cluster_with_two_workers_trains_the_same_model_as_one_process(spark, tmp_path, cluster):
    documents = parquet(spark, tmp_path / "parquet", labelled(confused(2 * tm.DOCUMENTS_A_PARTITION + 700, 0.6)))
    (events := tmp_path / "events").mkdir()
    far = submitted(documents, tmp_path / "far", cluster, on_a_cluster(events))
    near = submitted(documents, tmp_path / "near", "local[2]", {})
    kept = ("accuracy", "macroF1", "expectedCalibrationError", "documents", "trained_on", "tested_on")
    assert {name: far[name] for name in kept} == {name: near[name] for name in kept}
    for name in ("weights.safetensors", "model.json", "golden.jsonl"):
        one, other = (next((tmp_path / where).glob(f"*/runs/*/{name}")).read_bytes() for where in ("far", "near"))
        assert one == other, name
    assert contents(next((tmp_path / "far").glob("*/runs/*")), "data.json")["options"]["partitions"] == 2
    assert len(busy_workers(events)) == 2, "both workers should have run tasks"


# ------------------------------------------------------------------------------------------------------------- bad data


def parquet(spark, path: Path, rows: list[dict]) -> str:
    """Parquet of these rows, with null in the columns that they do not have."""
    schema = ", ".join(f"{name} string" for name in spark_sql.COLUMNS)
    rows = [tuple(row.get(name) for name in spark_sql.COLUMNS) for row in rows]
    spark.createDataFrame(rows, schema).coalesce(1).write.parquet(str(path))
    return str(path)


def labelled(rows: list[tuple]) -> list[dict]:
    return [{"payload": text, "superTag01": label, "eventId": f"e{n}"} for n, (text, label) in enumerate(rows)]


@pytest.fixture(scope="module")
def unfit(spark, tmp_path_factory) -> Path:
    """Parquet of 60 documents whose columns are mostly unfit as labels, parquet of none, and lines without an event."""
    folder = tmp_path_factory.mktemp("unfit")
    rows = [{"payload": f"text {n}", "docId": f"d{n}", "eventType": f"{n % 2}"} for n in range(60)]
    rows = [{"superTag01": "only", "accountId": " "} | one for one in rows]
    rows[:19] = [one | {"superTag02": f"{n % 2}"} for n, one in enumerate(rows[:19])]
    parquet(spark, folder / "columns", rows)
    parquet(spark, folder / "none", [])
    parquet(spark, folder / "equal", [one | {"payload": "the same"} for one in rows])
    parquet(spark, folder / "empty", [one | {"payload": "" if n % 2 else None} for n, one in enumerate(rows)])
    parquet(spark, folder / "wordless", [one | {"payload": "?" * n} for n, one in enumerate(rows)])
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jsonl").write_text("{broken\n{}\n")
    return folder


@pytest.mark.parametrize(
    "data, arguments, message",
    [
        ("columns", [], "expected at least two classes in superTag01, found only 'only'"),
        ("columns", ["--label_column=accountId"], "expected labels in accountId, found none on any of 60 documents"),
        ("columns", ["--label_column=superTag02"], "expected at least 20 labelled documents, found 19"),
        ("columns", ["--label_column=tag"], "expected a label column, found no tag among eventId, "),
        ("columns", ["--label_column=docId", *QUICK], "found hardly any in docId; is it an id?"),
        ("equal", ["--label_column=eventType"], "are they all the same?"),
        ("empty", ["--label_column=eventType"], "are they all the same?"),
        ("wordless", ["--label_column=eventType", *QUICK], "are the texts empty?"),
        ("none", [], "expected documents, found none"),
        ("columns", ["--label_column=eventType", "--test=FOLDER/none"], "expected documents to test with, found none"),
        ("nowhere", [], "/nowhere, found no file there"),
        ("broken", [], "/broken; none of its 2 lines is an event"),
    ],
)
def test_what_teaches_nothing_ends_with_one_line_and_no_model(unfit, capsys, tmp_path, data, arguments, message):
    arguments = [f"{unfit}/{data}", f"{tmp_path}/models", *(one.replace("FOLDER", str(unfit)) for one in arguments)]
    assert tm.main(arguments) == 1
    assert message in said(capsys)
    assert not (tmp_path / "models").exists()


def test_odd_labels_and_texts_are_learned_as_they_are(spark, capsys, tmp_path):
    odd = ["two words", 'it\'s "quoted"', "<b>bold</b> & more", "🌽", "número é ção", "עברית", "a/b\\c,d;e", "{[%s]}"]
    words = ["wheat", "oil", "ship", "grain", "cargo", "crude", "acre", "deck"]
    rows = [(f"{words[n % 8]} {n}", odd[n % 8]) for n in range(160)]
    rows += [("the only one of its class", "alone"), ("", "two words"), (None, "🌽"), ("🌽 \x00 e\u0301", "🌽")]
    data = parquet(spark, tmp_path / "parquet", labelled(rows))
    assert tm.main([data, f"{tmp_path}/models", *QUICK]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    model = model_of(folder)
    assert set(odd) <= set(model.classes) <= {*odd, "alone"}
    assert (summary["documents"], summary["accuracy"] > 0.8) == (164, True)
    assert [model.predict("wheat")["label"], model.predict("grain")["label"]] == [odd[0], odd[3]]
    page = Page((folder / "report.html").read_text("utf-8"))
    assert set(odd) <= {cell for _, cell in page.all("td")}
    assert sum(contents(folder, "metrics.json")["documents"][one] for one in ("train", "validation", "test")) == 164


@pytest.mark.long
def test_many_classes_of_two_documents_end_with_a_model(spark, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tm, "DOCUMENTS_A_PARTITION", 150)
    rows = [(f"word{n} other{n} number {copy}", f"class {n}") for n in range(300) for copy in range(2)]
    data = parquet(spark, tmp_path / "parquet", labelled(rows))
    assert tm.main([data, f"{tmp_path}/models", *QUICK, "--partitions=8"]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    model = model_of(folder)
    assert 250 < summary["classes"] == len(model.classes) <= 300
    assert summary["trained_on"] + summary["validated_on"] + summary["tested_on"] == 600
    number = model.classes[17].removeprefix("class ")
    assert model.predict(f"word{number} other{number}")["label"] == f"class {number}"
    assert contents(folder, "data.json")["options"]["partitions"] == 3  # of about 540 documents, not 8


@pytest.mark.parametrize(
    "argument",
    [
        "date=", "date=tomorrow", "date=2026-02-30", "date=20260105", "date=2026-W02-1",
        "hash_bits=9", "hash_bits=25", "hash_bits=many", "tolerance=-0.1", "tolerance=1.1", "tolerance=nan",
        "alpha=0", "alpha=2", "alpha=x", "partitions=0", "partitions=1.5", "idf_power=-1", "ngrams=3", "split=none",
        "unknown=1",
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_status_2(argument, capsys):
    with pytest.raises(SystemExit) as ended:
        tm.main(["input", "models", f"--{argument}"])
    assert ended.value.code == 2
    assert "usage: train_ml_model.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "day"),
    [([], None), (["--date", "today"], None), (["--date=today"], None), (["--date", "2026-01-05"], date(2026, 1, 5))],
)
def test_the_date_is_a_day_or_today_which_is_the_run_s_own(arguments, day):
    assert tm.parse_arguments(["input", "models", *arguments]).date == day


# --------------------------------------------------------------------------------------------------------------- MLflow


@pytest.mark.long
def test_mlflow_has_the_runs_parameters_figures_and_files(again):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is optional and not installed here")
    summary, folder = again["summary"], again["folder"]
    client = mlflow.MlflowClient(f"sqlite:///{again['store']}/runs.db")
    experiment = client.get_experiment_by_name("document-classification")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (f"{summary['model']} {summary['runId']}", "FINISHED")
    params = {name: run.data.params[name] for name in ("label_column", "hash_bits", "seed", "split")}
    assert params == {"label_column": "superTag01", "hash_bits": "12", "seed": "0", "split": "random"}
    chosen = contents(folder, "metrics.json")["chosen"]
    assert [float(run.data.params[name]) for name in ("alpha", "ngrams")] == [chosen["alpha"], chosen["ngrams"]]
    assert run.data.metrics["test_accuracy"] == summary["accuracy"]
    assert run.data.metrics["test_macroF1"] == summary["macroF1"]
    digest = hashlib.sha256((folder / "data.json").read_bytes()).hexdigest()
    assert (run.data.tags["model"], run.data.tags["data_version"]) == (summary["model"], digest)
    assert (run.data.tags["promoted"], run.data.tags["reason"]) == ("True", summary["reason"])
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == set(FILES)
