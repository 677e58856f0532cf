"""TRAIN: the split, the features, the averaged classifier, its figures, the decision, and what a run writes."""

import hashlib
import json
import random
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from document_model import DocumentModel, FeatureParameters, hashed_counts
from pyspark.sql import Row
from scipy.sparse import csr_matrix, vstack
from scipy.special import softmax
from sklearn import metrics as reference
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.utils import murmurhash3_32

import spark_sql
import train_ml_model as tm

WORDS = {
    "corn & <b>grain</b>": ["wheat", "maize", "harvest", "bushel", "silo", "acre", "crop", "seed"],
    "oil": ["barrel", "crude", "refinery", "pipeline", "drilling", "tanker", "opec", "gasoline"],
    "ship": ["harbour", "vessel", "cargo", "freight", "captain", "anchor", "deck", "port"],
}
LABELS = list(WORDS)
PARTS = {"test": 0.1, "validation": 0.1, "train": 0.8}
FEATURES = FeatureParameters(hash_bits=12, ngrams=1)
FILES = ["data.json", "golden.jsonl", "metrics.json", "model.json", "report.html", "weights.safetensors"]


def texts(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Short documents that their words tell apart, and their labels: [(payload, label)]."""
    choose = random.Random(seed)
    found = []
    for label in (LABELS[number % 3] for number in range(count)):
        words = choose.choices(WORDS[label], k=5) + choose.choices(["the", "of", "a", "price", "said"], k=3)
        found.append((" ".join(words), label))
    return found


def documents(spark, rows: list[tuple[str, str]]):
    return tm.labelled_documents(spark.createDataFrame(rows, "payload string, superTag01 string"), "superTag01")


def tf_idf_by_hand(rows: list[str]) -> tuple[csr_matrix, np.ndarray]:
    """scikit-learn's (1 + ln count) · idf of the same hashed words, of length 1, and its idf."""
    words = [(number, word) for number, text in enumerate(rows) for word in text.split() if len(word) > 1]
    places = [murmurhash3_32(word, positive=True) % FEATURES.size for _, word in words]
    cells = np.ones(len(words)), ([number for number, _ in words], places)
    transformer = TfidfTransformer(sublinear_tf=True)
    return transformer.fit_transform(csr_matrix(cells, (len(rows), FEATURES.size))), transformer.idf_


@pytest.fixture(autouse=True, scope="module")
def few_rounds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tm, "ROUNDS", 2)
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("ein Büro")))  # not every path is plain
        yield


def test_a_label_of_blanks_is_none_and_equal_texts_share_a_place(spark):
    found = documents(spark, [("one", " oil "), ("one", None), ("two", ""), ("three", "  ")]).collect()
    assert [row.label for row in found] == ["oil", None, None, None]
    assert found[0].place == found[1].place != found[2].place


def test_the_split_has_its_fractions_no_text_in_two_parts_and_no_empty_part(spark):
    rows = [(f"text {number % 900}", "a") for number in range(1000)]
    split = tm.split(documents(spark, rows), PARTS).items()
    payloads = {name: [row.payload for row in part.collect()] for name, part in split}
    assert {name: len(found) / 1000 for name, found in payloads.items()} == pytest.approx(PARTS, abs=0.02)
    assert sum(len(set(found)) for found in payloads.values()) == 900
    assert sorted(sum(payloads.values(), [])) == sorted(text for text, _ in rows)
    assert all(part.count() for part in tm.split(documents(spark, texts(tm.MIN_DOCUMENTS)), PARTS).values())


def test_features_are_those_of_scikit_learn_whatever_the_size_of_a_matrix(monkeypatch):
    monkeypatch.setattr(tm, "CHUNK_ROWS", 7)
    rows = [*texts(60), ("? !", "oil")]
    index = {name: number for number, name in enumerate(LABELS)}
    matrices = list(tm.count_features((Row(payload=text, label=label) for text, label in rows), FEATURES, index))
    assert [len(matrix.classes) for matrix in matrices] == [7] * 8 + [5]
    (frequencies,) = tm.document_frequencies(matrices, FEATURES.size)
    idf = tm.inverse_frequencies(frequencies[:-1], int(frequencies[-1]))
    expected, expected_idf = tf_idf_by_hand([text for text, _ in rows])
    seen = np.asarray((expected != 0).sum(axis=0)).ravel() > 0
    np.testing.assert_allclose(idf, np.where(seen, expected_idf, 0), rtol=1e-6)
    found = [tm.weigh(matrix, idf) for matrix in matrices]
    sparse = [csr_matrix((one.values, one.places, one.indptr), (len(one.classes), FEATURES.size)) for one in found]
    np.testing.assert_allclose(vstack(sparse).toarray(), expected.toarray(), atol=1e-6)
    assert np.concatenate([matrix.classes for matrix in found]).tolist() == [index[label] for _, label in rows]


