"""What is said beside the headline: classes without a test, few test documents, imbalance."""

import json
from collections import Counter

import pytest

import train_ml_model
from brigade.training.cautions import cautions
from tests.training.made_up_documents import texts
from tests.training.parsed_page import Page
from tests.training.whole_runs import MODEL, QUICK, contents, labelled, parquet


def tested(**counts: int) -> dict[str, dict]:
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
    found = " | ".join(cautions(tested(**documents), Counter(learned)))
    assert all(one in found for one in said) and bool(said) == bool(found), found


def test_of_many_classes_ten_are_named_and_long_labels_are_cut():
    names = {f"class {number:02} {'x' * 80}": 0 for number in range(30)}
    (found,) = cautions(tested(a=9, **names), Counter(a=10, **dict.fromkeys(names, 1)))
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
    words = {text for _, text in page.all("b")}
    assert "promoted, with a warning" in words and "promoted" not in words
    cells = [cell for _, cell in page.all("td")]
    at = cells.index("oil")
    assert cells[at : at + 5] == ["oil", "not tested", "–", "–", "0"]
    assert "macro-F1 is the mean F1 over the 2 of 3 classes that have test documents." in {
        text for _, text in page.all("p")
    }
