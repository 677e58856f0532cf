"""The page, and the words that it names."""

import re
from collections import Counter

import pytest

from brigade.training.evaluation import Evaluation, metrics
from brigade.training.report import report
from brigade.training.words import WORDS_A_CLASS, is_of_words
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


CARD = r'<div><span lang="en">([\w -]+)</span>.*?<b>([\d.,]+)</b><small>'
CARD += r'(?:([\d.]+) – ([\d.]+) \(95 %\)<br>)?<span lang="en">([^<]*)<'


def test_the_report_names_the_serving_model_and_the_commonest_class(reported):
    text, _, figures = reported
    said = {title: (value, low, high, note) for title, value, low, high, note in re.findall(CARD, text)}
    own, commonest = figures["test"], figures["majority"]
    for title, name in (("accuracy", "accuracy"), ("macro-F1", "macroF1")):
        interval = tuple(f"{end:.3f}" for end in own[f"{name}Interval"])
        note = f"always the commonest class: {commonest[name]:.4f}"
        assert said[title] == (f"{own[name]:.4f}", *interval, note)
    champion = figures["champion"]
    assert ("serving model" in said) is (champion is not None)
    if champion:
        assert said["serving model"] == (f"{champion['macroF1']:.4f}", "", "", f"macro-F1 of {MODEL}")


def test_the_page_speaks_one_language_at_a_time_and_says_all_in_both(reported):
    text, page, _ = reported
    said = {name: [text for one, text in page.all("span") if one.get("lang") == name] for name in ("en", "pt-BR")}
    english, portuguese = said.values()
    assert len(english) == len(portuguese) > 40 and all(english) and all(portuguese)
    assert sum(one != other for one, other in zip(english, portuguese, strict=True)) > 30
    assert ":root:not(:has(#pt:checked)) [lang=pt-BR],:root:has(#pt:checked) span[lang=en]{display:none}" in text
    assert "1 parquet file," in text and "1 parquet files" not in text


def test_a_long_label_is_cut_and_whole_on_hover(runs):
    label, tested = "x" * 560, Evaluation()
    tested.add(label, "b", 0.9, 0.1, "a text")
    tested.add("b", "b", 0.9, 0.9, "a text")
    figures = contents(run_folder(runs, 0), "metrics.json") | {"test": metrics(tested)}
    text = report(MODEL, contents(run_folder(runs, 0), "manifest.json"), figures, tested, {label: ["a"]}, {"files": []})
    page = Page(text)
    assert [cell for _, cell in page.all("td") if len(cell) > 60] == []
    assert {one["title"] for one, _ in page.all("span") if "title" in one} == {label}
    assert label in [title for _, title in page.all("title")]  # in the picture
    heights = [float(one["viewbox"].split()[3]) for one, _ in page.all("svg") if "matrix" in one["aria-label"]]
    assert heights and heights[0] < 300


@pytest.mark.parametrize("gram", ["98452", "de 747", "aGVsbG8gd29ybGQ3", "x" * 26, "item 10", "a"])
def test_what_is_no_word_does_not_speak_for_a_class(gram):
    assert not is_of_words(gram)
    assert all(map(is_of_words, ["soup", "a soup", "açaí bowl", "日", "日本", "l'été", "anticonstitucionalmente"]))


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