def test_a_word_of_one_document_counts_only_while_documents_are_few():
    frequencies = np.array([0, 1, 2], np.int32)
    assert (tm.inverse_frequencies(frequencies, 99) > 0).tolist() == [False, True, True]
    assert (tm.inverse_frequencies(frequencies, 100) > 0).tolist() == [False, False, True]


@pytest.mark.parametrize("classes", [LABELS[:2], LABELS])
def test_what_words_tell_apart_is_learned(spark, classes):
    rows = [row for row in texts(90) if row[1] in classes]
    model = tm.fit(spark, documents(spark, rows), classes, FEATURES)
    fresh = [row for row in texts(60, seed=2) if row[1] in classes]
    assert [model.predict(text)["label"] for text, _ in fresh] == [label for _, label in fresh]


def test_rounds_average_what_the_partitions_learn_from_the_shared_weights(spark, monkeypatch):
    monkeypatch.setattr(tm, "ROUNDS", 3)
    shuffled = random.Random(6).choices(LABELS, k=90)  # else the weights would rest after a round
    rows = zip((text for text, _ in texts(90)), shuffled, strict=True)
    parts = documents(spark, list(rows)).repartition(4)
    model = tm.fit(spark, parts, LABELS, FEATURES)
    lying = parts.repartition(4, "place").sortWithinPartitions("place").rdd.glom().filter(len).collect()
    assert len(lying) > 1
    matrix, _ = tf_idf_by_hand([row.payload for part in lying for row in part])
    labels = np.array([LABELS.index(row.label) for part in lying for row in part])
    ends = np.cumsum([0, *map(len, lying)])
    coefficients, intercepts, updates, rounds = np.zeros((3, FEATURES.size)), np.zeros(3), 1.0, []
    for number in range(tm.ROUNDS):
        learners = []
        for start, end in zip(ends, ends[1:], strict=False):
            one = SGDClassifier(loss="hinge", alpha=tm.ALPHA, random_state=number)
            one.partial_fit(matrix[start : start + 1], labels[start : start + 1], classes=[0, 1, 2])
            one.coef_, one.intercept_, one.t_ = coefficients.copy(), intercepts.copy(), updates
            learners.append(one.partial_fit(matrix[start:end], labels[start:end]))
        learned = zip(*((one.coef_, one.intercept_, one.t_) for one in learners), strict=True)
        coefficients, intercepts, updates = (np.mean(values, axis=0) for values in learned)
        rounds.append(np.column_stack([coefficients, intercepts]))
    expected, found = np.mean(rounds[1:], axis=0), np.column_stack([model.weights.T, model.intercept])
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max() < 0.1 * np.abs(rounds[-1] - expected).max()
    assert list(tm.epoch([], None, 3, 0)) == []  # a partition without documents takes no part


@pytest.fixture(scope="module")
def weak_model() -> DocumentModel:
    """A model that is often wrong, and that does not know the class "ship"."""
    weights = np.random.default_rng(3).normal(size=(FEATURES.size, 3)).astype(np.float32)
    return DocumentModel([*LABELS[:2], "other"], FEATURES, np.ones(FEATURES.size), weights, np.zeros(3), 0.8)


def test_the_figures_are_those_of_scikit_learn_over_any_number_of_partitions(spark, weak_model):
    rows = texts(120)
    found = tm.metrics(tm.evaluate(documents(spark, rows).repartition(3).rdd, weak_model))
    truth, guesses = zip(*((label, weak_model.predict(text)["label"]) for text, label in rows), strict=True)
    columns = reference.precision_recall_fscore_support(truth, guesses, labels=LABELS, zero_division=0)
    assert 0 < found["accuracy"] < 1
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, guesses), abs=1e-4)
    assert found["macroF1"] == pytest.approx(columns[2].mean(), abs=1e-4)
    assert (found["documents"], found["baseline"]) == (120, 0.3333)
    for label, *figures in zip(LABELS, *columns, strict=True):
        names = ("precision", "recall", "f1", "documents")
        assert [found["classes"][label][name] for name in names] == pytest.approx(figures, abs=1e-4)
    names = [*LABELS, "other"]
    table = reference.confusion_matrix(truth, guesses, labels=names)
    wrong = [[a, b, table[i, j]] for i, a in enumerate(names) for j, b in enumerate(names) if i != j and table[i, j]]
    assert sorted(found["confusions"]) == sorted(wrong)
    assert [one[2] for one in found["confusions"]] == sorted((one[2] for one in wrong), reverse=True)
    sure = np.array([weak_model.probabilities(text).max() for text, _ in rows])
    right = np.array(truth) == np.array(guesses)
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).mean() for one in set(bins))
    assert found["expectedCalibrationError"] == pytest.approx(gap, abs=1e-3)
    assert sum(one["documents"] for one in found["calibration"]) == 120


