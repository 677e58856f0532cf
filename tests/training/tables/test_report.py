"""The page of a table's run: what it shows of a regression and a classification, and that nothing breaks out of it."""

import html
from pathlib import Path

import pytest

from brigade.training.evaluation import Evaluation, headlines, majority, metrics
from brigade.training.tables.evaluation import Errors, baselines, value_metrics
from brigade.training.tables.report import report

RUN = {"promoted": True, "reason": "first model", "label": "price", "runId": "run", "codeVersion": "code"}
DATA = {"files": [{"size": 1 << 20}]}
NASTY = "<script>alert(1)</script>"


def shared(test: dict, **more: object) -> dict:
    candidate = {"max_depth": 6, "max_leaves": 0, "trees": 10, "loss": 0.5, "seconds": 1.0}
    return {
        "test": test,
        "warnings": [],
        "leftOut": {},
        "champion": None,
        "comparison": None,
        "candidates": [candidate],
        "validation": {"documents": 9},
        "importance": [{"feature": NASTY, "share": 0.75}, {"feature": "size", "share": 0.25}],
        "documents": {"total": 30, "trained": 20, "test": 10},
    } | more


def regression() -> tuple[dict, Errors]:
    found = Errors(mean=30.0)
    found.sums[:] = (10, 20, 5, 50, 1000, 1000, 100_500, 9)
    found.baseline[:] = (4, 40, 8)
    found.worst = [(7.5, 100.0, 107.5, f'{{"place": "{NASTY}"}}')]
    found.points = [(-5, 100.0, 107.5), (3, 90.0, 90.0)]
    moments = [
        {"since": 0, "rows": 5, "bias": 1.0, "mae": 2.0},
        {"since": 86_400_000_000, "rows": 5, "bias": 0.0, "mae": 2.0},
    ]
    chosen = {"below": 3.0, "above": 4.0, "coverage": 0.9}
    more = {"baselines": baselines(found, "valued"), "moments": moments, "chosen": chosen}
    return shared(value_metrics(found), **more), found


def classification() -> tuple[dict, Evaluation]:
    found = Evaluation()
    for label, guess in (("yes", "yes"), ("no", "no"), ("yes", "no"), (NASTY, "no")):
        found.add(label, guess, 0.8, 0.5, f'{{"place": "{NASTY}"}}')
    figures = metrics(found, ["yes", "no", NASTY])
    return shared(figures, majority=headlines(majority(found, {"yes": 2, "no": 1}))), found


@pytest.mark.parametrize("made", [regression, classification])
def test_a_page_escapes_what_comes_from_the_data(made):
    figures, test = made()
    page = report("houses-2026-01-05", RUN, figures, test, "houses", DATA)
    assert NASTY not in page
    assert html.escape(NASTY, quote=False) in page
    assert "data.json OUTPUT --pipeline=houses" in page
    assert page.count('<span lang="en">') == page.count('<span lang="pt-BR">') > 20


def test_a_regressions_page_shows_errors_pictures_and_the_baseline():
    figures, test = regression()
    page = report("houses-2026-01-05", RUN, figures, test, "houses", DATA)
    for text in ("mean absolute error", "<b>2</b>", "<b>10</b>", "always the mean: 3", "90.0 %", "1970-01-02"):
        assert text in page
    assert page.count("<circle") == 2
    assert "100 → 107.5" in page


def test_a_classifications_page_shows_classes_and_confusions():
    figures, test = classification()
    page = report("houses-2026-01-05", RUN, figures, test, "houses", DATA)
    assert 'aria-label="confusion matrix"' in page
    assert "yes → no (0.80)" in page


def test_the_comparison_with_the_champion_is_shown():
    figures, test = regression()
    figures |= {"champion": {"name": "houses-2026-01-01"}}
    figures["comparison"] = {"champion": "houses-2026-01-01", "basis": "these rows", "mae": 2.0, "championMae": 2.5}
    page = report("houses-2026-01-05", RUN, figures, test, "houses", DATA)
    assert "These rows." in page
    assert ">2.5<" in page


def test_a_runs_page_has_its_name(house_runs):
    for name in ("price", "sold"):
        found = house_runs[name]
        page = (Path(found["path"]) / "runs" / found["runId"] / "report.html").read_text("utf-8")
        assert f"<h1>{found['model']}</h1>" in page
