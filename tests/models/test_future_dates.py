"""A model whose date is later than today: it serves, and everybody says so. And over which classes macro-F1 is."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from brigade.models.__main__ import main
from brigade.models.manifest import is_future
from brigade.models.store import ModelStore
from tests.models.written_models import OLD, write_model


def name_in(days: int) -> str:
    """The name of a model of a date that is so many days from today."""
    return f"doc-classification-model-{today() + timedelta(days=days)}"


def today() -> date:
    return datetime.now(UTC).date()


@pytest.mark.parametrize("days, future", [(-1, False), (0, False), (1, True), (40_000, True)])
def test_a_date_is_of_the_future_from_tomorrow_on(days, future):
    assert is_future(today() + timedelta(days=days)) is future
    assert not is_future(None)


def test_the_list_shows_a_model_of_the_future_first_and_says_so(place, capsys):
    for name in (OLD, name_in(0), name_in(2)):  # two days, so that midnight may pass
        write_model(place.root, name)
    write_model(place.root, "doc-classification-model-2962-01-01", promoted=False, reason="worse")
    place.sync()
    assert main(["list", place.uri, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [row["state"] for row in rows] == ["rejected (future)", "serving (future)", "promoted", "promoted"]
    assert main(["list", place.uri]) == 0
    assert "(future)" in capsys.readouterr().out.splitlines()[1]


def test_a_model_of_the_future_serves_and_the_log_warns(place, caplog):
    later = name_in(2)
    write_model(place.root, OLD)
    write_model(place.root, later)
    place.sync()
    store = ModelStore(place.uri)
    assert store.current().name == later
    store.look()
    warned = [record.getMessage() for record in caplog.records if "later than today" in record.getMessage()]
    assert warned == [f"{later} has a date later than today: until it is withdrawn, no newer model serves"]


CLASSES = {"class-0": {"documents": 3}, "class-1": {"documents": 7}, "class-2": {"documents": 0}}


@pytest.mark.parametrize(
    ("classes", "over"),
    [
        (CLASSES, "the 2 of 3 classes that have test documents"),
        ({"class-0": {"documents": 3}}, "the 1 of 3 classes that have test documents"),
        ({**CLASSES, "unlearned": {"documents": 1}}, "the 3 of 4 classes that have test documents"),
        ({}, None),
        ([], None),
        ({"a": None}, None),
    ],
)
def test_a_run_is_shown_with_the_classes_that_its_macro_f1_is_over(tmp_path, capsys, classes, over):
    write_model(tmp_path, OLD, metrics={"test": {"accuracy": 0.91, "macroF1": 0.9, "classes": classes}})
    assert main(["show", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out).get("macroF1Over") == over
    assert main(["show", str(tmp_path)]) == 0
    assert ("macroF1Over " in capsys.readouterr().out) is (over is not None)


@pytest.mark.parametrize("metrics", [[], {"test": []}, {"test": None}, {"test": {"macroF1": "high"}}, {}])
def test_a_run_with_other_metrics_is_shown_without_figures(tmp_path, capsys, metrics):
    write_model(tmp_path, OLD, metrics=metrics)
    assert main(["show", str(tmp_path), "--json"]) == 0
    assert not {"accuracy", "macroF1", "macroF1Over"} & set(json.loads(capsys.readouterr().out))
    assert date.fromisoformat(OLD[-10:]) < today()