def losses_by_hand(model: DocumentModel, rows: list):
    """The function from a temperature to the sum of -ln p(label) over the rows."""
    scores = np.array([model.scores(row.payload) for row in rows], np.float64)
    cells = range(len(rows)), [model.classes.index(row.label) for row in rows]
    return lambda temperature: -np.log(np.maximum(softmax(scores / temperature, axis=1)[cells], 1e-12)).sum()


def test_the_losses_are_the_log_likelihoods_at_each_temperature(weak_model):
    rows = [Row(payload=text, label=label) for text, label in texts(60) if label != "ship"]
    (found,) = tm.evaluate_rows([*rows, Row(payload="a class it does not know", label="ship")], weak_model)
    assert found.losses == pytest.approx([losses_by_hand(weak_model, rows)(one) for one in tm.TEMPERATURES])


@pytest.mark.parametrize(
    "challenger, champion, baseline, promoted, because",
    [
        (0.9, None, 0.5, True, "first model, accuracy 0.9000"),
        (0.8, 0.8, 0.5, True, "accuracy 0.8000, the serving model's 0.8000"),
        (0.8, 0.8001, 0.5, False, "accuracy 0.8000 is below the serving model's 0.8001"),
        (0.5, None, 0.5, False, "no better than naming the commonest class, 0.5000"),
        (0.4, 0.3, 0.5, False, "no better than naming the commonest class"),
    ],
)
def test_what_beats_chance_and_the_champion_is_promoted(challenger, champion, baseline, promoted, because):
    decision, reason = tm.decide_promotion(challenger, champion, baseline)
    assert (decision, because in reason) == (promoted, True)


def test_a_tie_with_the_commonest_class_is_not_rounded_into_a_win():
    evaluation = tm.Evaluation()
    evaluation.pairs.update({("a", "a"): 1, ("b", "a"): 1, ("c", "a"): 1})
    assert evaluation.accuracy == evaluation.baseline == 1 / 3
    assert not tm.decide_promotion(evaluation.accuracy, None, evaluation.baseline)[0]


# ----------------------------------------------------------------------------------------------------------- whole runs


def landed(folder: Path, rows: list[tuple]) -> str:
    """A folder with one event for each (payload, superTag01, superTag02, accountId)."""
    folder.mkdir()
    with open(folder / "raw.jsonl", "w", encoding="utf-8") as file:
        for number, (text, *tags) in enumerate(rows):
            metadata = dict(zip(("superTag01", "superTag02", "accountId"), tags, strict=True))
            event = {"eventId": f"{number}", "eventTimestamp": "2019-04-02T21:55:57Z"}
            event["doc"] = {"docId": "d", "payload": text, "metadata": metadata}
            file.write(json.dumps(event) + "\n")
    return str(folder)


MODEL = "doc-classification-model-2026-01-05"


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory) -> dict:
    """Three runs of one date: they learn accountId, most of it wrong, superTag01, which is right, and
    superTag02, which calls each ship oil. The first and the third have a test set with the right labels everywhere.
    """
    folder = tmp_path_factory.mktemp("a run")
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    rows = [(text, label, "oil" if label == "ship" else label, wrong[label]) for text, label in texts(110)]
    rows[::8] = [(text, label, merged, label) for text, label, merged, _ in rows[::8]]
    data = landed(folder / "input", [*rows, *((f"zebra zebra {number}", None, None, None) for number in range(4))])
    test = landed(folder / "held_out", [(text, *[label] * 3) for text, label in texts(40, seed=5)])
    models, manifest = folder / "models", folder / "models" / MODEL / "manifest.json"
    settings, manifests = {"day": date(2026, 1, 5), "hash_bits": 12}, []
    first = tm.train(spark, data, f"{models}/", label_column="accountId", test_path=f"{test}/", **settings)
    manifests.append(manifest.read_bytes())
    second = tm.train(spark, f"{folder}/parquet/", str(models), **settings)
    manifests.append(manifest.read_bytes())
    arguments = [f"{folder}/parquet", str(models), "--label_column=superTag02", f"--test={folder}/parquet_test"]
    status = tm.main([*arguments, "--date=2026-01-05", "--hash_bits=12"])
    manifests.append(manifest.read_bytes())
    return {"folder": folder, "first": first, "second": second, "status": status, "manifests": manifests}


