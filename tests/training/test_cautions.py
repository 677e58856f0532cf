"""What is said beside the headline: classes without a test, few test documents, imbalance."""

import json
from collections import Counter

import pytest

import train_ml_model
from brigade.training.cautions import cautions
from brigade.training.evaluation import accuracy_interval
from tests.training.made_up_documents import texts
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, parquet


def counted(**counts: int) -> dict[str, dict]:
    return {name: {"documents": count} for name, count in counts.items()}


@pytest.mark.parametrize(
    ("documents", "learned", "said"),
    [
        ({"a": 9, "b": 5}, {"a": 90, "b": 50}, []),
        (
            {"a": 9, "b": 0},
            {"a": 90, "b": 2},
            ["no test documents for 1 of 2 classes, so that no figure speaks of them: 'b'"],
        ),
        (
            {"a": 9, "b": 4, "c": 1},
            {"a": 90, "b": 9, "c": 9},
            ["fewer than 5 test documents for 2 of 3 classes", "'c' (1), 'b' (4)"],
        ),
        (
            {"a": 900, "b": 9},
            {"a": 9000, "b": 90},
            ["'a' has 9,000 documents and 'b' has 90: accuracy speaks of the common"],
        ),
        ({"a": 900, "b": 9}, {"a": 8999, "b": 90}, []),
    ],
)
def test_a_reader_is_told_what_the_figures_do_not_say(documents, learned, said):
    found = " | ".join(cautions(counted(**documents), Counter(learned)))
    assert all(one in found for one in said) and bool(said) == bool(found), found


@pytest.mark.parametrize(("right", "documents", "is_told"), [(1, 2, True), (10, 12, True), (45, 50, False)])
def test_a_wide_interval_is_told(right, documents, is_told):
    interval = accuracy_interval(right / documents, documents)
    assert interval[0] < right / documents < interval[1]
    found = " | ".join(cautions(counted(a=documents - 1, b=1), Counter(a=90, b=50), interval))
    said = f"{documents} test documents say little: with 95 % confidence the accuracy lies between {interval[0]:.2f} "
    assert (said in found) is is_told


def test_intervals_are_those_of_the_textbook():
    # Wilson's interval of 8 right ones of 10, and of all: https://doi.org/10.1080/01621459.1927.10502953
    assert accuracy_interval(0.8, 10) == [0.4902, 0.9433]
    assert accuracy_interval(1.0, 20) == [0.8389, 1.0]


def test_of_many_classes_ten_are_named_and_long_labels_are_cut():
    names = {f"class {number:02} {'x' * 80}": 0 for number in range(30)}
    (found,) = cautions(counted(a=9, **names), Counter(a=10, **dict.fromkeys(names, 1)))
    assert found.count("'class ") == 10 and "and 20 more" in found and len(found) < 700


@pytest.fixture(scope="module")
def rare(spark, tmp_path_factory):
    """Parquet in which "oil" stands once for 1,000 other documents, and a test set without it."""
    folder = tmp_path_factory.mktemp("rare")
    rows = labelled([(text, label) for text, label in texts(1500) if label != "oil"])
    rows += [{"payload": "barrel crude", "superTag01": "oil", "eventId": "rare"}]
    held = [
        {**one, "eventId": f"t{n}"} for n, one in enumerate(labelled(texts(90, seed=7))) if one["superTag01"] != "oil"
    ]
    return parquet(spark, folder / "parquet", rows), parquet(spark, folder / "test", held)


@pytest.mark.long
def test_a_class_without_test_documents_stands_in_the_report_and_beside_the_headline(
    rare, quick, tmp_path, capsys, caplog
):
    data, test = rare
    assert train_ml_model.main([data, f"{tmp_path}/models", f"--test={test}", *QUICK]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / "models" / MODEL / "runs" / summary["runId"]
    figures = contents(folder, "metrics.json")
    assert figures["test"]["classes"]["oil"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "documents": 0}
    assert summary["macroF1Over"] == "the 2 of 3 classes that have test documents"
    warning = "no test documents for 1 of 3 classes, so that no figure speaks of them: 'oil'"
    assert warning in summary["warnings"] and warning in caplog.text
    page = Page((folder / "report.html").read_text("utf-8"))
    words = {text for _, text in page.all("span")}
    assert "promoted, with a warning" in words and "promoted" not in words
    cells = [cell for _, cell in page.all("td")]
    at = cells.index("oil")
    assert cells[at : at + 5] == ["oil", "", "–", "–", "0"] and "not tested" in words
    assert any("The mean F1 over the 2 of 3 classes that have test documents." in text for text in words)
