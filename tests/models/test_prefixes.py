"""Models of two pipelines in one folder: each is found by its own prefix, and by no other."""

import json
from datetime import date

import pytest

from brigade.models.__main__ import main
from brigade.models.folder import find_champion
from brigade.models.manifest import check_prefix, model_and_run, model_date, model_dates, split_name
from brigade.models.store import ModelStore
from brigade.storage import folder_at
from tests.models.written_models import MIDDLE, NEW, OLD, write_model
from tests.models.written_tables import DEFINITION, NEWER_WINE, WINE, wine_model, write_wine


@pytest.fixture
def both(tmp_path) -> str:
    """The folder of two documents' models, and of a wine model that is older than one and newer than the other."""
    write_model(tmp_path, OLD)
    write_wine(tmp_path, NEWER_WINE)
    write_model(tmp_path, NEW)
    return str(tmp_path)


def test_a_store_serves_the_newest_model_of_its_prefix(both):
    assert ModelStore(both).current().name == NEW
    served = ModelStore(both, prefix="wine-model").current()
    assert (served.name, served.model.kind) == (NEWER_WINE, "table")


def test_a_champion_is_one_of_the_prefix(both):
    assert find_champion(folder_at(both)).name == NEW
    assert find_champion(folder_at(both), "wine-model").name == NEWER_WINE
    assert find_champion(folder_at(both), "wine") is None


def test_a_period_has_a_model_only_if_the_prefix_has(both):
    assert model_dates(folder_at(both)) == {date(2026, 1, 5), date(2026, 3, 2)}
    assert model_dates(folder_at(both), prefix="wine-model") == {date(2026, 2, 2)}


def test_without_a_model_of_its_prefix_a_store_says_which_names_it_looked_for(tmp_path):
    write_model(tmp_path, OLD)
    with pytest.raises(Exception, match="for wine-model-YYYY-MM-DD, passed over: none"):
        ModelStore(str(tmp_path), prefix="wine-model").current()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("wine-model-2026-01-05", ("wine-model", date(2026, 1, 5))),
        ("wine-2026-01-05-2026-02-02", ("wine-2026-01-05", date(2026, 2, 2))),
        ("2026-01-05", ("", None)),
        ("-2026-01-05", ("", None)),
        ("wine-2026-02-30", ("", None)),
        ("wine-2026-01-05-copy", ("", None)),
    ],
)
def test_a_name_is_a_prefix_and_a_date(name, parts):
    assert split_name(name) == parts
    assert model_date(name, "wine") is None


@pytest.mark.parametrize("prefix", ["", "Wine", "wine-", "-wine", "wine/model", "../wine", "wine-2026-01-05", "w" * 61])
def test_what_can_be_no_prefix_is_refused(prefix):
    with pytest.raises(ValueError, match="expected a model's name without its date, such as wine-model, found"):
        check_prefix(prefix)


def test_a_pin_is_a_model_of_the_prefix():
    assert model_and_run(f"{WINE}/run-1", "wine-model") == (WINE, "run-1")
    with pytest.raises(ValueError, match="expected wine-model-YYYY-MM-DD, with or without /RUN_ID, found"):
        model_and_run(OLD, "wine-model")


def test_operators_see_the_models_of_one_prefix(both, capsys):
    def listed(*flags: str) -> list[str]:
        assert main(["list", both, "--json", *flags]) == 0
        return [(row["model"], row["state"]) for row in json.loads(capsys.readouterr().out)["models"]]

    assert listed() == [(NEW, "serving"), (OLD, "promoted")]
    assert listed("--model_prefix=wine-model") == [(NEWER_WINE, "serving")]
    assert main(["show", both, "--model_prefix=wine-model", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == NEWER_WINE


def test_a_list_without_models_names_a_prefix_that_has_some(tmp_path, capsys):
    write_wine(tmp_path)
    assert main(["list", str(tmp_path)]) == 1
    assert "found none of doc-classification-model; for others add --model_prefix=wine-model" in capsys.readouterr().err


def test_a_model_that_is_named_needs_no_prefix(both, capsys):
    write_wine(folder_at(both).root, WINE, promoted=False)
    assert main(["show", both, WINE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problem"] is None
    assert main(["promote", both, WINE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["serving"]["name"] == NEWER_WINE
    assert main(["withdraw", both, NEWER_WINE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["serving"]["name"] == WINE
    assert main(["withdraw", both, WINE]) == 1  # the documents' models do not serve in its place
    assert "the only model that may serve" in capsys.readouterr().err
    assert ModelStore(both).current().name == NEW


def test_a_table_model_cannot_take_the_documents_place(tmp_path):
    write_model(tmp_path, OLD)
    write_wine(tmp_path, MIDDLE)
    store = ModelStore(str(tmp_path))
    assert store.current().name == OLD
    assert store.passed_over == {
        MIDDLE: "doc-classification-model is the model_prefix of documents; give this pipeline one of its own"
    }


def test_a_text_model_of_other_events_cannot_either(tmp_path):
    from tests.models.written_models import tiny_model

    model = tiny_model()
    model.pipeline = DEFINITION | {"model": {"kind": "text", "label": "good", "features": ["colour"]}}
    write_model(tmp_path, OLD, model=model)
    write_model(tmp_path, WINE, model=model)
    assert find_champion(folder_at(str(tmp_path))) is None
    assert find_champion(folder_at(str(tmp_path)), "wine-model").model.pipeline == model.pipeline
    assert wine_model().pipeline["event"] == model.pipeline["event"]