def model_of(folder: Path) -> DocumentModel:
    return DocumentModel.from_bytes(*((folder / name).read_bytes() for name in ("model.json", "weights.safetensors")))


@pytest.fixture(scope="module")
def second(runs) -> dict:
    """The second run's manifest, its folder and its model as it is read from its files."""
    manifest = json.loads(runs["manifests"][1])
    folder = runs["folder"] / "models" / MODEL / "runs" / manifest["runId"]
    return {"manifest": manifest, "folder": folder, "model": model_of(folder)}


def test_json_is_converted_first_and_the_test_set_beside_it(runs):
    made = {path.name for path in runs["folder"].iterdir()} - {"input", "held_out"}
    assert made == {"models", "parquet", "parquet_test", "quarantine", "quarantine_test"}
    first = runs["first"]
    counts = [first[name] for name in ("documents", "unlabelled", "tested_on", "classes")]
    assert [*counts, first["trained_on"] + first["validated_on"]] == [114, 4, 40, 3, 110]


def test_a_model_worse_than_the_commonest_class_waits_for_one_that_is_promoted(runs):
    first, second = json.loads(runs["manifests"][0]), json.loads(runs["manifests"][1])
    assert (first["promoted"], first["label"], first["runId"]) == (False, "accountId", runs["first"]["runId"])
    assert "no better than naming the commonest class, 0.3500" in first["reason"]
    assert (second["promoted"], second["label"], second["runId"]) == (True, "superTag01", runs["second"]["runId"])
    assert second["reason"] == "first model, accuracy 1.0000"


def test_a_worse_challenger_adds_its_run_and_leaves_the_manifest(runs):
    assert (runs["status"], runs["manifests"][2]) == (0, runs["manifests"][1])
    folders = {path.name: path for path in (runs["folder"] / "models" / MODEL / "runs").iterdir()}
    (third,) = set(folders) - {runs["first"]["runId"], runs["second"]["runId"]}
    own = json.loads((folders[third] / "manifest.json").read_text("utf-8"))
    assert (own["promoted"], own["runId"]) == (False, third)
    assert own["reason"].startswith("accuracy 0.6750 is below the serving model's 1.0000")
    figures = json.loads((folders[third] / "metrics.json").read_text("utf-8"))
    assert figures["champion"] == {"name": MODEL, "accuracy": 1.0}


def test_the_manifest_names_every_file_and_none_is_a_pickle(second):
    manifest, folder = second["manifest"], second["folder"]
    assert {path.name for path in folder.glob("[!.]*")} == {*FILES, "manifest.json"}
    assert manifest["files"] == [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in ((name, (folder / name).read_bytes()) for name in FILES)
    ]
    assert (folder / "manifest.json").read_bytes() == (folder.parent.parent / "manifest.json").read_bytes()
    assert {"formatVersion", "runId", "createdAt", "promoted", "reason", "label", "codeVersion"} < set(manifest)
    weights = (folder / "weights.safetensors").read_bytes()  # and the others are text: no pickle anywhere
    assert set(json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])) == {"idf", "weights", "intercept"}
    assert all((folder / name).read_text("utf-8") for name in FILES[:-1])


def test_serving_computes_the_probabilities_of_the_golden_documents(second):
    golden = [json.loads(text) for text in (second["folder"] / "golden.jsonl").read_text("utf-8").splitlines()]
    assert 0 < len(golden) <= tm.GOLDEN_DOCUMENTS
    for one in golden:
        np.testing.assert_allclose(second["model"].probabilities(one["payload"]), one["probabilities"], rtol=1e-9)
        assert sum(one["probabilities"]) == pytest.approx(1)


def test_metrics_agree_with_the_summary_and_the_documents(runs, second):
    figures, summary = json.loads((second["folder"] / "metrics.json").read_text("utf-8")), runs["second"]
    parts = {"train": "trained_on", "validation": "validated_on", "test": "tested_on"}
    counts = {part: summary[name] for part, name in parts.items()}
    assert figures["documents"] == counts | {"unlabelled": 4, "total": 4 + sum(counts.values())}
    assert figures["test"]["accuracy"] == summary["accuracy"]
    assert figures["ngrams"] == second["model"].parameters.ngrams
    assert figures["temperature"] == second["model"].temperature


