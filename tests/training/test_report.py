"""The page, and the words that it names."""

import re
from collections import Counter

import pytest

from brigade.training.evaluation import Evaluation, metrics
from brigade.training.report import report
from brigade.training.words import WORDS_A_CLASS
from tests.training.made_up_documents import LABELS, WORDS, texts
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, contents, run_folder


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
    worst = Evaluation()
    worst.add("<script>a</script>", "b", 0.9, 0.1, "1 < 2 & </pre><img src=x>")
    run = contents(run_folder(runs, 0), "manifest.json") | {"reason": "<i>because</i>", "label": "<u>"}
    figures = contents(run_folder(runs, 0), "metrics.json") | {"test": metrics(worst)}
    words = {"<script>a</script>": ["<em>"]}
    page = Page(report(MODEL, run, figures, worst, words, {"files": []}))
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


def test_the_words_of_a_class_really_speak_for_it(second):
    page = Page((second["folder"] / "report.html").read_text("utf-8"))
    cells = [cell for _, cell in page.all("td")]
    for label, words in WORDS.items():
        said = [cells[at + 1].split(", ") for at, cell in enumerate(cells) if cell == label and "," in cells[at + 1]]
        (said,) = said
        assert 5 <= len(said) == len(set(said)) <= WORDS_A_CLASS
        counts = Counter(own for text, own in texts(110) for gram in said if f" {gram} " in f" {text} ")
        assert counts[label] > 0.9 * counts.total()
        assert sum(bool(set(gram.split()) & set(words)) for gram in said) == len(said)