def test_the_candidate_that_does_better_on_the_validation_documents_is_taken(runs):
    path = runs["folder"] / "models" / MODEL / "runs" / runs["first"]["runId"] / "metrics.json"
    figures = json.loads(path.read_text("utf-8"))
    assert len(set(figures["validation"].values())) == 2  # no tie here
    assert figures["validation"][f"{figures['ngrams']}-grams"] == max(figures["validation"].values())


def test_no_other_temperature_makes_the_validation_documents_likelier(spark, runs):
    labelled = tm.labelled_documents(spark_sql.read_parquet(spark, f"{runs['folder']}/parquet"), "accountId")
    rows = tm.split(labelled.where("label IS NOT NULL"), {"validation": 0.1, "train": 0.9})["validation"].collect()
    model = model_of(runs["folder"] / "models" / MODEL / "runs" / runs["first"]["runId"])
    losses = {float(one): losses_by_hand(model, rows)(one) for one in tm.TEMPERATURES}
    assert model.temperature == min(losses, key=losses.get) > tm.TEMPERATURES[0]


def test_data_json_is_the_version_of_the_files_that_were_read(runs, second):
    data = json.loads((second["folder"] / "data.json").read_text("utf-8"))
    assert data["parquet"] == f"{runs['folder']}/parquet"
    found = {unquote(urlparse(one["file"]).path): (one["size"], one["sha256"]) for one in data["files"]}
    files = {str(path): path.read_bytes() for path in Path(data["parquet"]).glob("dt=*/*.parquet")}
    assert found == {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()}


def test_the_report_names_the_classes_and_escapes_them(second):
    page = (second["folder"] / "report.html").read_text("utf-8")
    assert "<td>corn &amp; &lt;b&gt;grain&lt;/b&gt;</td>" in page
    assert "<td>oil</td>" in page and "<td>ship</td>" in page and "<b>grain" not in page


def test_documents_without_a_label_are_not_trained_on(second):
    words = {place for text, _ in texts(110) for place in hashed_counts(text, FEATURES)[0].tolist()}
    (zebra,) = hashed_counts("zebra", FEATURES)[0].tolist()
    assert zebra not in words
    assert second["model"].idf[zebra] == 0 < second["model"].idf[list(words)].min()


@pytest.fixture(scope="module")
def unfit(spark, tmp_path_factory) -> Path:
    """Parquet of 60 documents whose columns are mostly unfit as labels, parquet of none, and lines without an event."""
    folder = tmp_path_factory.mktemp("unfit")
    empty = dict.fromkeys(spark_sql.COLUMNS) | {"superTag01": "only", "accountId": " "}
    rows = [empty | {"payload": f"text {n}", "docId": f"d{n}", "eventType": f"{n % 2}"} for n in range(60)]
    rows[:19] = [one | {"superTag02": f"{n % 2}"} for n, one in enumerate(rows[:19])]
    schema = ", ".join(f"{name} string" for name in spark_sql.COLUMNS)
    spark.createDataFrame([tuple(row.values()) for row in rows], schema).write.parquet(f"{folder}/columns")
    spark.createDataFrame([], schema).write.parquet(f"{folder}/none")
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
        ("columns", ["--label_column=docId", "--hash_bits=24"], "expected at most 8 classes, found 60 in docId"),
        ("none", [], "expected documents, found none"),
        ("columns", ["--label_column=eventType", "--test=FOLDER/none"], "expected documents to test with, found none"),
        ("nowhere", [], "/nowhere, found no file there"),
        ("broken", [], "/broken; none of its 2 lines is an event"),
    ],
)
def test_what_teaches_nothing_ends_with_one_line_and_no_model(unfit, capsys, tmp_path, data, arguments, message):
    arguments = [f"{unfit}/{data}", f"{tmp_path}/models", *(one.replace("FOLDER", str(unfit)) for one in arguments)]
    assert tm.main(arguments) == 1
    output = capsys.readouterr()
    (said,) = [text for text in output.err.splitlines() if text.startswith("train_ml_model.py: ")]
    assert (message in said, output.out) == (True, "")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "argument", ["date=today", "date=2026-02-30", "date=20260105", "date=2026-W02-1", "hash_bits=9", "hash_bits=25"]
)
def test_wrong_arguments_end_with_status_2(argument, capsys):
    with pytest.raises(SystemExit) as ended:
        tm.main(["input", "models", f"--{argument}"])
    assert ended.value.code == 2
    assert "usage: train_ml_model.py" in capsys.readouterr().err
